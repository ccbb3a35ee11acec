//! What applying the manifests means: each object with its live counterpart, the action, and what it will be.

mod difference;
mod order;
mod project;
mod prune;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

pub(crate) use difference::last_applied_fingerprint;
pub use project::{Projected, ProjectedList};
pub use prune::{Deletion, Pruning};
pub use serving::Serving;

use crate::cluster::{ClusterError, ClusterErrorKind, Reader, Resource};
use crate::environment::{Apply, Method};
use crate::manifests::{Manifests, Object, PodTemplate};

/// Live counterparts fetched at once. The wire has its own, lower bound; this only bounds memory.
const FETCHES: usize = 64;

/// What is at an object's place in the cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Live {
    /// Nothing.
    Absent,
    /// This object. Of a Secret, only the metadata.
    Present(Arc<Value>),
    /// It could not be looked at.
    Unknown(ClusterError),
}

/// What applying an object will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is as wanted.
    Unchanged,
    /// Its live counterpart could not be looked at.
    Unknown,
}

impl Action {
    /// `create`, `update`, `unchanged` or `unknown`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Unchanged => "unchanged",
            Self::Unknown => "unknown",
        }
    }
}

/// One object of the release.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Planned {
    /// As written.
    pub object: Arc<Object>,
    /// What serves its kind.
    pub serving: Serving,
    /// The namespace that it goes to; `None` for cluster-wide kinds, and the written one where the kind is
    /// not known.
    pub namespace: Option<String>,
    /// What is at its place now.
    pub live: Live,
    /// What applying it does.
    pub action: Action,
    /// What it will be: as written, with the defaults that matter.
    pub effective: Arc<Value>,
}

/// What applying the manifests means, in the order in which they are applied.
#[derive(Debug, Clone)]
pub struct Release {
    objects: Vec<Planned>,
    left_out: Vec<Arc<Object>>,
    method: Method,
    namespace: String,
    pruning: Result<Pruning, ClusterError>,
}

impl Release {
    /// Works it out: what serves each kind, and the live counterparts, fetched together.
    ///
    /// # Errors
    /// Discovery cannot be read. An object that cannot be looked at is no error: its action is unknown.
    pub(crate) async fn work_out(
        manifests: &Manifests,
        apply: &Apply,
        namespace: &str,
        reader: &Reader,
    ) -> Result<Self, ClusterError> {
        let method = apply.method;
        let discovery = reader.discovery().await?;
        let own_kinds = serving::kinds_of_crds(manifests);
        let order = order::apply_order(method, manifests.objects());
        let ordered = order.into_iter().map(|at| Arc::clone(&manifests.objects()[at]));
        let (left_out, ordered): (Vec<_>, Vec<_>) =
            ordered.partition(|object| order::is_left_out(method, object));
        let planning = ordered.into_iter().map(|object| {
            let serving = serving::of(&object, &discovery, &own_kinds);
            plan(object, serving, method, namespace, reader)
        });
        let objects: Vec<_> = futures::stream::iter(planning).buffered(FETCHES).collect().await;
        if let Some(cause) = objects.iter().find_map(|planned| match &planned.live {
            Live::Unknown(error) if error.cause().is_some() => Some(error.clone()),
            _ => None,
        }) {
            return Err(cause);
        }
        let pruning = match &apply.prune {
            Some(selector) => prune::prune(&objects, selector, &discovery, reader).await,
            None => Ok(Pruning::default()),
        };
        Ok(Self { objects, left_out, method, namespace: namespace.to_owned(), pruning })
    }

    /// Its objects, in the order in which they are applied.
    #[must_use]
    pub fn objects(&self) -> &[Planned] {
        &self.objects
    }

    /// Objects of the manifests that applying them does not make: hooks of Helm for tests, for deletions and for
    /// rollbacks.
    #[must_use]
    pub fn left_out(&self) -> &[Arc<Object>] {
        &self.left_out
    }

    /// How it is applied.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether it is applied in the order of the files, once, as kubectl does.
    #[must_use]
    pub const fn is_file_order(&self) -> bool {
        order::is_file_order(self.method)
    }

    /// The namespace of objects that name none.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespaces that its objects go to.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.objects.iter().filter_map(|planned| planned.namespace.clone()).collect()
    }

    /// The objects of a kind, by group and kind, in the order in which they are applied.
    pub fn of_kind<'a>(
        &'a self,
        group: &'a str,
        kind: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Planned)> {
        let matches = move |(_, planned): &(usize, &Planned)| {
            planned.object.group() == group && planned.object.kind() == kind
        };
        self.objects.iter().enumerate().filter(matches)
    }

    /// The pod templates of its workloads.
    pub fn pod_templates(&self) -> impl Iterator<Item = PodTemplate<'_>> {
        self.objects.iter().filter_map(|planned| planned.object.pod_template())
    }

    /// What pruning looks at and deletes; nothing where the environment asks for none.
    ///
    /// # Errors
    /// It could not be looked at.
    pub fn pruning(&self) -> Result<&Pruning, ClusterError> {
        self.pruning.as_ref().map_err(Clone::clone)
    }

    /// How many objects each action has: `create`, `update`, `unchanged`, `delete`, `unknown`.
    #[must_use]
    pub fn actions(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        if let Ok(Pruning { deletions, .. }) = &self.pruning
            && !deletions.is_empty()
        {
            counts.insert("delete", deletions.len());
        }
        for planned in &self.objects {
            *counts.entry(planned.action.name()).or_default() += 1;
        }
        counts
    }
}

async fn plan(
    object: Arc<Object>,
    serving: Serving,
    method: Method,
    default_namespace: &str,
    reader: &Reader,
) -> Planned {
    let namespace = match serving.resource() {
        Some(resource) if !resource.namespaced => None,
        Some(_) => Some(object.namespace().unwrap_or(default_namespace).to_owned()),
        None => object.namespace().map(str::to_owned),
    };
    let effective = effective(&object, namespace.as_deref());
    let live = match (&serving, object.name()) {
        // What is there is deleted before.
        (Serving::Cluster(_), Some(_)) if order::is_made_anew(method, &object) => Live::Absent,
        (Serving::Cluster(resource), Some(name)) => live(reader, resource, namespace.as_deref(), name).await,
        (Serving::Unavailable, _) => Live::Unknown(ClusterError::new(
            ClusterErrorKind::Status(503),
            format!("get {}", object.id()),
            "what serves its API group does not answer",
        )),
        _ => Live::Absent,
    };
    let action = match &live {
        Live::Absent => Action::Create,
        Live::Unknown(_) => Action::Unknown,
        Live::Present(live) if method == Method::Client && difference::unchanged(&effective, live) => {
            Action::Unchanged
        }
        Live::Present(_) => Action::Update,
    };
    Planned { object, serving, namespace, live, action, effective: Arc::new(effective) }
}

async fn live(reader: &Reader, resource: &Resource, namespace: Option<&str>, name: &str) -> Live {
    match reader.get(resource, namespace, name).await {
        Ok(Some(live)) => Live::Present(live),
        Ok(None) => Live::Absent,
        Err(error) => Live::Unknown(error),
    }
}

impl Planned {
    /// Whether whatever is there is deleted first, as the hooks of Helm and Argo CD are. It counts as not being there.
    #[must_use]
    pub fn is_made_anew(&self, method: Method) -> bool {
        order::is_made_anew(method, &self.object)
    }
}

/// As written, in the namespace that it goes to.
fn effective(object: &Object, namespace: Option<&str>) -> Value {
    let mut value = object.json();
    if let (Some(namespace), Some(metadata)) =
        (namespace, value.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    value
}
