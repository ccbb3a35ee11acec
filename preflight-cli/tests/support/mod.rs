//! Servers on the loopback for the command line to ask, and a folder for its files.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An answer: status, further headers, body.
pub type Answer = (u16, String, String);

/// A server on the loopback, and the heads of the requests that it got.
pub struct Server {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
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
    pub fn was_shown(&self, text: &str) -> bool {
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

pub fn ok(value: &Value) -> Answer {
    (200, String::new(), value.to_string())
}

/// The value of the request's `Authorization`.
pub fn shown(head: &str) -> &str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut shown = lines.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    shown.next().map_or("nothing", |(_, value)| value)
}

/// A cluster with one node, and Secrets to pull with.
pub fn api_server(path: &str, secrets: &[Value]) -> Answer {
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

pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Every file below a folder.
    pub fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { Self::files(&path) } else { vec![path] }).collect()
    }
}

/// A kubeconfig for an API server, in which one signs in so.
pub fn kubeconfig(server: &str, login: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": login}],
        "contexts": [{"name": "fake", "context": {"cluster": "c", "user": "u"}}],
    })
    .to_string()
}

/// The command line, with nothing of this machine's own but an empty home.
pub fn preflight(home: &Path) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_preflight"));
    process.env("HOME", home).stdin(Stdio::null());
    for name in
        ["KUBECONFIG", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTPS_PROXY", "NO_PROXY"]
    {
        process.env_remove(name);
    }
    process
}
