//! Nothing secret is told: not on standard output, not on standard error, not in a file.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What every secret here holds. Its base64, wherever in a text it begins, holds one of the others.
const CANARIES: [&str; 4] = ["k4n4rienv0gel", "azRuNHJpZW52MGdlb", "s0bjRyaWVudjBnZW", "rNG40cmllbnYwZ2Vs"];

fn secret(of: &str) -> String {
    format!("{of}-{}", CANARIES[0])
}

type Answer = (u16, String, String);

/// A server on the loopback, and the heads of the requests that it got.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(handler: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&heads), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &*handler, &log));
            }
        });
        Self { address, heads }
    }

    /// Whether some request held this.
    fn was_shown(&self, text: &str) -> bool {
        self.heads.lock().unwrap().iter().any(|head| head.contains(text))
    }
}

fn serve(mut stream: TcpStream, handler: &dyn Fn(&str, &str) -> Answer, log: &Mutex<Vec<String>>) {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let head = loop {
        let Ok(n @ 1..) = stream.read(&mut buffer) else { return };
        read.extend_from_slice(&buffer[..n]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&read[..end]).into_owned();
        }
    };
    log.lock().unwrap().push(head.clone());
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let (code, headers, body) = handler(path, &head);
    let length = body.len();
    // The client may have gone.
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n{headers}\r\n{body}"
        )
        .as_bytes(),
    );
}

fn ok(value: &Value) -> Answer {
    (200, String::new(), value.to_string())
}

/// The value of the request's `Authorization`.
fn shown(head: &str) -> &str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut shown = lines.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    shown.next().map_or("nothing", |(_, value)| value)
}

/// A registry that refuses, and tells what it was shown.
fn registry(path: &str, head: &str) -> Answer {
    let words = json!({"errors": [{"code": "DENIED", "message": format!("no leave for {}", shown(head))}]});
    match path {
        "/v2/" => (401, "www-authenticate: Basic realm=\"r\"\r\n".to_owned(), words.to_string()),
        _ => (403, String::new(), words.to_string()),
    }
}

/// A registry whose token service refuses, and tells what it was shown.
fn with_tokens(path: &str, head: &str) -> Answer {
    let host = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let realm = format!("http://{}/token", host.map_or("", |(_, host)| host));
    let challenge = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"r\"\r\n");
    match path {
        "/v2/" => (401, challenge, String::new()),
        _ => registry(path, head),
    }
}

/// A cluster with one node, and Secrets to pull with.
fn api_server(path: &str, secrets: &[Value]) -> Answer {
    let resource = |name: &str, kind: &str| json!({"resource": name, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["get", "create"]});
    let node = json!({"kind": "Node", "metadata": {"name": "one"}, "status": {"nodeInfo": {
        "operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": "containerd://2.1.4"}}});
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "/version" => ok(&json!({"gitVersion": "v1.36.3"})),
        "/readyz" => (200, String::new(), "readyz check passed\n".to_owned()),
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
        "/api/v1/nodes" => ok(&json!({"kind": "NodeList", "metadata": {}, "items": [node]})),
        _ if path.contains("reviews") => {
            ok(&json!({"status": {"allowed": true, "userInfo": {"username": "jane"}}}))
        }
        _ => {
            let name = path.strip_prefix("/api/v1/namespaces/shop/secrets/");
            match name.and_then(|name| secrets.iter().find(|secret| secret["metadata"]["name"] == name)) {
                Some(secret) => ok(secret),
                None => {
                    (404, String::new(), json!({"kind": "Status", "code": 404, "message": "no"}).to_string())
                }
            }
        }
    }
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// Pull secrets for a host: good and broken, each with a canary, and one of another type.
fn pull_secrets(host: &str) -> Vec<Value> {
    let config = |entry: Value| json!({"auths": {host: entry}}).to_string();
    let login = format!("user:{}", secret("auth"));
    let json = "kubernetes.io/dockerconfigjson";
    [
        ("by-password", json, config(json!({"username": "user", "password": secret("password")}))),
        ("by-auth", json, config(json!({"auth": base64(&login)}))),
        ("not-json", json, format!("{{\"auths\": {}", secret("broken"))),
        ("not-a-map", json, json!({"auths": [secret("list")]}).to_string()),
        ("not-base64", json, config(json!({"auth": format!("{}!", secret("crooked"))}))),
        ("no-colon", json, config(json!({"auth": base64(&secret("colon"))}))),
        ("other-type", "Opaque", config(json!({"username": "user", "password": secret("type")}))),
    ]
    .into_iter()
    .map(|(name, kind, text)| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"},
            "type": kind, "data": {".dockerconfigjson": base64(&text)},
        })
    })
    .collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Every file below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { Self::files(&path) } else { vec![path] }).collect()
    }
}

