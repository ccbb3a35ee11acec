//! What is asked about one image: as the pod would pull it, then with this machine's own credentials.

use std::sync::Arc;

use super::hub::Hub;
use super::secrets::Keys;
use super::uses::Use;
use crate::registry::credentials::Credential;
use crate::registry::layout::Layout;
use crate::registry::reference::Reference;
use crate::registry::{Config, RegistryClient, Resolved, Trouble};

/// Where an image was found.
#[derive(Clone)]
pub(super) enum Source {
    Registry { client: Arc<RegistryClient>, repository: String, credential: Option<Arc<Credential>> },
    Layout(Arc<Layout>),
}

/// An image that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) resolved: Resolved,
    pub(super) source: Source,
}

/// One attempt to find it.
#[derive(Debug, Clone)]
pub(super) struct Try {
    /// The host that was asked.
    pub(super) authority: String,
    /// With what: `Secret shop/pull`; `None` for nobody's.
    pub(super) with: Option<String>,
    pub(super) is_mirror: bool,
    pub(super) trouble: Trouble,
}

/// What came of pulling with one set of credentials.
pub(super) struct Pull {
    pub(super) found: Option<Found>,
    /// The attempts that failed, before it was found or altogether.
    pub(super) failed: Vec<Try>,
}

impl Pull {
    /// Whether every attempt was refused.
    pub(super) fn is_refused(&self) -> bool {
        let refused = |tried: &Try| matches!(tried.trouble, Trouble::Refused { .. });
        self.found.is_none() && !self.failed.is_empty() && self.failed.iter().all(refused)
    }

    /// What the registry itself, not a mirror, said at last.
    pub(super) fn last(&self) -> Option<&Try> {
        self.failed.iter().rev().find(|tried| !tried.is_mirror).or(self.failed.last())
    }
}

/// This machine's own credentials, and what came of them.
#[derive(Default)]
pub(super) enum Own {
    /// It has none for this registry.
    #[default]
    None,
    /// They cannot be had.
    Unavailable(String),
    Tried {
        source: String,
        pull: Pull,
    },
}

/// What was asked about one image.
#[derive(Default)]
pub(super) struct Inquiry {
    /// Why nothing was asked.
    pub(super) not_asked: Option<NotAsked>,
    /// As the pod would pull it; `None` where its credentials are not known.
    pub(super) pod: Option<Pull>,
    pub(super) own: Own,
    /// With no credentials, where neither of the others led to it.
    pub(super) anonymous: Option<Pull>,
    /// What a layout could not give.
    pub(super) layout: Option<String>,
}

/// Why nothing was asked about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAsked {
    /// It has no valid reference.
    NoReference,
    /// Nothing but the cluster may be reached.
    Offline,
    /// The nodes' `registries.conf` forbids it.
    Blocked(String),
}

impl Inquiry {
    /// Where the image was seen, by whatever credentials.
    pub(super) fn found(&self) -> Option<&Found> {
        let own = match &self.own {
            Own::Tried { pull, .. } => pull.found.as_ref(),
            _ => None,
        };
        self.pod
            .as_ref()
            .and_then(|pull| pull.found.as_ref())
            .or(own)
            .or_else(|| self.anonymous.as_ref()?.found.as_ref())
    }

    /// Every attempt that failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Try> {
        let own = match &self.own {
            Own::Tried { pull, .. } => Some(pull),
            _ => None,
        };
        [self.pod.as_ref(), own, self.anonymous.as_ref()].into_iter().flatten().flat_map(|pull| &pull.failed)
    }
}

/// Asks about an image.
pub(super) async fn ask(hub: &Hub, used: &Use<'_>, keys: &Keys) -> Inquiry {
    let not_asked = |why| Inquiry { not_asked: Some(why), ..Inquiry::default() };
    let Ok(image) = &used.reference else {
        return not_asked(NotAsked::NoReference);
    };
    if let Some(layout) = hub.layout(&image.registry) {
        return in_layout(layout, image).await;
    }
    if hub.offline {
        return not_asked(NotAsked::Offline);
    }
    if let Err(blocked) = hub.places(image) {
        return not_asked(NotAsked::Blocked(blocked.to_string()));
    }
    let as_pod = async {
        match keys {
            Keys::Known(keyring) => Some(pull(hub, image, &keyring.lookup(&image.name())).await),
            // What the kubelet does not pull for want of readable credentials, is still looked at.
            Keys::Unusable | Keys::NotRead { .. } => None,
        }
    };
    let (pod, own) = futures::join!(as_pod, as_oneself(hub, image));
    let mut inquiry = Inquiry { pod, own, ..Inquiry::default() };
    if inquiry.found().is_none() && inquiry.pod.is_none() {
        inquiry.anonymous = Some(pull(hub, image, &[]).await);
    }
    inquiry
}

