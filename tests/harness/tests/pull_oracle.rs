//! Whether a pod may pull an image: Preflight says the same as `skopeo` with the credentials that the kubelet would
//! choose, over real registries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the table is printed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use preflight_core::snapshot::Snapshot;
use preflight_core::{Cluster, Environments, Manifests, Outcome, Preflight, Report};
use preflight_harness::{Auth, Grant, Image, PlatformImage, Registry, RegistryOptions, Unavailable};
use serde_json::{Value, json};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let test = Trial::ignorable_test("preflight_says_what_skopeo_says", || {
        match skopeo_there().and_then(|()| Registries::start()) {
            Err(missing) => missing.into_result(),
            Ok(registries) => {
                same_as_skopeo(&registries);
                Ok(Completion::Completed)
            }
        }
    });
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

/// Something that the tests cannot do without.
struct Missing {
    why: String,
    is_failure: bool,
}

impl From<Unavailable> for Missing {
    fn from(unavailable: Unavailable) -> Self {
        Self { is_failure: unavailable.is_failure(), why: unavailable.reason }
    }
}

impl Missing {
    fn into_result(self) -> Result<Completion, Failed> {
        if self.is_failure { Err(self.why.into()) } else { Ok(Completion::ignored_with(self.why)) }
    }
}

fn skopeo_there() -> Result<(), Missing> {
    match Command::new("skopeo").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Missing {
            why: "skopeo is not installed".to_owned(),
            is_failure: std::env::var("PREFLIGHT_REQUIRE_ENVTEST").is_ok_and(|value| value == "1"),
        }),
    }
}

/// Real registries with the same images.
struct Registries {
    open: Registry,
    basic: Registry,
    token: Registry,
    tls: Registry,
    /// Digest of `team/app:1`, and of `team/app:multi`, in each.
    single: String,
    multi: String,
    folder: tempfile::TempDir,
}

impl Registries {
    fn start() -> Result<Self, Missing> {
        let basic = Auth::Basic(vec![account("puller"), account("other")]);
        let start = |auth: Auth, tls: bool| {
            Registry::start(&RegistryOptions { auth, tls, ..RegistryOptions::default() })
        };
        let open = start(Auth::None, false)?;
        let secured =
            [start(basic.clone(), false)?, start(Auth::Token(grants()), false)?, start(basic, true)?];
        let (mut single, mut multi) = (String::new(), String::new());
        for registry in std::iter::once(&open).chain(&secured) {
            let platform = |architecture: &str| PlatformImage::new("linux", architecture).user("1000");
            let put =
                |repository: &str, tag: &str, image: Image| registry.put(repository, tag, &image).unwrap();
            single = put("team/app", "1", Image::single(platform("amd64")));
            put("team/app", "docker", Image::single(platform("amd64")).docker());
            multi = put("team/app", "multi", Image::index([platform("amd64"), platform("arm64")]));
            put("team/app", "arm", Image::index([platform("arm64")]));
            for repository in ["open/app", "secret/app", "hub/library/nginx"] {
                put(repository, "1", Image::single(platform("amd64")));
            }
        }
        let [basic, token, tls] = secured;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("certs")).unwrap();
        std::fs::copy(tls.ca_pem().unwrap(), folder.path().join("certs/ca.crt")).unwrap();
        std::fs::write(folder.path().join("registries.conf"), "").unwrap();
        let location = format!("{}/hub", open.host());
        let moved =
            format!("[[registry]]\nprefix = \"docker.io\"\nlocation = \"{location}\"\ninsecure = true\n");
        std::fs::write(folder.path().join("hub.conf"), moved).unwrap();
        Ok(Self { open, basic, token, tls, single, multi, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn account(user: &str) -> (String, String) {
    (user.to_owned(), format!("{user}-password"))
}

fn grants() -> Vec<Grant> {
    let grant = |user: &str, repositories: &[&str]| Grant {
        user: user.to_owned(),
        password: if user.is_empty() { String::new() } else { account(user).1 },
        repositories: repositories.iter().map(|&name| name.to_owned()).collect(),
        push: false,
    };
    vec![grant("", &["open/app"]), grant("puller", &["team/app"]), grant("other", &["secret/app"])]
}

/// A user, and whether its password is the right one.
type Login = (&'static str, bool);

const PULLER: Login = ("puller", true);
const OTHER: Login = ("other", true);
const WRONG: Login = ("puller", false);
/// An entry that holds nothing, as `docker login` leaves it where a program keeps the credentials.
const EMPTY: Login = ("", true);

/// An image, and the credentials of a pod.
struct Pair<'a> {
    registry: &'a Registry,
    image: String,
    /// What skopeo is asked for in its place.
    of_skopeo: Option<String>,
    /// Entries of the pull secret: the key, and whose credentials it has.
    keys: Vec<(String, Login)>,
    /// What skopeo is given: the pull secret itself, or the one credential that the kubelet would choose, where skopeo
    /// would not choose it.
    skopeo: Shown,
    /// The certificate of the registry's authority is configured.
    ca: bool,
    /// `registries.conf` of the node.
    conf: &'static str,
    /// The platform counts too.
    platform: bool,
}

#[derive(Clone, Copy)]
enum Shown {
    Secret,
    One(Login),
}

fn pair<'a>(registry: &'a Registry, image: &str) -> Pair<'a> {
    Pair {
        registry,
        image: format!("{}/{image}", registry.host()),
        of_skopeo: None,
        keys: Vec::new(),
        skopeo: Shown::Secret,
        ca: true,
        conf: "registries.conf",
        platform: false,
    }
}

impl Pair<'_> {
    /// With a credential for the whole registry.
    fn login(self, login: Login) -> Self {
        let key = self.registry.host().to_owned();
        self.key(&key, login)
    }

