//! Every change, against a real controller without an agent.

use std::path::PathBuf;

use maglev_proto::{
    BackendOverride, ConfigVerdict, GetAgentInfoRequest, InVpp, Override, PoolBackend, SyncVpplbStateRequest,
    WarmupPhase,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::Code;

use super::*;
use crate::controller::{self, Setup};
use crate::grpc::caller::{Caller, Rights, Who};
use crate::state::StateDirectory;

pub(super) const CONFIG: &str = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  backends:
    b1: { address: 10.0.0.1 }
    b2: { address: 10.0.0.2 }
    b3: { address: 10.0.0.3, enabled: false }
  frontends:
    shop:
      address: 203.0.113.10
      slow-start: 30s
      panic-threshold: 50
      pools:
        - { name: primary, backends: { b1: {}, b2: { weight: 50 }, b3: {} } }
";

pub(super) struct Brain {
    pub(super) service: Service,
    /// Contains its configuration file and its state directory.
    pub(super) directory: TempDir,
    pub(super) controller: controller::Controller,
    /// The controller.
    pub(super) running: JoinHandle<()>,
}

impl Brain {
    pub(super) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config, true)
    }

    pub(super) fn start_in(directory: TempDir, config: &str, keeps: bool) -> Self {
        let file = directory.path().join("maglev.yaml");
        std::fs::write(&file, config).unwrap();
        let mut state = StateDirectory::open(&directory.path().join("state")).unwrap();
        let overrides = state.load().unwrap().overrides;
        let setup = Setup {
            config: Arc::new(parse("maglev.yaml", config).unwrap().config),
            overrides,
            history: None,
            state: keeps.then_some(state),
            agent_socket: "/nonexistent/agent.sock".into(),
            instance: 1,
        };
        let (controller, running) = controller::start(setup, &Handle::current(), std::future::pending());
        let running = tokio::spawn(running);
        let reloader = Reloader::new(file, controller.operator.clone());
        Self { service: Service::new(&controller, reloader), directory, controller, running }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("maglev.yaml")
    }

    async fn set_weight(&self, weight: u32) -> SetFrontendPoolBackendWeightResponse {
        let request = weight_of("b2", weight);
        self.service.set_frontend_pool_backend_weight(request).await.unwrap().into_inner()
    }

    pub(super) async fn overrides(&self) -> Vec<Override> {
        self.service
            .list_overrides(Request::new(ListOverridesRequest {}))
            .await
            .unwrap()
            .into_inner()
            .overrides
    }

    async fn row(&self, backend: &str) -> PoolBackend {
        let request = Request::new(GetFrontendRequest { name: "shop".into() });
        let frontend = self.service.get_frontend(request).await.unwrap().into_inner();
        let mut rows = frontend.pools.into_iter().flat_map(|pool| pool.backends);
        rows.find(|row| row.backend == backend).unwrap()
    }
}

/// A request of an admin.
pub(super) fn by_admin<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::new(Who::Loopback(([127, 0, 0, 1], 4711).into()), Rights::Admin));
    request
}

fn backend(name: &str) -> Request<ChangeBackendRequest> {
    by_admin(ChangeBackendRequest { name: name.into(), ..ChangeBackendRequest::default() })
}

fn weight_of(backend: &str, weight: u32) -> Request<SetFrontendPoolBackendWeightRequest> {
    by_admin(SetFrontendPoolBackendWeightRequest {
        frontend: "shop".into(),
        pool: "primary".into(),
        backend: backend.into(),
        weight,
        ..SetFrontendPoolBackendWeightRequest::default()
    })
}

fn clear(backend: &str, frontend: &str, pool: &str) -> Request<ClearOverrideRequest> {
    let [backend, frontend, pool] = [backend, frontend, pool].map(String::from);
    by_admin(ClearOverrideRequest { backend, frontend, pool, ..ClearOverrideRequest::default() })
}

fn of<T>(answer: Answer<T>) -> T {
    answer.unwrap().into_inner()
}

