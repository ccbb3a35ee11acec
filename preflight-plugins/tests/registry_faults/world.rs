//! A healthy registry and a healthy cluster, what is done to them, and what is expected of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use preflight_core::{Decision, Environments, Manifests, Preflight, Report};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{self, Answer, ApiServer, Asked, Handler, Server, ok, status};

pub const USER: &str = "puller";
pub const PASSWORD: &str = "password-canary";
/// What the token service of the healthy registry issues.
pub const TOKEN: &str = "token-of-the-service-canary";

/// A fault, and what is expected of it.
pub struct Fault {
    name: &'static str,
    handler: Handler,
    scene: Scene,
    decision: Decision,
    outcomes: Vec<(&'static str, &'static str)>,
    /// How often a path must have been asked for.
    asked: Vec<(&'static str, usize)>,
}

/// What the release and the environment are like.
#[derive(Clone)]
pub struct Scene {
    /// The image without its registry.
    pub image: String,
    /// The pod has a pull secret.
    pub login: bool,
    /// The registry's entry in the environment.
    pub entry: Value,
    /// The most time that the run may take.
    pub timeout: Duration,
    /// The runtime of the node.
    pub runtime: &'static str,
    /// The rules that the environment lets stay unknown.
    pub accepted: &'static [&'static str],
    /// The registry's host, where it is not the server on the loopback.
    pub host: Option<String>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            image: "shop/web:1".to_owned(),
            login: false,
            entry: json!({"plain_http": true}),
            timeout: Duration::from_secs(60),
            runtime: "containerd://2.1.4",
            accepted: &[],
            host: None,
        }
    }
}

/// A registry that does this.
pub fn fault(name: &'static str, handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fault {
    Fault {
        name,
        handler: Arc::new(handler),
        scene: Scene::default(),
        decision: Decision::Go,
        outcomes: Vec::new(),
        asked: Vec::new(),
    }
}

impl Fault {
    pub fn scene(mut self, change: impl FnOnce(&mut Scene)) -> Self {
        change(&mut self.scene);
        self
    }

    /// The pod has a pull secret.
    pub fn login(self) -> Self {
        self.scene(|scene| scene.login = true)
    }

    /// The run has little time, but some.
    pub fn hasty(self) -> Self {
        self.scene(|scene| scene.timeout = Duration::from_secs(3))
    }

    pub fn is(mut self, decision: Decision, outcomes: &[(&'static str, &'static str)]) -> Self {
        self.decision = decision;
        self.outcomes = outcomes.to_vec();
        self
    }

    /// One thing is not known, and the decision neither.
    pub fn unknown(self, rule: &'static str) -> Self {
        self.is(Decision::Unknown, &[(rule, "unknown")])
    }

    /// One thing fails, and the release will not land.
    pub fn fails(self, rule: &'static str) -> Self {
        self.is(Decision::NoGo, &[(rule, "failed")])
    }

    pub fn asked(mut self, what: &'static str, times: usize) -> Self {
        self.asked.push((what, times));
        self
    }
}

