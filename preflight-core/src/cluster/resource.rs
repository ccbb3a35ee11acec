//! Kinds of objects, the thin types that plugins read them into, and the reads that plugins declare.

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A kind of object as the API serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version, for example `v1`.
    pub version: Cow<'static, str>,
    /// Plural name in lower case, as in URLs and in RBAC: `deployments`.
    pub plural: Cow<'static, str>,
    /// Kind, for example `Deployment`.
    pub kind: Cow<'static, str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// A kind whose objects live in namespaces.
    #[must_use]
    pub const fn namespaced(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
            namespaced: true,
        }
    }

    /// A kind whose objects belong to the whole cluster.
    #[must_use]
    pub const fn cluster_wide(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        let mut resource = Self::namespaced(group, version, plural, kind);
        resource.namespaced = false;
        resource
    }

    /// The path of its list: of one namespace, or of the whole cluster.
    #[must_use]
    pub fn path(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) if self.namespaced => format!("{base}/namespaces/{namespace}/{}", self.plural),
            _ => format!("{base}/{}", self.plural),
        }
    }

    /// `deployments.apps`, or `pods` in the core group.
    #[must_use]
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// The part of an object that a check looks at. Implemented by [`view!`](crate::view) for a thin type, and, with
/// the feature `kube`, for the full types of `k8s-openapi`.
pub trait View: DeserializeOwned + Send + Sync + 'static {
    /// Which objects it is a view of.
    fn resource() -> Resource;
}

/// Makes a type a [`View`] of the objects of one kind.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct PriorityClass { value: i32 }
/// preflight_core::view!(PriorityClass: cluster "scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass");
/// ```
#[macro_export]
macro_rules! view {
    ($view:ty: cluster $group:literal $version:literal $plural:literal $kind:literal) => {
        impl $crate::cluster::View for $view {
            fn resource() -> $crate::cluster::Resource {
                $crate::cluster::Resource::cluster_wide($group, $version, $plural, $kind)
            }
        }
    };
    ($view:ty: namespaced $group:literal $version:literal $plural:literal $kind:literal) => {
        impl $crate::cluster::View for $view {
            fn resource() -> $crate::cluster::Resource {
                $crate::cluster::Resource::namespaced($group, $version, $plural, $kind)
            }
        }
    };
}

#[cfg(feature = "kube")]
impl<K> View for K
where
    K: k8s_openapi::Resource + DeserializeOwned + Send + Sync + 'static,
    K::Scope: ScopeOf,
{
    fn resource() -> Resource {
        let make = if K::Scope::NAMESPACED { Resource::namespaced } else { Resource::cluster_wide };
        make(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT, K::KIND)
    }
}

/// Whether a `k8s-openapi` scope is that of namespaces.
#[cfg(feature = "kube")]
pub trait ScopeOf {
    /// Whether it is.
    const NAMESPACED: bool;
}
#[cfg(feature = "kube")]
impl ScopeOf for k8s_openapi::NamespaceResourceScope {
    const NAMESPACED: bool = true;
}
#[cfg(feature = "kube")]
impl ScopeOf for k8s_openapi::ClusterResourceScope {
    const NAMESPACED: bool = false;
}

/// The objects of one kind, in the part that a view keeps of them.
#[derive(Debug)]
pub struct Listed<V> {
    items: BTreeMap<(String, String), V>,
}

