//! The dashboard in a real browser, over real processes.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod changes;
mod fleet;
mod refusals;

use fantoccini::Locator;
use maglev_tests::browser::Browser;
use maglev_tests::dashboard::{Dashboard, world};
use maglev_tests::stack::Stack;
use maglev_tests::{skipped, wait};
use serde_json::Value;

/// Everything, with a browser that has logged in; nothing on a machine without one.
async fn all(frontends: usize) -> Option<(Stack, Dashboard, Browser)> {
    let Some(browser) = Browser::start().await.unwrap() else {
        skipped("the dashboard in a browser, since chromium and chromedriver are not installed");
        return None;
    };
    let mut stack = world(frontends, 10).await.unwrap();
    let dashboard = Dashboard::start(&mut stack, &[]).await.unwrap();
    dashboard.log_in(&browser).await.unwrap();
    Some((stack, dashboard, browser))
}

async fn go(browser: &Browser, hash: &str, until: &str) {
    browser.value(&format!("location.hash = '{hash}'")).await.unwrap();
    browser.until(&format!("document.querySelector(`{until}`)")).await.unwrap();
}

/// The row of a backend on the page of its frontend says this.
fn row_says(backend: &str, words: &str) -> String {
    format!(
        "[...document.querySelectorAll('.members tr')].some(row => row.innerText.includes('{backend}') && \
         row.innerText.includes('{words}'))"
    )
}

async fn says(browser: &Browser, words: &str) {
    browser.until(&format!("document.body.innerText.includes({words:?})")).await.unwrap();
}

async fn says_no_more(browser: &Browser, words: &str) {
    browser.until(&format!("!document.body.innerText.includes({words:?})")).await.unwrap();
}

/// What is wrong for those who see little, or use no mouse: contrast below 4.5 to 1, controls without a name, pictures
/// without words, text that is cut off sideways.
const AUDIT: &str = include_str!("audit.js");
/// Where axe-core is, which finds far more; `.ci/run` downloads it.
const AXE: &str = "MAGLEV_TEST_AXE";
/// Rules of WCAG 2.2, levels A and AA, and those that are good practice.
const RULES: &str = "{ resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', \
                     'best-practice'] }";

async fn assert_accessible(browser: &Browser, what: &str) {
    let found = browser.value(&format!("({AUDIT})()")).await.unwrap();
    assert_eq!(found, Value::Array(vec![]), "{what}");
    let Some(axe) = std::env::var_os(AXE) else {
        return skipped(
            "NOT CHECKED: the pages with axe-core, since MAGLEV_TEST_AXE does not say where it is",
        );
    };
    if browser.value("!window.axe").await.unwrap() == true {
        browser.client.execute(&std::fs::read_to_string(axe).unwrap(), vec![]).await.unwrap();
    }
    let run = format!(
        "const done = arguments[0];
         axe.run(document, {RULES}).then((all) => done(all.violations.map((one) =>
             `${{one.id}}: ${{one.help}}: ${{one.nodes.slice(0, 3).map((node) => node.html).join(' ')}}`)), \
             (error) => done([String(error)]));"
    );
    let found = browser.client.execute_async(&run, vec![]).await.unwrap();
    assert_eq!(found, Value::Array(vec![]), "{what}, by axe-core");
}

#[tokio::test]
async fn every_page_can_be_read_in_every_size_light_and_dark() {
    let Some((mut stack, _, browser)) = all(40).await else { return };
    stack.operate(&["set", "backend", "web3", "pause"]).await.unwrap();
    stack.kill("web1").unwrap();
    for (width, height) in [(1680, 1000), (1280, 800), (400, 800)] {
        for dark in [false, true] {
            browser.show_in(width, height, dark).await.unwrap();
            for (hash, until) in [
                ("#/", ".fleet .rows .row"),
                ("#/f/www", ".members tr.first"),
                ("#/lb", ".facts dd"),
                ("#/events", ".event"),
            ] {
                go(&browser, hash, until).await;
                assert_accessible(&browser, &format!("{hash} at {width} x {height}, dark: {dark}")).await;
            }
        }
    }
    go(&browser, "#/f/www", ".members tr.first .do button").await;
    browser.value("document.querySelector('.members .do button').click()").await.unwrap();
    says(&browser, "demo").await;
    assert_accessible(&browser, "the dialog").await;
    assert_eq!(browser.complaints().await.unwrap(), [""; 0]);
}