/// Tries every fault, prints what came of it, and fails if anything is not as expected.
pub async fn expect_all(faults: Vec<Fault>) {
    let tried = faults.iter().map(|fault| async move {
        let server = Server::start(Arc::clone(&fault.handler)).await;
        let host = fault.scene.host.clone().unwrap_or_else(|| server.address.to_string());
        (fault, ask(&host, &fault.scene).await, server)
    });
    let mut wrong = Vec::new();
    for (fault, report, server) in join_all(tried).await {
        wrong.extend(judge(fault, &report, &server));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn judge(fault: &Fault, report: &Report, server: &Server) -> Vec<String> {
    let (seen, decision) = (told(report), report.verdict.decision);
    let expected: BTreeMap<String, _> =
        fault.outcomes.iter().map(|(rule, o)| ((*rule).to_owned(), *o)).collect();
    let words: Vec<String> = seen.iter().map(|(rule, outcome)| format!("{rule} {outcome}")).collect();
    println!("{:<66} {:<8} {}", fault.name, format!("{decision:?}"), words.join(", "));
    let mut wrong = Vec::new();
    if (decision, &seen) != (fault.decision, &expected) {
        let headline = &report.verdict.headline;
        wrong.push(format!(
            "{}: {decision:?} {seen:?}, not {:?} {expected:?}: {headline}",
            fault.name, fault.decision
        ));
    }
    for (what, times) in &fault.asked {
        if server.asked(what) != *times {
            wrong.push(format!("{}: {what} {} times, not {times}", fault.name, server.asked(what)));
        }
    }
    let text = serde_json::to_string(report).unwrap();
    if text.contains("canary") {
        wrong.push(format!("{}: a secret is told: {text}", fault.name));
    }
    wrong
}

/// The outcomes that are neither a pass nor skipped, by rule. Whatever keeps an image from being asked for
/// leaves `image-missing` unknown too: beside its cause it is not told.
pub fn told(report: &Report) -> BTreeMap<String, &'static str> {
    let mut told = support::told(report);
    told.retain(|_, outcome| *outcome != "skipped");
    if told.len() > 1 && told.get("image-missing") == Some(&"unknown") {
        told.remove("image-missing");
    }
    told
}

/// Asks about one pod.
pub async fn ask(host: &str, scene: &Scene) -> Report {
    let image = format!("{host}/{}", scene.image);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "web", "image": image}],
        },
    });
    let mut release = Vec::new();
    if scene.login {
        pod["spec"]["imagePullSecrets"] = json!([{"name": "pull"}]);
        release.push(pull_secret("pull", host));
    }
    release.push(pod);
    ask_about(host, scene, &release).await
}

pub fn pull_secret(name: &str, host: &str) -> Value {
    let config = json!({"auths": {host: {"username": USER, "password": PASSWORD}}});
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()},
    })
}

/// Asks about a release.
pub async fn ask_about(host: &str, scene: &Scene, release: &[Value]) -> Report {
    let runtime = scene.runtime;
    let api = ApiServer::start(Arc::new(move |asked| cluster(asked, runtime))).await;
    let accepted: BTreeMap<_, _> =
        scene.accepted.iter().map(|rule| (format!("registry-health/{rule}"), "warn")).collect();
    let environment = json!({"environments": {"e": {
        "registries": {host: scene.entry}, "images": {"no_own_credentials": true}, "on_unknown": accepted,
    }}});
    let environments = Environments::parse("e.yaml", &environment.to_string()).unwrap();
    let text = release.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    Preflight::new(api.cluster())
        .environment(environments.get("e").unwrap())
        .manifests(Manifests::parse("a.yaml", &text).unwrap())
        .plugins(preflight_plugins::builtin())
        .only(["registry-health".to_owned()])
        .timeout(scene.timeout)
        .start()
        .unwrap()
        .finish()
        .await
}

/// A healthy cluster with one node, and nothing of the release in it.
fn cluster(asked: &Asked, runtime: &str) -> Answer {
    let resource = |name: &str, kind: &str| json!({"resource": name, "responseKind": {"kind": kind}, "scope": "Namespaced"});
    match asked.path.split('?').next().unwrap_or_default() {
        "/version" => ok(&json!({"gitVersion": "v1.36.3"})),
        "/api" => ok(&json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [
            {"version": "v1", "freshness": "Current",
             "resources": [resource("pods", "Pod"), resource("secrets", "Secret")]}]}]})),
        "/apis" => ok(&json!({"kind": "APIGroupDiscoveryList", "items": []})),
        "/api/v1/namespaces/shop" => {
            ok(&json!({"metadata": {"name": "shop"}, "status": {"phase": "Active"}}))
        }
        "/api/v1/namespaces/shop/serviceaccounts/default" => {
            ok(&json!({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}))
        }
        "/api/v1/nodes" => ok(&json!({"kind": "NodeList", "metadata": {}, "items": [node(runtime)]})),
        "/api/v1/nodes/one" => ok(&node(runtime)),
        _ => status(404, "not found"),
    }
}

