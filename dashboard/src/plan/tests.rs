use super::*;
use crate::access::users::Role;
use maglev_proto::client::TlsFiles;

fn person(login: &str) -> Person {
    Person { name: "alice".into(), role: Role::Admin, login: login.into() }
}

fn planner() -> Planner {
    let brain = Brain::new("lb1", "127.0.0.1:1".parse().unwrap(), TlsFiles::default());
    Planner::new(vec![Arc::new(brain)], Metrics::default())
}

fn waiting(at: Instant) -> Waiting {
    let change = Change::Pause { backend: "web1".into() };
    Waiting { login: "a".into(), change, states: vec![], at }
}

#[test]
fn a_token_holds_once_for_one_login_and_not_for_long() {
    let (planner, start) = (planner(), Instant::now());
    planner.keep("t".into(), waiting(start), start);
    assert_eq!(planner.take(&person("b"), "t", start).unwrap_err(), PlanError::Expired);
    assert!(planner.take(&person("a"), "t", start + VALID).is_ok());
    assert_eq!(planner.take(&person("a"), "t", start).unwrap_err(), PlanError::Expired, "it was used");
    planner.keep("t".into(), waiting(start), start);
    let late = start + VALID + Duration::from_secs(1);
    assert_eq!(planner.take(&person("a"), "t", late).unwrap_err(), PlanError::Expired);
}

#[test]
fn plans_that_wait_are_bounded() {
    let (planner, start) = (planner(), Instant::now());
    for number in 0..=WAITING as u64 {
        let at = start + Duration::from_millis(number);
        planner.keep(number.to_string(), waiting(at), at);
    }
    assert_eq!(planner.waiting.lock().unwrap().len(), WAITING);
    assert!(planner.take(&person("a"), "0", start).is_err());
    assert!(planner.take(&person("a"), "1", start).is_ok());
}

#[tokio::test]
async fn a_load_balancer_that_is_away_says_so_and_gives_no_token() {
    let (planner, now) = (planner(), Instant::now());
    let request = |servers: &[&str]| Request {
        change: Change::Pause { backend: "web1".into() },
        servers: servers.iter().map(|name| (*name).to_owned()).collect(),
    };
    let plan = planner.plan(&person("a"), request(&["lb1", "lb1"]), now).await.unwrap();
    assert_eq!((plan.token, plan.parts.len()), (None, 1));
    assert_eq!(plan.parts[0].error.as_deref(), Some("its brain is disconnected"));
    let unknown = planner.plan(&person("a"), request(&["lb2"]), now).await.unwrap_err();
    assert_eq!(unknown, PlanError::Unknown("lb2".into()));
    assert_eq!(planner.plan(&person("a"), request(&[]), now).await.unwrap_err(), PlanError::Nobody);
}

#[test]
fn changes_are_read_as_browsers_write_them() {
    let read = |text: &str| serde_json::from_str::<Change>(text);
    let weight =
        r#"{"action":"weight","frontend":"shop","pool":"p","backend":"web1","weight":40,"flush":true}"#;
    assert!(matches!(read(weight), Ok(Change::Weight { weight: 40, flush: true, .. })));
    assert_eq!(read(r#"{"action":"sync"}"#).unwrap(), Change::Sync { frontend: String::new() });
    assert!(read(r#"{"action":"reboot"}"#).is_err());
    assert!(read(r#"{"action":"pause","backend":"web1","more":1}"#).is_err());
}
