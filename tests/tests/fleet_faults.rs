//! Three load balancers on an etcd that fails in every way that a real one can: nodes killed, partitioned, compacted, stalled;
//! and brains that are killed meanwhile. Without etcd, or without the right to make network namespaces, the tests report
//! that they were skipped.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use maglev_engine::fleet::records::{Aim, Intent, encode, unix_ms};
use maglev_engine::overrides::BackendOverride;
use maglev_tests::fleet::{Fleet, NAMES};
use maglev_tests::stack::{BACKENDS, Stack};
use maglev_tests::switch::Switch;
use maglev_tests::{maglevc, skipped, wait};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

/// A weight of web2, as operators set it.
const WEB2: [&str; 6] = ["frontend", "www", "pool", "primary", "backend", "web2"];
/// Kills of a brain in one run.
const KILLS: usize = 8;
/// All web servers of the first pool.
const ALL: [&str; 3] = ["web1", "web2", "web3"];

async fn started(nodes: usize) -> Option<Fleet> {
    let Some(mut fleet) = Fleet::prepare(nodes).unwrap() else {
        skipped("a fleet under faults, for there is no etcd");
        return None;
    };
    fleet.begin().await.unwrap();
    Some(fleet)
}

/// A command that every member must have programmed.
async fn everywhere(fleet: &Fleet, member: usize, words: &[&str]) {
    let (said, code) = fleet.run(member, words).await.unwrap();
    assert!(said.contains("programmed on 3 of 3 members") && code == Some(0), "{code:?}: {said}");
}

/// The same while etcd elects another leader: a change that has no answer is made again.
async fn in_the_end_everywhere(fleet: &Fleet, member: usize, words: &[&str]) {
    let look = || async {
        let (said, code) = fleet.run(member, words).await?;
        anyhow::ensure!(said.contains("programmed on 3 of 3 members") && code == Some(0), "{code:?}: {said}");
        Ok(Some(()))
    };
    let done = wait::until("a change to be programmed everywhere", look).await;
    done.map_err(|error| fleet.members[member].explain(&error)).unwrap();
}

/// Waits until every member has these overrides.
async fn wait_for_overrides(fleet: &Fleet, wanted: &[(&str, &str)]) {
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|(what, value)| ((*what).to_owned(), (*value).to_owned())).collect();
    for (member, name) in NAMES.iter().enumerate() {
        let look = || async {
            let found = fleet.overrides(member).await?;
            anyhow::ensure!(found == wanted, "{name} has {found:?}, not {wanted:?}");
            Ok(Some(()))
        };
        let found = wait::until("the overrides", look).await;
        found.map_err(|error| fleet.members[member].explain(&error)).unwrap();
    }
}

