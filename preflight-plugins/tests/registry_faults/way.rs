//! Faults on the way: connections, what answers, how credentials are asked for, limits.

use preflight_core::{Decision, Outcome};

use crate::support::{HANGS_UP, IS_SILENT};
use crate::world::{
    MANIFEST, Scene, ask, but, but_once, challenge, expect_all, fault, healthy, nowhere, plain, says,
    with_header, with_token_service, with_tokens,
};

/// A status of four digits, which no HTTP client reads.
const NO_STATUS: u16 = 9999;
const LOGIN_PAGE: &str = "<html>please sign in</html>";

#[tokio::test]
async fn connections() {
    expect_all(vec![
        fault("healthy", healthy).is(Decision::Go, &[]),
        fault("healthy, with tokens for everyone", with_tokens(healthy)).is(Decision::Go, &[]),
        fault("healthy, with tokens for the pod's user", with_tokens(healthy)).login().is(Decision::Go, &[]),
        fault("connection refused", healthy)
            .scene(|scene| scene.host = Some(nowhere()))
            .unknown("unreachable"),
        fault("connection refused, and the registry is required", healthy)
            .scene(|scene| {
                scene.host = Some(nowhere());
                scene.entry["required"] = true.into();
            })
            .fails("unreachable"),
        fault("a name that does not resolve", healthy)
            .scene(|scene| scene.host = Some("registry.invalid".to_owned()))
            .unknown("name-resolution"),
        fault("silent at /v2/", but("/v2/", |_| plain(IS_SILENT, ""))).hasty().unknown("unreachable"),
        fault("silent at the manifest", but(MANIFEST, |_| plain(IS_SILENT, "")))
            .hasty()
            .unknown("unreachable"),
        fault("hangs up at /v2/", but("/v2/", |_| plain(HANGS_UP, ""))).unknown("unreachable"),
        fault("hangs up at the manifest, always", but(MANIFEST, |_| plain(HANGS_UP, "")))
            .unknown("unreachable")
            .asked("GET /v2/shop/web/manifests/1", 3),
        fault("hangs up at the manifest, once", but_once(MANIFEST, |_| plain(HANGS_UP, "")))
            .is(Decision::Go, &[])
            .asked("GET /v2/shop/web/manifests/1", 2),
        fault("does not speak HTTP", |_| plain(NO_STATUS, "")).unknown("not-a-registry"),
    ])
    .await;
}

#[tokio::test]
async fn nothing_passes_of_a_registry_that_does_not_answer() {
    let report = ask(&nowhere(), &Scene::default()).await;
    let passed = report.checks[0].rules.iter().filter(|rule| matches!(rule.outcome, Outcome::Passed { .. }));
    let passed: Vec<&str> = passed.map(|rule| rule.rule.as_str()).collect();
    assert_eq!(passed, ["registry-health/image-reference"]);
}