impl<V> Default for Listed<V> {
    /// No objects.
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Listed<V> {
    pub(crate) const fn new() -> Self {
        Self { items: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, namespace: &str, name: &str, item: V) {
        self.items.insert((namespace.to_owned(), name.to_owned()), item);
    }

    /// The cluster-wide object of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.get_in("", name)
    }

    /// The object of that name in that namespace.
    #[must_use]
    pub fn get_in(&self, namespace: &str, name: &str) -> Option<&V> {
        self.items.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Whether there is a cluster-wide object of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every object, with its namespace (empty if it has none) and name, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &V)> {
        self.items.iter().map(|((namespace, name), item)| (namespace.as_str(), name.as_str(), item))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// A listed object's own namespace and name.
#[derive(Deserialize)]
struct Named {
    metadata: NamedMeta,
}

#[derive(Deserialize)]
struct NamedMeta {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Takes a list's items, one by one.
pub(crate) trait Sink: Send {
    fn take(&mut self, item: &RawValue) -> Result<(), serde_json::Error>;
    fn finish(self: Box<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<V: View> Sink for Listed<V> {
    fn take(&mut self, item: &RawValue) -> Result<(), serde_json::Error> {
        let named: Named = serde_json::from_str(item.get())?;
        self.put(&named.metadata.namespace, &named.metadata.name, serde_json::from_str(item.get())?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Arc<dyn Any + Send + Sync> {
        Arc::new(*self)
    }
}

/// Makes what takes a list's items.
pub(crate) type NewSink = fn() -> Box<dyn Sink>;

/// What a read is of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOf {
    /// Objects of a known kind.
    Resource(Resource),
    /// Objects of whatever kinds the release holds, by name.
    Dynamic {
        /// What for, shown by `preflight rbac`.
        why: &'static str,
    },
    /// Contents of Secrets, by name. Read only where the environment asks for it.
    SecretContents {
        /// What for, shown by `preflight rbac`.
        why: &'static str,
    },
    /// Writes that are only tried (`dryRun=All`), of whatever kinds the release holds. Nothing is kept of them.
    Trials {
        /// What for, shown by `preflight rbac`.
        why: &'static str,
    },
    /// The schemas of kinds, in `/openapi/v3`, which every identity may read by default (`system:discovery`).
    Schemas,
    /// A path that is not of objects, for example `/readyz`.
    Path(&'static str),
    /// SelfSubjectReviews and SelfSubjectAccessReviews, which every identity may create by default, and
    /// SubjectAccessReviews, where another identity deploys.
    AccessReviews,
}

/// A read that a plugin declares. What is not declared cannot be read; the ClusterRole, the snapshot's contents
/// and the tests of faults come from the same declarations.
#[derive(Clone)]
pub struct Read {
    of: ReadOf,
    verb: &'static str,
    view: Option<(TypeId, NewSink)>,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("of", &self.of).field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl Read {
    /// Lists the objects of a kind, through a view.
    #[must_use]
    pub fn list<V: View>() -> Self {
        Self {
            of: ReadOf::Resource(V::resource()),
            verb: "list",
            view: Some((TypeId::of::<V>(), || Box::new(Listed::<V>::new()))),
        }
    }

    /// Gets objects of a kind by name.
    #[must_use]
    pub const fn get(resource: Resource) -> Self {
        Self { of: ReadOf::Resource(resource), verb: "get", view: None }
    }

    /// Lists the objects of a kind that have certain labels, with [`Reader::select`](super::Reader::select).
    #[must_use]
    pub const fn select(resource: Resource) -> Self {
        Self { of: ReadOf::Resource(resource), verb: "list", view: None }
    }

    /// Gets objects by name whose kinds are known only at run time.
    #[must_use]
    pub const fn dynamic(why: &'static str) -> Self {
        Self { of: ReadOf::Dynamic { why }, verb: "get", view: None }
    }

    /// Gets contents of Secrets by name, where the environment asks for it. Every other read of Secrets gives their
    /// metadata alone.
    #[must_use]
    pub const fn secret_contents(why: &'static str) -> Self {
        Self { of: ReadOf::SecretContents { why }, verb: "get", view: None }
    }

    /// Tries writes, with [`Reader::try_out`](super::Reader::try_out). The API server keeps nothing of them, but takes the
    /// permission to write for it.
    #[must_use]
    pub const fn trials(why: &'static str) -> Self {
        Self { of: ReadOf::Trials { why }, verb: "create", view: None }
    }

    /// Gets schemas of kinds, with [`Reader::schemas`](super::Reader::schemas).
    #[must_use]
    pub const fn schemas() -> Self {
        Self { of: ReadOf::Schemas, verb: "get", view: None }
    }

    /// Gets a path that is not of objects.
    #[must_use]
    pub const fn path(path: &'static str) -> Self {
        Self { of: ReadOf::Path(path), verb: "get", view: None }
    }

    /// Asks who one is, and what one or another may do.
    #[must_use]
    pub const fn access_reviews() -> Self {
        Self { of: ReadOf::AccessReviews, verb: "create", view: None }
    }

    /// What it is of.
    #[must_use]
    pub const fn of(&self) -> &ReadOf {
        &self.of
    }

    /// The verb that it needs.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        self.verb
    }

    pub(crate) const fn view(&self) -> Option<(TypeId, NewSink)> {
        self.view
    }

    pub(crate) fn allows_get(&self, resource: &Resource) -> bool {
        match &self.of {
            ReadOf::Resource(of) => {
                self.verb == "get" && of.group == resource.group && of.plural == resource.plural
            }
            ReadOf::Dynamic { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn allows_select(&self, resource: &Resource) -> bool {
        match &self.of {
            ReadOf::Resource(of) => {
                self.verb == "list" && of.group == resource.group && of.plural == resource.plural
            }
            ReadOf::Dynamic { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn allows_list<V: View>(&self) -> bool {
        self.view.is_some_and(|(id, _)| id == TypeId::of::<V>())
    }
}

/// The name of a view, for messages.
pub(crate) fn view_name<V>() -> &'static str {
    type_name::<V>().rsplit("::").next().unwrap_or("view")
}