    /// With a credential under a key.
    fn key(mut self, key: &str, login: Login) -> Self {
        self.keys.push((key.to_owned(), login));
        self
    }

    /// With a credential under a path of the registry.
    fn path(self, path: &str, login: Login) -> Self {
        let key = format!("{}/{path}", self.registry.host());
        self.key(&key, login)
    }

    fn chosen(self, login: Login) -> Self {
        Self { skopeo: Shown::One(login), ..self }
    }

    fn without_ca(self) -> Self {
        Self { ca: false, ..self }
    }

    fn platform(self) -> Self {
        Self { platform: true, ..self }
    }

    /// The text of the pull secret.
    fn config(&self) -> Value {
        let auths: serde_json::Map<_, _> =
            self.keys.iter().map(|(key, login)| (key.clone(), entry(*login))).collect();
        json!({"auths": auths})
    }
}

/// An entry of a file of `docker login`.
fn entry((user, right): Login) -> Value {
    use base64::Engine;
    if user.is_empty() {
        return json!({});
    }
    let password = if right { account(user).1 } else { "wrong".to_owned() };
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    json!({"auth": auth})
}

fn pairs(all: &Registries) -> Vec<Pair<'_>> {
    let Registries { open, basic, token, tls, single, multi, .. } = all;
    let absent = format!("sha256:{}", "0".repeat(64));
    let by_digest = |digest: &str| format!("team/app@{digest}");
    let port = basic.host().split_once(':').unwrap().1;
    let hub = |image: &str| Pair { image: image.to_owned(), conf: "hub.conf", ..pair(open, "") };
    let mut pairs = vec![
        // Everyone is served.
        pair(open, "team/app:1"),
        pair(open, "team/app:docker"),
        pair(open, &by_digest(single)),
        pair(open, &by_digest(&absent)),
        pair(open, "team/app:missing"),
        pair(open, "missing/app:1"),
        pair(open, "team/app:1").login(WRONG),
        pair(open, "team/app:multi"),
        pair(open, "team/app:multi").platform(),
        pair(open, "team/app:arm"),
        pair(open, "team/app:arm").platform(),
        pair(open, &by_digest(multi)).platform(),
        // A password is asked for.
        pair(basic, "team/app:1"),
        pair(basic, "team/app:1").login(PULLER),
        pair(basic, "team/app:1").login(WRONG),
        pair(basic, "team/app:1").login(("nobody", true)),
        pair(basic, "team/app:missing").login(PULLER),
        pair(basic, "missing/app:1").login(PULLER),
        pair(basic, &by_digest(single)).login(PULLER),
        pair(basic, &by_digest(&absent)).login(PULLER),
        pair(basic, "team/app:1").key("registry.example.com", PULLER),
        pair(basic, "team/app:1").path("team", PULLER),
        pair(basic, "team/app:1").path("team/app", PULLER),
        pair(basic, "team/app:1").path("secret", PULLER),
        pair(basic, "team/app:1").path("team", WRONG).login(PULLER).chosen(PULLER),
        pair(basic, "team/app:1").path("team", PULLER).login(WRONG),
        pair(basic, "team/app:1").key(&format!("*.0.0.1:{port}"), PULLER).chosen(PULLER),
        pair(basic, "team/app:1").key(&format!("127.0.0.[0-9]:{port}"), WRONG).chosen(WRONG),
        pair(basic, "team/app:1").key(&format!("https://127.0.0.1:{port}"), PULLER),
        pair(basic, "team/app:1").key(&format!("http://127.0.0.1:{port}/v2/"), PULLER).chosen(PULLER),
        pair(basic, "team/app:1").key("127.0.0.1", PULLER),
        // A token is asked for.
        pair(token, "open/app:1"),
        pair(token, "open/app:1").login(WRONG),
        pair(token, "open/app:1").login(EMPTY),
        pair(token, "team/app:1").login(EMPTY),
        pair(basic, "team/app:1").login(EMPTY),
        pair(token, "open/app:missing"),
        pair(token, "team/app:1"),
        pair(token, "team/app:1").login(PULLER),
        pair(token, "team/app:1").login(WRONG),
        pair(token, "team/app:1").login(OTHER),
        pair(token, "secret/app:1").login(PULLER),
        pair(token, "secret/app:1").login(OTHER),
        pair(token, "secret/app:1").login(PULLER).path("secret", OTHER),
        pair(token, "team/app:missing").login(PULLER),
        pair(token, "missing/app:1").login(PULLER),
        pair(token, &by_digest(single)).login(PULLER),
        pair(token, "team/app:multi").login(PULLER).platform(),
        pair(token, "team/app:arm").login(PULLER).platform(),
        // TLS with an authority of its own.
        pair(tls, "team/app:1"),
        pair(tls, "team/app:1").login(PULLER),
        pair(tls, "team/app:1").login(WRONG),
        pair(tls, "team/app:missing").login(PULLER),
        pair(tls, "team/app:1").login(PULLER).without_ca(),
        // Names that name no registry.
        hub("nginx:1"),
        hub("docker.io/library/nginx:1"),
        hub("index.docker.io/library/nginx:1"),
        hub("nginx:missing"),
        hub("team/app:1"),
    ];
    // skopeo takes no reference with a tag and a digest, of which runtimes take the digest.
    for digest in [single, &absent] {
        let of_skopeo = Some(pair(open, &by_digest(digest)).image);
        pairs.push(Pair { of_skopeo, ..pair(open, &format!("team/app:1@{digest}")) });
    }
    pairs
}

