//! Opening a stream to a server: its name, its socket, the proxy on the way, each failing in its own words.

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
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::proxy::Proxy;

/// Idle time after which the kernel asks whether the other side still lives; load balancers commonly cut idle
/// connections after a minute or more.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
type Http = HttpConnector<Resolver>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The host's name cannot be turned into an address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} cannot be resolved")]
pub(crate) struct ResolveError {
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
pub(crate) struct Resolver {
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
pub(crate) struct Dialer {
    direct: Http,
    proxied: Option<(Proxy, HttpsConnector<Http>)>,
}

impl Dialer {
    /// With the proxy on the way, if there is one, and what a TLS connection to that proxy trusts.
    pub(crate) fn new(connect_timeout: Duration, proxy: Option<(Proxy, ClientConfig)>) -> Self {
        let mut direct = HttpConnector::new_with_resolver(Resolver { limit: connect_timeout });
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(KEEPALIVE));
        direct.set_connect_timeout(Some(connect_timeout));
        let proxied = proxy.map(|(proxy, tls)| {
            let names = Arc::new(DefaultServerNameResolver::default());
            (proxy, HttpsConnector::new(direct.clone(), tls, false, names))
        });
        Self { direct, proxied }
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
pub(crate) struct Bounded<C> {
    inner: C,
    limit: Duration,
}

impl<C> Bounded<C> {
    pub(crate) const fn new(inner: C, limit: Duration) -> Self {
        Self { inner, limit }
    }
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