struct Setting {
    folder: Folder,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Setting {
    /// A release against a cluster, with one image at each host.
    fn new(api: &str, login: &Value, hosts: &[String], secrets: &[Value]) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        let pod = |(at, (host, secret)): (usize, (&String, &Value))| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("web-{at}"), "namespace": "shop"},
                "spec": {
                    "imagePullSecrets": [{"name": secret["metadata"]["name"]}],
                    "containers": [{"name": "web", "image": format!("{host}/shop/web:1")}],
                },
            })
        };
        let all = hosts.iter().flat_map(|host| secrets.iter().map(move |secret| (host, secret)));
        let pods: Vec<String> = all.enumerate().map(|one| pod(one).to_string()).collect();
        let entries: serde_json::Map<_, _> = hosts
            .iter()
            .map(|host| (host.clone(), json!({"plain_http": true, "push": ["shop/web"]})))
            .collect();
        let images = json!({"read_pull_secrets": true, "credential_helpers": true});
        let environment = json!({"environments": {"e": {"registries": entries, "images": images}}});
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": api}}],
            "users": [{"name": "u", "user": login}],
            "contexts": [{"name": "fake", "context": {"cluster": "c", "user": "u"}}],
        });
        let arguments = vec![
            "-f".to_owned(),
            folder.write("release.yaml", &pods.join("\n---\n")),
            "-e".to_owned(),
            "e".to_owned(),
            "--config".to_owned(),
            folder.write("environments.yaml", &environment.to_string()),
            "--kubeconfig".to_owned(),
            folder.write("kubeconfig", &kubeconfig.to_string()),
        ];
        fs::create_dir(folder.path("told")).unwrap();
        Self { folder, arguments, variables: Vec::new() }
    }

    /// The release comes with these Secrets.
    fn with_secrets(self, secrets: &[Value]) -> Self {
        let mut text = fs::read_to_string(self.folder.path("release.yaml")).unwrap();
        for secret in secrets {
            text += &format!("\n---\n{secret}");
        }
        self.folder.write("release.yaml", &text);
        self
    }

    /// This machine's own credentials.
    fn docker_config(mut self, text: &str) -> Self {
        self.folder.write("docker/config.json", text);
        self.variables.push(("DOCKER_CONFIG", self.folder.path("docker").display().to_string()));
        self
    }

    fn variable(mut self, name: &'static str, value: String) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Runs Preflight in every way, and finds no canary in what it tells. Gives what it told in the end.
    fn tells_nothing(&self) -> String {
        let told = self.folder.path("told");
        let file = |name: &str| told.join(name).display().to_string();
        let mut everything = String::new();
        let to_file = |format: &str| format!("{format}={}", file(format));
        for format in ["terminal", "short", "json", "yaml"] {
            everything += &self.run(&[], &["-o", format, "-o", &to_file(format)]);
        }
        let snapshot = file("snapshot.yaml");
        everything += &self.run(&["snapshot"], &["-o", &snapshot]);
        everything += &self.run(&["rbac"], &["-f", &self.arguments[1]]);
        for path in Folder::files(&told) {
            everything += &fs::read_to_string(path).unwrap();
        }
        for line in everything.lines() {
            assert!(!CANARIES.iter().any(|canary| line.contains(canary)), "a secret is told: {line}");
        }
        everything
    }

    fn run(&self, command: &[&str], more: &[&str]) -> String {
        let fixed: &[String] = if command == ["rbac"] { &[] } else { &self.arguments };
        let mut process = Command::new(env!("CARGO_BIN_EXE_preflight"));
        process.args(command).args(fixed).args(more).arg("-vv");
        process.env("RUST_LOG", "trace").env("HOME", self.folder.path("home")).stdin(Stdio::null());
        for name in [
            "KUBECONFIG",
            "DOCKER_CONFIG",
            "REGISTRY_AUTH_FILE",
            "XDG_RUNTIME_DIR",
            "HTTPS_PROXY",
            "NO_PROXY",
        ] {
            process.env_remove(name);
        }
        let output = process.envs(self.variables.iter().cloned()).output().unwrap();
        format!("{}\n{}\n", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

fn token() -> Value {
    json!({"token": secret("token")})
}

#[test]
fn base64_hides_no_canary() {
    for before in ["", "a", "ab"] {
        let encoded = base64(&format!("{before}{}", CANARIES[0]));
        assert!(CANARIES[1..].iter().any(|canary| encoded.contains(canary)), "{encoded}");
    }
}

#[test]
fn pull_secrets_are_not_told() {
    let refusing = [Server::start(registry), Server::start(with_tokens)];
    let hosts: Vec<String> = refusing.iter().map(|server| server.address.to_string()).collect();
    for host in &hosts {
        let secrets = pull_secrets(host);
        let (live, hosts) = (secrets.clone(), [host.clone()]);
        // In the cluster, and in the release.
        let api = Server::start(move |path, _| api_server(path, &live));
        let server = format!("http://{}", api.address);
        let told = Setting::new(&server, &token(), &hosts, &secrets).tells_nothing();
        for words in ["is not the JSON that it should be", "DENIED", "asked a registry", "kind: Snapshot"] {
            assert!(told.contains(words), "no {words:?} in {told}");
        }
        let none = Server::start(|path, _| api_server(path, &[]));
        let server = format!("http://{}", none.address);
        Setting::new(&server, &token(), &hosts, &secrets).with_secrets(&secrets).tells_nothing();
    }
    for (server, login) in refusing.iter().zip(["password", "auth"]) {
        assert!(server.was_shown(&base64(&format!("user:{}", secret(login)))), "it was never shown");
    }
}

#[test]
fn this_machines_credentials_are_not_told() {
    let refusing = Server::start(registry);
    let host = refusing.address.to_string();
    let api = Server::start(|path, _| api_server(path, &[]));
    let setting = || {
        let server = format!("http://{}", api.address);
        Setting::new(&server, &token(), std::slice::from_ref(&host), &[json!({"metadata": {"name": "gone"}})])
    };
    let config = |entry: Value| json!({"auths": {host.as_str(): entry}}).to_string();
    let login = base64(&format!("user:{}", secret("own")));
    for text in [
        config(json!({"auth": login})),
        config(json!({"identitytoken": secret("identity")})),
        config(json!({"registrytoken": secret("registry")})),
        config(json!({"auth": secret("own")})),
        format!("{{\"auths\": {}", secret("own")),
    ] {
        setting().docker_config(&text).tells_nothing();
    }
    assert!(refusing.was_shown(&login), "it was never shown");
    // Programs that keep credentials: one that gives them, and one that fails and tells them.
    let with_program =
        setting().docker_config(&json!({"credHelpers": {host.as_str(): "canary"}}).to_string());
    let path = format!("{}:/usr/bin:/bin", with_program.folder.path("bin").display());
    let with_program = with_program.variable("PATH", path);
    let answer = json!({"ServerURL": host, "Username": "user", "Secret": secret("helper")});
    for script in [
        format!("echo '{answer}'"),
        format!("echo '{}'; echo '{}' >&2; exit 1", secret("helper"), secret("helper")),
        format!("echo '{}'", secret("helper")),
    ] {
        let program =
            with_program.folder.write("bin/docker-credential-canary", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        with_program.tells_nothing();
    }
    assert!(refusing.was_shown(&base64(&format!("user:{}", secret("helper")))), "it was never shown");
}

#[test]
fn the_kubeconfigs_credentials_are_not_told() {
    let words = |head: &str| format!("who is {}?", shown(head));
    let refusing = Server::start(move |_, head| {
        (401, String::new(), json!({"kind": "Status", "code": 401, "message": words(head)}).to_string())
    });
    let failing = Server::start(move |_, head| {
        (500, String::new(), json!({"kind": "Status", "code": 500, "message": words(head)}).to_string())
    });
    let password = json!({"username": "user", "password": secret("password")});
    for server in [&refusing, &failing] {
        for login in [&token(), &password] {
            Setting::new(&format!("http://{}", server.address), login, &[], &[])
                .with_secrets(&pull_secrets("registry.invalid"))
                .tells_nothing();
        }
        assert!(server.was_shown(&secret("token")), "it was never shown");
        assert!(server.was_shown(&base64(&format!("user:{}", secret("password")))), "it was never shown");
    }
}

#[test]
fn the_proxys_login_is_not_told() {
    let proxy = Server::start(|_, head| {
        let shown = head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization"));
        (407, String::new(), format!("who is {}?", shown.unwrap_or("nobody")))
    });
    let api = Server::start(|path, _| api_server(path, &[]));
    let login = format!("user:{}", secret("proxy"));
    let urls = [
        format!("http://{login}@{}", proxy.address),
        format!("http://{login}@127.0.0.1:1"),
        format!("{login}@::"),
    ];
    for url in urls {
        for server in [format!("http://{}", api.address), "https://cluster.invalid".to_owned()] {
            let hosts = ["registry.invalid".to_owned()];
            let setting = Setting::new(&server, &token(), &hosts, &[json!({"metadata": {"name": "gone"}})]);
            let setting = setting.variable("HTTPS_PROXY", url.clone()).variable("HTTP_PROXY", url.clone());
            setting.tells_nothing();
        }
    }
    assert!(proxy.was_shown(&base64(&login)), "it was never shown");
}
