//! Nothing secret is told: not on standard output, not on standard error, not in a file.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use support::{Answer, Folder, Server, api_server, base64, kubeconfig, preflight, shown};

/// What every secret here holds. Its base64, wherever in a text it begins, holds one of the others.
const CANARIES: [&str; 4] = ["k4n4rienv0gel", "azRuNHJpZW52MGdlb", "s0bjRyaWVudjBnZW", "rNG40cmllbnYwZ2Vs"];

fn secret(of: &str) -> String {
    format!("{of}-{}", CANARIES[0])
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

struct Setting {
    folder: Folder,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Setting {
    /// A release against a cluster, with one image at each host.
    fn new(api: &str, login: &Value, hosts: &[String], secrets: &[Value]) -> Self {
        let folder = Folder::new();
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
        let arguments = vec![
            "-f".to_owned(),
            folder.write("release.yaml", &pods.join("\n---\n")),
            "-e".to_owned(),
            "e".to_owned(),
            "--config".to_owned(),
            folder.write("environments.yaml", &environment.to_string()),
            "--kubeconfig".to_owned(),
            folder.write("kubeconfig", &kubeconfig(api, login)),
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
        let mut process = preflight(&self.folder.path("home"));
        process.args(command).args(fixed).args(more).arg("-vv").env("RUST_LOG", "trace");
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
