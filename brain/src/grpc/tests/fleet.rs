//! A member of a fleet whose etcd does not answer.

use maglev_proto::{GetFleetTablesRequest, LOCAL_HEADER};
use tokio::runtime::Handle;
use tonic::Code;

use super::changes::{Brain, CONFIG, by_admin};
use super::*;
use crate::fleet;
use crate::fleet::settings::{EtcdSettings, Settings};
use crate::state::mirrors::Mirrors;

/// The same brain, as a member.
fn member(brain: &Brain) -> (Service, Fleet) {
    let etcd = EtcdSettings {
        endpoints: vec!["http://127.0.0.1:9".to_owned()],
        ca_file: None,
        identity: None,
        user: None,
        timeout: Duration::from_millis(100),
    };
    let name = |text| maglev_engine::fleet::records::Name::new(text).unwrap();
    let settings = Settings { name: name("edge"), member: name("lb1"), etcd };
    let mirrors = Mirrors::new(brain.directory.path().to_owned());
    let reloader = brain.service.reloader.clone();
    let fleet = fleet::start(settings, mirrors, &brain.controller, reloader, &Handle::current(), 7);
    (brain.service.clone().with_fleet(Some(fleet.clone())), fleet)
}

fn here<T>(message: T) -> Request<T> {
    let mut request = by_admin(message);
    let mut headers = tonic::codegen::http::HeaderMap::new();
    headers.insert(LOCAL_HEADER, "1".parse().unwrap());
    let caller = Caller::of(request.extensions()).with_person(&headers);
    request.extensions_mut().insert(caller);
    request
}

fn pause(name: &str, state: Option<u64>) -> ChangeBackendRequest {
    ChangeBackendRequest { name: name.into(), state, ..ChangeBackendRequest::default() }
}

#[tokio::test]
async fn command_for_this_load_balancer_that_fails_leaves_no_mark() {
    let brain = Brain::start(CONFIG);
    let (service, fleet) = member(&brain);
    let refused = service.pause_backend(by_admin(pause("b1", None))).await.unwrap_err();
    assert!(refused.message().contains("etcd is away"), "{refused}");
    service.pause_backend(here(pause("b1", None))).await.unwrap();
    let marked = fleet.local_notes();
    assert_eq!(marked.len(), 1);
    let moved = service.snapshot().events - 1;
    let refused = service.pause_backend(here(pause("b2", Some(moved)))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    // Decided too late: what was tried before succeeded.
    let reason = "x".repeat(maglev_engine::overrides::LONGEST_REASON + 1);
    let remark = maglev_engine::overrides::Remark { reason, ..Default::default() };
    let terms = crate::controller::Terms { no_wait: true, remark, ..Default::default() };
    let wish = BackendWish::Pause;
    let command = maglev_engine::core::Command::Backend { backend: "b2".to_owned(), wish };
    assert!(service.carry_out_here(terms, command).await.is_err());
    assert_eq!(fleet.local_notes(), marked);
    let clear = ClearOverrideRequest { backend: "b1".into(), ..ClearOverrideRequest::default() };
    let refused = ClearOverrideRequest { state: Some(moved), ..clear.clone() };
    assert!(service.clear_override(here(refused)).await.is_err());
    assert_eq!(fleet.local_notes(), marked);
    service.clear_override(here(clear)).await.unwrap();
    assert!(fleet.local_notes().is_empty());
}

#[tokio::test]
async fn tables_are_found_by_frontend_address_and_vip() {
    let brain = Brain::start(CONFIG);
    let (service, _fleet) = member(&brain);
    let ask = async |only: &str| {
        let request = Request::new(GetFleetTablesRequest { only: only.into() });
        service.get_fleet_tables(request).await.map(Response::into_inner)
    };
    let compared = async {
        loop {
            let all = ask("").await.unwrap();
            if !all.tables.is_empty() {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(10), compared).await.unwrap();
    assert_eq!((all.tables.len(), all.members.as_slice()), (1, &["lb1".to_owned()][..]));
    let [shop] = &all.tables[..] else { panic!("{all:?}") };
    assert_eq!((shop.frontend.as_str(), shop.length, shop.equal), ("shop", 0, 1));
    for only in ["shop", "203.0.113.10", &shop.vip] {
        assert_eq!(ask(only).await.unwrap(), all, "{only}");
    }
    for only in ["sho", "203.0.113.1", "203.0.113.10 tcp/81"] {
        let refused = ask(only).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{only}");
        assert!(refused.message().contains(&format!("no frontend and no VIP `{only}`")), "{refused}");
    }
    let request = Request::new(GetFleetTablesRequest::default());
    let refused = brain.service.get_fleet_tables(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it is in no fleet");
}
