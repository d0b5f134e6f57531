//! Changes, by mouse and by keyboard.

use std::fs;

use maglev_tests::browser::Browser;
use maglev_tests::dashboard::{Dashboard, USER, world};
use maglev_tests::skipped;

use super::{all, go, row_says, says};

/// Presses Tab until the focus is on what has this selector.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..60 {
        browser.press(&["Tab"]).await.unwrap();
        let there = browser.value(&format!("document.activeElement.matches(`{selector}`)")).await.unwrap();
        if there == true {
            return;
        }
    }
    panic!("Tab does not lead to {selector}");
}

#[tokio::test]
async fn keys_alone_lead_from_the_fleet_to_a_change_and_the_brain_knows_who() {
    let Some((stack, _, browser)) = all(3).await else { return };
    browser.press(&["/"]).await.unwrap();
    browser.until("document.activeElement.matches('input[type=search]')").await.unwrap();
    browser.press(&["w", "w", "w", "Enter"]).await.unwrap();
    browser.until("document.activeElement.matches('.row.selected')").await.unwrap();
    browser.press(&["Enter"]).await.unwrap();
    browser.until("document.querySelector('.members .do button')").await.unwrap();
    tab_to(&browser, "button[aria-label=\"Change web2 in pool primary\"]").await;
    browser.press(&["Enter"]).await.unwrap();
    browser.until("document.querySelector('dialog[open] .plan table')").await.unwrap();
    // The brain's own sentences, and what becomes of the shares.
    says(&browser, "→ 0 (0.00%)").await;
    browser.press(&["Escape"]).await.unwrap();
    browser.until("!document.querySelector('dialog')").await.unwrap();
    browser
        .until("document.activeElement.matches('button[aria-label=\"Change web2 in pool primary\"]')")
        .await
        .unwrap();
    browser.press(&["Enter"]).await.unwrap();
    browser.until("document.querySelector('dialog .primary:not([disabled])')").await.unwrap();
    tab_to(&browser, "dialog input[aria-label=Why]").await;
    browser.press(&["d", "i", "s", "k"]).await.unwrap();
    tab_to(&browser, "dialog .primary").await;
    browser.press(&["Enter"]).await.unwrap();
    says(&browser, "done; ").await;
    browser.press(&["Enter"]).await.unwrap();
    browser.until("!document.querySelector('dialog')").await.unwrap();
    browser.until(&row_says("web2", "paused")).await.unwrap();
    browser.until(&row_says("web2", ": disk")).await.unwrap();
    let backend = stack.show(&["backends", "web2"]).await.unwrap();
    assert_eq!((&backend["state"], &backend["operator_reason"]), (&"paused".into(), &"disk".into()));
    let log = fs::read_to_string(stack.log("brain")).unwrap();
    let who = format!("{}, by user ", USER.0);
    assert!(log.lines().any(|line| line.contains("operator command") && line.contains(&who)), "{log}");
    go(&browser, "#/events", ".event.kind-command").await;
    says(&browser, &who).await;
    go(&browser, "#/lb", ".balancer table button").await;
    browser.value("document.querySelector('.balancer table button').click()").await.unwrap();
    browser.until("document.querySelector('dialog .primary:not([disabled])')").await.unwrap();
    browser.value("document.querySelector('dialog .primary').click()").await.unwrap();
    says(&browser, "Nothing: all is as configured.").await;
}

#[tokio::test]
async fn a_weight_is_planned_while_it_is_moved_and_seen_at_once() {
    let Some((stack, _, browser)) = all(1).await else { return };
    go(&browser, "#/f/www", ".members .do button").await;
    browser.value("document.querySelector('.members .do button').click()").await.unwrap();
    browser.value("document.querySelector('dialog input[value=weight]').click()").await.unwrap();
    let slide = "(s => { s.value = 25; s.dispatchEvent(new Event('input')); })(document.querySelector('dialog input[type=range]'))";
    browser.value(slide).await.unwrap();
    browser.until("document.querySelector('dialog .plan').innerText.includes('→ 25')").await.unwrap();
    browser.until("!document.querySelector('dialog .primary').disabled").await.unwrap();
    browser.value("document.querySelector('dialog .primary').click()").await.unwrap();
    says(&browser, "done; programmed in VPP").await;
    let frontend = stack.show(&["frontends", "www"]).await.unwrap();
    assert_eq!(frontend["pools"][0]["backends"][0]["operator_weight"], 25);
    browser.until(&row_says("web1", "25")).await.unwrap();
}

