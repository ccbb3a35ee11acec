//! An API server that misbehaves: each fault, and what is made of it. None of them may be told as go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use preflight_core::cluster::Read;
use preflight_core::{
    CheckResult, Context, Decision, Descriptor, Environments, Manifests, Outcome, Phase, Plugin, Preflight,
    Report, Undecided,
};
use serde_json::json;

use support::{Answer, ApiServer, HANGS_UP, ok, status, told};

type Handler = Arc<dyn Fn(&str, &str) -> Answer + Send + Sync>;

async fn start(handler: Handler) -> ApiServer {
    ApiServer::start(Arc::new(move |asked| handler(&asked.method, &asked.path))).await
}

/// What a healthy API server answers to a release of one ConfigMap.
fn healthy(method: &str, path: &str) -> Answer {
    match (method, path) {
        (_, "/version") => ok(&json!({"gitVersion": "v1.36.3"})),
        (_, "/readyz?verbose=") => {
            (200, String::new(), "[+]ping ok\n[+]etcd ok\nreadyz check passed\n".to_owned())
        }
        (_, "/api") => ok(&json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [
            {"version": "v1", "freshness": "Current", "resources": [
                {"resource": "configmaps", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced"}]}]}]})),
        (_, "/apis") => ok(&json!({"kind": "APIGroupDiscoveryList", "items": []})),
        (_, "/api/v1/namespaces/shop") => {
            ok(&json!({"metadata": {"name": "shop"}, "status": {"phase": "Active"}}))
        }
        (_, "/api/v1/namespaces/kube-system") => {
            ok(&json!({"metadata": {"name": "kube-system", "uid": "uid-1"}}))
        }
        (_, "/api/v1/namespaces/shop/configmaps/a") => status(404, "configmaps \"a\" not found"),
        ("POST", path) if path.ends_with("/selfsubjectreviews") => {
            ok(&json!({"status": {"userInfo": {"username": "jane"}}}))
        }
        ("POST", _) => ok(&json!({"status": {"allowed": true}})),
        _ => status(404, "not found"),
    }
}

/// The healthy server, but for what is below one path. `/apis` is that path alone.
fn but(fault_at: &'static str, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Handler {
    let hits = move |path: &str| path == fault_at || (fault_at != "/apis" && path.starts_with(fault_at));
    Arc::new(move |method, path| if hits(path) { answer() } else { healthy(method, path) })
}

const MANIFESTS: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}";

async fn ask(server: &ApiServer, environment: &str) -> Report {
    ask_of(server, environment, "cluster-connectivity", MANIFESTS).await
}

async fn ask_of(server: &ApiServer, environment: &str, check: &str, manifests: &str) -> Report {
    let environments = Environments::parse("e.yaml", &format!("environments: {{e: {environment}}}")).unwrap();
    Preflight::new(server.cluster())
        .environment(environments.get("e").unwrap())
        .manifests(Manifests::parse("a.yaml", manifests).unwrap())
        .plugins(preflight_plugins::builtin())
        .only([check.to_owned()])
        .start()
        .unwrap()
        .finish()
        .await
}

/// Asks a server with that fault, and expects that decision and those outcomes, and no others but skipped ones.
async fn expect(
    handler: Handler,
    decision: Decision,
    outcomes: &[(&str, &'static str)],
) -> (Report, ApiServer) {
    let server = start(handler).await;
    let report = ask(&server, "{}").await;
    let told = told(&report);
    let seen: BTreeMap<_, _> =
        told.iter().filter(|(_, outcome)| **outcome != "skipped").map(|(r, o)| (r.as_str(), *o)).collect();
    assert_eq!(seen, outcomes.iter().copied().collect(), "{}", report.verdict.headline);
    assert_eq!(report.verdict.decision, decision, "{}", report.verdict.headline);
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("token-canary"));
    (report, server)
}

#[tokio::test]
async fn a_healthy_server_is_go_and_is_asked_each_thing_once() {
    let (_, server) = expect(Arc::new(healthy), Decision::Go, &[]).await;
    for question in
        ["GET /version", "GET /api", "GET /apis", "GET /readyz?verbose=", "GET /api/v1/namespaces/shop"]
    {
        assert_eq!(server.asked(question), 1, "{question}");
    }
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_one_failure() {
    let handler: Handler = Arc::new(|_, _| status(401, "Unauthorized"));
    let (report, server) = expect(handler, Decision::NoGo, &[("credentials-rejected", "failed")]).await;
    assert!(report.verdict.headline.contains("does not accept the credentials"));
    assert_eq!(server.asked("GET /api"), 0, "nothing else is asked");
}

#[tokio::test]
async fn what_is_not_kubernetes_is_told_as_that() {
    for answer in [(200, "<html>hello</html>"), (404, "nothing here"), (302, "")] {
        let handler: Handler = Arc::new(move |_, _| (answer.0, String::new(), answer.1.to_owned()));
        expect(handler, Decision::NoGo, &[("http-error", "failed")]).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_which_part() {
    let handler =
        but("/readyz", || (500, String::new(), "[+]ping ok\n[-]etcd failed: reason withheld\n".to_owned()));
    let (report, _) = expect(handler, Decision::NoGo, &[("not-ready", "failed")]).await;
    assert!(report.verdict.headline.contains("etcd") && report.verdict.worth_a_retry);
}

#[tokio::test]
async fn readiness_that_may_not_be_asked_is_unknown() {
    expect(but("/readyz", || status(403, "forbidden")), Decision::Unknown, &[("not-ready", "unknown")]).await;
}

#[tokio::test]
async fn a_cut_body_is_unknown() {
    let cut = || (200, "content-length: 500\r\n".to_owned(), "{\"kind\": \"APIGroupDi".to_owned());
    let (report, _) =
        expect(but("/apis", cut), Decision::Unknown, &OF_RELEASE.map(|rule| (rule, "unknown"))).await;
    assert!(report.checks[0].message.contains("cut short"), "{}", report.checks[0].message);
}

/// The rules that cannot be decided without discovery.
const OF_RELEASE: [&str; 10] = [
    "already-exists",
    "api-deprecated",
    "api-group-unavailable",
    "api-removed",
    "crd-in-release",
    "kind-not-served",
    "namespace-missing",
    "namespace-terminating",
    "permission-missing",
    "role-escalation",
];

#[tokio::test]
async fn a_connection_that_is_lost_on_the_way_is_unknown_and_no_cause() {
    let handler = but("/apis", || (HANGS_UP, String::new(), String::new()));
    expect(handler, Decision::Unknown, &OF_RELEASE.map(|rule| (rule, "unknown"))).await;
}

#[tokio::test]
async fn garbage_in_place_of_discovery_is_unknown() {
    let handler = but("/apis", || (200, String::new(), "{]".to_owned()));
    expect(handler, Decision::Unknown, &OF_RELEASE.map(|rule| (rule, "unknown"))).await;
}

#[tokio::test]
async fn a_stale_group_is_told_where_the_release_needs_it() {
    let stale = || {
        ok(&json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [
            {"version": "v1", "freshness": "Stale", "resources": [
                {"resource": "configmaps", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced"}]}]}]}))
    };
    let handler: Handler =
        Arc::new(move |method, path| if path == "/api" { stale() } else { healthy(method, path) });
    expect(handler, Decision::NoGo, &[("api-group-unavailable", "failed")]).await;
}

#[tokio::test]
async fn a_server_without_aggregated_discovery_is_asked_group_by_group() {
    let handler: Handler = Arc::new(|method, path| match path {
        "/api" => ok(&json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => ok(
            &json!({"kind": "APIGroupList", "groups": [{"name": "broken.io", "versions": [{"version": "v1"}]}]}),
        ),
        "/api/v1" => ok(&json!({"kind": "APIResourceList", "resources": [
            {"name": "configmaps", "kind": "ConfigMap", "namespaced": true, "verbs": []}]})),
        "/apis/broken.io/v1" => status(503, "the server is currently unable to handle the request"),
        _ => healthy(method, path),
    });
    expect(handler, Decision::Go, &[]).await;
}

#[tokio::test]
async fn a_transient_failure_is_asked_again() {
    let failed = Arc::new(Mutex::new(0));
    let handler: Handler = Arc::new(move |method, path| {
        let mut failed = failed.lock().unwrap();
        if path == "/api/v1/namespaces/shop" && *failed < 2 {
            *failed += 1;
            return (429, "retry-after: 0\r\n".to_owned(), String::new());
        }
        healthy(method, path)
    });
    let (_, server) = expect(handler, Decision::Go, &[]).await;
    assert_eq!(server.asked("GET /api/v1/namespaces/shop"), 3);
}

#[tokio::test]
async fn a_failure_that_lasts_is_unknown() {
    let handler = but("/api/v1/namespaces/shop/configmaps", || status(500, "etcdserver: no leader"));
    let (report, _) = expect(handler, Decision::Go, &[]).await;
    // The live object is not known, and everything that either action takes is allowed: that is known to land.
    assert_eq!(report.checks[0].details["actions"], json!({"unknown": 1}));
    let namespace = but("/api/v1/namespaces/shop", || status(500, "etcdserver: no leader"));
    let unknown = [("namespace-missing", "unknown"), ("namespace-terminating", "unknown")];
    expect(namespace, Decision::Unknown, &unknown).await;
}

#[tokio::test]
async fn what_may_not_be_looked_at_is_not_taken_for_absent() {
    let handler: Handler = Arc::new(|method, path| match path {
        "/api/v1/namespaces/shop" => status(403, "namespaces \"shop\" is forbidden"),
        _ => healthy(method, path),
    });
    let unknown = [("namespace-missing", "unknown"), ("namespace-terminating", "unknown")];
    expect(handler, Decision::Unknown, &unknown).await;
    let object = but("/api/v1/namespaces/shop/configmaps", || status(403, "forbidden"));
    let (report, _) = expect(object, Decision::Go, &[]).await;
    assert_eq!(report.checks[0].details["actions"], json!({"unknown": 1}));
}

#[derive(serde::Deserialize)]
struct Pod {}
preflight_core::view!(Pod: namespaced "" "v1" "pods" "Pod");

preflight_core::rules! { plugin "pods";
    /// There are pods.
    ///
    /// A rule for the tests of lists.
    THERE = "there", harm;
}

struct Pods;

#[preflight_core::async_trait]
impl Plugin for Pods {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("pods", Phase::Resources, RULES).reads(Read::list::<Pod>())
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let mut there = check.rule(&THERE);
        context.cluster().await?.list::<Pod>().await?.iter().for_each(|_| there.examined());
        there.conclude("pods");
        Ok(check.finish())
    }
}

/// What came of listing two pages, of which the second is answered so; each time that it is asked.
async fn second_page(answers: Vec<Answer>) -> Outcome {
    let answers = Mutex::new(answers.into_iter());
    let page = |cont: &str, names: [&str; 2]| {
        let items: Vec<_> =
            names.iter().map(|name| json!({"metadata": {"name": name, "namespace": "shop"}})).collect();
        json!({"kind": "PodList", "metadata": {"continue": cont}, "items": items})
    };
    let handler: Handler = Arc::new(move |method, path| match path {
        "/api/v1/pods?limit=500" => ok(&page("two", ["a", "b"])),
        "/api/v1/pods?limit=500&continue=two" => {
            let faulty = answers.lock().unwrap().next();
            faulty.unwrap_or_else(|| ok(&page("", ["c", "d"])))
        }
        _ => healthy(method, path),
    });
    let server = start(handler).await;
    let run = Preflight::new(server.cluster()).plugin(Pods).start().unwrap();
    run.finish().await.checks[0].rules[0].outcome.clone()
}

#[tokio::test]
async fn a_list_that_fails_half_way_is_unknown() {
    assert!(matches!(second_page(Vec::new()).await, Outcome::Passed { evidence } if evidence == "4 pods"));
    for fault in [status(403, "forbidden"), (200, String::new(), "{\"items\": [".to_owned())] {
        assert!(matches!(second_page(vec![fault]).await, Outcome::Unknown { .. }));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_unknown_and_null_is_an_empty_one() {
    assert!(matches!(second_page(vec![ok(&json!({"kind": "PodList"}))]).await, Outcome::Unknown { .. }));
    let null = ok(&json!({"kind": "PodList", "items": null}));
    assert!(matches!(second_page(vec![null]).await, Outcome::Passed { evidence } if evidence == "2 pods"));
}

#[tokio::test]
async fn a_list_that_changed_under_the_reading_is_begun_anew() {
    let gone = || status(410, "the continue token has expired");
    assert!(matches!(second_page(vec![gone()]).await, Outcome::Passed { evidence } if evidence == "4 pods"));
    let always = std::iter::repeat_with(gone).take(20).collect();
    assert!(matches!(second_page(always).await, Outcome::Unknown { .. }));
}

#[tokio::test]
async fn reviews_that_fail_are_unknown_and_no_leave() {
    let fails = || status(500, "boom");
    let handler = but("/apis/authorization.k8s.io", fails);
    expect(handler, Decision::Unknown, &[("permission-missing", "unknown")]).await;
    let empty = but("/apis/authorization.k8s.io", || ok(&json!({"kind": "SelfSubjectAccessReview"})));
    expect(empty, Decision::Unknown, &[("permission-missing", "unknown")]).await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_a_warning() {
    let old = || {
        (
            200,
            "date: Tue, 24 Nov 2020 10:00:00 GMT\r\n".to_owned(),
            json!({"gitVersion": "v1.36.3"}).to_string(),
        )
    };
    expect(but("/version", old), Decision::Go, &[("clock-skew", "warning")]).await;
}

#[tokio::test]
async fn a_version_that_is_not_known_is_a_warning() {
    for version in ["v1.20.1", "v1.99.0", "devel"] {
        let handler = but("/version", move || ok(&json!({"gitVersion": version})));
        expect(handler, Decision::Go, &[("version-unsupported", "warning")]).await;
    }
}

#[tokio::test]
async fn another_cluster_than_the_pinned_one_is_refused_before_anything_is_asked() {
    let server = start(Arc::new(healthy)).await;
    let report = ask(&server, "{cluster_uid: uid-2}").await;
    assert_eq!(told(&report)["wrong-cluster"], "failed");
    assert!(preflight_core::report::wrong_cluster(&report).unwrap().contains("uid-1, not uid-2"));
    assert_eq!(server.asked("GET /api"), 0);
    assert_eq!(ask(&server, "{cluster_uid: uid-1}").await.verdict.decision, Decision::Go);
}

/// An API server that lists schemas with a hash, and what it answers to that.
async fn with_schemas(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Report, ApiServer) {
    let text = json!({"type": "string"});
    let anything = json!({"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.runtime.RawExtension"});
    let schemas = json!({"components": {"schemas": {
        "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
        "io.k8s.api.core.v1.ConfigMap": {
            "type": "object", "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "ConfigMap"}],
            "properties": {"apiVersion": text, "kind": text, "metadata": anything,
                           "data": {"type": "object", "additionalProperties": text}}}}}});
    let handler: Handler = Arc::new(move |method, path| match path {
        "/openapi/v3" => {
            ok(&json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=AB"}}}))
        }
        "/openapi/v3/api/v1?hash=AB" => answer(),
        "/openapi/v3/api/v1" => ok(&schemas),
        "/api/v1/namespaces/shop/configmaps/b" => status(404, "configmaps \"b\" not found"),
        _ => healthy(method, path),
    });
    let server = start(handler).await;
    let two = format!("{MANIFESTS}\n---\n{}", MANIFESTS.replace("name: a", "name: b"));
    let report = ask_of(&server, "{admission: {dry_run: never}}", "admission", &two).await;
    (report, server)
}

#[tokio::test]
async fn schemas_are_asked_for_once_and_again_where_they_have_changed() {
    let moved = || (301, "location: /openapi/v3/api/v1?hash=CD\r\n".to_owned(), String::new());
    let (report, server) = with_schemas(moved).await;
    assert_eq!(report.verdict.decision, Decision::Go, "{}", report.verdict.headline);
    let documents = ["/openapi/v3", "/openapi/v3/api/v1?hash=AB", "/openapi/v3/api/v1"];
    assert_eq!(documents.map(|path| server.asked(&format!("GET {path}"))), [1, 1, 1]);
}

#[tokio::test]
async fn schemas_that_cannot_be_read_are_unknown() {
    for fault in [
        (200, String::new(), String::new()),
        ok(&json!({"components": {"schemas": {}}})),
        status(503, "service unavailable"),
    ] {
        let (report, _) = with_schemas(move || fault.clone()).await;
        assert_eq!(report.verdict.decision, Decision::Unknown);
        let told = told(&report);
        assert_eq!((told["field-unknown"], told["field-type"]), ("unknown", "unknown"));
    }
}
