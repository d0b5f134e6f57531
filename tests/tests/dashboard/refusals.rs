//! What is refused: foreign pages, stolen sessions, those without a login.

use maglev_tests::dashboard::{Dashboard, USER};
use maglev_tests::stack::Stack;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

async fn post(dashboard: &Dashboard, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut request = Client::new().post(dashboard.url(path)).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn only_a_persons_own_browser_on_the_dashboards_own_page_changes_anything() {
    let mut stack = Stack::start_with(None).await.unwrap();
    let dashboard = Dashboard::start(&mut stack, &[]).await.unwrap();
    let own = dashboard.url("");
    let login = json!({ "name": USER.0, "password": USER.1 });
    let pause = json!({ "change": { "action": "pause", "backend": "web1" }, "servers": ["demo"] });
    let (origin, agent) = (("origin", own.as_str()), ("user-agent", "browser"));

    let foreign =
        post(&dashboard, "/admin/api/login", &[("origin", "https://evil.example"), agent], &login).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let wrong = json!({ "name": USER.0, "password": "wrong" });
    assert_eq!(
        post(&dashboard, "/admin/api/login", &[origin, agent], &wrong).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let answer = post(&dashboard, "/admin/api/login", &[origin, agent], &login).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = ("cookie", cookie.split(';').next().unwrap());

    let plan = |headers: Vec<(&'static str, String)>| {
        let (pause, dashboard) = (pause.clone(), dashboard);
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            post(&dashboard, "/admin/api/plan", &headers, &pause).await
        }
    };
    let with = |more: &[(&'static str, &str)]| {
        more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(plan(with(&[origin, agent])).await.status(), StatusCode::UNAUTHORIZED, "without a session");
    assert_eq!(plan(with(&[session, agent])).await.status(), StatusCode::FORBIDDEN, "without an origin");
    let evil = with(&[session, agent, ("origin", "https://evil.example")]);
    assert_eq!(plan(evil).await.status(), StatusCode::FORBIDDEN);
    let elsewhere = with(&[session, agent, origin, ("sec-fetch-site", "cross-site")]);
    assert_eq!(plan(elsewhere).await.status(), StatusCode::FORBIDDEN);
    let planned = plan(with(&[session, agent, origin])).await;
    assert_eq!(planned.status(), StatusCode::OK);
    let token = planned.json::<Value>().await.unwrap()["token"].clone();

    // Another session of the same person, and then the same cookie in another browser.
    let other = post(&dashboard, "/admin/api/login", &[origin, ("user-agent", "other")], &login).await;
    let other = other.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let confirm = json!({ "token": token });
    let as_other = [("cookie", other.as_str()), ("user-agent", "other"), origin];
    assert_eq!(
        post(&dashboard, "/admin/api/confirm", &as_other, &confirm).await.status(),
        StatusCode::CONFLICT
    );
    let stolen = with(&[session, ("user-agent", "thief"), origin]);
    assert_eq!(plan(stolen).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        plan(with(&[session, agent, origin])).await.status(),
        StatusCode::UNAUTHORIZED,
        "it has ended"
    );
    assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "up");
}

#[tokio::test]
async fn answers_carry_the_policy_and_pages_are_where_they_were() {
    let mut stack = Stack::start_with(None).await.unwrap();
    let dashboard = Dashboard::start(&mut stack, &[]).await.unwrap();
    for path in [
        "/view/",
        "/admin/",
        "/healthz",
        "/view/api/state",
        "/view/api/version",
        "/metrics",
        "/view/assets/main.js",
    ] {
        let answer = reqwest::get(dashboard.url(path)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let version = dashboard.get("/view/api/version").await.unwrap();
    assert!(version["version"].is_string() && version["brains"]["demo"].is_string(), "{version}");
    let evil = Client::new().get(dashboard.url("/view/api/state")).header("host", "evil.example");
    assert_eq!(
        evil.send().await.unwrap().status(),
        StatusCode::FORBIDDEN,
        "a name that is rebound to loopback"
    );
    let missing = reqwest::get(dashboard.url("/view/assets/..%2f..%2fCargo.toml")).await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let answer = reqwest::get(dashboard.url("/view/api/events?since=1-1")).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    // A stream that is open does not keep the dashboard from ending.
    let pid = stack.pid(maglev_tests::dashboard::NAME).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let rest = answer.text().await.unwrap();
    assert!(rest.starts_with("retry: 1000\n\nevent: resync\n"), "{rest}");
}
