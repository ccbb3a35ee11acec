//! How the API server is reached: where, as whom, and every way in which that can fail.
//!
//! [`Access::resolve`] reads local files and decides; connecting obtains the credentials and builds the client.
//! Neither asks the API server anything.

mod credentials;
mod error;
mod exec;
mod kubeconfig;
mod resolve;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use tokio::time::Instant;

pub use credentials::{CredentialExpiry, ExpiryOf};
use credentials::{Identity, Proof};
pub use error::AccessError;
use kubeconfig::Surroundings;

pub(crate) use crate::net::classify;
pub use crate::net::{ConnectFailure, FailureKind};
use crate::net::{Fault, Proxy};

/// Which cluster is meant, and as whom one comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessOptions {
    /// The kubeconfig file. Without it: the files in `$KUBECONFIG`, else `~/.kube/config`, else, inside a pod,
    /// its ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// The context. Without it: the kubeconfig's current one.
    pub context: Option<String>,
    /// The user to act as (`kubectl --as`).
    pub impersonate_user: Option<String>,
    /// The groups to act as (`kubectl --as-group`).
    pub impersonate_groups: Vec<String>,
    /// Limit for a TCP connection; a connection with TLS, and by way of a proxy, may take twice that. 10 s.
    pub connect_timeout: Duration,
    /// Limit for an exec plugin. 30 s.
    pub exec_timeout: Duration,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            impersonate_user: None,
            impersonate_groups: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            exec_timeout: Duration::from_secs(30),
        }
    }
}

/// Where and as whom to connect: read from local files only; no network, no child process.
#[derive(Clone)]
pub struct Access {
    server: String,
    url: Uri,
    context: Option<String>,
    namespace: Option<String>,
    roots: Roots,
    tls_server_name: Option<ServerName<'static>>,
    proxy: Option<Proxy>,
    proof: Proof,
    identity: Option<Identity>,
    impersonation: Impersonation,
    connect_timeout: Duration,
}

/// Which certificates of servers are trusted.
#[derive(Clone)]
enum Roots {
    /// Those that this machine trusts.
    System,
    /// Those that these authorities signed (DER).
    Given(Vec<Vec<u8>>),
    /// Those that the authorities in this file signed. It is rotated, and read anew.
    File(PathBuf),
    /// All: `insecure-skip-tls-verify`.
    Unverified,
}

/// As whom one acts (`as`, `as-uid`, `as-groups`, `as-user-extra`).
#[derive(Clone, Default)]
struct Impersonation {
    user: Option<String>,
    uid: Option<String>,
    groups: Vec<String>,
    extra: HashMap<String, Vec<String>>,
}

/// A client, and when what it was given expires.
pub(crate) struct Connection {
    pub(crate) client: kube::Client,
    pub(crate) credentials: Vec<CredentialExpiry>,
}

impl Access {
    /// Finds the kubeconfig, chooses the context and reads the files that it names.
    ///
    /// # Errors
    /// There is no kubeconfig, or no such context, or something in it cannot be read or used.
    pub fn resolve(options: &AccessOptions) -> Result<Self, AccessError> {
        resolve::resolve(options, &Surroundings::of_this_process())
    }

    /// URL of the API server, without credentials: `https://host:port`, and a path where the kubeconfig has one.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The kubeconfig's context; `None` inside a pod.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The namespace of the context, or of the pod; `None` where none is set.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// URL of the proxy on the way, without credentials.
    #[must_use]
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::url)
    }

    /// Whether the kubeconfig says that the server's certificate is not to be verified.
    #[must_use]
    pub const fn insecure(&self) -> bool {
        matches!(self.roots, Roots::Unverified)
    }

    /// Reads the token file or runs the exec plugin, and builds the client. Sends nothing to the API server.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Connection, ConnectFailure> {
        self.client(deadline).await.map_err(|fault| fault.at(&self.server))
    }

    async fn client(&self, deadline: Instant) -> Result<Connection, Fault> {
        let obtained = self.proof.obtain(deadline).await?;
        let identity = obtained.identity.as_ref().or(self.identity.as_ref());
        let mut credentials = obtained.expiries;
        credentials.extend(identity.and_then(Identity::expiry));
        let config = self.config(identity, obtained.authorization);
        let route = transport::Route {
            proxy: self.proxy.as_ref(),
            tls_server_name: self.tls_server_name.as_ref(),
            connect_timeout: self.connect_timeout,
        };
        Ok(Connection { client: transport::client(&config, &route)?, credentials })
    }

    fn config(&self, identity: Option<&Identity>, authorization: Option<HeaderValue>) -> kube::Config {
        let mut config = kube::Config::new(self.url.clone());
        config.default_retry = false;
        match &self.roots {
            Roots::System => {}
            Roots::Given(roots) => config.root_cert = Some(roots.clone()),
            Roots::File(path) => {
                config.root_cert = Some(Vec::new());
                config.root_cert_file = Some(path.clone());
            }
            Roots::Unverified => config.accept_invalid_certs = true,
        }
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        if let Some((certificate, key)) = identity.map(Identity::as_kubeconfig_data) {
            config.auth_info.client_certificate_data = Some(certificate);
            config.auth_info.client_key_data = Some(key.into());
        }
        let Impersonation { user, uid, groups, extra } = self.impersonation.clone();
        config.auth_info.impersonate = user;
        config.auth_info.impersonate_uid = uid;
        config.auth_info.impersonate_groups = Some(groups);
        config.auth_info.impersonate_user_extra = Some(extra);
        let agent = HeaderValue::from_static(concat!("preflight/", env!("CARGO_PKG_VERSION")));
        config.headers.push((http::header::USER_AGENT, agent));
        if let Some(authorization) = authorization {
            config.headers.push((http::header::AUTHORIZATION, authorization));
        }
        config
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("server", &self.server)
            .field("context", &self.context)
            .field("namespace", &self.namespace)
            .field("proxy", &self.proxy())
            .field("insecure", &self.insecure())
            .finish_non_exhaustive()
    }
}
