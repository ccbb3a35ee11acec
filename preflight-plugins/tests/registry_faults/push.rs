//! Faults of pushing: an upload is started and given up.

use std::sync::Arc;

use preflight_core::Decision;
use serde_json::json;

use crate::support::{Answer, Asked, Server};
use crate::world::{
    Fault, Scene, ask, challenge, elsewhere, expect_all, fault, healthy, plain, says, told, with_header,
    with_tokens,
};

const BEGIN: &str = "POST /v2/shop/web/blobs/uploads/";
const UPLOAD: &str = "/v2/shop/web/blobs/uploads/one";

/// A registry that answers so to whoever begins an upload.
fn begins(name: &'static str, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fault {
    pushing(name, move |asked| if asked.method == "POST" { answer(asked) } else { healthy(asked) })
}

fn pushing(name: &'static str, handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fault {
    fault(name, handler).scene(|scene| scene.entry["push"] = json!(["shop/web"])).asked(BEGIN, 1)
}

/// A registry that begins an upload, and answers so to cancelling it and to looking for it afterwards.
fn cancels(
    name: &'static str,
    deleted: impl Fn() -> Answer + Send + Sync + 'static,
    looked: impl Fn() -> Answer + Send + Sync + 'static,
) -> Fault {
    pushing(name, move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", _) => with_header(202, &format!("location: {UPLOAD}"), ""),
        ("DELETE", UPLOAD) => deleted(),
        ("GET", UPLOAD) => looked(),
        _ => healthy(asked),
    })
    .asked("DELETE /v2/shop/web/blobs/uploads/one", 1)
}

#[tokio::test]
async fn uploads_that_are_not_begun() {
    let words = |code: u16, text: &str| {
        let body = json!({"errors": [{"code": "UNKNOWN", "message": text}]}).to_string();
        move |_: &Asked| plain(code, &body)
    };
    let unknown = [("push-permission", "unknown"), ("push-storage", "unknown"), ("upload-left", "unknown")];
    let harbor = "adding 10.0 MiB of storage resource, which when updated to current usage of 95.0 MiB \
                  will exceed the configured upper limit of 100.0 MiB.";
    expect_all(vec![
        begins("push: 405", |_| says(405, "UNSUPPORTED")).fails("push-storage"),
        begins("push: 503 read-only", words(503, "registry is in read-only mode")).fails("push-storage"),
        begins("push: 507", |_| plain(507, "")).fails("push-storage"),
        begins("push: 500 disk full", words(500, "write /var/lib: no space left on device"))
            .fails("push-storage"),
        begins("push: 403 quota", words(403, harbor)).fails("push-storage"),
        begins("push: 412 quota", words(412, "Quota exceeded when processing the request"))
            .fails("push-storage"),
        begins("push: 403", |_| says(403, "DENIED")).fails("push-permission"),
        begins("push: 401", |asked| challenge(asked, "Basic realm=\"r\"")).fails("push-permission"),
        begins("push: 404", |_| says(404, "NAME_UNKNOWN")).fails("push-permission"),
        begins("push: 500", |_| plain(500, "")).is(Decision::Unknown, &unknown),
        begins("push: 429", |_| with_header(429, "retry-after: 0", "")).is(Decision::Unknown, &unknown),
        begins("push: 201", |_| plain(201, "")).is(Decision::Unknown, &unknown),
        begins("push: 404 in no registry's words", |_| {
            with_header(404, "content-type: text/html", "<html>no such page</html>")
        })
        .is(Decision::Unknown, &unknown),
    ])
    .await;
}

#[tokio::test]
async fn uploads_that_are_begun() {
    let left = [("upload-left", "warning")];
    let gone = || says(404, "BLOB_UPLOAD_UNKNOWN");
    let there = || plain(204, "");
    expect_all(vec![
        cancels("push: 204 and gone", || plain(204, ""), gone).is(Decision::Go, &[]),
        cancels("push: 204 and still there", || plain(204, ""), there).is(Decision::Go, &left),
        cancels("push: 404 to cancelling", gone, there).is(Decision::Go, &left),
        cancels("push: 405 to cancelling", || plain(405, ""), there).is(Decision::Go, &left),
        cancels("push: 500 to cancelling", || plain(501, ""), there).is(Decision::Go, &left),
        begins("push: 202 without a place", |_| plain(202, "")).is(Decision::Go, &left),
        begins("push: 202 with a place that is none", |_| with_header(202, "location: ftp://x/", ""))
            .is(Decision::Go, &left),
    ])
    .await;
}

#[tokio::test]
async fn an_upload_on_another_host_is_sent_no_credentials() {
    let (store, host) = elsewhere(plain(204, "")).await;
    let registry = Server::start(Arc::new(with_tokens(move |asked| match asked.method.as_str() {
        "POST" => with_header(202, &format!("location: http://{host}/upload?signature=canary"), ""),
        _ => healthy(asked),
    })))
    .await;
    let scene =
        Scene { entry: json!({"plain_http": true, "push": ["shop/web"]}), login: true, ..Scene::default() };
    let report = ask(&registry.address.to_string(), &scene).await;
    assert_eq!(
        (report.verdict.decision, told(&report)),
        (Decision::Go, [("upload-left".to_owned(), "warning")].into())
    );
    assert!(!serde_json::to_string(&report).unwrap().contains("canary"));
    assert!(registry.log().iter().any(|asked| asked.method == "POST" && asked.authorization.is_some()));
    assert!(store.log().iter().all(|asked| asked.authorization.is_none()), "{:?}", store.log());
}
