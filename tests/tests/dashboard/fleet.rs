//! The fleet of load balancers.

use maglev_tests::etcd::Etcd;

use super::*;

/// What another member writes to etcd; its tables are empty, and its name is also that of a third machine.
const OTHER: [(&str, &str); 4] = [
    ("info", r#"{"format":1,"name":"lb2","version":"0.1.0","first_seen_ms":1}"#),
    (
        "state",
        r#"{"format":1,"running":null,"refused":null,"not_programmed":"VPP is away","vpp":false,"local":2,"clock_ms":0}"#,
    ),
    ("tables/00", r#"{"format":1,"vips":[]}"#),
    ("rival", r#"{"format":1,"instance":"0000000000000005","since_ms":1}"#),
];

#[tokio::test]
async fn fleet_is_shown_as_a_member_sees_it() {
    let Some((mut stack, _, browser)) = all(2).await else { return };
    let Some(etcd) = Etcd::find(&stack).unwrap() else {
        return skipped("the dashboard's fleet, for there is no etcd");
    };
    go(&browser, "#/lb", ".facts dd").await;
    let has_fleet = browser.value("document.body.innerText.includes('Fleet edge')").await.unwrap();
    assert_eq!(has_fleet, false, "it is in none");
    etcd.start(&mut stack).await.unwrap();
    let endpoint = etcd.endpoint();
    let settings = format!(
        "fleet:\n  name: edge\n  member: lb1\n  etcd: {{ endpoints: ['{endpoint}'], timeout: 2s }}\n"
    );
    stack.join_fleet(&settings).unwrap();
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    let section = "section[aria-label='Fleet edge']";
    browser.until(&format!("document.querySelector(`{section}`)")).await.unwrap();
    for words in ["etcd connected", "as lb1 sees it", "each member has its own file"] {
        says(&browser, words).await;
    }
    for (what, value) in OTHER {
        etcd.ctl(&["put", &format!("/maglev/edge/members/lb2/{what}"), value]).await.unwrap();
    }
    for words in ["another machine has the same name", "VPP is away", "lb2: not programmed in VPP"] {
        says(&browser, words).await;
    }
    for (width, height) in [(1680, 1000), (400, 800)] {
        for dark in [false, true] {
            browser.show_in(width, height, dark).await.unwrap();
            go(&browser, "#/lb", &format!("{section} h3")).await;
            assert_accessible(&browser, &format!("a fleet at {width} x {height}, dark: {dark}")).await;
        }
    }
    go(&browser, "#/events", ".event").await;
    says(&browser, "fleet: more than one machine has the member name lb2").await;
    stack.kill("etcd").unwrap();
    go(&browser, "#/lb", section).await;
    says(&browser, "etcd disconnected").await;
    assert_eq!(browser.complaints().await.unwrap(), [""; 0]);
}
