//! Pod templates of every kind of workload, and their containers and images.

use super::object::Object;
use crate::yaml::{FieldPath, Node};

/// Kinds that hold a pod template: group, kind, and the path of what holds the pod's `spec`.
const WORKLOADS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "ReplicationController", "spec.template"),
    ("apps", "Deployment", "spec.template"),
    ("apps", "StatefulSet", "spec.template"),
    ("apps", "DaemonSet", "spec.template"),
    ("apps", "ReplicaSet", "spec.template"),
    ("batch", "Job", "spec.template"),
    ("batch", "CronJob", "spec.jobTemplate.spec.template"),
];

/// Lists of containers in a pod's `spec`.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The pods that a workload of the manifests will make.
#[derive(Debug, Clone)]
pub struct PodTemplate<'a> {
    object: &'a Object,
    path: FieldPath,
    node: &'a Node,
}

/// A container of a pod template.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Container<'a> {
    /// `initContainers`, `containers` or `ephemeralContainers`.
    pub list: &'static str,
    /// Its name.
    pub name: &'a str,
    /// Its image, where one is written.
    pub image: Option<&'a str>,
    /// Where it is.
    pub path: FieldPath,
}

/// An image that a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageUse {
    /// The reference as written.
    pub reference: String,
    /// The container's name.
    pub container: String,
    /// Where the reference is written.
    pub path: FieldPath,
}

impl Object {
    /// The pods that it will make, where it is a workload.
    #[must_use]
    pub fn pod_template(&self) -> Option<PodTemplate<'_>> {
        let matches = |(group, kind, _): &&(&str, &str, &str)| *group == self.group() && *kind == self.kind();
        let path = FieldPath::of(WORKLOADS.iter().find(matches)?.2);
        let node = self.root().at(&path)?;
        Some(PodTemplate { object: self, path, node })
    }
}

impl<'a> PodTemplate<'a> {
    /// The workload.
    #[must_use]
    pub const fn object(&self) -> &'a Object {
        self.object
    }

    /// A path inside the pod's `spec`, from the workload's root.
    #[must_use]
    pub fn spec_path(&self, below: &str) -> FieldPath {
        self.path.clone().key("spec").join(&FieldPath::of(below))
    }

    pub(crate) fn spec(&self) -> Option<&'a Node> {
        self.node.get("spec")
    }

    /// A string in the pod's `spec`.
    #[must_use]
    pub fn text(&self, dotted: &str) -> Option<&'a str> {
        self.spec()?.text(dotted)
    }

    /// The pod's `spec` in JSON.
    #[must_use]
    pub fn spec_json(&self) -> serde_json::Value {
        self.spec().map(Node::json).unwrap_or_default()
    }

    /// The ServiceAccount that its pods run as.
    #[must_use]
    pub fn service_account(&self) -> &'a str {
        let named = self.text("serviceAccountName").or_else(|| self.text("serviceAccount"));
        named.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// The PriorityClass that its pods name.
    #[must_use]
    pub fn priority_class(&self) -> Option<&'a str> {
        self.text("priorityClassName").filter(|name| !name.is_empty())
    }

    /// Its containers, of all lists.
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> {
        let (spec, path) = (self.spec(), self.path.clone().key("spec"));
        CONTAINERS.into_iter().flat_map(move |list| {
            let items = spec.and_then(|spec| spec.get(list)).map(Node::items).unwrap_or_default();
            let path = path.clone().key(list);
            items.iter().enumerate().map(move |(at, node)| Container {
                list,
                name: node.text("name").unwrap_or_default(),
                image: node.text("image"),
                path: path.clone().index(at),
            })
        })
    }

    /// Its images, as written.
    #[must_use]
    pub fn images(&self) -> Vec<ImageUse> {
        let image = |container: Container<'a>| {
            Some(ImageUse {
                reference: container.image?.to_owned(),
                container: container.name.to_owned(),
                path: container.path.key("image"),
            })
        };
        self.containers().filter_map(image).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::manifests::Manifests;

    #[test]
    fn every_kind_of_workload_has_its_template() {
        let pod = "{initContainers: [{name: i, image: a:1}], containers: [{name: c, image: b:2}], serviceAccountName: s}";
        for (api, kind, spec, image_at) in [
            ("v1", "Pod", pod.to_owned(), "spec.initContainers[0].image"),
            (
                "apps/v1",
                "Deployment",
                format!("{{template: {{spec: {pod}}}}}"),
                "spec.template.spec.initContainers[0].image",
            ),
            (
                "apps/v1",
                "StatefulSet",
                format!("{{template: {{spec: {pod}}}}}"),
                "spec.template.spec.initContainers[0].image",
            ),
            (
                "apps/v1",
                "DaemonSet",
                format!("{{template: {{spec: {pod}}}}}"),
                "spec.template.spec.initContainers[0].image",
            ),
            (
                "apps/v1",
                "ReplicaSet",
                format!("{{template: {{spec: {pod}}}}}"),
                "spec.template.spec.initContainers[0].image",
            ),
            (
                "batch/v1",
                "Job",
                format!("{{template: {{spec: {pod}}}}}"),
                "spec.template.spec.initContainers[0].image",
            ),
            (
                "batch/v1",
                "CronJob",
                format!("{{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
                "spec.jobTemplate.spec.template.spec.initContainers[0].image",
            ),
        ] {
            let text = format!("{{apiVersion: {api}, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}");
            let manifests = Manifests::parse("a", &text).unwrap();
            let template = manifests.objects()[0].pod_template().unwrap();
            let images = template.images();
            assert_eq!(
                images.iter().map(|image| image.reference.as_str()).collect::<Vec<_>>(),
                ["a:1", "b:2"],
                "{kind}"
            );
            assert_eq!(images[0].path.to_string(), image_at);
            assert_eq!(template.service_account(), "s");
        }
        let other =
            Manifests::parse("a", "{apiVersion: x.io/v1, kind: Deployment, metadata: {name: a}}").unwrap();
        assert!(other.objects()[0].pod_template().is_none());
    }
}
