//! Servers on the loopback that answer as they are told, and note what they were asked; an API server among them.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod cases;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use preflight_core::cluster::AccessOptions;
use preflight_core::{Cluster, Outcome, Report};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An answer: status, further headers, body.
pub type Answer = (u16, String, String);
pub type Handler = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// In place of a status: the server closes the connection without a word.
pub const HANGS_UP: u16 = 0;
/// In place of a status: the server neither answers nor closes the connection.
pub const IS_SILENT: u16 = 1;

/// The first byte of a client that wants TLS (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A question, as far as the tests look at it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With the query.
    pub path: String,
    /// What the server was called.
    pub host: String,
    pub authorization: Option<String>,
}

impl Asked {
    fn parse(head: &str) -> Self {
        let mut words = head.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.to_owned())
        };
        Self {
            method,
            path,
            host: header("host").unwrap_or_default(),
            authorization: header("authorization"),
        }
    }
}

/// A server on the loopback.
pub struct Server {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn start(handler: Handler) -> Self {
        Self::start_with(None, handler).await
    }

    pub async fn start_with(tls: Option<TlsAcceptor>, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, handler, log) = (tls.clone(), Arc::clone(&handler), Arc::clone(&noted));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &handler, &log).await,
                        // The client may not like the certificate.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &handler, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, log }
    }

    /// Everything that it was asked.
    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// How often it was asked `GET /path`.
    pub fn asked(&self, what: &str) -> usize {
        self.log().iter().filter(|asked| format!("{} {}", asked.method, asked.path) == what).count()
    }
}

/// One request and its answer. What is longer than its `content-length` says, or shorter, is the handler's doing.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, handler: &Handler, log: &Mutex<Vec<Asked>>) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        let Ok(n @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        read.extend_from_slice(&buffer[..n]);
        if read.first() == Some(&TLS_HANDSHAKE) {
            // As servers of plain http say it.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
            return;
        }
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&read[..end]).into_owned();
        }
    };
    let asked = Asked::parse(&head);
    log.lock().unwrap().push(asked.clone());
    let (code, headers, body) = handler(&asked);
    match code {
        HANGS_UP => return,
        IS_SILENT => return std::future::pending().await,
        _ => {}
    }
    let unless = |name: &str, line: String| if headers.contains(name) { String::new() } else { line };
    let length = unless("content-length", format!("content-length: {}\r\n", body.len()));
    let kind = unless("content-type", "content-type: application/json\r\n".to_owned());
    let answer = format!("HTTP/1.1 {code} X\r\n{kind}{length}connection: close\r\n{headers}\r\n{body}");
    // The client may have gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub fn ok(value: &Value) -> Answer {
    (200, String::new(), value.to_string())
}

/// An answer of the API server that is not success.
pub fn status(code: u16, message: &str) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": message});
    (code, String::new(), body.to_string())
}

/// What came of the rules that neither passed nor had nothing to examine, by their ids within their check.
pub fn told(report: &Report) -> BTreeMap<String, &'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Failed => Some("failed"),
        Outcome::Warning => Some("warning"),
        Outcome::Unknown { .. } => Some("unknown"),
        Outcome::Skipped { .. } => Some("skipped"),
        _ => None,
    };
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    rules.filter_map(|rule| Some((id(&rule.rule), name(&rule.outcome)?))).collect()
}

/// A rule's id within its check.
pub fn id(rule: &str) -> String {
    rule.split_once('/').map_or(rule, |(_, id)| id).to_owned()
}

/// An API server, and the kubeconfig that leads to it.
pub struct ApiServer {
    kubeconfig: tempfile::NamedTempFile,
    server: Server,
}

impl ApiServer {
    pub async fn start(handler: Handler) -> Self {
        let server = Server::start(handler).await;
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", server.address)}}],
            "users": [{"name": "u", "user": {"token": "token-canary"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(kubeconfig.path(), config.to_string()).unwrap();
        Self { kubeconfig, server }
    }

    pub fn cluster(&self) -> Cluster {
        let kubeconfig = Some(self.kubeconfig.path().to_owned());
        Cluster::resolve(&AccessOptions { kubeconfig, ..AccessOptions::default() }).unwrap()
    }

    /// How often it was asked `GET /path`.
    pub fn asked(&self, what: &str) -> usize {
        self.server.asked(what)
    }
}