/// Counts the animation frames between the arrival of the state of a backend that is down and its being shown.
const SHOWN_AT_ONCE: &str = "(async () => {
    const { listen, tables, key } = await import('/view/assets/store.js');
    const isShown = () => [...document.querySelectorAll('.members tr')].some((row) =>
        row.innerText.includes('web1') && row.innerText.includes('down'));
    const look = (frames) => {
        if (isShown()) window.late = frames;
        else if (frames < 100) requestAnimationFrame(() => look(frames + 1));
    };
    listen(() => {
        // What draws was asked for before this, and so draws first.
        if (window.late === undefined && tables.backends.get(key('demo', 'web1')).state === 'down') {
            requestAnimationFrame(() => look(0));
        }
    });
})()";

#[tokio::test]
async fn what_happens_is_seen_without_asking() {
    let Some((mut stack, _, browser)) = all(2).await else { return };
    browser.until("document.querySelector('.fleet').innerText.includes('5/5')").await.unwrap();
    go(&browser, "#/f/www", ".members tr.first").await;
    browser.until("document.querySelector('.heart.beats')").await.unwrap();
    browser.value(SHOWN_AT_ONCE).await.unwrap();
    browser.until("document.querySelector('.strip')?.innerText.includes('web1')").await.unwrap();
    stack.kill("web1").unwrap();
    browser.until(&row_says("web1", "down")).await.unwrap();
    browser.until(&row_says("web1", "L4CON")).await.unwrap();
    // In the frame that the event came with, and not in a later one.
    browser.until("window.late !== undefined").await.unwrap();
    assert_eq!(browser.value("window.late").await.unwrap(), 0, "animation frames until it was shown");
    // Its buckets went to the others, and that is seen in the table and in the strip.
    browser.until("document.querySelector('.strip').innerText.includes('+')").await.unwrap();
    browser.until("/web2\\s+\\d+\\s+\\+/.test(document.querySelector('.strip').innerText)").await.unwrap();
    stack.start_backend("web1").unwrap();
    browser.until(&row_says("web1", "up")).await.unwrap();
    go(&browser, "#/events", ".event").await;
    says(&browser, "backend web1 up → down: L4CON").await;
    says(&browser, "VPP: www weight of 127.90.1.1").await;
    assert_eq!(browser.complaints().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn brain_vpp_and_the_dashboard_itself_may_die_and_come_back() {
    let Some((mut stack, dashboard, browser)) = all(2).await else { return };
    go(&browser, "#/f/www", ".members tr.first").await;
    stack.kill("brain").unwrap();
    says(&browser, "demo: brain disconnected, state as of").await;
    browser.until("document.querySelector('.balancer.old')").await.unwrap();
    assert_accessible(&browser, "a brain that is away").await;
    assert!(browser.text().await.unwrap().contains("web1"), "the last state that is known is gone");
    stack.start_brain().unwrap();
    browser.until("!document.querySelector('.balancer.old')").await.unwrap();
    says_no_more(&browser, "brain disconnected").await;

    stack.kill("vppsim").unwrap();
    says(&browser, "demo: VPP disconnected").await;
    stack.start_vppsim().unwrap();
    says_no_more(&browser, "demo: VPP").await;

    stack.kill(maglev_tests::dashboard::NAME).unwrap();
    says(&browser, "No connection to the dashboard").await;
    dashboard.run(&mut stack, &[]).unwrap();
    says_no_more(&browser, "No connection to the dashboard").await;
    stack.operate(&["set", "backend", "web2", "pause"]).await.unwrap();
    browser.until(&row_says("web2", "paused")).await.unwrap();
}

/// How many streams the dashboard serves.
async fn viewers(dashboard: &Dashboard) -> String {
    let metrics = reqwest::get(dashboard.url("/metrics")).await.unwrap().text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("maglev_dashboard_viewers ")).unwrap().to_owned()
}

#[tokio::test]
async fn eight_tabs_share_one_stream_and_another_takes_over() {
    let Some((stack, dashboard, browser)) = all(2).await else { return };
    let first = browser.client.window().await.unwrap();
    let mut tabs = vec![first.clone()];
    for _ in 1..8 {
        let tab = browser.client.new_window(true).await.unwrap().handle;
        browser.client.switch_to_window(tab.clone()).await.unwrap();
        browser.client.goto(&dashboard.url("/view/#/f/www")).await.unwrap();
        browser.until("document.querySelector('.members tr.first')").await.unwrap();
        tabs.push(tab);
    }
    let one = || async {
        if viewers(&dashboard).await == "1" { Ok(Some(())) } else { anyhow::bail!("more streams") }
    };
    wait::until("one stream", one).await.unwrap();
    stack.operate(&["set", "backend", "web3", "pause"]).await.unwrap();
    for tab in &tabs[1..] {
        browser.client.switch_to_window(tab.clone()).await.unwrap();
        browser.until(&row_says("web3", "paused")).await.unwrap();
    }
    // The one that reads goes.
    browser.client.switch_to_window(first).await.unwrap();
    browser.client.close_window().await.unwrap();
    browser.client.switch_to_window(tabs[7].clone()).await.unwrap();
    stack.operate(&["set", "backend", "web3", "resume"]).await.unwrap();
    browser.until(&row_says("web3", "up")).await.unwrap();
    wait::until("one stream", one).await.unwrap();
}

#[tokio::test]
async fn a_thousand_frontends_are_searched_and_only_the_visible_are_drawn() {
    let Some((_stack, _, browser)) = all(400).await else { return };
    browser.until("document.querySelector('.counts').innerText.includes('401 frontends')").await.unwrap();
    let drawn = browser.value("document.querySelectorAll('.fleet .rows .row').length").await.unwrap();
    assert!(drawn.as_u64().unwrap() < 80, "{drawn} rows are drawn");
    // The worst first.
    browser
        .until("document.querySelector('.fleet [aria-rowindex=\"2\"]')?.innerText.startsWith('down')")
        .await
        .unwrap();
    for (filter, found) in
        [("service-123", "service-123"), ("127.105.3.9", "service-258"), ("down", "service-207")]
    {
        let search = browser.client.find(Locator::Css("input[type=search]")).await.unwrap();
        search.clear().await.unwrap();
        search.send_keys(filter).await.unwrap();
        browser
            .until(&format!("document.querySelector('.fleet .rows').innerText.includes('{found}')"))
            .await
            .unwrap();
        browser.until("!document.querySelector('.fleet .rows').innerText.includes('www')").await.unwrap();
    }
    assert_eq!(browser.complaints().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let Some((_stack, _, browser)) = all(1).await else { return };
    let long = "x".repeat(64);
    let rows = format!(
        "(async () => {{
            const {{ merge, key }} = await import('/view/assets/store.js');
            for (const name of ['<script>window.hit=1</script>', '<img src=x onerror=window.hit=1>', '{long}', 'a\\u202egnp.exe', 'a/../b']) {{
                const row = {{ server: 'demo', name, description: name, vip: name, protocol: 'tcp', state: 'up', active_pool: name, sync: 'failed', up: 1, total: 1, pools: [name], not_in_vpp: name }};
                const member = {{ server: 'demo', frontend: name, pool: name, pool_at: 0, backend: name, address: name, configured_weight: 1, effective_weight: 1, programmed_weight: 1, buckets: 5 }};
                const backend = {{ server: 'demo', name, address: name, healthcheck: name, state: 'down', operator_state: 'none', last_probe: {{ code: name, detail: name, passed: false }}, transitions: [{{ at_unix_ms: 1, from: 'up', to: 'down', cause: name }}], frontends: [name], counter: {{ value: 0, rise: 2, fall: 2 }} }};
                merge({{ fleet: {{ [name]: {{ name, rank: 0, faults: [name] }} }}, frontends: {{ [key('demo', name)]: row }}, members: {{ [key('demo', name, name, name)]: member }}, backends: {{ [key('demo', name)]: backend }} }},
                    [{{ kind: 'log', icon: name, text: name, at: 1, server: name }}]);
            }}
            window.merged = true;
        }})()"
    );
    browser.value(&rows).await.unwrap();
    browser.until("window.merged").await.unwrap();
    says(&browser, "<script>window.hit=1</script>").await;
    browser.until("document.documentElement.scrollWidth <= innerWidth").await.unwrap();
    for name in ["<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "a/../b", &long] {
        browser.value(&format!("location.hash = '#/f/' + encodeURIComponent({name:?})")).await.unwrap();
        browser.until(&format!("document.querySelector('h1')?.textContent === {name:?}")).await.unwrap();
        browser.until("document.querySelector('.members tr.first')").await.unwrap();
    }
    go(&browser, "#/events", ".event").await;
    says(&browser, "<img src=x onerror=window.hit=1>").await;
    assert_eq!(browser.value("window.hit ?? null").await.unwrap(), Value::Null);
    assert_eq!(browser.value("document.querySelectorAll('main script, main img').length").await.unwrap(), 0);
}
