//! Three load balancers with one configuration, on a real etcd: whole processes. Without etcd (Debian's packages
//! `etcd-server` and `etcd-client`), the tests report that they were skipped.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod views;

use std::collections::BTreeMap;

use maglev_tests::etcd::Etcd;
use maglev_tests::stack::{BACKENDS, Stack};
use maglev_tests::{maglevc, skipped, wait};
use serde_json::Value;

const NAMES: [&str; 3] = ["lb1", "lb2", "lb3"];

/// Members of a fleet, with one set of web servers and one etcd, which are the first one's.
struct Fleet {
    members: Vec<Stack>,
    etcd: Etcd,
}

fn settings(member: &str, etcd: &Etcd, more: &str) -> String {
    let endpoint = etcd.endpoint();
    format!(
        "fleet:\n  name: edge\n  member: {member}\n  etcd:\n    endpoints: ['{endpoint}']\n    timeout: 2s\n{more}"
    )
}

/// Everything but the members' brains.
async fn prepared(count: usize) -> Option<Fleet> {
    let mut members: Vec<Stack> = (0..count).map(|_| Stack::empty().unwrap()).collect();
    let Some(etcd) = Etcd::find(&members[0]).unwrap() else {
        skipped("fleets, for there is no etcd");
        return None;
    };
    let configuration = std::fs::read_to_string(members[0].config()).unwrap();
    for (name, ..) in BACKENDS {
        members[0].start_backend(name).unwrap();
    }
    for (member, name) in members.iter_mut().zip(NAMES) {
        member.configure(&configuration).unwrap();
        member.start_vppsim().unwrap();
        member.start_agent().unwrap();
        member.join_fleet(&settings(name, &etcd, "")).unwrap();
    }
    Some(Fleet { members, etcd })
}

/// Everything, with the members known to each other.
async fn started(count: usize) -> Option<Fleet> {
    Some(begun(prepared(count).await?).await)
}

async fn begun(mut fleet: Fleet) -> Fleet {
    let count = fleet.members.len();
    fleet.etcd.start(&mut fleet.members[0]).await.unwrap();
    for member in &mut fleet.members {
        member.start_brain().unwrap();
    }
    for member in &fleet.members {
        member.wait_synced().await.unwrap();
    }
    fleet
        .wait_for("all members to see each other", |status| {
            status["members"]
                .as_array()
                .is_some_and(|members| members.len() == count && members.iter().all(is_well))
        })
        .await;
    fleet
}

fn is_well(member: &Value) -> bool {
    member["connected"] == true && member["vpp_connected"] == true && member["not_programmed"].is_null()
}

impl Fleet {
    async fn run(&self, member: usize, words: &[&str]) -> anyhow::Result<String> {
        maglevc::run(&self.members[member].brain_socket(), words).await
    }

    async fn status(&self, member: usize) -> anyhow::Result<Value> {
        maglevc::json(&self.members[member].brain_socket(), &["fleet", "status"]).await
    }

    /// Waits until every member sees the fleet like this.
    async fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        for member in 0..self.members.len() {
            self.wait_for_one(member, what, &is_so).await;
        }
    }

    async fn wait_for_one(&self, member: usize, what: &str, is_so: impl Fn(&Value) -> bool) {
        let look = || async {
            let status = self.status(member).await?;
            if is_so(&status) { Ok(Some(())) } else { anyhow::bail!("{} sees {status:#}", NAMES[member]) }
        };
        let found = wait::until(what, look).await;
        found.map_err(|error| self.members[member].explain(&error)).unwrap();
    }

    /// Waits until the rollout has this stage.
    async fn wait_for_stage(&self, stage: &str) {
        self.wait_for(&format!("the rollout to be {stage}"), |status| status["rollout"]["stage"] == stage)
            .await;
    }

    /// The revision that each member says it runs; 0: its own file.
    async fn revisions(&self) -> BTreeMap<String, u64> {
        let status = self.status(0).await.unwrap();
        let members = status["members"].as_array().unwrap().clone();
        let row = |member: Value| {
            (member["name"].as_str().unwrap().to_owned(), member["revision"].as_u64().unwrap())
        };
        members.into_iter().map(row).collect()
    }

    async fn assert_revisions(&self, revision: u64) {
        let found = self.revisions().await;
        assert!(
            found.len() == self.members.len() && found.values().all(|found| *found == revision),
            "{found:?}"
        );
    }

    /// Writes the configuration with another weight of web3 to a file.
    fn file(&self, weight: &str) -> String {
        let text = std::fs::read_to_string(self.members[0].config()).unwrap();
        let changed = text.replace("web3: { weight: 50 }", &format!("web3: {{ weight: {weight} }}"));
        assert_ne!(text, changed);
        let path = self.members[0].directory().join("new.yaml");
        std::fs::write(&path, changed).unwrap();
        path.display().to_string()
    }

    async fn wait_for_weight(&self, weight: u64) {
        for member in &self.members {
            let look = || async {
                let found = weight_of_web3(member).await?;
                if found == weight { Ok(Some(())) } else { anyhow::bail!("web3 has weight {found}") }
            };
            let found = wait::until(&format!("weight {weight} of web3"), look).await;
            found.map_err(|error| member.explain(&error)).unwrap();
        }
    }
}

