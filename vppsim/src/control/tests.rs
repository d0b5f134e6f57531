use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::string::string_regex;
use tokio::runtime::Builder;

use super::answer;
use crate::api::{Identity, MessageIds, Simulator};
use crate::datapath::Datapath;
use crate::faults::grammar::FORMS;
use crate::host::Host;
use crate::stats::Segment;
use crate::stats::memory::Memory;

fn host() -> Arc<Host> {
    let text = String::new;
    let identity = Identity { pid: 1, version: text(), build_date: text(), build_directory: text() };
    let simulator = Simulator::new(identity, MessageIds::recorded());
    let segment = Segment::new(Memory::new().unwrap(), 0).unwrap();
    Host::new(simulator, segment, Datapath::disabled())
}

#[tokio::test]
async fn a_host_in_this_process_takes_the_same_commands() {
    let host = host();
    assert_eq!(answer(&host, "hang").await, "ok hung until resume or clear");
    assert!(host.is_hung());
    assert_eq!(answer(&host, "lose lb_conf nth 2").await, "ok fault 1: lose lb_conf nth 2");
    assert_eq!(answer(&host, "list").await, "ok fault 1: lose lb_conf nth 2 (0 of 0 requests); hung");
    assert_eq!(answer(&host, "clear").await, "ok no faults");
    assert!(!host.is_hung());
    assert_eq!(answer(&host, "list").await, "ok no faults");
    assert_eq!(answer(&host, "help hang").await.lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_befalls_nothing_is_not_waited_for_for_ever() {
    let host = host();
    answer(&host, "lose").await;
    let told = answer(&host, "wait 1").await;
    assert_eq!(told, "error fault 1 has befallen no request within 30 seconds");
    let (waited, _) = tokio::join!(answer(&host, "wait 1"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let client = host.connect();
        host.receive(client, &[0, 15]);
    });
    assert_eq!(waited, "ok fault 1 has befallen a request");
}

fn lines() -> impl Strategy<Value = String> {
    let commands = prop::sample::select(FORMS.iter().map(|form| form.name).collect::<Vec<_>>());
    let rest = string_regex("[ a-z0-9.:-]{0,30}").unwrap();
    prop_oneof![
        string_regex("\\PC*").unwrap(),
        (commands, rest).prop_map(|(command, rest)| format!("{command} {rest}")),
    ]
}

proptest! {
    #[test]
    fn any_line_gets_one_line_in_answer(line in lines()) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = runtime.block_on(answer(&host(), &line));
        prop_assert!(answer.starts_with("ok ") || answer.starts_with("error "), "{}", answer);
        prop_assert_eq!(answer.lines().count(), 1);
    }
}