#[tokio::test]
async fn what_is_no_registry() {
    let html = |code| with_header(code, "content-type: text/html", LOGIN_PAGE);
    expect_all(vec![
        fault("a login page at /v2/", move |_| html(200)).unknown("not-a-registry"),
        fault("a login page at the manifest", but(MANIFEST, move |_| html(200))).unknown("server-error"),
        fault("a page that is not there", move |_| html(404)).unknown("not-a-registry"),
        fault("404 in no registry's words", |_| plain(404, "no such page")).unknown("not-a-registry"),
        fault("404 in JSON that no registry says", |_| plain(404, r#"{"detail": "Not Found"}"#))
            .unknown("not-a-registry"),
        fault("403 in no registry's words", |_| plain(403, "go away")).unknown("pull-permission"),
        fault("a redirect at /v2/", |asked| {
            with_header(302, &format!("location: http://{}/login", asked.host), "")
        })
        .unknown("not-a-registry"),
        fault("200 to whatever is asked", |_| plain(200, "fine")).unknown("server-error"),
        fault("200 and nothing to whatever is asked", |_| plain(200, "")).unknown("server-error"),
    ])
    .await;
}

#[tokio::test]
async fn challenges() {
    let mut faults = Vec::new();
    for (name, text) in [
        ("401 with an unknown scheme", "Negotiate"),
        ("401 with a challenge that cannot be read", "Bearer realm="),
        ("401 with a realm that is no URL", "Bearer realm=\"::\""),
        ("401 with a realm of another scheme", "Bearer realm=\"ftp://127.0.0.1/token\""),
        ("401 with a relative realm", "Bearer realm=\"/token\""),
    ] {
        let text = text.to_owned();
        faults.push(fault(name, move |asked| challenge(asked, &text)).login().unknown("auth-challenge"));
    }
    faults.push(fault("401 without a challenge", |_| says(401, "UNAUTHORIZED")).unknown("auth-challenge"));
    faults.push(
        fault("401 without a challenge, at the manifest", but(MANIFEST, |_| says(401, "UNAUTHORIZED")))
            .login()
            .unknown("auth-challenge"),
    );
    faults.push(
        fault("a password is asked for, and there is none", |asked| challenge(asked, "Basic realm=\"r\""))
            .unknown("pull-permission"),
    );
    faults.push(
        fault("a password is asked for, and it is none", |asked| challenge(asked, "Basic realm=\"r\""))
            .login()
            .fails("pull-permission"),
    );
    faults.push(
        fault("a password is asked for, and nodes have none", |asked| challenge(asked, "Basic realm=\"r\""))
            .scene(|scene| scene.entry["node_credentials"] = "none".into())
            .fails("pull-permission"),
    );
    expect_all(faults).await;
}

#[tokio::test]
async fn token_services() {
    let refusing = nowhere();
    let realm = format!("Bearer realm=\"http://{refusing}/token\"");
    let not_found = || with_token_service(|_| plain(404, "no such page"));
    expect_all(vec![
        fault("token service: connection refused", move |asked| challenge(asked, &realm))
            .unknown("token-service"),
        fault("token service: 500", with_token_service(|_| plain(500, ""))).unknown("token-service"),
        fault("token service: 404", not_found()).unknown("token-service"),
        fault("token service: 404, to a user", not_found()).login().unknown("token-service"),
        fault("token service: 429", with_token_service(|_| with_header(429, "retry-after: 600", "")))
            .unknown("token-service"),
        fault("token service: silent", with_token_service(|_| plain(IS_SILENT, "")))
            .hasty()
            .unknown("token-service"),
        fault("token service: no token", with_token_service(|_| plain(200, "{}"))).unknown("token-service"),
        fault("token service: an empty token", with_token_service(|_| plain(200, r#"{"token": ""}"#)))
            .unknown("token-service"),
        fault(
            "token service: a token over two lines",
            with_token_service(|_| plain(200, r#"{"token": "a\r\nb"}"#)),
        )
        .unknown("token-service"),
        fault("token service: a web page", with_token_service(|_| plain(200, LOGIN_PAGE)))
            .unknown("token-service"),
        fault("token service: a redirect", with_token_service(|_| with_header(302, "location: /login", "")))
            .unknown("token-service"),
        fault("token service: 401 to nobody", with_token_service(|_| plain(401, "")))
            .unknown("pull-permission"),
        fault("token service: 401 to a user", with_token_service(|_| plain(401, "")))
            .login()
            .fails("pull-permission"),
        fault("token service: 403 to a user", with_token_service(|_| plain(403, "")))
            .login()
            .fails("pull-permission"),
        fault("the token is not enough: 403", with_tokens(but(MANIFEST, |_| says(403, "DENIED"))))
            .login()
            .fails("pull-permission"),
        fault(
            "the token is not enough: 401",
            with_token_service(|_| plain(200, r#"{"token": "of-nobody"}"#)),
        )
        .login()
        .fails("pull-permission"),
        fault("the token is not enough, to nobody", with_tokens(but(MANIFEST, |_| says(403, "DENIED"))))
            .unknown("pull-permission"),
    ])
    .await;
}

#[tokio::test]
async fn limits_and_errors() {
    let asked = "GET /v2/shop/web/manifests/1";
    let limit = |wait: u32| move |_: &_| with_header(429, &format!("retry-after: {wait}"), "");
    expect_all(vec![
        fault("429 for longer than can be waited for", but(MANIFEST, limit(3600)))
            .unknown("throttled")
            .asked(asked, 1),
        fault("429 at /v2/", but("/v2/", limit(3600))).unknown("throttled").asked(asked, 0),
        fault("429 for longer than the run", but(MANIFEST, limit(9)))
            .hasty()
            .unknown("throttled")
            .asked(asked, 1),
        fault("429 once", but_once(MANIFEST, limit(0))).is(Decision::Go, &[]).asked(asked, 2),
        fault("429 always", but(MANIFEST, limit(0))).unknown("throttled").asked(asked, 3),
        fault("500 always", but(MANIFEST, |_| plain(500, ""))).unknown("server-error").asked(asked, 3),
        fault("500 once", but_once(MANIFEST, |_| plain(500, ""))).is(Decision::Go, &[]).asked(asked, 2),
        fault("503 at /v2/", but("/v2/", |_| plain(503, ""))).unknown("server-error").asked(asked, 0),
        fault("500 at /v2/, once", but_once("/v2/", |_| plain(500, ""))).is(Decision::Go, &[]),
        fault("a status that is not known", but(MANIFEST, |_| plain(418, ""))).unknown("server-error"),
        fault("204", but(MANIFEST, |_| plain(204, ""))).unknown("server-error"),
    ])
    .await;
}
