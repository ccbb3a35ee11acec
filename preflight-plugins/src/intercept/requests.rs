//! What the API server will be asked when the release is applied, as admission sees it: each object, and (in `made`)
//! what controllers make of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Reader, Resource};
use preflight_core::release::{Action, Deletion, Live, Planned, Release};
use preflight_core::{Method, Subject};
use serde_json::{Value, json};

use super::made;
use crate::cel::{UNKNOWN, World};
use crate::changes::{LAST_APPLIED, merged};
use crate::effective::{self, Surroundings, mark, only};
use crate::labels::{self, Labels};
use crate::updates::before_and_after;

/// Why `authorizer` is not known.
const AUTHORIZER: &str = "what one may do is known to the API server alone";
static NAMESPACES: Resource = Resource::cluster_wide("", "v1", "namespaces", "Namespace");

/// One request that will be made.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// The object of the release that is behind it, for people: `Deployment shop/web`.
    pub(crate) id: String,
    pub(crate) subject: Subject,
    /// The object's name, where it has one already.
    pub(crate) name: Option<String>,
    /// At which place of the release. What is pruned comes after everything.
    pub(crate) position: usize,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub(crate) operation: &'static str,
    pub(crate) resource: Resource,
    /// `status`, `binding`; none for the object itself.
    pub(crate) subresource: Option<&'static str>,
    /// Further versions of its kind that the release's own definition serves.
    pub(crate) own_versions: Vec<String>,
    pub(crate) namespace: Option<&'a str>,
    /// What is sent, as far as it is known, as admission sees it: what is made up, and what there may be besides, is marked.
    pub(crate) object: Value,
    pub(crate) old: Option<Value>,
    /// Labels of the object, and those that it had.
    pub(crate) labels: Vec<Labels>,
    /// Whether a controller makes it, again and again until it succeeds.
    pub(crate) by_controller: bool,
    /// Whether all of its kind are made right after the workload is applied.
    pub(crate) at_once: bool,
    /// Who asks, as `userInfo` says it, where that is known.
    pub(crate) user: Option<Value>,
    /// Why it is not known what becomes of the object before it is looked at, if it is not.
    pub(crate) changed: Option<String>,
    /// Whether it is a policy that changes it, as it is or as it is not known.
    pub(crate) by_policy: bool,
    /// Why the release lands without it, if it does.
    pub(crate) lands_anyway: Option<&'static str>,
    /// Why it is not known what is there, and so neither whether this is asked at all nor what `old` is.
    pub(crate) unseen: Option<String>,
}

impl<'a> Request<'a> {
    /// A request about an object of the release, of which nothing else is said yet.
    pub(crate) fn of(
        planned: &'a Planned,
        position: usize,
        operation: &'static str,
        resource: Resource,
    ) -> Self {
        let (id, subject) = (planned.object.id().to_string(), Subject::object(&planned.object));
        let namespace = planned.namespace.as_deref();
        Self { namespace, ..Self::new(id, subject, position, operation, resource) }
    }

    fn new(
        id: String,
        subject: Subject,
        position: usize,
        operation: &'static str,
        resource: Resource,
    ) -> Self {
        Self {
            id,
            subject,
            name: None,
            position,
            operation,
            resource,
            subresource: None,
            own_versions: Vec::new(),
            namespace: None,
            object: Value::Null,
            old: None,
            labels: vec![Labels::new()],
            by_controller: false,
            at_once: true,
            user: None,
            changed: None,
            by_policy: false,
            lands_anyway: None,
            unseen: None,
        }
    }
}

