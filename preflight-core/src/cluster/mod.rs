//! The cluster: how it is reached, what it serves, what it holds, and what one may do there.
//!
//! A [`Cluster`] says where the answers come from and asks nothing by itself. During a run a [`Reader`] puts the
//! questions: each is put once, whoever needs the answer, and only where the plugin declared it.

mod access;
pub mod causes;
pub mod connect;
mod discovery;
mod error;
mod flight;
mod openapi;
mod reader;
mod resource;
mod session;
mod trial;
mod wire;

use std::sync::Arc;

pub use access::{Act, Identity, Permission};
pub use connect::{Access, AccessError, AccessOptions};
pub use discovery::{Discovery, Lookup, Served};
pub use error::{ClusterError, ClusterErrorKind};
pub(crate) use openapi::INDEX as OPENAPI;
pub use openapi::{Schema, Schemas};
pub(crate) use reader::view_of;
pub use reader::{Credential, Reader, Readiness, SecretContents, ServerVersion, User};
#[cfg(feature = "kube")]
pub use resource::ScopeOf;
pub use resource::{Listed, Read, ReadOf, Resource, View};
pub(crate) use session::Session;
pub use trial::{Refusal, RefusalCause, Tried, Write, WriteKind};

use crate::snapshot::Snapshot;

/// Where answers about a cluster come from. Reads local files only; nothing is asked before a run begins.
#[derive(Clone)]
pub struct Cluster {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Access(Arc<Access>),
    Snapshot(Snapshot),
    #[cfg_attr(not(feature = "kube"), expect(dead_code, reason = "made by From<kube::Client> only"))]
    Client(kube::Client),
}

impl Cluster {
    /// The cluster that a kubeconfig, or the pod's own ServiceAccount, leads to.
    ///
    /// # Errors
    /// No kubeconfig, an unknown context, or one that cannot be used; the message says what to do.
    pub fn resolve(options: &AccessOptions) -> Result<Self, AccessError> {
        Ok(Self { source: Source::Access(Arc::new(Access::resolve(options)?)) })
    }

    /// A record that stands in for the cluster.
    #[must_use]
    pub const fn from_snapshot(snapshot: Snapshot) -> Self {
        Self { source: Source::Snapshot(snapshot) }
    }

    /// `cluster` or `snapshot`.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        match self.source {
            Source::Snapshot(_) => "snapshot",
            _ => "cluster",
        }
    }

    /// URL of the API server, without credentials.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match &self.source {
            Source::Access(access) => Some(access.server()),
            Source::Snapshot(snapshot) => snapshot.server(),
            Source::Client(_) => None,
        }
    }

    /// Whether the kubeconfig says not to verify the API server's certificate.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        matches!(&self.source, Source::Access(access) if access.insecure())
    }

    /// The kubeconfig's context.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        match &self.source {
            Source::Access(access) => access.context(),
            _ => None,
        }
    }

    /// The namespace that the kubeconfig's context names, if it names one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match &self.source {
            Source::Access(access) => access.namespace(),
            Source::Snapshot(snapshot) => snapshot.namespace(),
            Source::Client(_) => None,
        }
    }
}

impl From<Snapshot> for Cluster {
    fn from(snapshot: Snapshot) -> Self {
        Self::from_snapshot(snapshot)
    }
}

#[cfg(feature = "kube")]
impl From<kube::Client> for Cluster {
    fn from(client: kube::Client) -> Self {
        Self { source: Source::Client(client) }
    }
}