#[tokio::test]
async fn what_was_planned_on_a_state_that_moved_on_is_planned_again() {
    let Some((stack, _, browser)) = all(1).await else { return };
    go(&browser, "#/f/www", ".members .do button").await;
    browser.value("document.querySelector('.members .do button').click()").await.unwrap();
    browser.until("!document.querySelector('dialog .primary').disabled").await.unwrap();
    for backend in ["web2", "web3", "spare1", "spare2"] {
        stack.operate(&["set", "backend", backend, "pause", "--yes"]).await.unwrap();
    }
    browser.value("document.querySelector('dialog .primary').click()").await.unwrap();
    says(&browser, "The state has moved on meanwhile").await;
    assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "up");
    // It is another plan now, and looks like it.
    browser.until("document.querySelector('dialog .severity-danger')").await.unwrap();
    browser.until("document.querySelector('dialog button.danger:not([disabled])')").await.unwrap();
    browser.value("document.querySelector('dialog button.danger').click()").await.unwrap();
    says(&browser, "done; ").await;
    assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "paused");
    go(&browser, "#/", ".fleet .rows .row").await;
    browser
        .until("document.querySelector('.fleet [aria-rowindex=\"2\"]')?.innerText.startsWith('down')")
        .await
        .unwrap();
}

/// Whether each row of the fleet shows the states on both load balancers, each below the one before and not cut off.
const STACKED: &str = "() => {
    const rows = [...document.querySelectorAll('.fleet .rows .row')];
    return rows.length > 0 && rows.every((row) => {
        const cells = [...row.querySelectorAll('.lb')], boxes = cells.map((cell) => cell.getBoundingClientRect());
        const isNamed = cells.every((cell) => getComputedStyle(cell, '::before').content.includes(cell.dataset.label));
        return isNamed && cells.map((cell) => cell.dataset.label).join() === 'demo,other'
            && boxes[1].top >= boxes[0].bottom
            && cells.every((cell) => /up|down|unknown/.test(cell.innerText) && cell.scrollWidth <= cell.clientWidth)
            && boxes.every((box) => box.right <= innerWidth) && row.scrollHeight <= row.clientHeight;
    });
}";

#[tokio::test]
async fn several_load_balancers_stand_side_by_side_and_each_answers_by_its_name() {
    let Some(browser) = Browser::start().await.unwrap() else {
        return skipped("the dashboard in a browser, since chromium and chromedriver are not installed");
    };
    let (mut stack, other) = (world(1, 2).await.unwrap(), world(1, 2).await.unwrap());
    let more = format!("other=unix:{}", other.brain_socket().display());
    let dashboard = Dashboard::start(&mut stack, &[&more]).await.unwrap();
    dashboard.log_in(&browser).await.unwrap();
    // Each has a port of its own for the demo's service, and the rest is the same.
    browser.until("document.querySelector('.fleet .head').innerText.includes('other')").await.unwrap();
    browser.until("document.querySelectorAll('.fleet .rows .lb .is-up').length >= 4").await.unwrap();
    other.operate(&["set", "backend", "web3", "pause"]).await.unwrap();
    browser.until("document.querySelector('.fleet .rows').innerText.includes('≠ weights')").await.unwrap();
    // A narrow window has them below each other, all in view and each by its name.
    browser.show_in(400, 800, false).await.unwrap();
    browser.until(&format!("({STACKED})()")).await.unwrap();
    browser.show_in(1280, 900, false).await.unwrap();
    go(&browser, "#/f/www", ".members .do button").await;
    browser.until("document.querySelectorAll('.balancer').length === 2").await.unwrap();
    browser.value("document.querySelector('.members .do button').click()").await.unwrap();
    browser.until("document.querySelector('dialog input[value=other]')").await.unwrap();
    browser.value("document.querySelector('dialog input[value=other]').click()").await.unwrap();
    browser.until("document.querySelectorAll('dialog .plan section').length === 2").await.unwrap();
    browser.until("!document.querySelector('dialog .primary').disabled").await.unwrap();
    browser.value("document.querySelector('dialog .primary').click()").await.unwrap();
    browser
        .until("document.querySelector('dialog .plan').innerText.split('done; ').length === 3")
        .await
        .unwrap();
    for stack in [&stack, &other] {
        assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "paused");
    }
}