async fn in_layout(layout: &Arc<Layout>, image: &Reference) -> Inquiry {
    let wanted = image.clone();
    let pull = match from_layout(layout, move |layout| layout.resolve(&wanted)).await {
        Ok(resolved) => {
            let source = Source::Layout(Arc::clone(layout));
            Pull { found: Some(Found { resolved, source }), failed: Vec::new() }
        }
        Err(Trouble::Malformed { why }) => return Inquiry { layout: Some(why), ..Inquiry::default() },
        Err(trouble) => {
            let authority = "the layout".to_owned();
            Pull { found: None, failed: vec![Try { authority, with: None, is_mirror: false, trouble }] }
        }
    };
    Inquiry { pod: Some(pull), ..Inquiry::default() }
}

/// Pulls as the kubelet does: with each credential in turn, or without any if there is none; and with each from every
/// place in turn (`PullImage`, `pkg/kubelet/kuberuntime/kuberuntime_image.go`, v1.36). Another host than the image's own,
/// a mirror or wherever `registries.conf` moves it, is not shown its credentials (`newImageSourceAttempt`,
/// containers/image v5, `docker/docker_image_src.go`).
async fn pull(hub: &Hub, image: &Reference, credentials: &[Arc<Credential>]) -> Pull {
    let places = hub.places(image).unwrap_or_default();
    let mut failed: Vec<Try> = Vec::new();
    let with: Vec<Option<&Arc<Credential>>> =
        if credentials.is_empty() { vec![None] } else { credentials.iter().map(Some).collect() };
    for credential in with {
        for place in &places {
            let client = hub.client(&place.authority, place.insecure);
            let shown = credential.filter(|_| place.authority == image.registry);
            match client.resolve(&place.repository, image.wanted(), shown).await {
                Ok(resolved) => {
                    let source = Source::Registry {
                        client,
                        repository: place.repository.clone(),
                        credential: shown.cloned(),
                    };
                    return Pull { found: Some(Found { resolved, source }), failed };
                }
                Err(trouble) => failed.push(Try {
                    authority: place.authority.clone(),
                    with: shown.map(|credential| credential.source.clone()),
                    is_mirror: place.is_mirror,
                    trouble,
                }),
            }
        }
    }
    Pull { found: None, failed }
}

/// Pulls with this machine's own credentials, if it has some for the registry.
async fn as_oneself(hub: &Hub, image: &Reference) -> Own {
    match hub.own_credential(image).await {
        Err(why) => Own::Unavailable(why),
        Ok(None) => Own::None,
        Ok(Some(credential)) => {
            let source = credential.source.clone();
            Own::Tried { source, pull: pull(hub, image, &[credential]).await }
        }
    }
}

impl Source {
    /// The manifest of a digest, where the image itself was found.
    pub(super) async fn manifest(&self, digest: &str) -> Result<Resolved, Trouble> {
        match self {
            Self::Registry { client, repository, credential } => {
                client.resolve(repository, digest, credential.as_ref()).await
            }
            Self::Layout(layout) => {
                let digest = digest.to_owned();
                from_layout(layout, move |layout| layout.manifest(&digest)).await
            }
        }
    }

    /// What another tag or digest of the same repository leads to; `None` where only digests can be looked up.
    pub(super) async fn tag(&self, tag: &str) -> Option<Result<Resolved, Trouble>> {
        match self {
            Self::Registry { .. } => Some(self.manifest(tag).await),
            Self::Layout(_) => None,
        }
    }

    /// A configuration.
    pub(super) async fn config(&self, digest: &str) -> Result<Config, Trouble> {
        match self {
            Self::Registry { client, repository, credential } => {
                client.config(repository, digest, credential.as_ref()).await
            }
            Self::Layout(layout) => {
                let digest = digest.to_owned();
                from_layout(layout, move |layout| layout.config(&digest)).await
            }
        }
    }
}

/// Reads from a layout's files. `Missing` if it is not there, `Malformed` if they cannot be used.
async fn from_layout<T: Send + 'static>(
    layout: &Arc<Layout>,
    read: impl FnOnce(&Layout) -> Result<Option<T>, String> + Send + 'static,
) -> Result<T, Trouble> {
    let layout = Arc::clone(layout);
    let read = tokio::task::spawn_blocking(move || read(&layout)).await;
    match read.unwrap_or_else(|_| Err("the layout could not be read".to_owned())) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(Trouble::Missing { whole_repository: false, words: String::new() }),
        Err(why) => Err(Trouble::Malformed { why }),
    }
}