async fn weight_of_web3(member: &Stack) -> anyhow::Result<u64> {
    let frontend = member.show(&["frontends", "www"]).await?;
    let backends = frontend["pools"][0]["backends"].as_array().cloned().unwrap_or_default();
    let web3 = backends.into_iter().find(|backend| backend["backend"] == "web3").unwrap_or_default();
    Ok(web3["configured_weight"].as_u64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_put_once_runs_everywhere_and_goes_back() {
    let Some(mut fleet) = started(3).await else { return };
    fleet.assert_revisions(0).await;
    let file = fleet.file("40");
    fleet.run(1, &["--yes", "fleet", "config", "put", &file, "reason", "less for web3"]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.assert_revisions(1).await;
    fleet.wait_for_weight(40).await;
    // The file is not used any more.
    let refused = fleet.run(0, &["--yes", "config", "reload"]).await.unwrap_err().to_string();
    assert!(refused.contains("is that of fleet edge"), "{refused}");
    let refused = fleet.run(0, &["--yes", "config", "rollback"]).await.unwrap_err().to_string();
    assert!(refused.contains("is that of fleet edge"), "{refused}");
    fleet.members[2].kill("brain").unwrap();
    fleet.members[2].start_brain().unwrap();
    fleet.members[2].wait_synced().await.unwrap();
    assert_eq!(weight_of_web3(&fleet.members[2]).await.unwrap(), 40, "a restart goes on with it");

    let file = fleet.file("30");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file, "order", "halves"]).await.unwrap();
    fleet.wait_for_weight(30).await;
    fleet.wait_for_stage("done").await;
    let list = fleet.run(2, &["fleet", "config", "list"]).await.unwrap();
    assert!(list.contains("less for web3") && list.contains("lb1 lb2 lb3"), "{list}");
    let diff = fleet.run(2, &["fleet", "config", "diff", "1", "2"]).await.unwrap();
    assert!(
        diff.contains("maglev.frontends.www.pools.primary.backends.web3.weight")
            || diff.contains("web3.weight"),
        "{diff}"
    );
    assert!(diff.contains("40") && diff.contains("30"), "{diff}");

    fleet.run(0, &["--yes", "fleet", "config", "rollback"]).await.unwrap();
    fleet.wait_for_weight(40).await;
    fleet.wait_for_stage("done").await;
    fleet.assert_revisions(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_that_refuses_or_loses_a_backend_stops_the_rollout() {
    let Some(mut fleet) = started(3).await else { return };
    let file = fleet.file("40");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;

    // A namespace that only some machines are in: another brain cannot know that lb2 refuses it.
    let text = std::fs::read_to_string(&file).unwrap();
    let missing = "maglev:\n  healthchecker: { netns: nowhere }\n";
    std::fs::write(&file, text.replacen("maglev:\n", missing, 1)).unwrap();
    let refused = fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap_err().to_string();
    assert!(refused.contains("nowhere"), "the one that is asked refuses it at once: {refused}");

    // A soak that a backend spoils.
    let file = fleet.file("30");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file, "canary", "lb2", "soak", "1h"]).await.unwrap();
    fleet.wait_for_stage("soaking").await;
    let found = fleet.revisions().await;
    assert_eq!(found.into_values().collect::<Vec<_>>(), [1, 2, 1], "only the canary runs it");
    let busy = fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap_err().to_string();
    assert!(busy.contains("has not ended"), "{busy}");
    fleet.members[0].kill("web1").unwrap();
    fleet.wait_for_stage("rolled-back").await;
    fleet.assert_revisions(1).await;
    fleet.wait_for_weight(40).await;
    let status = fleet.run(1, &["fleet", "status"]).await.unwrap();
    assert!(status.contains("went down"), "{status}");
    fleet.members[0].start_backend("web1").unwrap();
    for member in &fleet.members {
        member.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    }

    // An operator ends a soak, and stops a rollout.
    let put = ["--yes", "fleet", "config", "put", &file, "canary", "lb2", "soak", "1h"];
    fleet.run(0, &put).await.unwrap();
    fleet.wait_for_stage("soaking").await;
    fleet.run(2, &["fleet", "config", "confirm"]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.wait_for_weight(30).await;
    let file = fleet.file("20");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file, "canary", "lb1", "soak", "1h"]).await.unwrap();
    fleet.wait_for_stage("soaking").await;
    fleet.run(2, &["fleet", "config", "abort", "reason", "not today"]).await.unwrap();
    fleet.wait_for_stage("rolled-back").await;
    fleet.wait_for_weight(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_everything_goes_on_and_restarts_from_its_copy() {
    let Some(mut fleet) = started(2).await else { return };
    let file = fleet.file("40");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.members[0].kill("etcd").unwrap();
    fleet.wait_for("all members to miss etcd", |status| status["connected"] == false).await;
    let refused = fleet.run(0, &["--yes", "fleet", "config", "rollback"]).await.unwrap_err().to_string();
    assert!(refused.contains("etcd is away"), "{refused}");
    // Failover needs no etcd.
    fleet.members[0].kill("web1").unwrap();
    for member in &fleet.members {
        member.wait_serving(&["web2", "web3"]).await.unwrap();
    }
    fleet.members[1].kill("brain").unwrap();
    fleet.members[1].start_brain().unwrap();
    fleet.members[1].wait_synced().await.unwrap();
    fleet.wait_for_weight(40).await;
    let status = fleet.status(1).await.unwrap();
    assert_eq!(status["rollout"]["revision"], 1, "it knows the rollout from its copy: {status:#}");
    // The return of etcd, with changes that nobody has seen, and without their history.
    let (etcd, members) = (&fleet.etcd, &mut fleet.members);
    etcd.start(&mut members[0]).await.unwrap();
    fleet
        .wait_for("all members to be connected", |status| {
            status["connected"] == true
                && status["members"].as_array().is_some_and(|members| members.iter().all(is_well))
        })
        .await;
    let file = fleet.file("30");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.wait_for_weight(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_values_are_refused_one_by_one_and_compaction_loses_nothing() {
    let Some(mut fleet) = started(2).await else { return };
    let file = fleet.file("40");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.etcd.ctl(&["put", "/maglev/edge/rollout", "not JSON"]).await.unwrap();
    fleet.etcd.ctl(&["put", "/maglev/edge/config/0000000009", "{\"format\":1}"]).await.unwrap();
    fleet
        .wait_for("the damage to be shown", |status| {
            let refused = status["refused"].as_array().cloned().unwrap_or_default();
            let keys: Vec<_> = refused.iter().filter_map(|refused| refused["key"].as_str()).collect();
            keys == ["config/0000000009", "rollout"] && status["rollout"]["stage"] == "done"
        })
        .await;
    fleet.assert_revisions(1).await;
    // While the second member does not watch, the history that it would go on from is dropped.
    let brain = fleet.members[1].pid("brain").unwrap();
    let stop = |signal| {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(brain).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    };
    stop(nix::sys::signal::Signal::SIGSTOP);
    for key in ["rollout", "config/0000000009"] {
        fleet.etcd.ctl(&["del", &format!("/maglev/edge/{key}")]).await.unwrap();
    }
    fleet.members[0].kill("etcd").unwrap();
    let (etcd, members) = (&fleet.etcd, &mut fleet.members);
    etcd.start(&mut members[0]).await.unwrap();
    let revision = fleet.etcd.revision().await.unwrap().to_string();
    fleet.etcd.ctl(&["compact", &revision]).await.unwrap();
    stop(nix::sys::signal::Signal::SIGCONT);
    fleet
        .wait_for("the damage to be gone", |status| {
            status["connected"] == true && status["refused"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    let file = fleet.file("30");
    fleet.run(1, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.wait_for_weight(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_is_away_is_shown_and_can_be_removed() {
    let Some(mut fleet) = started(2).await else { return };
    let present = fleet.run(0, &["fleet", "members", "remove", "lb2"]).await.unwrap_err().to_string();
    assert!(present.contains("lb2 is connected"), "{present}");
    fleet.members[1].kill("brain").unwrap();
    fleet
        .wait_for_one(0, "lb2 to be away", |status| {
            let members = status["members"].as_array().cloned().unwrap_or_default();
            members.len() == 2 && members[1]["connected"] == false
        })
        .await;
    let members = fleet.run(0, &["fleet", "members"]).await.unwrap();
    assert!(members.contains("away"), "{members}");
    fleet.run(0, &["fleet", "members", "remove", "lb2"]).await.unwrap();
    let status = fleet.status(0).await.unwrap();
    assert_eq!(status["members"].as_array().unwrap().len(), 1, "{status:#}");
    let unknown = fleet.run(0, &["fleet", "members", "remove", "lb2"]).await.unwrap_err().to_string();
    assert!(unknown.contains("no member"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_user_with_its_own_rights_suffice() {
    let Some(Fleet { mut members, etcd }) = prepared(1).await else { return };
    let mut etcd = etcd.with_tls().unwrap();
    etcd.start(&mut members[0]).await.unwrap();
    etcd.ctl(&["role", "add", "lb1"]).await.unwrap();
    for (right, key) in [
        ("read", "/maglev/edge/"),
        ("readwrite", "/maglev/edge/config/"),
        ("readwrite", "/maglev/edge/rollout"),
        ("readwrite", "/maglev/edge/intents/"),
        ("readwrite", "/maglev/edge/lengths/"),
        ("readwrite", "/maglev/edge/members/lb1/"),
    ] {
        etcd.ctl(&["role", "grant-permission", "lb1", "--prefix=true", right, key]).await.unwrap();
    }
    etcd.ctl(&["user", "add", "lb1:opensesame"]).await.unwrap();
    etcd.ctl(&["user", "grant-role", "lb1", "lb1"]).await.unwrap();
    etcd.enable_auth().await.unwrap();
    let file = |name: &str| etcd.directory().join(name).display().to_string();
    std::fs::write(etcd.directory().join("password"), "opensesame\n").unwrap();
    let more = format!(
        "    ca-file: {}\n    cert-file: {}\n    key-file: {}\n    user: lb1\n    password-file: {}\n",
        file("etcd-ca.pem"),
        file("client.pem"),
        file("client.key"),
        file("password")
    );
    members[0].join_fleet(&settings("lb1", &etcd, &more)).unwrap();
    members[0].start_brain().unwrap();
    let fleet = Fleet { members, etcd };
    fleet.members[0].wait_synced().await.unwrap();
    fleet
        .wait_for("the member to be connected", |status| {
            status["connected"] == true
                && status["members"].as_array().is_some_and(|members| is_well(&members[0]))
        })
        .await;
    let file = fleet.file("40");
    fleet.run(0, &["--yes", "fleet", "config", "put", &file]).await.unwrap();
    fleet.wait_for_stage("done").await;
    fleet.wait_for_weight(40).await;
    // The tokens of before are refused from now on, and with them the first call.
    fleet.etcd.ctl(&["auth", "disable"]).await.unwrap();
    fleet.etcd.ctl(&["auth", "enable"]).await.unwrap();
    fleet.run(0, &["set", "backend", "web1", "pause"]).await.unwrap();
    // Another member's keys are out of reach.
    let other = ["--user", "lb1:opensesame", "put", "/maglev/edge/members/lb2/state", "{}"];
    let mut words = vec!["--user=lb1:opensesame"];
    words.extend(&other[2..]);
    let denied = fleet.etcd.ctl(&words).await.unwrap_err().to_string();
    assert!(denied.contains("permission denied"), "{denied}");
}

/// Output and exit code of a command on a member.
async fn outcome(member: &Stack, words: &[&str]) -> (String, i32) {
    let output = tokio::process::Command::new(maglev_tests::binaries::program("maglevc").unwrap())
        .arg("--server")
        .arg(format!("unix:{}", member.brain_socket().display()))
        .args(words)
        .env_clear()
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    (
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        output.status.code().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn intent_set_once_is_programmed_everywhere_and_awaits_who_is_away() {
    let Some(mut fleet) = started(3).await else { return };
    let (said, code) =
        outcome(&fleet.members[0], &["set", "backend", "web1", "pause", "reason", "NOC-1"]).await;
    assert!(said.contains("programmed on 3 of 3 members") && code == 0, "{code}: {said}");
    for member in &fleet.members {
        member.wait_serving(&["web2", "web3"]).await.unwrap();
        let overrides = member.show(&["overrides"]).await.unwrap();
        assert_eq!(overrides["overrides"][0]["reason"], "NOC-1", "{overrides}");
    }
    // Another member ends it.
    let (said, code) = outcome(&fleet.members[2], &["set", "backend", "web1", "resume"]).await;
    assert!(said.contains("programmed on 3 of 3 members") && code == 0, "{code}: {said}");
    for member in &fleet.members {
        member.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    }

    fleet.members[1].kill("brain").unwrap();
    fleet
        .wait_for_one(0, "lb2 to be away", |status| {
            status["members"].as_array().is_some_and(|members| members[1]["connected"] == false)
        })
        .await;
    let words = ["set", "frontend", "www", "pool", "primary", "backend", "web3", "weight", "0"];
    let (said, code) = outcome(&fleet.members[0], &words).await;
    assert!(said.contains("programmed on 2 of 3 members, not on lb2 (away"), "{code}: {said}");
    assert_eq!(code, 4, "{said}");
    fleet.members[1].start_brain().unwrap();
    for member in &fleet.members {
        member.wait_serving(&["web1", "web2"]).await.unwrap();
    }
    let weight = ["override", "frontend", "www", "pool", "primary", "backend", "web3"];
    let (said, code) = outcome(&fleet.members[1], &[&["clear"], &weight[..]].concat()).await;
    assert!(said.contains("programmed on 3 of 3 members") && code == 0, "{code}: {said}");

    // Without etcd an override is only for the one that is asked.
    fleet.members[0].kill("etcd").unwrap();
    fleet.wait_for("all members to miss etcd", |status| status["connected"] == false).await;
    let (said, code) = outcome(&fleet.members[0], &["set", "backend", "web2", "disable"]).await;
    assert!(said.contains("etcd is away") && said.contains("--local") && code == 1, "{code}: {said}");
    let (said, code) = outcome(&fleet.members[0], &["set", "backend", "web2", "disable", "--local"]).await;
    assert!(said.contains("programmed in VPP") && code == 0, "{code}: {said}");
    fleet.members[0].wait_serving(&["web1", "web3"]).await.unwrap();
    let (etcd, members) = (&fleet.etcd, &mut fleet.members);
    etcd.start(&mut members[0]).await.unwrap();
    fleet
        .wait_for("the local override to be shown", |status| {
            let members = status["members"].as_array().cloned().unwrap_or_default();
            let local: Vec<_> = members.iter().map(|member| member["local_overrides"].as_u64()).collect();
            local == [Some(1), Some(0), Some(0)]
        })
        .await;
    fleet.members[1].wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    // The fleet's next word on it replaces it.
    let (said, code) = outcome(&fleet.members[1], &["set", "backend", "web2", "pause"]).await;
    assert!(said.contains("programmed on 3 of 3 members") && code == 0, "{code}: {said}");
    let (said, code) = outcome(&fleet.members[0], &["clear", "override", "backend", "web2"]).await;
    assert!(said.contains("programmed on 3 of 3 members") && code == 0, "{code}: {said}");
    for member in &fleet.members {
        member.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_that_returns_empty_gets_the_intents_back() {
    let Some(mut fleet) = started(2).await else { return };
    let (said, code) = outcome(&fleet.members[0], &["set", "backend", "web1", "pause"]).await;
    assert!(said.contains("programmed on 2 of 2 members") && code == 0, "{code}: {said}");
    fleet.members[0].kill("etcd").unwrap();
    fleet.wait_for("all members to miss etcd", |status| status["connected"] == false).await;
    std::fs::remove_dir_all(fleet.etcd.directory().join("etcd")).unwrap();
    let (etcd, members) = (&fleet.etcd, &mut fleet.members);
    etcd.start(&mut members[0]).await.unwrap();
    fleet
        .wait_for("all members to be known again", |status| {
            let members = status["members"].as_array().cloned().unwrap_or_default();
            members.len() == 2 && members.iter().all(is_well)
        })
        .await;
    for member in &fleet.members {
        let overrides = member.show(&["overrides"]).await.unwrap();
        assert_eq!(overrides["overrides"].as_array().map(Vec::len), Some(1), "{overrides}");
        member.wait_serving(&["web2", "web3"]).await.unwrap();
    }
    // It counts from the beginning, and nobody takes that for what was done before.
    let (said, code) = outcome(&fleet.members[1], &["set", "backend", "web1", "resume"]).await;
    assert!(said.contains("programmed on 2 of 2 members") && code == 0, "{code}: {said}");
    for member in &fleet.members {
        member.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    }
}

/// Whether `fleet tables` has one VIP, which is so.
async fn wait_for_table(fleet: &Fleet, member: usize, what: &str, is_so: impl Fn(&Value) -> bool) {
    let look = || async {
        let socket = fleet.members[member].brain_socket();
        let found = maglevc::json(&socket, &["fleet", "tables", "www"]).await?;
        if found["unknown"] == Value::Array(Vec::new()) && is_so(&found["tables"][0]) {
            Ok(Some(()))
        } else {
            anyhow::bail!("{} has {found:#}", NAMES[member])
        }
    };
    let found = wait::until(what, look).await;
    found.map_err(|error| fleet.members[member].explain(&error)).unwrap();
}

async fn wait_for_equal_tables(fleet: &Fleet) {
    for member in 0..NAMES.len() {
        wait_for_table(fleet, member, "equal tables", |table| {
            table["equal"] == 3 && table["length"].as_u64() > Some(0) && table["servers"] == 5
        })
        .await;
    }
    let text = fleet.run(1, &["fleet", "tables"]).await.unwrap();
    assert!(text.contains("equal on 3 of 3"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_equal_and_a_lasting_difference_is_told_with_its_reason() {
    let Some(fleet) = prepared(3).await else { return };
    for member in &fleet.members {
        let text = std::fs::read_to_string(member.config()).unwrap();
        let sooner = text.replace("sync-interval: 5s", "sync-interval: 1s");
        assert_ne!(text, sooner);
        member.configure(&sooner).unwrap();
    }
    let fleet = begun(fleet).await;
    wait_for_equal_tables(&fleet).await;
    let (said, code) = outcome(&fleet.members[0], &["set", "backend", "web1", "pause", "--local"]).await;
    assert_eq!(code, 0, "{said}");
    // The one that was paused differs from both, and each of them from it alone.
    let reason = "different intents or overrides";
    for (member, others) in [(0, &["lb2", "lb3"][..]), (1, &["lb1"]), (2, &["lb1"])] {
        wait_for_table(&fleet, member, "a lasting difference", |table| {
            let differences = table["differences"].as_array().cloned().unwrap_or_default();
            let names: Vec<_> = differences.iter().filter_map(|other| other["member"].as_str()).collect();
            let are_lasting =
                differences.iter().all(|other| other["lasting"] == true && other["reason"] == reason);
            names == others && are_lasting
        })
        .await;
    }
    let status = fleet.members[1].show(&["status"]).await.unwrap();
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    let told = problems.iter().filter_map(|problem| problem["what"].as_str());
    let told: Vec<_> = told.filter(|what| what.contains("differs from that of lb1")).collect();
    assert!(told.len() == 1 && told[0].contains(reason), "{status:#}");
    let event = views::wait_for_record(&fleet.members[1], "differs from that of lb1").await;
    assert!(event["what"].as_str().is_some_and(|what| what.ends_with(reason)), "{event}");
    let log = std::fs::read_to_string(fleet.members[1].log("brain")).unwrap();
    assert!(log.contains("differs from that of lb1: different intents or overrides"), "{log}");

    let words = ["clear", "override", "backend", "web1", "--local"];
    let (said, code) = outcome(&fleet.members[0], &words).await;
    assert_eq!(code, 0, "{said}");
    wait_for_equal_tables(&fleet).await;
    let look = || async {
        let status = fleet.members[1].show(&["status"]).await?;
        let problems = status["problems"].to_string();
        if problems.contains("differs") { anyhow::bail!("{problems}") } else { Ok(Some(())) }
    };
    wait::until("the problem to be gone", look).await.unwrap();
    views::wait_for_record(&fleet.members[1], "is that of lb1 again").await;
}
