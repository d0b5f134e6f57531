//! What operators are shown of a fleet: previews on all members, events, machines with one name, and a canary that alone cannot
//! run a revision.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

fn signal(member: &Stack, process: &str, signal: Signal) {
    let pid = i32::try_from(member.pid(process).unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The records of the fleet in a member's history.
async fn records(member: &Stack) -> Vec<Value> {
    let history = member.show(&["history"]).await.unwrap();
    let records = history["records"].as_array().cloned().unwrap_or_default();
    records.into_iter().filter(|record| record["kind"] == "fleet").collect()
}

/// Waits for a record of the fleet.
pub(super) async fn wait_for_record(member: &Stack, words: &str) -> Value {
    let look = || async {
        let records = records(member).await;
        let found =
            records.iter().find(|record| record["what"].as_str().is_some_and(|what| what.contains(words)));
        found.map(|found| Some(found.clone())).ok_or_else(|| anyhow::anyhow!("the history has {records:#?}"))
    };
    let found = wait::until(&format!("a record with {words:?}"), look).await;
    found.map_err(|error| member.explain(&error)).unwrap()
}

/// The member lb1 as others see it, and since when another machine has its name.
fn of_lb1(status: &Value) -> (Option<u64>, bool) {
    let members = status["members"].as_array().cloned().unwrap_or_default();
    let lb1 = members.iter().find(|member| member["name"] == "lb1").cloned().unwrap_or_default();
    (lb1["local_overrides"].as_u64(), lb1["rival_since_unix_ms"].as_u64() > Some(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_machines_with_one_name_the_first_stays_the_member() {
    let Some(mut fleet) = prepared(3).await else { return };
    let same = settings("lb1", &fleet.etcd, "");
    fleet.members[2].join_fleet(&same).unwrap();
    fleet.etcd.start(&mut fleet.members[0]).await.unwrap();
    for member in &mut fleet.members[..2] {
        member.start_brain().unwrap();
        member.wait_synced().await.unwrap();
    }
    // By this, others recognize the first one.
    let (said, code) = outcome(&fleet.members[0], &["set", "backend", "web1", "pause", "--local"]).await;
    assert_eq!(code, 0, "{said}");
    fleet.wait_for_one(1, "lb1 with its override", |status| of_lb1(status) == (Some(1), false)).await;
    // A restart takes its place at once, though the lease of the process before is not over.
    fleet.members[0].kill("brain").unwrap();
    fleet.members[0].start_brain().unwrap();
    fleet.members[0].wait_synced().await.unwrap();
    let said = fleet.members[0].show(&["status"]).await.unwrap();
    assert!(!said["problems"].to_string().contains("machine"), "{said:#}");
    let (said, code) = outcome(&fleet.members[1], &["set", "backend", "web2", "pause"]).await;
    assert!(said.contains("programmed on 2 of 2 members") && code == 0, "{code}: {said}");

    fleet.members[2].start_brain().unwrap();
    fleet.members[2].wait_synced().await.unwrap();
    for member in [0, 1] {
        fleet.wait_for_one(member, "the other machine", |status| of_lb1(status) == (Some(1), true)).await;
        wait_for_record(&fleet.members[member], "more than one machine has the member name lb1").await;
    }
    fleet.wait_for_one(2, "the other machine", |status| of_lb1(status).1).await;
    let status = fleet.members[2].show(&["status"]).await.unwrap();
    assert!(status["problems"].to_string().contains("another machine is lb1"), "{status:#}");
    let said = fleet.run(1, &["fleet", "members"]).await.unwrap();
    assert!(said.contains("another machine calls itself lb1"), "{said}");
    // Its own news change nothing for the others.
    let (said, code) = outcome(&fleet.members[2], &["set", "backend", "web3", "pause", "--local"]).await;
    assert_eq!(code, 0, "{said}");
    let (said, code) = outcome(&fleet.members[1], &["set", "backend", "web2", "resume"]).await;
    assert!(said.contains("programmed on 2 of 2 members") && code == 0, "{code}: {said}");
    fleet.wait_for_one(1, "lb1 to be the first one", |status| of_lb1(status) == (Some(1), true)).await;

    // The first one goes, and its lease ends: the name is free.
    fleet.members[0].kill("brain").unwrap();
    fleet.etcd.ctl(&["del", "/maglev/edge/members/lb1/state"]).await.unwrap();
    fleet.wait_for_one(1, "only one machine", |status| !of_lb1(status).1).await;
    wait_for_record(&fleet.members[1], "only one machine has the member name lb1 now").await;
    fleet.wait_for_one(1, "the other machine's overrides", |status| of_lb1(status) == (Some(1), false)).await;
    let status = fleet.members[2].show(&["status"]).await.unwrap();
    assert!(!status["problems"].to_string().contains("machine"), "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_that_only_the_canary_cannot_run_goes_back_and_reaches_nobody_else() {
    let Some(fleet) = started(3).await else { return };
    let file = fleet.file("40");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    let begun = wait_for_record(&fleet.members[2], "rollout of revision 1: ").await;
    assert!(begun["who"].as_str().is_some_and(|who| !who.is_empty()), "{begun}");
    wait_for_record(&fleet.members[2], "rollout of revision 1: done").await;

    // Its root allows fewer VIPs than those of the others.
    let canary = &fleet.members[1];
    let policy = std::fs::read_to_string(canary.policy()).unwrap();
    let narrow = policy.replace("127.90.0.0/16", "127.90.0.0/24");
    assert_ne!(narrow, policy);
    std::fs::write(canary.policy(), narrow).unwrap();
    signal(canary, "dpagent", Signal::SIGHUP);
    let look = || async {
        let log = std::fs::read_to_string(canary.log("dpagent"))?;
        Ok(log.contains("policy reloaded").then_some(()))
    };
    wait::until("the policy", look).await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let more = "\n    more: { address: 127.90.7.7, protocol: tcp, port: 80, pools: [{ name: p, backends: { web1: {} } }] }\n";
    std::fs::write(&file, format!("{}{more}", text.trim_end())).unwrap();
    let put = ["fleet", "config", "put", &file, "canary", "lb2", "soak", "1h", "reason", "more"];
    let (said, code) = outcome(&fleet.members[0], &put).await;
    assert!(said.contains("the same on 3 of 3 members") && code == 0, "{code}: {said}");
    fleet.wait_for_stage("rolled-back").await;
    fleet.assert_revisions(1).await;
    let status = fleet.status(2).await.unwrap();
    let reason = status["rollout"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("on lb2, since it runs revision 2: syncs failed"), "{status:#}");
    let failed =
        wait_for_record(&fleet.members[0], "rollout of revision 2 (more): rolled-back: on lb2").await;
    assert_eq!(failed["failed"], true, "{failed}");
    for member in [0, 2] {
        let log = std::fs::read_to_string(fleet.members[member].log("brain")).unwrap();
        let taken: Vec<_> =
            log.lines().filter(|line| line.contains("took a revision of the fleet")).collect();
        assert!(taken.len() == 1 && taken[0].contains("revision=1"), "{taken:#?}");
    }
    fleet
        .wait_for("the canary to be well", |status| {
            status["members"].as_array().is_some_and(|members| members.iter().all(is_well))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_previews_a_configuration_for_itself() {
    let Some(fleet) = started(3).await else { return };
    let file = fleet.file("40");
    let (said, code) = outcome(&fleet.members[0], &["fleet", "config", "put", &file]).await;
    assert!(said.contains("the same on 3 of 3 members") && code == 0, "{code}: {said}");
    fleet.wait_for_stage("done").await;
    // On lb2 web3 is out of service, so that its weight does something else there.
    let (said, code) = outcome(&fleet.members[1], &["set", "backend", "web3", "disable", "--local"]).await;
    assert_eq!(code, 0, "{said}");
    let file = fleet.file("30");
    let (said, code) = outcome(&fleet.members[0], &["fleet", "config", "put", &file]).await;
    assert!(said.contains("the same on 2 of 3 members\nlb2: frontend www: ") && code == 0, "{code}: {said}");
    fleet.wait_for_stage("done").await;
    // One that hangs, as one of an older version, does not answer; the others are not held up by it.
    signal(&fleet.members[1], "brain", Signal::SIGSTOP);
    let file = fleet.file("20");
    let (said, code) = outcome(&fleet.members[0], &["fleet", "config", "put", &file]).await;
    signal(&fleet.members[1], "brain", Signal::SIGCONT);
    let expected = "the same on 2 of 3 members\nlb2 did not answer within 3s";
    assert!(said.contains(expected) && code == 0, "{code}: {said}");
    fleet.wait_for_stage("done").await;
    let left = fleet.etcd.ctl(&["get", "/maglev/edge/proposal"]).await.unwrap();
    assert_eq!(left, "", "a proposal ends with its answers");
}