impl Request<'_> {
    /// Whether it is about a Namespace.
    pub(crate) fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "namespaces"
    }

    /// Whether it is about pods, or about something below them.
    pub(crate) fn is_pod(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "pods"
    }

    /// What expressions see of it.
    pub(crate) fn world<'w>(&self, variables: &'w [(String, crate::cel::Expression)]) -> World<'w> {
        let world = World::new(variables);
        let unseen = self.unseen.as_ref().map(|why| format!("what is there is not known: {why}"));
        let old = self.old.clone().unwrap_or_default();
        if let Some(why) = &self.changed {
            return world
                .with("oldObject", &old)
                .without("object", why.as_str())
                .with("request", &self.asked())
                .without("authorizer", AUTHORIZER);
        }
        let world = match (&unseen, self.operation, self.by_controller) {
            (Some(why), "UPDATE", _) => {
                world.without("oldObject", why.as_str()).without("object", why.as_str())
            }
            (Some(why), _, false) => world.without("oldObject", why.as_str()).with("object", &self.object),
            _ => world.with("oldObject", &old).with("object", &self.object),
        };
        world.with("request", &self.asked()).without("authorizer", AUTHORIZER)
    }

    /// `request`, as `CreateAdmissionRequest` makes it
    /// (`staging/src/k8s.io/apiserver/pkg/admission/plugin/cel/condition.go`, v1.36).
    fn asked(&self) -> Value {
        let Resource { group, version, kind, plural, .. } = &self.resource;
        let of_kind = json!({"group": group, "version": version, "kind": kind});
        let of_resource = json!({"group": group, "version": version, "resource": plural});
        let mut asked = json!({
            "uid": "", "operation": self.operation, "kind": of_kind, "resource": of_resource, "requestKind": of_kind,
            "requestResource": of_resource, "dryRun": false, "options": UNKNOWN, "object": null, "oldObject": null,
            "userInfo": self.user.clone().unwrap_or_else(|| UNKNOWN.into()),
        });
        // A Namespace is taken to be in itself (`staging/src/k8s.io/apiserver/pkg/endpoints/handlers/create.go`).
        let namespace = if self.is_namespace() { self.name.as_deref() } else { self.namespace };
        let name = match (&self.name, self.by_controller) {
            (None, true) => Some(UNKNOWN),
            (name, _) => name.as_deref(),
        };
        for (key, value) in [
            ("name", name),
            ("namespace", namespace),
            ("subResource", self.subresource),
            ("requestSubResource", self.subresource),
        ] {
            if let Some(value) = value {
                asked[key] = value.into();
            }
        }
        asked
    }

    pub(crate) fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// `Deployment shop/web`, or `the pods of Deployment shop/web`.
    pub(crate) fn told(&self) -> String {
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
pub(crate) struct OfNamespace {
    before: Labels,
    after: Option<(usize, Labels)>,
}

impl OfNamespace {
    /// Its labels when that is asked. Controllers ask when the release is there as a whole.
    pub(crate) fn at(&self, request: &Request<'_>) -> &Labels {
        match &self.after {
            Some((from, labels)) if request.by_controller || request.position > *from => labels,
            _ => &self.before,
        }
    }
}

impl OfNamespace {
    /// Whether the release changes its labels.
    pub(crate) fn changes(&self) -> bool {
        self.after.as_ref().is_some_and(|(_, after)| *after != self.before)
    }

    /// The namespace as expressions see it.
    pub(crate) fn object(&self, request: &Request<'_>) -> Value {
        let labels = self.at(request);
        let name = labels.get("kubernetes.io/metadata.name");
        only(&[("metadata", only(&[("name", json!(name)), ("labels", json!(labels))]))])
    }
}

/// Labels of namespaces, by their names.
pub(crate) type NamespaceLabels = BTreeMap<String, Result<OfNamespace, ClusterError>>;

/// Every request, and the labels of the namespaces that they go to.
pub(crate) struct Requests<'a> {
    pub(crate) all: Vec<Request<'a>>,
    pub(crate) namespaces: NamespaceLabels,
}

