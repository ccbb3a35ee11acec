//! The HTTP client below the Kubernetes client: names, sockets, proxies, TLS, each failing in its own words.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::ResolveServerName;
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use rustls::pki_types::ServerName;

use crate::net::{Bounded, Dialer, FailureKind, Fault, Proxy, install_crypto};

/// Silence on an HTTP/2 connection after which it is pinged, and how long the answer may take
/// (`ReadIdleTimeout` and `PingTimeout` in client-go's `apimachinery/pkg/util/net/http.go`).
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

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
    install_crypto();
    let mut tls = config.rustls_client_config().map_err(unusable)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let names: Arc<dyn ResolveServerName + Send + Sync> = match route.tls_server_name {
        Some(name) => Arc::new(FixedServerNameResolver::new(name.clone())),
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    let proxy = match route.proxy {
        None => None,
        Some(proxy) => {
            // The same authorities as for the server, as kubectl does, but without the client certificate.
            let mut anonymous = config.clone();
            anonymous.auth_info = kube::config::AuthInfo::default();
            Some((proxy.clone(), anonymous.rustls_client_config().map_err(unusable)?))
        }
    };
    let dialer = Dialer::new(route.connect_timeout, proxy);
    // The limit for TCP is the connector's own; as much again is left for the name, the proxy and TLS.
    let connector =
        Bounded::new(HttpsConnector::new(dialer, tls, false, names), route.connect_timeout.saturating_mul(2));
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
