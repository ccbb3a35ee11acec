//! Every fault is a server of its own on 127.0.0.1.

mod configuration;
mod faults;
mod plugins;
mod ways;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kube::client::Body;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::kubeconfig::Surroundings;
use super::{Access, AccessError, AccessOptions, ConnectFailure, Connection, classify, resolve};

/// Longer than any test takes: no test waits for it.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn surroundings() -> Surroundings {
    Surroundings { variables: [].into(), home: None, service_account: "/nowhere".into() }
}

/// A kubeconfig with one cluster and one user; JSON is YAML.
fn kubeconfig(cluster: Value, user: Value) -> String {
    json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    })
    .to_string()
}

fn resolved(text: &str, options: AccessOptions) -> Result<Access, AccessError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    std::fs::write(&path, text).unwrap();
    resolve::resolve(&AccessOptions { kubeconfig: Some(path), ..options }, &surroundings())
}

fn access(cluster: Value, user: Value) -> Access {
    resolved(&kubeconfig(cluster, user), AccessOptions::default()).unwrap()
}

/// Connects, asks for `/version`, and gives status and body.
async fn ask(access: &Access) -> Result<(u16, String), ConnectFailure> {
    let Connection { client, .. } = access.connect(soon()).await?;
    let request = http::Request::get("/version").body(Body::empty()).unwrap();
    let response = client.send(request).await.map_err(|error| classify(&error, access.server()))?;
    let (parts, body) = response.into_parts();
    let body = body.collect_bytes().await.unwrap();
    Ok((parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
}

/// Serves each connection on a thread of its own, for as long as the tests run.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Reads a request's head. Empty if the connection ends before.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Answers with the request's own head.
fn echo(stream: &mut (impl Read + Write), status: &str) {
    let head = head(stream);
    let length = head.len();
    let _ =
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{head}");
    let _ = stream.flush();
}

fn http_server(status: &'static str) -> u16 {
    listen(move |mut stream| echo(&mut stream, status))
}

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, both PEM.
    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// As `certificate-authority-data` has it.
    fn data(&self) -> String {
        base64(&self.0.pem())
    }
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What a TLS server says and wants.
struct TlsServer {
    certificate: (String, String),
    client_authority: Option<String>,
    protocols: Vec<Vec<u8>>,
}

impl TlsServer {
    fn new(certificate: (String, String)) -> Self {
        Self { certificate, client_authority: None, protocols: Vec::new() }
    }

    fn listen(
        self,
        serve: impl Fn(rustls::StreamOwned<rustls::ServerConnection, TcpStream>) + Send + Sync + 'static,
    ) -> u16 {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier =
                    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (certificate, key) = &self.certificate;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = self.protocols;
        let config = Arc::new(config);
        listen(move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(rustls::StreamOwned::new(connection, stream));
        })
    }

    fn echo(self) -> u16 {
        self.listen(|mut stream| {
            echo(&mut stream, "200 OK");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }
}
