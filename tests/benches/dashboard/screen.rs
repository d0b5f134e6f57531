//! From a change of a backend to what a person sees: timed inside the browser, by the same clock as the brain's.

use std::time::Duration;

use maglev_tests::browser::Browser;
use maglev_tests::dashboard::Dashboard;
use maglev_tests::stack::Stack;
use maglev_tests::wait::until_every;
use serde_json::Value;

/// The backend that dies and returns.
const BACKEND: &str = "web1";

/// Notes each state of the backend that the table shows, when it began by the brain's clock, and when the browser had
/// painted it. A message comes after the frame in which it was sent.
const WATCH: &str = r"(async () => {
    const { tables, key } = await import('/view/assets/store.js');
    window.seen = [];
    let shown = '';
    const look = () => {
        const rows = [...document.querySelectorAll('.members tr')];
        const state = rows.find((row) => row.innerText.includes('web1'))?.querySelector('.where .state')?.innerText;
        if (!state || state === shown) return;
        shown = state;
        const [{ at_unix_ms: since }] = tables.backends.get(key('demo', 'web1')).transitions;
        requestAnimationFrame(() => {
            const painted = new MessageChannel();
            painted.port1.onmessage = () => seen.push([state.trim(), since, Date.now()]);
            painted.port2.postMessage(null);
        });
    };
    new MutationObserver(look).observe(document.querySelector('main'),
        { subtree: true, childList: true, characterData: true });
    look();
})()";

/// Milliseconds from each of so many changes to the screen; nothing without a browser.
pub(crate) async fn times(
    stack: &mut Stack,
    dashboard: &Dashboard,
    changes: usize,
) -> anyhow::Result<Option<Vec<u64>>> {
    let Some(browser) = Browser::start().await? else { return Ok(None) };
    browser.client.goto(&dashboard.url("/view/#/f/www")).await?;
    browser.until("document.querySelector('.members tr.first')").await?;
    browser.value(WATCH).await?;
    browser.until("window.seen && seen.length === 1").await?;
    for number in 0..changes {
        if number % 2 == 0 {
            stack.kill(BACKEND)?
        } else {
            stack.start_backend(BACKEND)?
        }
        let (look, shown) = (Duration::from_millis(50), format!("seen.length >= {}", number + 2));
        let is_shown = || async { Ok((browser.value(&shown).await? == true).then_some(())) };
        until_every(look, "the browser to show the change", is_shown).await?;
    }
    if changes % 2 == 1 {
        stack.start_backend(BACKEND)?;
    }
    let seen = browser.value("seen.slice(1).map(([, since, at]) => at - since)").await?;
    let mut times: Vec<_> = seen.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    times.sort_unstable();
    Ok(Some(times))
}
