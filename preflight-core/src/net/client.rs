//! A client for one server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::dial::{Bounded, Dialer};
use super::failure::{ConnectFailure, FailureKind, Fault, classify};
use super::proxy::Proxy;

/// How a server is reached.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Authorities that are trusted besides those of this machine, in DER.
    pub authorities: Vec<Vec<u8>>,
    /// Limit for a TCP connection; with TLS, and by way of a proxy, it may take twice that. 10 s.
    pub connect_timeout: Duration,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count. They do.
    pub proxy_from_environment: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            proxy_from_environment: true,
        }
    }
}

/// A client for one server. It neither follows redirects nor retries, and nothing is sent before it is asked to.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<Bounded<HttpsConnector<Dialer>>, Full<Bytes>>,
    server: Arc<str>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpClient").field(&self.server).finish()
    }
}

impl HttpClient {
    /// A client for the server that this URL leads to (`https://host:port`; the path does not count).
    ///
    /// # Errors
    /// The proxy that the environment names cannot be used, or an authority is no certificate.
    pub fn new(server: &Uri, options: &HttpOptions) -> Result<Self, ConnectFailure> {
        let told = format!(
            "{}://{}",
            server.scheme_str().unwrap_or("https"),
            server.authority().map(|authority| authority.as_str()).unwrap_or_default()
        );
        install_crypto();
        let variable = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
            values.find(|value| options.proxy_from_environment && !value.is_empty())
        };
        let proxy = Proxy::choose(None, server, &variable)
            .map_err(|error| Fault::new(FailureKind::Proxy, error.to_string()).at(&told))?;
        // Plain http needs no authorities, and reading those of this machine takes a while.
        let roots = match (server.scheme_str(), &proxy) {
            (Some("http"), None) => RootCertStore::empty(),
            _ => roots(options).map_err(|fault| fault.at(&told))?,
        };
        let config = || ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        let mut tls = config();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let dialer = Dialer::new(options.connect_timeout, proxy.map(|proxy| (proxy, config())));
        let names = Arc::new(DefaultServerNameResolver::default());
        let connector = Bounded::new(
            HttpsConnector::new(dialer, tls, false, names),
            options.connect_timeout.saturating_mul(2),
        );
        let inner = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { inner, server: told.into() })
    }

    /// Sends a request and reads the whole answer, whatever its status, up to `cap` bytes.
    ///
    /// # Errors
    /// There is no answer, or it is cut short or larger than that.
    pub async fn send(&self, request: Request<Bytes>, cap: usize) -> Result<Response<Bytes>, ConnectFailure> {
        let request = request.map(Full::new);
        let answer = self.inner.request(request).await.map_err(|error| classify(&error, &self.server))?;
        let (head, body) = answer.into_parts();
        match read(body, cap).await {
            Ok(body) => Ok(Response::from_parts(head, body)),
            Err(fault) => Err(fault.at(&self.server)),
        }
    }
}

async fn read(mut body: Incoming, cap: usize) -> Result<Bytes, Fault> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault {
            kind: FailureKind::CutShort,
            words: "the answer was cut short".to_owned(),
            transient: true,
        })?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > cap {
                let words = format!("the answer is larger than {} KiB", cap >> 10);
                return Err(Fault::new(FailureKind::TooLarge, words));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

/// The authorities that this machine trusts, read once, and those that are given.
fn roots(options: &HttpOptions) -> Result<RootCertStore, Fault> {
    static OF_THIS_MACHINE: OnceLock<RootCertStore> = OnceLock::new();
    let mut roots = OF_THIS_MACHINE
        .get_or_init(|| {
            let mut store = RootCertStore::empty();
            // What cannot be read or used signs nothing that is trusted then.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            store
        })
        .clone();
    for authority in &options.authorities {
        roots.add(CertificateDer::from(authority.clone())).map_err(|_| {
            Fault::new(FailureKind::CredentialFile, "an authority that is to be trusted is no certificate")
        })?;
    }
    Ok(roots)
}

/// Chooses the cryptography of TLS, where nobody else has.
pub(crate) fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if somebody else was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
