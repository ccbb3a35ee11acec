//! What the API server will be asked when the release is applied, as admission sees it: each object, and (in `made`)
//! what controllers make of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Reader, Resource};
use preflight_core::release::{Action, Deletion, Live, Release};
use preflight_core::{Method, Subject};
use serde_json::{Value, json};

use super::{made, namespaces};
use crate::changes::{LAST_APPLIED, merged};
use crate::labels::{self, Labels};

/// One request that will be made.
pub(super) struct Request<'a> {
    /// The object of the release that is behind it, for people: `Deployment shop/web`.
    pub(super) id: String,
    pub(super) subject: Subject,
    /// The object's name, where it has one already.
    pub(super) name: Option<String>,
    /// At which place of the release. What is pruned comes after everything.
    pub(super) position: usize,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub(super) operation: &'static str,
    pub(super) resource: Resource,
    /// `status`, `binding`; none for the object itself.
    pub(super) subresource: Option<&'static str>,
    /// Further versions of its kind that the release's own definition serves.
    pub(super) own_versions: Vec<String>,
    pub(super) namespace: Option<&'a str>,
    /// What is sent, as far as it is known.
    pub(super) object: Value,
    pub(super) old: Option<Value>,
    /// Labels of the object, and those that it had.
    pub(super) labels: Vec<Labels>,
    /// Whether a controller makes it, again and again until it succeeds.
    pub(super) by_controller: bool,
    /// Why the release lands without it, if it does.
    pub(super) lands_anyway: Option<&'static str>,
    /// Why it is not known what is there, and so neither whether this is asked at all nor what `old` is.
    pub(super) unseen: Option<String>,
}

impl Request<'_> {
    pub(super) fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// `Deployment shop/web`, or `the pods of Deployment shop/web`.
    pub(super) fn told(&self) -> String {
        match (self.by_controller, self.operation) {
            (true, _) => {
                let below = self.subresource.map(|below| format!("/{below}")).unwrap_or_default();
                format!("the {}{below} of {}", self.resource.plural, self.id)
            }
            (false, "DELETE") => format!("the deletion of {}", self.id),
            (false, _) => self.id.clone(),
        }
    }
}

/// Labels of namespaces: as they are, and as the release leaves them from one of its places on.
#[derive(Debug, Clone)]
pub(super) struct OfNamespace {
    before: Labels,
    after: Option<(usize, Labels)>,
}

impl OfNamespace {
    /// Its labels when that is asked. Controllers ask when the release is there as a whole.
    pub(super) fn at(&self, request: &Request<'_>) -> &Labels {
        match &self.after {
            Some((from, labels)) if request.by_controller || request.position > *from => labels,
            _ => &self.before,
        }
    }
}

/// Labels of namespaces, by their names.
pub(super) type NamespaceLabels = BTreeMap<String, Result<OfNamespace, ClusterError>>;

/// Every request, and the labels of the namespaces that they go to.
pub(super) struct Requests<'a> {
    pub(super) all: Vec<Request<'a>>,
    pub(super) namespaces: NamespaceLabels,
}

pub(super) async fn of<'a>(release: &'a Release, cluster: &Reader) -> Requests<'a> {
    let mut all = Vec::new();
    for (position, planned) in release.objects().iter().enumerate() {
        let Some(resource) = planned.serving.resource() else {
            continue;
        };
        let (operations, old, unseen): (&[_], _, _) = match (&planned.live, planned.action) {
            (_, Action::Unchanged) => continue,
            (Live::Present(live), _) => (&["UPDATE"], Some((**live).clone()), None),
            (Live::Unknown(error), _) => (&["CREATE", "UPDATE"], None, Some(error.to_string())),
            _ => (&["CREATE"], None, None),
        };
        let mut object = merged(planned, release.method());
        if release.method() == Method::Client
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            // kubectl writes down what it applies.
            metadata.entry("annotations").or_insert_with(|| json!({}))[LAST_APPLIED] = "".into();
        }
        let mut seen = vec![labels::of(&object)];
        seen.extend(old.as_ref().map(labels::of));
        all.extend(operations.iter().map(|operation| Request {
            id: planned.object.id().to_string(),
            subject: Subject::object(&planned.object),
            name: planned.object.name().map(str::to_owned),
            position,
            operation,
            resource: resource.clone(),
            subresource: None,
            own_versions: own_versions(release, resource),
            namespace: planned.namespace.as_deref(),
            object: object.clone(),
            old: old.clone(),
            labels: seen.clone(),
            by_controller: false,
            lands_anyway: None,
            unseen: unseen.clone(),
        }));
        made::by_controllers(release, planned, position, &mut all);
    }
    // That pruning could not be looked at is told by the check that looks at permissions.
    let deletions = release.pruning().map(|pruning| pruning.deletions.as_slice()).unwrap_or_default();
    all.extend(join_all(deletions.iter().map(|gone| deletion(cluster, gone))).await);
    let names: BTreeSet<&str> = all.iter().filter_map(|request| request.namespace).collect();
    let looking = names
        .into_iter()
        .map(|name| async move { (name.to_owned(), labels_of(release, cluster, name).await) });
    let namespaces = join_all(looking).await.into_iter().collect();
    Requests { all, namespaces }
}

/// The versions of a kind that a definition of the release serves.
fn own_versions(release: &Release, resource: &Resource) -> Vec<String> {
    let name = resource.group_resource();
    let mut definitions = release.of_kind("apiextensions.k8s.io", "CustomResourceDefinition");
    let definition = definitions.find(|(_, planned)| planned.object.name() == Some(&name));
    let versions = definition.map(|(_, planned)| planned.effective["spec"]["versions"].clone());
    let versions = versions.as_ref().and_then(Value::as_array).into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true);
    served.filter_map(|version| Some(version["name"].as_str()?.to_owned())).collect()
}

/// The request that prunes an object.
async fn deletion<'a>(cluster: &Reader, gone: &'a Deletion) -> Request<'a> {
    let Deletion { resource, namespace, name, .. } = gone;
    let place = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let id = format!("{} {place}{name}", resource.kind);
    let (old, unseen) = match cluster.get(resource, namespace.as_deref(), name).await {
        Ok(old) => (old.map(|old| (*old).clone()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Request {
        subject: Subject::new(&id),
        id,
        name: Some(name.clone()),
        position: usize::MAX,
        operation: "DELETE",
        resource: resource.clone(),
        subresource: None,
        own_versions: Vec::new(),
        namespace: namespace.as_deref(),
        object: Value::Null,
        labels: vec![old.as_ref().map(labels::of).unwrap_or_default()],
        old,
        by_controller: false,
        lands_anyway: None,
        unseen,
    }
}

/// A namespace's labels. One that is not there has only its name.
async fn labels_of(release: &Release, cluster: &Reader, name: &str) -> Result<OfNamespace, ClusterError> {
    // The API server labels every namespace with its name (`pkg/registry/core/namespace/strategy.go`, v1.36).
    let named = |mut labels: Labels| {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        labels
    };
    let live = cluster.get(&namespaces(), None, name).await?;
    let mut written = release.of_kind("", "Namespace");
    let written = written.find(|(_, planned)| planned.object.name() == Some(name));
    Ok(OfNamespace {
        before: named(live.as_deref().map(labels::of).unwrap_or_default()),
        after: written
            .map(|(position, planned)| (position, named(labels::of(&merged(planned, release.method()))))),
    })
}