fn node(runtime: &str) -> Value {
    let info = json!({
        "operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": runtime,
    });
    json!({"kind": "Node", "metadata": {"name": "one"}, "status": {"nodeInfo": info}})
}

pub fn digest_of(text: &str) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub fn config() -> String {
    json!({"os": "linux", "architecture": "amd64", "config": {"User": "1000"}}).to_string()
}

pub fn manifest() -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(&config())},
        "layers": [],
    })
    .to_string()
}

pub const MANIFEST: &str = "/v2/shop/web/manifests/1";

/// The path of the healthy image's configuration.
pub fn config_path() -> String {
    format!("/v2/shop/web/blobs/{}", digest_of(&config()))
}

/// What registries say when something is wrong.
pub fn says(code: u16, error: &str) -> Answer {
    (code, String::new(), json!({"errors": [{"code": error, "message": "so it is"}]}).to_string())
}

pub fn plain(code: u16, body: &str) -> Answer {
    (code, String::new(), body.to_owned())
}

pub fn with_header(code: u16, header: &str, body: &str) -> Answer {
    (code, format!("{header}\r\n"), body.to_owned())
}

/// A registry that holds one image, and gives it to everyone.
pub fn healthy(asked: &Asked) -> Answer {
    let digest = digest_of(&manifest());
    let path = asked.path.as_str();
    if path == "/v2/" {
        with_header(200, "docker-distribution-api-version: registry/2.0", "{}")
    } else if path == MANIFEST || path == format!("/v2/shop/web/manifests/{digest}") {
        with_header(200, &format!("docker-content-digest: {digest}"), &manifest())
    } else if path == config_path() {
        plain(200, &config())
    } else {
        says(404, "MANIFEST_UNKNOWN")
    }
}

/// The healthy registry, but for one path.
pub fn but(
    path: impl Into<String>,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let path = path.into();
    move |asked| if asked.path == path { answer(asked) } else { healthy(asked) }
}

/// The same, for the first time that it is asked for.
pub fn but_once(
    path: &'static str,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let times = AtomicUsize::new(0);
    move |asked| {
        let faulty = asked.path == path && times.fetch_add(1, Ordering::SeqCst) == 0;
        if faulty { answer(asked) } else { healthy(asked) }
    }
}

/// A registry that holds other contents: each under its digest, and the first one under the tag `1` too.
pub fn holding(contents: &[&String]) -> impl Fn(&Asked) -> Answer + Send + Sync + use<> {
    let contents: Vec<String> = contents.iter().map(|content| (*content).clone()).collect();
    move |asked| {
        let wanted = asked.path.rsplit('/').next().unwrap_or_default();
        let tagged = contents.first().filter(|_| asked.path == MANIFEST);
        match tagged.or_else(|| contents.iter().find(|content| digest_of(content) == wanted)) {
            Some(content) => plain(200, content),
            None => healthy(asked),
        }
    }
}

/// Asks for what a token service issues, before this.
pub fn with_tokens(
    inner: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    move |asked| match asked.authorization.as_deref() {
        _ if asked.path.starts_with("/token") => ok(&json!({"token": TOKEN})),
        Some(shown) if shown == format!("Bearer {TOKEN}") => inner(asked),
        _ => challenge(asked, &format!("Bearer realm=\"http://{}/token\",service=\"r\"", asked.host)),
    }
}

/// The same, with a token service that does this.
pub fn with_token_service(
    service: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    let inner = with_tokens(healthy);
    move |asked| if asked.path.starts_with("/token") { service(asked) } else { inner(asked) }
}

pub fn challenge(_: &Asked, challenge: &str) -> Answer {
    let (_, _, body) = says(401, "UNAUTHORIZED");
    with_header(401, &format!("www-authenticate: {challenge}"), &body)
}

/// An address where nothing listens.
pub fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A second server that gives this to everyone, and what it was shown.
pub async fn elsewhere(answer: Answer) -> (Server, String) {
    let server = Server::start(Arc::new(move |_: &Asked| answer.clone())).await;
    let host = server.address.to_string();
    (server, host)
}
