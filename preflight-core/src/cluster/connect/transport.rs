//! The HTTP client below the Kubernetes client: names, sockets, proxies, TLS, each failing in its own words.

use std::error::Error;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::ResolveServerName;
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::failure::{FailureKind, Fault};
use super::proxy::Proxy;

/// Idle time after which the kernel asks whether the other side still lives; load balancers commonly cut idle
/// connections after a minute or more.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Silence on an HTTP/2 connection after which it is pinged, and how long the answer may take
/// (`ReadIdleTimeout` and `PingTimeout` in client-go's `apimachinery/pkg/util/net/http.go`).
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

type BoxError = Box<dyn Error + Send + Sync>;
type Http = HttpConnector<Resolver>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// What the transport needs to know beyond the configuration.
pub(super) struct Route<'a> {
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) tls_server_name: Option<&'a ServerName<'static>>,
    pub(super) connect_timeout: Duration,
}

/// A client that neither retries nor logs requests. Nothing is sent.
pub(super) fn client(config: &kube::Config, route: &Route<'_>) -> Result<kube::Client, Fault> {
    let unusable = |error: kube::Error| {
        let words = crate::redact::redact(&error.to_string()).into_owned();
        Fault::new(FailureKind::TlsOther, format!("TLS cannot be set up: {words}"))
    };
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if somebody else was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut tls = config.rustls_client_config().map_err(unusable)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let names: Arc<dyn ResolveServerName + Send + Sync> = match route.tls_server_name {
        Some(name) => Arc::new(FixedServerNameResolver::new(name.clone())),
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    let dialer = Dialer::new(config, route).map_err(unusable)?;
    let connector = Bounded {
        inner: HttpsConnector::new(dialer, tls, false, names),
        // The limit for TCP is the connector's own; as much again is left for the name, the proxy and TLS.
        limit: route.connect_timeout.saturating_mul(2),
    };
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build::<_, Body>(connector);
    let headers = config.extra_headers_layer().map_err(|_| {
        Fault::new(
            FailureKind::CredentialFile,
            "the kubeconfig impersonates somebody whose name no header may hold",
        )
    })?;
    Ok(ClientBuilder::new(http, config.default_namespace.clone())
        .with_layer(&headers)
        .with_layer(&config.base_uri_layer())
        .build())
}

/// The host's name cannot be turned into an address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} cannot be resolved")]
pub(super) struct ResolveError {
    host: String,
    pub(super) source: io::Error,
    pub(super) transient: bool,
}

impl ResolveError {
    fn new(host: String, source: io::Error) -> Self {
        // getaddrinfo has a code for this (EAI_AGAIN), which the standard library gives as text only.
        let transient =
            source.kind() == io::ErrorKind::TimedOut || source.to_string().contains("emporary failure");
        Self { host, source, transient }
    }
}

/// Asks the system's resolver.
#[derive(Clone)]
struct Resolver {
    limit: Duration,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = BoxFuture<'static, Result<Self::Response, ResolveError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let limit = self.limit;
        async move {
            let host = name.as_str().to_owned();
            // The port is set by the connector.
            let found = timeout(limit, tokio::net::lookup_host((host.as_str(), 0))).await;
            let found = found.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the resolver did not answer in time"))
            });
            match found.map(Iterator::collect::<Vec<_>>) {
                Ok(addresses) if !addresses.is_empty() => Ok(addresses.into_iter()),
                Ok(_) => Err(ResolveError::new(host, io::Error::other("it has no addresses"))),
                Err(error) => Err(ResolveError::new(host, error)),
            }
        }
        .boxed()
    }
}

/// Opens a stream to the server, through the proxy where there is one.
#[derive(Clone)]
struct Dialer {
    direct: Http,
    proxied: Option<(Proxy, HttpsConnector<Http>)>,
}

impl Dialer {
    fn new(config: &kube::Config, route: &Route<'_>) -> Result<Self, kube::Error> {
        let mut direct = HttpConnector::new_with_resolver(Resolver { limit: route.connect_timeout });
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(KEEPALIVE));
        direct.set_connect_timeout(Some(route.connect_timeout));
        let proxied = match route.proxy {
            None => None,
            Some(proxy) => {
                // The same authorities as for the server, as kubectl does, but without the client certificate.
                let mut anonymous = config.clone();
                anonymous.auth_info = kube::config::AuthInfo::default();
                let tls = anonymous.rustls_client_config()?;
                let names = Arc::new(DefaultServerNameResolver::default());
                Some((proxy.clone(), HttpsConnector::new(direct.clone(), tls, false, names)))
            }
        };
        Ok(Self { direct, proxied })
    }
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Some((proxy, connector)) = &mut self.proxied else {
            let stream = self.direct.call(server);
            return async move { Ok(MaybeHttpsStream::Http(stream.await?)) }.boxed();
        };
        let Some(address) = proxy.address() else {
            return ready(Err("the proxy's address is malformed".into())).boxed();
        };
        let (proxy, stream) = (proxy.clone(), connector.call(address));
        async move {
            let stream = stream.await.map_err(|error| proxy.unreachable(error))?;
            Ok(proxy.tunnel(stream, &server).await?)
        }
        .boxed()
    }
}

/// The connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", .0.as_secs_f32())]
pub(super) struct EstablishTimeout(Duration);

/// Sets a limit to everything that comes before the first request: name, socket, proxy, TLS.
#[derive(Clone)]
struct Bounded<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
    C::Response: 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let (limit, connecting) = (self.limit, self.inner.call(server));
        async move {
            match timeout(limit, connecting).await {
                Ok(outcome) => outcome,
                Err(_) => Err(EstablishTimeout(limit).into()),
            }
        }
        .boxed()
    }
}