impl Requests<'_> {
    /// Whether the release changes the labels of the namespace that a request goes to.
    pub(crate) fn relabels(&self, request: &Request<'_>) -> bool {
        let namespace = request.namespace.and_then(|name| self.namespaces.get(name));
        matches!(namespace, Some(Ok(labels)) if labels.changes())
    }

    /// The namespace that a request goes to, as expressions see it: `null` for what is in none.
    pub(crate) fn namespace_of(&self, request: &Request<'_>) -> Result<Value, String> {
        match request.namespace.map(|name| (name, self.namespaces.get(name))) {
            None => Ok(Value::Null),
            Some((_, Some(Ok(labels)))) => Ok(labels.object(request)),
            Some((name, Some(Err(error)))) => Err(format!("the namespace {name} cannot be read: {error}")),
            Some((name, None)) => Err(format!("the namespace {name} is not known")),
        }
    }
}

/// Which namespaces have a LimitRange, which writes requests and limits into pods.
#[derive(Debug)]
pub(crate) enum LimitRanges {
    /// Those.
    In(BTreeSet<String>),
    /// Nobody asked.
    Unknown,
}

impl LimitRanges {
    pub(crate) fn surroundings(&self, namespace: Option<&str>) -> Surroundings {
        let limit_range = match self {
            Self::In(namespaces) => namespace.is_some_and(|name| namespaces.contains(name)),
            Self::Unknown => true,
        };
        Surroundings { limit_range }
    }
}

pub(crate) async fn requests<'a>(
    release: &'a Release,
    cluster: &Reader,
    limits: &LimitRanges,
) -> Requests<'a> {
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
        let mut object = match before_and_after(planned, release.method()) {
            Some((_, after)) => after,
            None => merged(planned, release.method()),
        };
        if release.method() == Method::Client
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            // kubectl writes down what it applies.
            metadata.entry("annotations").or_insert_with(|| json!({}))[LAST_APPLIED] = UNKNOWN.into();
        }
        let surroundings = limits.surroundings(planned.namespace.as_deref());
        let mut seen = vec![labels::of(&object)];
        seen.extend(old.as_ref().map(labels::of));
        all.extend(operations.iter().map(|operation| Request {
            name: planned.object.name().map(str::to_owned),
            own_versions: own_versions(release, resource),
            namespace: planned.namespace.as_deref(),
            object: match *operation {
                "CREATE" => effective::created(&object, surroundings),
                _ => of_update(&object, surroundings),
            },
            old: old.as_ref().map(of_live),
            labels: seen.clone(),
            unseen: unseen.clone(),
            ..Request::of(planned, position, operation, resource.clone())
        }));
        made::by_controllers(release, planned, position, surroundings, &mut all);
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

/// What is there already. Of Secrets nothing but metadata is read.
pub(crate) fn of_live(live: &Value) -> Value {
    let mut live = live.clone();
    if live["kind"] == "Secret" || live["kind"] == "PartialObjectMetadata" {
        mark(&mut live);
    }
    live
}

fn of_update(object: &Value, surroundings: Surroundings) -> Value {
    let mut object = effective::updated(object, surroundings);
    if object["kind"] == "Secret" {
        mark(&mut object);
    }
    object
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
        name: Some(name.clone()),
        namespace: namespace.as_deref(),
        labels: vec![old.as_ref().map(labels::of).unwrap_or_default()],
        old: old.as_ref().map(of_live),
        unseen,
        ..Request::new(id.clone(), Subject::new(id), usize::MAX, "DELETE", resource.clone())
    }
}

/// A namespace's labels. One that is not there has only its name.
async fn labels_of(release: &Release, cluster: &Reader, name: &str) -> Result<OfNamespace, ClusterError> {
    // The API server labels every namespace with its name (`pkg/registry/core/namespace/strategy.go`, v1.36).
    let named = |mut labels: Labels| {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        labels
    };
    let live = cluster.get(&NAMESPACES, None, name).await?;
    let mut written = release.of_kind("", "Namespace");
    let written = written.find(|(_, planned)| planned.object.name() == Some(name));
    Ok(OfNamespace {
        before: named(live.as_deref().map(labels::of).unwrap_or_default()),
        after: written
            .map(|(position, planned)| (position, named(labels::of(&merged(planned, release.method()))))),
    })
}
