//! What a check may reach.

use std::any::{Any, TypeId};
use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::{ClusterError, Read, Reader, Session};
use crate::environment::{Environment, Settings, SettingsMap};
use crate::error::Undecided;
use crate::examine::{Examination, Record};
use crate::handover::Handover;
use crate::manifests::Manifests;
use crate::release::{Projected, Release};

/// What every check of a run shares.
pub(crate) struct Shared {
    pub(crate) session: Arc<Session>,
    pub(crate) manifests: Manifests,
    pub(crate) environment: Environment,
    pub(crate) cluster_context: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) default_namespace: String,
    pub(crate) settings: SettingsMap,
    pub(crate) offline: bool,
    pub(crate) release: tokio::sync::OnceCell<Arc<Release>>,
    pub(crate) handover: Handover,
}

/// What a check may reach: the cluster, the manifests and what applying them means, the environment, and how
/// long it has.
pub struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) record: Record,
    pub(crate) plugin: &'static str,
    pub(crate) reads: Arc<[Read]>,
    pub(crate) deadline: Instant,
}

impl Context {
    /// The handle through which findings are written.
    #[must_use]
    pub fn examine(&self) -> Examination {
        Examination::new(self.record.clone())
    }

    /// The cluster, once contact with it was made.
    ///
    /// # Errors
    /// It cannot be reached, does not accept the credentials, or is not the one that the environment means.
    pub async fn cluster(&self) -> Result<Reader, ClusterError> {
        let reader = self.unconnected();
        reader.version().await?;
        Ok(reader)
    }

    /// The cluster, whether or not it can be reached.
    #[must_use]
    pub fn unconnected(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared.session), Arc::clone(&self.reads), self.plugin)
    }

    /// The objects about to be applied, as written.
    #[must_use]
    pub fn manifests(&self) -> &Manifests {
        &self.shared.manifests
    }

    /// What applying the manifests means. Worked out once a run, by whoever needs it first.
    ///
    /// # Errors
    /// The cluster cannot be asked what it serves.
    pub async fn release(&self) -> Result<Arc<Release>, ClusterError> {
        let shared = &self.shared;
        let work = async {
            let reads: Arc<[Read]> = Arc::new([Read::dynamic("live counterparts of the release's objects")]);
            let reader = Reader::new(Arc::clone(&shared.session), reads, "release");
            let apply = shared.environment.apply();
            Release::work_out(&shared.manifests, apply, &shared.default_namespace, &reader)
                .await
                .map(Arc::new)
        };
        shared.release.get_or_try_init(|| work).await.cloned()
    }

    /// The cluster as it will be once the release is applied.
    ///
    /// # Errors
    /// As [`Self::cluster`] and [`Self::release`].
    pub async fn projected(&self) -> Result<Projected, ClusterError> {
        let reader = self.cluster().await?;
        Ok(Projected::new(reader, self.release().await?))
    }

    /// Hands a result over to other checks of the run. The plugin's descriptor says that it provides it
    /// ([`crate::Descriptor::provides`]); the first one stands.
    pub fn provide<T: Any + Send + Sync>(&self, result: T) {
        self.shared.handover.give(result);
    }

    /// What another check of the run provides; waits until that check has given it or has ended. `None` if no check of
    /// the run provides it, or if the one that does came to none.
    pub async fn provided<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.shared.handover.take().await
    }

    /// The environment's entry.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    /// The kubeconfig's context in use, for commands that users are to paste.
    #[must_use]
    pub fn cluster_context(&self) -> Option<&str> {
        self.shared.cluster_context.as_deref()
    }

    /// The namespace that was asked for with `-n` or by the environment, if one was.
    #[must_use]
    pub fn requested_namespace(&self) -> Option<&str> {
        self.shared.namespace.as_deref()
    }

    /// The plugin's own part of the environment.
    ///
    /// # Errors
    /// The plugin's descriptor does not claim these settings.
    pub fn settings<S: Settings>(&self) -> Result<Arc<S>, Undecided> {
        let settings = self.shared.settings.get(&TypeId::of::<S>()).cloned();
        settings.and_then(|settings| settings.downcast().ok()).ok_or_else(|| {
            Undecided::unknown(format!(
                "the plugin {} does not claim the settings `{}`",
                self.plugin,
                S::SECTION
            ))
        })
    }

    /// Whether nothing but the cluster may be reached.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.shared.offline
    }

    /// When the check must be done.
    #[must_use]
    pub fn deadline(&self) -> std::time::Instant {
        self.deadline.into_std()
    }
}
