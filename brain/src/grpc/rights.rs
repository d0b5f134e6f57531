//! The right that each method requires. One layer applies this table before any handler runs.

use tonic::Status;
use tonic::codegen::http::Request;

use super::caller::{Caller, Rights};
use crate::paced::{Cause, Paced};

/// A right of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    /// Have packets sent.
    Probe,
    Change,
}

/// Every method that is served. Others are refused, even if there is a handler.
pub(super) const METHODS: [(&str, Right); 46] = [
    ("/grpc.health.v1.Health/Check", Right::Read),
    ("/grpc.health.v1.Health/Watch", Right::Read),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Right::Read),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Right::Read),
    ("/maglev.Maglev/AbortFleetRollout", Right::Change),
    ("/maglev.Maglev/CheckBackend", Right::Probe),
    ("/maglev.Maglev/CheckConfig", Right::Read),
    ("/maglev.Maglev/ClearOverride", Right::Change),
    ("/maglev.Maglev/ConfirmConfig", Right::Change),
    ("/maglev.Maglev/ConfirmFleetRollout", Right::Change),
    ("/maglev.Maglev/DisableBackend", Right::Change),
    ("/maglev.Maglev/DrainLB", Right::Change),
    ("/maglev.Maglev/EnableBackend", Right::Change),
    ("/maglev.Maglev/GetAgentInfo", Right::Read),
    ("/maglev.Maglev/GetBackend", Right::Read),
    ("/maglev.Maglev/GetCaller", Right::Read),
    ("/maglev.Maglev/GetFleetConfig", Right::Read),
    ("/maglev.Maglev/GetFleetStatus", Right::Read),
    ("/maglev.Maglev/GetFleetTables", Right::Read),
    ("/maglev.Maglev/GetFrontend", Right::Read),
    ("/maglev.Maglev/GetHealthCheck", Right::Read),
    ("/maglev.Maglev/GetHistory", Right::Read),
    ("/maglev.Maglev/GetStatus", Right::Read),
    ("/maglev.Maglev/GetVPPInfo", Right::Read),
    ("/maglev.Maglev/GetVPPLBCounters", Right::Read),
    ("/maglev.Maglev/GetVPPLBState", Right::Read),
    ("/maglev.Maglev/ListBackends", Right::Read),
    ("/maglev.Maglev/ListConfigs", Right::Read),
    ("/maglev.Maglev/ListFleetConfigs", Right::Read),
    ("/maglev.Maglev/ListFrontends", Right::Read),
    ("/maglev.Maglev/ListHealthChecks", Right::Read),
    ("/maglev.Maglev/ListOverrides", Right::Read),
    ("/maglev.Maglev/ListRoutes", Right::Read),
    ("/maglev.Maglev/PauseBackend", Right::Change),
    ("/maglev.Maglev/PreviewChange", Right::Read),
    ("/maglev.Maglev/PutFleetConfig", Right::Change),
    ("/maglev.Maglev/RecreateVIP", Right::Change),
    ("/maglev.Maglev/ReloadConfig", Right::Change),
    ("/maglev.Maglev/RemoveFleetMember", Right::Change),
    ("/maglev.Maglev/ResumeBackend", Right::Change),
    ("/maglev.Maglev/RollbackConfig", Right::Change),
    ("/maglev.Maglev/RollbackFleetConfig", Right::Change),
    ("/maglev.Maglev/SetFrontendPoolBackendWeight", Right::Change),
    ("/maglev.Maglev/SyncVPPLBState", Right::Change),
    ("/maglev.Maglev/UndrainLB", Right::Change),
    ("/maglev.Maglev/WatchEvents", Right::Read),
];

/// Admits a request if its caller has the method's right.
///
/// # Errors
/// `PERMISSION_DENIED`, with the right that is needed; `UNIMPLEMENTED` for a method that is not served.
pub(super) fn admit<B>(mut request: Request<B>, refusals: &Paced) -> Result<Request<B>, Status> {
    let (caller, path) = (Caller::of(request.extensions()), request.uri().path());
    let may_not = |what, right| Status::permission_denied(format!("{caller} may not {what}: {right}"));
    let needed = METHODS.into_iter().find(|(method, _)| *method == path);
    match (caller.rights(), needed) {
        (Rights::Nothing(right), _) => Err(may_not("use this brain", right)),
        (_, None) => Err(Status::unimplemented("the server does not support this request")),
        (Rights::ReadOnly(right), Some((_, Right::Change))) => {
            refusals.refused(Cause::Change, caller.who(), caller.from(), "");
            Err(may_not("change anything", right))
        }
        (Rights::ReadOnly(right), Some((_, Right::Probe))) => Err(may_not("have probes sent", right)),
        (Rights::ReadOnly(_), Some((_, Right::Read))) => Ok(request),
        (Rights::Admin, Some(_)) => {
            let caller = caller.clone().with_person(request.headers());
            request.extensions_mut().insert(caller);
            Ok(request)
        }
    }
}

#[cfg(test)]
mod tests;
