//! Looking for what is named: in the release, in the cluster, and among what the environment expects.

use std::borrow::Cow;
use std::sync::Arc;

use preflight_core::cluster::{ClusterError, Discovery, Reader, Resource};
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Environment, Undecided};
use serde_json::Value;

use crate::changes::merged;

/// What is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// Its API group; empty for the core group.
    pub(super) group: Cow<'static, str>,
    pub(super) kind: Cow<'static, str>,
    /// `None` for cluster-wide kinds.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Target {
    pub(super) fn of(resource: &Resource, namespace: Option<&str>, name: &str) -> Self {
        Self {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            namespace: namespace.filter(|_| resource.namespaced).map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What is found of it.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// It is there, as the release leaves it.
    There(Arc<Value>),
    /// It comes with the release, at this place in the order of applying.
    Coming(usize, Arc<Value>),
    /// The release deletes it.
    Deleted,
    /// It is not there.
    Absent,
    /// Nothing serves its kind.
    NotServed,
}

impl Found {
    /// Why it is not there, if it is not: `which does not exist`.
    pub(super) const fn lack(&self) -> Option<&'static str> {
        match self {
            Self::There(_) | Self::Coming(..) => None,
            Self::Deleted => Some("which the release deletes"),
            Self::Absent => Some("which does not exist"),
            Self::NotServed => Some("and the cluster does not serve that kind"),
        }
    }
}

/// Looks for objects.
pub(super) struct Finder<'a> {
    pub(super) cluster: &'a Reader,
    pub(super) release: &'a Release,
    pub(super) discovery: Arc<Discovery>,
    environment: &'a Environment,
}

impl<'a> Finder<'a> {
    pub(super) async fn new(
        cluster: &'a Reader,
        release: &'a Release,
        environment: &'a Environment,
    ) -> Result<Self, ClusterError> {
        let discovery = cluster.discovery().await?;
        Ok(Self { cluster, release, discovery, environment })
    }

    pub(super) async fn find(&self, target: &Target) -> Result<Found, Undecided> {
        let (coming, there) =
            self.planned(target).map_or((None, None), |(at, planned)| match &planned.live {
                Live::Present(_) => (None, Some(planned)),
                _ => (Some((at, planned)), None),
            });
        if let Some((at, planned)) = coming {
            return Ok(Found::Coming(at, Arc::clone(&planned.effective)));
        }
        if let Some(planned) = there {
            return Ok(Found::There(Arc::new(merged(planned, self.release.method()))));
        }
        if self.deletes(target)? {
            return Ok(Found::Deleted);
        }
        let Some(resource) = self.resource(&target.group, &target.kind)? else { return Ok(Found::NotServed) };
        let live = self.cluster.get(&resource, target.namespace.as_deref(), &target.name).await?;
        Ok(live.map_or(Found::Absent, Found::There))
    }

    /// The object of the release, and its place in the order of applying.
    pub(super) fn planned(&self, target: &Target) -> Option<(usize, &'a Planned)> {
        self.release.objects().iter().enumerate().find(|(_, planned)| {
            planned.object.group() == target.group
                && planned.object.kind() == target.kind
                && planned.object.name() == Some(&target.name)
                && planned.namespace == target.namespace
        })
    }

    fn deletes(&self, target: &Target) -> Result<bool, ClusterError> {
        Ok(self.release.pruning()?.deletions.iter().any(|gone| {
            gone.resource.group == target.group
                && gone.resource.kind == target.kind
                && gone.name == target.name
                && gone.namespace == target.namespace
        }))
    }

    /// What serves a kind, in the version that the server prefers; nothing if none does.
    pub(super) fn resource(&self, group: &str, kind: &str) -> Result<Option<Resource>, Undecided> {
        let same = |resource: &Resource| resource.group == group && resource.kind == kind;
        if let Some(served) = self.discovery.served().find(|served| same(&served.resource)) {
            return Ok(Some(served.resource.clone()));
        }
        // What does not answer may serve it.
        let silent =
            self.discovery.unavailable().into_iter().find(|name| name.starts_with(&format!("{group}/")));
        match silent {
            Some(silent) => Err(Undecided::unknown(format!("what serves {silent} does not answer"))
                .advice(format!("kubectl get apiservices | grep {group}"))),
            None => Ok(None),
        }
    }

    /// By whom the environment expects an object to be made.
    pub(super) fn expected(&self, target: &Target) -> Option<&'a str> {
        let mut expects = self.environment.expects().iter();
        let found = expects.find(|expected| {
            let elsewhere = expected.namespace.is_some() && expected.namespace != target.namespace;
            expected.kind == target.kind && expected.name == target.name && !elsewhere
        });
        found.map(|expected| expected.by.as_deref().unwrap_or("something else"))
    }

    /// A namespace in which the release does have such an object.
    pub(super) fn elsewhere(&self, target: &Target) -> Option<&'a str> {
        let mut same = self.release.objects().iter().filter(|planned| {
            planned.object.group() == target.group
                && planned.object.kind() == target.kind
                && planned.object.name() == Some(&target.name)
        });
        same.find_map(|planned| planned.namespace.as_deref())
    }
}
