//! Probes on demand: converts requests for the prober, and its results to answers.

use std::time::SystemTime;

use maglev_engine::config::{Backend, Config, Service as Traffic};
use maglev_engine::outcome::{ProbeOutcome, Verdict};
use maglev_engine::tunnel::hops::{self, Path};
use maglev_proto::{
    CheckBackendRequest, CheckBackendResponse, HealthCheckProbe, Hop, HopState, ProbeResult, TunnelHop,
    TunnelPath,
};
use tonic::{Request, Response, Status};
use tracing::info;

use super::caller::Caller;
use super::refusal::unknown;
use super::{Answer, Service, refusal, view};
use crate::paced::Cause;

impl Service {
    pub(super) async fn check_one(
        &self,
        request: Request<CheckBackendRequest>,
    ) -> Answer<CheckBackendResponse> {
        let caller = Caller::of(request.extensions());
        let (snapshot, request) = (self.snapshot(), request.into_inner());
        let config = &snapshot.config;
        let (backend, only) = requested(config, &request)?;
        let CheckBackendRequest { name, via_tunnel, .. } = request;
        let _place = self.place(Cause::Check, &self.probes, &caller)?;
        let what = if via_tunnel { "check backend via tunnel" } else { "check backend" };
        info!(who = %caller.responsible(), from = %caller.from(), backend = name, what, "operator command");
        let mut answer = CheckBackendResponse {
            backend: name.clone(),
            address: backend.address.to_string(),
            ..CheckBackendResponse::default()
        };
        if via_tunnel {
            let (paths, left_out) = self.on_demand.hops(config, &name, backend, only.as_deref()).await;
            answer.paths = paths.into_iter().map(path).collect();
            answer.left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
            let mut states = answer.paths.iter().flat_map(|path| &path.hops).map(TunnelHop::state);
            answer.passed = left_out == 0 && states.all(|state| state == HopState::Ok);
        } else {
            let checks = self.on_demand.checks(config, &name, backend).await;
            answer.passed = checks.iter().all(|(_, outcome)| outcome.passed());
            let check =
                |(healthcheck, outcome)| HealthCheckProbe { healthcheck, result: Some(result(outcome)) };
            answer.checks = checks.into_iter().map(check).collect();
        }
        Ok(Response::new(answer))
    }
}

/// The backend of a request, and the frontend that it is confined to.
fn requested<'c>(
    config: &'c Config,
    request: &CheckBackendRequest,
) -> Result<(&'c Backend, Option<String>), Status> {
    let CheckBackendRequest { name, via_tunnel, frontend } = request;
    let name = refusal::name("backend", name.clone())?;
    let backend = config.backends.get(&name);
    let backend = backend.ok_or_else(|| unknown("backend", &name, config.backends.keys()))?;
    if frontend.is_empty() {
        let missing = match via_tunnel {
            true if config.frontends_of(&name).next().is_none() => {
                format!("no frontend has backend {name:?}, so there is no VIP to test")
            }
            false if backend.healthchecks.is_empty() => {
                format!("backend {name:?} has no health check; `via tunnel` needs none")
            }
            _ => return Ok((backend, None)),
        };
        return Err(Status::failed_precondition(missing));
    }
    if !via_tunnel {
        return Err(Status::invalid_argument("frontend: only with via_tunnel"));
    }
    let frontend = refusal::name("frontend", frontend.clone())?;
    if !config.frontends.contains_key(&frontend) {
        return Err(unknown("frontend", &frontend, config.frontends.keys()));
    }
    if !config.frontends_of(&name).any(|(other, _)| other == frontend) {
        let words = format!("frontend {frontend:?} does not have backend {name:?}");
        return Err(Status::failed_precondition(words));
    }
    Ok((backend, Some(frontend)))
}

fn path((path, reports): (Path, Vec<hops::Report>)) -> TunnelPath {
    let (protocol, port) = match path.service {
        Traffic::AllPorts => ("any", 0),
        Traffic::Tcp(port) => ("tcp", port),
        Traffic::Udp(port) => ("udp", port),
    };
    TunnelPath {
        frontend: path.frontend,
        vip: path.vip.to_string(),
        protocol: protocol.to_owned(),
        port: port.into(),
        hops: reports.into_iter().map(hop).collect(),
    }
}

fn hop(report: hops::Report) -> TunnelHop {
    let hop = match report.hop {
        hops::Hop::Address => Hop::Address,
        hops::Hop::Tunnel => Hop::Tunnel,
        hops::Hop::Vip => Hop::Vip,
        hops::Hop::Listener => Hop::Listener,
        hops::Hop::Mtu => Hop::Mtu,
    };
    let state = match report.verdict {
        Verdict::Passed => HopState::Ok,
        Verdict::Failed => HopState::Failed,
        Verdict::NotKnown => HopState::Unknown,
    };
    TunnelHop {
        hop: hop.into(),
        state: state.into(),
        healthcheck: report.check.unwrap_or_default(),
        result: report.outcome.map(result),
        meaning: report.meaning,
    }
}

fn result(outcome: ProbeOutcome) -> ProbeResult {
    view::checks::of_outcome(outcome, SystemTime::now())
}

#[cfg(test)]
mod tests {
    use maglev_engine::config::parse;
    use tonic::Code;

    use super::*;

    #[test]
    fn what_cannot_be_probed_is_refused_with_the_reason() {
        let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  healthchecks:
    web: { type: http }
  backends:
    a: { address: 10.0.0.1, healthcheck: web }
    b: { address: 10.0.0.2 }
    c: { address: 10.0.0.3, healthcheck: web }
  frontends:
    www: { address: 198.51.100.1, pools: [{ name: p, backends: { a: {} } }] }
    shop: { address: 198.51.100.2, pools: [{ name: p, backends: { b: {} } }] }
";
        let config = parse("test.yaml", text).unwrap().config;
        let answer = |name: &str, via_tunnel, frontend: &str| {
            let request = CheckBackendRequest { name: name.into(), via_tunnel, frontend: frontend.into() };
            requested(&config, &request).map(|(_, only)| only)
        };
        assert_eq!(answer("a", false, "").unwrap(), None);
        assert_eq!(answer("b", true, "").unwrap(), None);
        assert_eq!(answer("a", true, "www").unwrap().as_deref(), Some("www"));
        for (name, via_tunnel, frontend, code, words) in [
            ("", false, "", Code::InvalidArgument, "is missing"),
            ("x", false, "", Code::NotFound, "there is no backend \"x\""),
            ("b", false, "", Code::FailedPrecondition, "has no health check"),
            ("c", true, "", Code::FailedPrecondition, "no VIP to test"),
            ("a", false, "www", Code::InvalidArgument, "only with via_tunnel"),
            ("a", true, "ww", Code::NotFound, "did you mean \"www\"?"),
            ("a", true, "shop", Code::FailedPrecondition, "frontend \"shop\" does not have backend \"a\""),
        ] {
            let status = answer(name, via_tunnel, frontend).unwrap_err();
            assert_eq!(status.code(), code, "{name} {frontend}");
            assert!(status.message().contains(words), "{status}");
        }
    }
}