fn log(member: &Stack, name: &str) -> String {
    std::fs::read_to_string(member.log(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_of_three_is_not_missed_and_two_stop_only_changes() {
    let Some(mut fleet) = started(3).await else { return };
    everywhere(&fleet, 0, &["set", "backend", "web1", "pause"]).await;

    // The node that lb1 uses; lb2 and lb3 use others.
    fleet.members[0].kill(fleet.etcd.process(0)).unwrap();
    in_the_end_everywhere(&fleet, 1, &[&["set"], &WEB2[..], &["weight", "0"]].concat()).await;
    fleet.wait_until_well().await.unwrap();
    everywhere(&fleet, 0, &[&["clear", "override"], &WEB2[..]].concat()).await;

    fleet.members[0].kill(fleet.etcd.process(1)).unwrap();
    fleet.wait_for("all members to miss etcd", |status| status["connected"] == false).await.unwrap();
    for member in 0..NAMES.len() {
        let (said, code) = fleet.run(member, &["set", "backend", "web2", "pause"]).await.unwrap();
        assert!(said.contains("etcd is away") && code == Some(1), "{code:?}: {said}");
    }
    // Nothing else stops: failover, and a restart with what it knew.
    fleet.members[0].kill("web2").unwrap();
    fleet.wait_serving(&["web3"]).await.unwrap();
    fleet.members[1].kill("brain").unwrap();
    let writes = fleet.members[1].writes().unwrap();
    fleet.members[1].start_brain().unwrap();
    fleet.members[1].wait_synced().await.unwrap();
    wait_for_overrides(&fleet, &[("web1", "paused")]).await;
    // One that has lost its copy does not know that the override is the fleet's, and does not clear it as its own.
    fleet.members[2].kill("brain").unwrap();
    std::fs::remove_file(fleet.members[2].directory().join("state/fleet")).unwrap();
    fleet.members[2].start_brain().unwrap();
    fleet.members[2].wait_synced().await.unwrap();
    let (said, code) = fleet.run(2, &["clear", "override", "backend", "web1"]).await.unwrap();
    assert!(said.contains("etcd is away") && code == Some(1), "{code:?}: {said}");
    fleet.members[0].start_backend("web2").unwrap();
    fleet.wait_serving(&["web2", "web3"]).await.unwrap();
    assert_eq!(fleet.members[1].writes().unwrap(), writes + 1, "a restart alone changes nothing");

    for node in [0, 1] {
        fleet.etcd.start_node(&mut fleet.members[0], node).unwrap();
    }
    fleet.etcd.wait(&fleet.members[0]).await.unwrap();
    fleet.wait_until_well().await.unwrap();
    wait_for_overrides(&fleet, &[("web1", "paused")]).await;
    everywhere(&fleet, 2, &["clear", "override", "backend", "web1"]).await;
    fleet.wait_serving(&ALL).await.unwrap();
    fleet.wait_for_equal_tables().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_members_and_nodes_act_on_nothing_stale() {
    let directory = tempfile::Builder::new().prefix("maglev-").tempdir().unwrap();
    let switch = match Switch::make(directory.path(), 6) {
        Ok(switch) => switch,
        Err(error) => return skipped(&format!("partitions: no network namespaces ({error})")),
    };
    let Some(mut fleet) = Fleet::prepare_on(&switch, 3).unwrap() else {
        return skipped("partitions, for there is no etcd");
    };
    fleet.begin().await.unwrap();
    everywhere(&fleet, 0, &["set", "backend", "web1", "pause"]).await;

    let read = fleet.reads(1).unwrap();
    // The first machines are etcd's nodes; lb2 is connected to the one that loses its peers, lb3 loses all.
    for other in [0, 2] {
        switch.cut(1, other).unwrap();
    }
    for node in [0, 1, 2] {
        switch.cut(5, node).unwrap();
    }
    let missed = |status: &serde_json::Value| status["connected"] == false;
    fleet.wait_for_one(2, "lb3 to miss etcd", missed).await.unwrap();
    let moved = || async { Ok((fleet.reads(1)? > read).then_some(())) };
    wait::until("lb2 to use another node", moved).await.unwrap();
    // What is cut off serves, by its own checks.
    fleet.members[2].kill("web2").unwrap();
    fleet.members[2].wait_serving(&["web3"]).await.unwrap();
    fleet.start_backend(2, "web2").unwrap();
    fleet.members[2].wait_serving(&["web2", "web3"]).await.unwrap();
    let (said, code) = fleet.run(2, &["set", "backend", "web3", "pause"]).await.unwrap();
    assert!(said.contains("etcd is away") && code == Some(1), "{code:?}: {said}");
    fleet
        .wait_for_one(1, "lb3 to be away", |status| status["members"][2]["connected"] == false)
        .await
        .unwrap();
    for words in [&["clear", "override", "backend", "web1"][..], &["set", "backend", "web3", "pause"]] {
        let (said, code) = fleet.run(1, words).await.unwrap();
        assert!(said.contains("programmed on 2 of 3 members, not on lb3 (away"), "{said}");
        assert_eq!(code, Some(4), "{said}");
    }

    // Now lb3 reaches etcd again, but only the node without peers, which knows nothing of that. A restart asks it, too.
    let writes = fleet.members[2].writes().unwrap();
    switch.join(5, 1).unwrap();
    fleet.members[2].kill("brain").unwrap();
    fleet.members[2].start_brain().unwrap();
    let stale = fleet.etcd.endpoints().swap_remove(1);
    let asked = || async {
        let status = fleet.json(2, &["fleet", "status"]).await?;
        anyhow::ensure!(status["connected"] == false, "it follows a node without peers: {status:#}");
        Ok(status["reason"].as_str().is_some_and(|reason| reason.contains(&stale)).then_some(()))
    };
    wait::until("lb3 to have asked the node without peers", asked).await.unwrap();
    fleet.members[2].wait_synced().await.unwrap();
    fleet.members[2].wait_serving(&["web2", "web3"]).await.unwrap();
    assert_eq!(fleet.members[2].writes().unwrap(), writes, "lb3 acts on nothing that it reads there");

    for other in [0, 2] {
        switch.join(1, other).unwrap();
        switch.join(5, other).unwrap();
    }
    fleet.wait_until_well().await.unwrap();
    wait_for_overrides(&fleet, &[("web3", "paused")]).await;
    fleet.wait_serving(&["web1", "web2"]).await.unwrap();
    fleet.wait_for_equal_tables().await.unwrap();
    let restored = "what it lost is written back";
    assert!(fleet.members.iter().all(|member| !log(member, "brain").contains(restored)));
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_at_every_moment_loses_nothing_and_makes_nobody_read_again() {
    let Some(fleet) = started(1).await else { return };
    let compact = async {
        loop {
            let revision = fleet.etcd.revision().await.unwrap().to_string();
            // Nothing new is no fault.
            drop(fleet.etcd.ctl(&["compact", &revision]).await);
            sleep(Duration::from_millis(50)).await;
        }
    };
    let change = async {
        for round in 0..10 {
            let member = round % NAMES.len();
            let weight = if round % 2 == 0 { "0" } else { "50" };
            everywhere(&fleet, member, &["set", "backend", "web1", "pause"]).await;
            everywhere(&fleet, member, &[&["set"], &WEB2[..], &["weight", weight]].concat()).await;
            everywhere(&fleet, (member + 1) % NAMES.len(), &["clear", "override", "backend", "web1"]).await;
        }
    };
    tokio::select! {
        () = compact => {}
        () = change => {}
    }
    let [one, two, three] = [0, 1, 2].map(|member| fleet.reads(member).unwrap());
    assert_eq!([one, two, three], [1; 3], "a watch that keeps up outlives every compaction");
    wait_for_overrides(&fleet, &[("weight of web2", "50")]).await;
    fleet.wait_for_equal_tables().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_that_stalls_for_longer_than_every_lease_ends_no_soak_and_loses_no_intent() {
    let Some(fleet) = started(1).await else { return };
    everywhere(&fleet, 0, &["set", "backend", "web1", "pause"]).await;
    let text = std::fs::read_to_string(fleet.members[0].config()).unwrap();
    let file = fleet.members[0].directory().join("new.yaml");
    std::fs::write(&file, text.replace("web3: { weight: 50 }", "web3: { weight: 25 }")).unwrap();
    let file = file.display().to_string();
    let put = ["--yes", "fleet", "config", "put", &file, "canary", "lb2", "soak", "1h"];
    let (said, code) = fleet.run(0, &put).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    let stage = |stage: &'static str| {
        move |status: &serde_json::Value| status["connected"] == true && status["rollout"]["stage"] == stage
    };
    fleet.wait_for("the canary to soak", stage("soaking")).await.unwrap();

    // A disk that hangs stops etcd like this: it answers nothing, and keeps its connections. A lease lasts 20 s.
    let stalled = Instant::now();
    fleet.etcd.signal(&fleet.members[0], 0, Signal::SIGSTOP).unwrap();
    let (said, code) = fleet.run(1, &["set", "backend", "web2", "pause"]).await.unwrap();
    assert!(said.contains("not written, or not known to be") && code != Some(0), "{code:?}: {said}");
    let missed = |status: &serde_json::Value| status["connected"] == false;
    fleet.wait_for("all members to miss etcd", missed).await.unwrap();
    let (said, code) = fleet.run(1, &["set", "backend", "web2", "pause"]).await.unwrap();
    assert!(said.contains("etcd is away") && code == Some(1), "{code:?}: {said}");
    sleep(Duration::from_secs(23).saturating_sub(stalled.elapsed())).await;
    fleet.etcd.signal(&fleet.members[0], 0, Signal::SIGCONT).unwrap();

    fleet.wait_until_well().await.unwrap();
    fleet.wait_for("the soak to go on", stage("soaking")).await.unwrap();
    // Whether the one without an answer was written is decided now, and is the same for all.
    let (said, code) = fleet.run(2, &["set", "backend", "web2", "pause"]).await.unwrap();
    assert!(code == Some(0) || said.contains("paused"), "{code:?}: {said}");
    wait_for_overrides(&fleet, &[("web1", "paused"), ("web2", "paused")]).await;
    let (said, code) = fleet.run(2, &["fleet", "config", "confirm"]).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    fleet.wait_for("all members to run it", stage("done")).await.unwrap();
    fleet.wait_serving(&["web3"]).await.unwrap();
    fleet.wait_for_equal_tables().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn intent_of_an_author_with_a_wrong_clock_lasts_for_its_time_everywhere() {
    let Some(fleet) = started(1).await else { return };
    let (hour, lasts) = (Duration::from_secs(3600), Duration::from_secs(4));
    let now = SystemTime::now();
    for since in [now - 2 * hour, now + 24 * hour] {
        let intent = Intent {
            aim: Aim::Backend(BackendOverride::Paused),
            who: Some("somebody".to_owned()),
            why: String::new(),
            since_ms: unix_ms(since),
            until_ms: Some(unix_ms(since + lasts)),
        };
        let value = String::from_utf8(encode(&intent).unwrap()).unwrap();
        let written = Instant::now();
        fleet.etcd.ctl(&["put", "/maglev/edge/intents/backend/web1", &value]).await.unwrap();
        wait_for_overrides(&fleet, &[("web1", "paused")]).await;
        fleet.wait_serving(&["web2", "web3"]).await.unwrap();
        wait_for_overrides(&fleet, &[]).await;
        fleet.wait_serving(&ALL).await.unwrap();
        assert!(written.elapsed() >= lasts, "it has ended too early");
    }
}

/// What operators set and clear: what it is about, the words, and the override that it leaves.
const CHANGES: [(&str, &[&str], Option<&str>); 5] = [
    ("web1", &["set", "backend", "web1", "pause"], Some("paused")),
    ("web1", &["set", "backend", "web1", "disable"], Some("disabled")),
    ("web1", &["clear", "override", "backend", "web1"], None),
    (
        "weight of web2",
        &["set", "frontend", "www", "pool", "primary", "backend", "web2", "weight", "0"],
        Some("0"),
    ),
    ("weight of web2", &["clear", "override", "frontend", "www", "pool", "primary", "backend", "web2"], None),
];

/// What operators have done.
#[derive(Default)]
struct Done {
    acknowledged: usize,
    /// How often each thing may have changed.
    tries: BTreeMap<&'static str, usize>,
    /// What each may be: as the last acknowledged change left it, or a later one whose fate is not known.
    allowed: BTreeMap<&'static str, BTreeSet<Option<&'static str>>>,
}

/// Sets and clears intents at random members until the others are over.
async fn operate(sockets: &[PathBuf], mut random: Rng, is_over: &AtomicBool) -> Done {
    let mut done = Done::default();
    while !is_over.load(Ordering::Relaxed) {
        let (what, words, value) = CHANGES[random.usize(..CHANGES.len())];
        let (said, code) = maglevc::outcome(&sockets[random.usize(..sockets.len())], words).await.unwrap();
        let allowed = done.allowed.entry(what).or_insert_with(|| BTreeSet::from([None]));
        *done.tries.entry(what).or_default() += 1;
        if said.contains("members") && matches!(code, Some(0 | 4)) {
            *allowed = BTreeSet::from([value]);
            done.acknowledged += 1;
        } else {
            allowed.insert(value);
        }
    }
    done
}

/// Kills and restarts brains, and etcd once.
async fn kill_brains(fleet: &mut Fleet, mut random: Rng, is_over: &AtomicBool) {
    let mut victims = random.fork();
    let mut pause = |most: u64| sleep(Duration::from_millis(random.u64(..most)));
    for kill in 0..KILLS {
        let member = victims.usize(..NAMES.len());
        pause(1500).await;
        fleet.members[member].kill("brain").unwrap();
        if kill == KILLS / 2 {
            fleet.members[0].kill("etcd").unwrap();
        }
        pause(300).await;
        fleet.members[member].start_brain().unwrap();
        if kill == KILLS / 2 {
            pause(1500).await;
            fleet.etcd.start_node(&mut fleet.members[0], 0).unwrap();
        }
    }
    is_over.store(true, Ordering::Relaxed);
}

/// How often VPP of a member was changed so far, by the web server that it was about.
fn changes(member: &Stack) -> BTreeMap<&'static str, usize> {
    let log = log(member, "dpagent");
    let count = |(name, address, ..): (&'static str, [u8; 4], _, _)| {
        let server = format!("server={} ", std::net::Ipv4Addr::from(address));
        let lines = log.lines().filter(|line| line.contains("VPP changed") && line.contains(&server));
        (name, lines.count())
    };
    BACKENDS.into_iter().map(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_brains_lose_no_acknowledged_intent_and_write_nothing_without_a_reason() {
    let seed = std::env::var("MAGLEV_FLEET_FAULTS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let Some(mut fleet) = started(1).await else { return };
    let before: Vec<_> = fleet.members.iter().map(changes).collect();
    assert_eq!(before[0].len(), BACKENDS.len());
    assert!(before.iter().all(|before| before.values().all(|writes| *writes > 0)), "{before:?}");
    let sockets: Vec<_> = fleet.members.iter().map(Stack::brain_socket).collect();
    let mut random = Rng::with_seed(seed);
    let (plan, is_over) = (random.fork(), AtomicBool::new(false));
    let ((), done) =
        tokio::join!(kill_brains(&mut fleet, plan, &is_over), operate(&sockets, random, &is_over));
    assert!(done.acknowledged > 0, "seed {seed}");

    fleet.wait_until_well().await.unwrap();
    let agreed = || async {
        let mut found = Vec::new();
        for member in 0..NAMES.len() {
            found.push(fleet.overrides(member).await?);
        }
        let is_allowed = |what: &str, allowed: &BTreeSet<Option<&str>>| {
            allowed.contains(&found[0].get(what).map(String::as_str))
        };
        let all_allowed = done.allowed.iter().all(|(what, allowed)| is_allowed(what, allowed));
        anyhow::ensure!(
            found.iter().all(|other| *other == found[0]) && all_allowed,
            "seed {seed}: {found:?}, allowed are {:?}",
            done.allowed
        );
        Ok(Some(found.swap_remove(0)))
    };
    let overrides = wait::until("all acknowledged intents to hold", agreed).await.unwrap();
    let out = |name: &str| overrides.keys().any(|what| what.ends_with(name));
    let serving: Vec<_> = ALL.into_iter().filter(|name| !out(name)).collect();
    fleet.wait_serving(&serving).await.unwrap();
    fleet.wait_for_equal_tables().await.unwrap();

    // All web servers were well throughout, so each change of VPP must be one that an operator has made.
    for (member, before) in fleet.members.iter().zip(&before) {
        for (name, now) in changes(member) {
            let tries = done.tries.iter().filter(|(what, _)| what.ends_with(name)).map(|(_, tries)| tries);
            let tries: usize = tries.sum();
            let writes = now - before[name];
            assert!(writes <= tries, "seed {seed}: {writes} changes of {name} for {tries} of operators");
        }
    }
    let writes: Vec<_> = fleet.members.iter().map(|member| member.writes().unwrap()).collect();
    for member in &mut fleet.members {
        member.kill("brain").unwrap();
        member.start_brain().unwrap();
    }
    for member in &fleet.members {
        member.wait_synced().await.unwrap();
    }
    fleet.wait_until_well().await.unwrap();
    let after: Vec<_> = fleet.members.iter().map(|member| member.writes().unwrap()).collect();
    assert_eq!(after, writes, "seed {seed}: restarts alone change nothing");
}