fn refusal_of<T: std::fmt::Debug>(answer: Answer<T>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

fn state_of(change: &ChangeBackendResponse) -> (BackendState, BackendOverride) {
    let backend = change.backend.as_ref().unwrap();
    (backend.state(), backend.operator_state())
}

#[tokio::test]
async fn paused_backend_is_resumed() {
    let brain = Brain::start(CONFIG);
    let change = of(brain.service.pause_backend(backend("b1")).await);
    assert_eq!(state_of(&change), (BackendState::Paused, BackendOverride::Paused));
    assert!(change.backend.unwrap().operator_since_unix_ms > 1_700_000_000_000);
    let outcome = change.outcome.unwrap();
    assert_eq!((outcome.in_vpp(), outcome.not_kept.as_str()), (InVpp::Away, ""));
    assert_eq!(brain.row("b1").await.effective_weight, 0);
    let (code, message) = refusal_of(brain.service.enable_backend(backend("b1")).await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.ends_with("a paused backend cannot be enabled: resume it instead"), "{message}");
    let change = of(brain.service.resume_backend(backend("b1")).await);
    assert_eq!(
        state_of(&change),
        (BackendState::Up, BackendOverride::None),
        "a static backend is up at once"
    );
    assert!(brain.overrides().await.is_empty());
}

#[tokio::test]
async fn disabled_backend_is_enabled() {
    let brain = Brain::start(CONFIG);
    let change = of(brain.service.disable_backend(backend("b1")).await);
    assert_eq!(state_of(&change), (BackendState::Disabled, BackendOverride::Disabled));
    let change = of(brain.service.enable_backend(backend("b1")).await);
    assert_eq!(state_of(&change), (BackendState::Up, BackendOverride::None));
    let change = of(brain.service.enable_backend(backend("b3")).await);
    assert_eq!(
        state_of(&change),
        (BackendState::Up, BackendOverride::Enabled),
        "though it is configured otherwise"
    );
    let change = of(brain.service.disable_backend(backend("b3")).await);
    assert_eq!(state_of(&change), (BackendState::Disabled, BackendOverride::None), "as configured");
    let message = "there is no backend \"b12\"; did you mean \"b1\"?";
    assert_eq!(
        refusal_of(brain.service.disable_backend(backend("b12")).await),
        (Code::NotFound, message.into())
    );
}

#[tokio::test]
async fn weight_is_in_force_beside_the_configured_one() {
    let brain = Brain::start(CONFIG);
    let change = brain.set_weight(10).await;
    assert_eq!((change.frontend.as_str(), change.pool.as_str()), ("shop", "primary"));
    let row = change.backend.unwrap();
    assert_eq!((row.configured_weight, row.operator_weight, row.effective_weight), (50, Some(10), 10));
    assert_eq!(change.outcome.unwrap().in_vpp(), InVpp::Away);
    assert!(row.operator_since_unix_ms > 1_700_000_000_000);
    assert_eq!(brain.row("b2").await, row);
    assert_eq!(brain.row("b1").await.operator_weight, None);
    let row = brain.set_weight(50).await.backend.unwrap();
    assert_eq!((row.configured_weight, row.operator_weight, row.operator_since_unix_ms), (50, None, 0));
    for weight in [101, 256, u32::MAX] {
        let answer = brain.service.set_frontend_pool_backend_weight(weight_of("b2", weight)).await;
        let message = format!("weight {weight}: must be 0 to 100");
        assert_eq!(refusal_of(answer), (Code::InvalidArgument, message));
    }
    let (code, message) = refusal_of(brain.service.set_frontend_pool_backend_weight(weight_of("", 1)).await);
    assert_eq!((code, message.as_str()), (Code::InvalidArgument, "the name of the backend is missing"));
}

#[tokio::test]
async fn overrides_are_listed_and_taken_back() {
    let brain = Brain::start(CONFIG);
    brain.set_weight(10).await;
    of(brain.service.pause_backend(backend("b1")).await);
    let [paused, weight] = brain.overrides().await.try_into().unwrap();
    assert_eq!((paused.backend.as_str(), paused.operator_state()), ("b1", BackendOverride::Paused));
    assert_eq!(
        (paused.configured, paused.configured_enabled, paused.operator_weight),
        (true, Some(true), None)
    );
    assert_eq!(
        (weight.backend.as_str(), weight.frontend.as_str(), weight.pool.as_str()),
        ("b2", "shop", "primary")
    );
    assert_eq!((weight.operator_weight, weight.configured_weight), (Some(10), Some(50)));

    let answer = of(brain.service.clear_override(clear("b1", "", "")).await);
    assert_eq!(answer.cleared.as_ref(), Some(&paused));
    assert_eq!(answer.backend.unwrap().state(), BackendState::Up);
    let answer = of(brain.service.clear_override(clear("b2", "shop", "primary")).await);
    assert_eq!((answer.cleared, answer.outcome.unwrap().in_vpp()), (Some(weight), InVpp::Away));
    assert!(brain.overrides().await.is_empty());
    let (code, message) = refusal_of(brain.service.clear_override(clear("b1", "", "")).await);
    assert_eq!(code, Code::NotFound);
    assert!(message.ends_with("`show overrides` lists what they have set"), "{message}");
    let (code, _) = refusal_of(brain.service.clear_override(clear("b1", "shop", "")).await);
    assert_eq!(code, Code::InvalidArgument, "half a member");
}

/// Each process has its own runtime; dropping it ends all of its tasks.
#[test]
fn overrides_survive_a_restart_unless_they_say_otherwise() {
    let process = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = process().block_on(async {
        let brain = Brain::start(CONFIG);
        of(brain.service.pause_backend(backend("b1")).await);
        brain.directory
    });
    process().block_on(async {
        let again = Brain::start_in(directory, CONFIG, false);
        let [paused] = again.overrides().await.try_into().unwrap();
        assert_eq!(paused.operator_state(), BackendOverride::Paused);
        let change = of(again.service.resume_backend(backend("b1")).await);
        assert_eq!(change.outcome.unwrap().not_kept, "there is no state directory");
    });
}

#[tokio::test]
async fn vip_is_not_recreated_without_vpp() {
    let brain = Brain::start(CONFIG);
    let request = |frontend: &str| {
        by_admin(RecreateVipRequest { frontend: frontend.into(), ..RecreateVipRequest::default() })
    };
    let (code, message) = refusal_of(brain.service.recreate_vip(request("shop")).await);
    assert_eq!(code, Code::Unavailable);
    assert!(message.contains("try again when VPP is connected"), "{message}");
    let message = "there is no frontend \"shp\"; did you mean \"shop\"?";
    assert_eq!(
        refusal_of(brain.service.recreate_vip(request("shp")).await),
        (Code::NotFound, message.into())
    );
}

#[tokio::test]
async fn nothing_is_compared_without_vpp() {
    let brain = Brain::start(CONFIG);
    let request = |frontend: &str| by_admin(SyncVpplbStateRequest { frontend: frontend.into() });
    for frontend in ["", "shop"] {
        let (code, message) = refusal_of(brain.service.sync_vpplb_state(request(frontend)).await);
        assert_eq!(code, Code::Unavailable);
        assert_eq!(message, "nothing was compared: try again when VPP is connected");
    }
    let message = "there is no frontend \"shp\"; did you mean \"shop\"?";
    assert_eq!(
        refusal_of(brain.service.sync_vpplb_state(request("shp")).await),
        (Code::NotFound, message.into())
    );
    let agent = of(brain.service.get_agent_info(Request::new(GetAgentInfoRequest {})).await);
    assert_eq!((agent.connected, agent.socket.as_str()), (false, "/nonexistent/agent.sock"));
}

#[tokio::test]
async fn configuration_is_checked_and_reloaded() {
    let brain = Brain::start(CONFIG);
    let check = async || of(brain.service.check_config(Request::new(CheckConfigRequest {})).await);
    let reload = async || brain.service.reload_config(by_admin(ReloadConfigRequest::default())).await;
    let checked = check().await;
    assert_eq!((checked.verdict(), checked.changes.as_str()), (ConfigVerdict::Fine, "nothing changed"));
    assert_eq!(checked.file, brain.file().display().to_string());

    std::fs::write(
        brain.file(),
        CONFIG.replace("weight: 50", "weight: 500").replace("slow-start", "slowstart"),
    )
    .unwrap();
    let checked = check().await;
    assert_eq!((checked.verdict(), checked.errors), (ConfigVerdict::NotParseable, 2));
    assert_eq!(checked.findings.len(), usize::try_from(checked.errors + checked.warnings).unwrap());
    assert!(checked.findings.iter().any(|found| found.contains("slowstart")), "{:?}", checked.findings);
    let (code, message) = refusal_of(reload().await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("slowstart") && message.contains("\n2 errors"), "{message}");
    assert_eq!(brain.row("b2").await.configured_weight, 50, "the one in force stays");

    of(brain.service.pause_backend(backend("b1")).await);
    std::fs::write(
        brain.file(),
        CONFIG.replace("b1:", "b9:").replace("10.0.0.1 ", "10.0.0.9 ").replace("weight: 50", "weight: 20"),
    )
    .unwrap();
    let changes = "1 backend added (b9), 1 removed (b1); 1 frontend changed (shop: pools)";
    let checked = check().await;
    assert_eq!((checked.verdict(), checked.changes.as_str()), (ConfigVerdict::Fine, changes));
    let [shop] = checked.preview.unwrap().frontends.try_into().unwrap();
    assert_eq!(shop.frontend, "shop");
    assert!(!shop.sentences.is_empty(), "it says what a reload would do to traffic");
    assert_eq!(brain.row("b2").await.configured_weight, 50, "a check changes nothing");
    let reloaded = of(reload().await);
    assert_eq!(reloaded.changes, changes);
    let [unmatched] = reloaded.unmatched.try_into().unwrap();
    assert_eq!(
        (unmatched.backend.as_str(), unmatched.configured, unmatched.configured_enabled),
        ("b1", false, None)
    );
    assert_eq!(brain.row("b2").await.configured_weight, 20);
    let answer = of(brain.service.clear_override(clear("b1", "", "")).await);
    assert_eq!((answer.cleared, answer.backend), (Some(unmatched), None));

    std::fs::remove_file(brain.file()).unwrap();
    let checked = check().await;
    assert_eq!((checked.verdict(), checked.errors), (ConfigVerdict::NotParseable, 1));
    let (code, message) = refusal_of(reload().await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("cannot read the configuration"), "{message}");
}

#[tokio::test]
async fn reload_tells_when_what_it_made_superfluous_would_be_back() {
    let brain = Brain::start_in(tempfile::tempdir().unwrap(), CONFIG, false);
    let reload = async || of(brain.service.reload_config(by_admin(ReloadConfigRequest::default())).await);
    assert_eq!(reload().await.outcome.unwrap().not_kept, "", "nothing was to be kept");
    brain.set_weight(20).await;
    assert_eq!(reload().await.outcome.unwrap().not_kept, "there is no state directory", "it still is not");
    std::fs::write(brain.file(), CONFIG.replace("weight: 50", "weight: 20")).unwrap();
    assert_eq!(reload().await.outcome.unwrap().not_kept, "there is no state directory");
    assert!(brain.overrides().await.is_empty());
}

#[tokio::test]
async fn configuration_for_another_namespace_is_not_valid() {
    let brain = Brain::start(CONFIG);
    let text = CONFIG.replace("maglev:", "maglev:\n  healthchecker: { netns: no-such-namespace }");
    std::fs::write(brain.file(), text).unwrap();
    let checked = of(brain.service.check_config(Request::new(CheckConfigRequest {})).await);
    assert_eq!(
        (checked.verdict(), checked.errors, checked.changes.as_str()),
        (ConfigVerdict::NotValid, 1, "")
    );
    let (code, message) =
        refusal_of(brain.service.reload_config(by_admin(ReloadConfigRequest::default())).await);
    assert_eq!((code, checked.findings.last()), (Code::FailedPrecondition, Some(&message)));
}

#[tokio::test]
async fn overrides_tell_who_set_them_until_somebody_else_does() {
    let brain = Brain::start(CONFIG);
    of(brain.service.pause_backend(backend("b1")).await);
    brain.set_weight(10).await;
    let overrides = brain.overrides().await;
    assert!(overrides.iter().all(|set| !set.set_by.is_empty()), "{overrides:?}");
    let b1 = of(brain.service.get_backend(Request::new(GetBackendRequest { name: "b1".into() })).await);
    assert_eq!(b1.operator_set_by, overrides[0].set_by);
    of(brain.service.resume_backend(backend("b1")).await);
    let b1 = of(brain.service.get_backend(Request::new(GetBackendRequest { name: "b1".into() })).await);
    assert_eq!(b1.operator_set_by, "");
}

#[tokio::test]
async fn status_counts_everything() {
    let brain = Brain::start(CONFIG);
    of(brain.service.pause_backend(backend("b1")).await);
    let status = of(brain.service.get_status(Request::new(GetStatusRequest {})).await);
    assert_eq!((status.warmup(), status.next_phase_in_ms), (WarmupPhase::Over, 0));
    let counts = (status.frontends, status.frontends_up, status.frontends_held_back);
    assert_eq!(counts, (1, 0, 0), "healthy, but VPP does not have it");
    assert_eq!((status.backends, status.backends_up), (3, 1));
    assert_eq!((status.overrides, status.overrides_unmatched), (1, 0));
    assert_eq!((status.vpp_state.as_str(), status.agent.unwrap().connected), ("unknown", false));
    assert_eq!(status.config_file, brain.file().display().to_string());
    assert_eq!(status.last_reload, None);
    assert!(status.config_since_unix_ms > 0);
}

#[tokio::test]
async fn status_shows_the_newest_reload() {
    let brain = Brain::start(CONFIG);
    let reload = || brain.service.reload_config(by_admin(ReloadConfigRequest::default()));
    let status = async || of(brain.service.get_status(Request::new(GetStatusRequest {})).await);
    std::fs::write(
        brain.file(),
        CONFIG
            .replace("b2: { address: 10.0.0.2 }", "b2: { address: 10.0.0.2 }\n    b4: { address: 10.0.0.4 }")
            .replace("maglev:", "maglev:\n  nothing: {}"),
    )
    .unwrap();
    assert_eq!(refusal_of(reload().await).0, Code::FailedPrecondition);
    let refused = status().await;
    let newest = refused.last_reload.unwrap();
    assert!(!newest.taken && newest.at_unix_ms > 0);
    assert!(newest.result.contains("nothing") && !newest.result.contains('\n'), "{}", newest.result);
    let problem = refused.problems.iter().find(|problem| problem.kind == "configuration").unwrap();
    assert!(problem.what.contains(&newest.result), "{}", problem.what);
    std::fs::write(brain.file(), CONFIG).unwrap();
    of(reload().await);
    let taken = status().await;
    assert_eq!(
        taken.last_reload.map(|newest| (newest.taken, newest.result)),
        Some((true, "nothing changed".into()))
    );
    assert!(taken.problems.iter().all(|problem| problem.kind != "configuration"));
}

#[tokio::test]
async fn warm_up_is_told_with_the_time_that_is_left() {
    let delays = "startup-min-delay: 1h, startup-max-delay: 2h";
    let brain = Brain::start(&CONFIG.replace("startup-min-delay: 0s, startup-max-delay: 0s", delays));
    let status = of(brain.service.get_status(Request::new(GetStatusRequest {})).await);
    assert_eq!((status.warmup(), status.frontends_held_back), (WarmupPhase::Waiting, 1));
    assert!((1..=3_600_000).contains(&status.next_phase_in_ms), "{}", status.next_phase_in_ms);
    assert_eq!(brain.set_weight(10).await.outcome.unwrap().in_vpp(), InVpp::HeldBack);
    let request = by_admin(RecreateVipRequest { frontend: "shop".into(), ..RecreateVipRequest::default() });
    assert_eq!(refusal_of(brain.service.recreate_vip(request).await).0, Code::FailedPrecondition);
}

#[tokio::test]
async fn frontend_shows_its_options() {
    let brain = Brain::start(CONFIG);
    let request = || Request::new(GetFrontendRequest { name: "shop".into() });
    let shop = of(brain.service.get_frontend(request()).await);
    assert_eq!((shop.slow_start_ms, shop.panic_threshold, shop.panic_pool.as_str()), (30_000, 50, ""));
    assert_eq!((shop.worst_share_error_percent, shop.better_table_length), (0.0, 0));
}