/// What came of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// It may be pulled, and has this digest.
    Passed(String),
    Failed,
    Unknown,
}

fn same_as_skopeo(all: &Registries) {
    let mut wrong = Vec::new();
    println!("{:<46} {:<52} {:<8} preflight", "image", "credentials", "skopeo");
    for (at, pair) in pairs(all).iter().enumerate() {
        let (skopeo, preflight) = (skopeo(all, pair, at), preflight(all, pair));
        let told = |said: &Said| match said {
            Said::Passed(_) => "passed",
            Said::Failed => "failed",
            Said::Unknown => "unknown",
        };
        let with = pair.keys.iter().map(|(key, (user, right))| {
            let user = if user.is_empty() { "nothing" } else { user };
            let which = if *right { "" } else { " (wrong)" };
            format!("{user}{which} for {}", shorten(all, key))
        });
        let mut with = with.collect::<Vec<_>>().join(", ");
        if with.is_empty() {
            with = "none".to_owned();
        }
        let image = shorten(all, &pair.image);
        println!("{image:<46} {with:<52} {:<8} {}", told(&skopeo), told(&preflight));
        if skopeo != preflight {
            wrong.push(format!("{image} with {with}: skopeo {skopeo:?}, preflight {preflight:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Hosts by what they ask for, and digests by their beginning.
fn shorten(all: &Registries, text: &str) -> String {
    let names = [(&all.open, "OPEN"), (&all.basic, "BASIC"), (&all.token, "TOKEN"), (&all.tls, "TLS")];
    let short =
        names.iter().fold(text.to_owned(), |text, (registry, name)| text.replace(registry.host(), name));
    match short.split_once("sha256:") {
        Some((before, digest)) => format!("{before}sha256:{}…", &digest[..7]),
        None => short,
    }
}

fn skopeo(all: &Registries, pair: &Pair<'_>, at: usize) -> Said {
    let authfile = all.path(&format!("auth-{at}.json"));
    let auths = match pair.skopeo {
        Shown::Secret => pair.config(),
        Shown::One(login) => json!({"auths": {pair.registry.host(): entry(login)}}),
    };
    std::fs::write(&authfile, auths.to_string()).unwrap();
    let mut arguments = vec!["--authfile".to_owned(), authfile.display().to_string()];
    match (pair.registry.ca_pem(), pair.ca) {
        (Some(_), true) => {
            arguments.extend(["--cert-dir".to_owned(), all.path("certs").display().to_string()])
        }
        (Some(_), false) => {}
        (None, _) => arguments.push("--tls-verify=false".to_owned()),
    }
    let image = pair.of_skopeo.as_ref().unwrap_or(&pair.image);
    let inspect = |more: &str| {
        run_skopeo(&all.path(pair.conf), image, &[arguments.as_slice(), &[more.to_owned()]].concat())
    };
    // With the platform it looks for the image's configuration, and finds none for another one.
    let of_platform = pair.platform.then(|| inspect("--no-tags"));
    if let Some(output) = of_platform.filter(|output| !output.status.success()) {
        return failure(&output);
    }
    let output = inspect("--raw");
    if output.status.success() { Said::Passed(digest_of(&output.stdout)) } else { failure(&output) }
}

fn run_skopeo(conf: &Path, image: &str, arguments: &[String]) -> Output {
    Command::new("skopeo")
        .args(["--override-arch", "amd64", "--override-os", "linux"])
        .arg("--registries-conf")
        .arg(conf)
        .arg("inspect")
        .args(arguments)
        .arg(format!("docker://{image}"))
        .env("HOME", conf.parent().unwrap())
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("DOCKER_CONFIG")
        .output()
        .unwrap()
}

/// A connection that fails says nothing of the image.
fn failure(output: &Output) -> Said {
    let words = String::from_utf8_lossy(&output.stderr);
    let of_connection = ["x509", "no such host", "connection refused", "HTTP response to HTTPS client"];
    if of_connection.iter().any(|sign| words.contains(sign)) { Said::Unknown } else { Said::Failed }
}

fn digest_of(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A cluster with one node, and nothing of the release in it.
const CLUSTER: &str = r#"
apiVersion: preflight.ameide.io/v1
kind: Snapshot
version: {gitVersion: v1.36.3}
lists: [/api/v1/nodes]
absent: [/api/v1/namespaces/shop/pods/app, /api/v1/namespaces/shop/secrets/pull]
---
apiVersion: apidiscovery.k8s.io/v2
kind: APIGroupDiscoveryList
items:
- metadata: {}
  versions:
  - version: v1
    freshness: Current
    resources:
    - {resource: pods, responseKind: {group: "", kind: Pod, version: v1}, scope: Namespaced}
    - {resource: secrets, responseKind: {group: "", kind: Secret, version: v1}, scope: Namespaced}
---
{apiVersion: apidiscovery.k8s.io/v2, kind: APIGroupDiscoveryList, items: [{metadata: {name: apps}, versions: []}]}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: shop}}
---
apiVersion: v1
kind: NodeList
items:
- metadata: {name: one}
  status: {nodeInfo: {operatingSystem: linux, architecture: amd64, containerRuntimeVersion: "containerd://2.1.4"}}
"#;

#[tokio::main(flavor = "current_thread")]
async fn ask(all: &Registries, pair: &Pair<'_>) -> Report {
    let mut entry = json!({"plain_http": pair.registry.ca_pem().is_none(), "node_credentials": "none"});
    if let Some(ca) = pair.registry.ca_pem().filter(|_| pair.ca) {
        entry["ca"] = json!(ca.display().to_string());
    }
    let environment = json!({"environments": {"e": {
        "registries": {pair.registry.host(): entry.clone(), "docker.io": {"node_credentials": "none"}},
        "images": {"no_own_credentials": true, "registries_conf": all.path(pair.conf).display().to_string()},
    }}});
    let metadata = |name: &str| json!({"name": name, "namespace": "shop"});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata("pull"), "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": pair.config().to_string()},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata("app"),
        "spec": {"imagePullSecrets": [{"name": "pull"}], "containers": [{"name": "app", "image": pair.image}]},
    });
    let environments = Environments::parse("e.yaml", &environment.to_string()).unwrap();
    Preflight::new(Cluster::from_snapshot(Snapshot::parse("cluster.yaml", CLUSTER).unwrap()))
        .environment(environments.get("e").unwrap())
        .manifests(Manifests::parse("a.yaml", &format!("{secret}\n---\n{pod}")).unwrap())
        .plugins(preflight_plugins::builtin())
        .only(["registry-health".to_owned()])
        .start()
        .unwrap()
        .finish()
        .await
}

fn preflight(all: &Registries, pair: &Pair<'_>) -> Said {
    let report = ask(all, pair);
    let check = report.check("registry-health").unwrap();
    let of = |name: &str| {
        let rule = check.rules.iter().find(|rule| rule.rule == format!("registry-health/{name}"));
        &rule.unwrap().outcome
    };
    let mut rules = vec![of("image-missing"), of("pull-permission")];
    if pair.platform {
        rules.push(of("platform"));
    }
    if rules.contains(&&Outcome::Failed) {
        return Said::Failed;
    }
    let digest = check.details.get("images").and_then(|images| images[&pair.image].as_str());
    match digest.filter(|_| rules.iter().all(|outcome| matches!(outcome, Outcome::Passed { .. }))) {
        Some(digest) => Said::Passed(digest.to_owned()),
        None => Said::Unknown,
    }
}
