//! What an object names: the other objects without which it will not work.

use super::object::Object;
use super::templates::PodTemplate;
use crate::yaml::{FieldPath, Node};

/// Another object that an object names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// API group of what is named; empty for the core group.
    pub group: String,
    /// Kind of what is named.
    pub kind: String,
    /// Its namespace, where one is written; else the naming object's own, or none for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The key in it that is wanted, where one is.
    pub key: Option<String>,
    /// Whether the naming object works without it.
    pub optional: bool,
    /// Where it is named.
    pub path: FieldPath,
}

/// A field that names an object: below which kind of object, its path (`[]` goes through a list), and the group
/// and kind that it names.
type Rule = (&'static str, &'static str, &'static str, &'static str);

/// Fields of objects that are not workloads.
const FIELDS: &[Rule] = &[
    ("StatefulSet", "spec.serviceName", "", "Service"),
    ("StatefulSet", "spec.volumeClaimTemplates[].spec.storageClassName", "storage.k8s.io", "StorageClass"),
    ("PersistentVolumeClaim", "spec.storageClassName", "storage.k8s.io", "StorageClass"),
    ("PersistentVolumeClaim", "spec.volumeName", "", "PersistentVolume"),
    ("PersistentVolume", "spec.storageClassName", "storage.k8s.io", "StorageClass"),
    ("Ingress", "spec.ingressClassName", "networking.k8s.io", "IngressClass"),
    ("Ingress", "spec.defaultBackend.service.name", "", "Service"),
    ("Ingress", "spec.rules[].http.paths[].backend.service.name", "", "Service"),
    ("Ingress", "spec.tls[].secretName", "", "Secret"),
    ("Gateway", "spec.gatewayClassName", "gateway.networking.k8s.io", "GatewayClass"),
    ("Gateway", "spec.listeners[].tls.certificateRefs[].name", "", "Secret"),
    ("HTTPRoute", "spec.parentRefs[].name", "gateway.networking.k8s.io", "Gateway"),
    ("HTTPRoute", "spec.rules[].backendRefs[].name", "", "Service"),
    ("GRPCRoute", "spec.parentRefs[].name", "gateway.networking.k8s.io", "Gateway"),
    ("GRPCRoute", "spec.rules[].backendRefs[].name", "", "Service"),
    ("ServiceAccount", "imagePullSecrets[].name", "", "Secret"),
    ("ServiceAccount", "secrets[].name", "", "Secret"),
    ("APIService", "spec.service.name", "", "Service"),
    ("ValidatingWebhookConfiguration", "webhooks[].clientConfig.service.name", "", "Service"),
    ("MutatingWebhookConfiguration", "webhooks[].clientConfig.service.name", "", "Service"),
    ("CustomResourceDefinition", "spec.conversion.webhook.clientConfig.service.name", "", "Service"),
];

/// Fields of a pod's `spec`.
const POD_FIELDS: &[(&str, &str, &str)] = &[
    ("serviceAccountName", "", "ServiceAccount"),
    ("priorityClassName", "scheduling.k8s.io", "PriorityClass"),
    ("runtimeClassName", "node.k8s.io", "RuntimeClass"),
    ("imagePullSecrets[].name", "", "Secret"),
    ("volumes[].persistentVolumeClaim.claimName", "", "PersistentVolumeClaim"),
    ("volumes[].csi.nodePublishSecretRef.name", "", "Secret"),
];

/// Lists of containers whose variables name ConfigMaps and Secrets.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

impl Object {
    /// What it names.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for (kind, path, group, named) in FIELDS {
            if *kind == self.kind() {
                collect(self.root(), &FieldPath::root(), path, group, named, &mut found);
            }
        }
        self.bindings(&mut found);
        self.typed_references(&mut found);
        if let Some(template) = self.pod_template() {
            template.references(&mut found);
        }
        found
    }

    /// The role of a binding, and the ServiceAccounts among its subjects.
    fn bindings(&self, found: &mut Vec<Reference>) {
        if self.group() != "rbac.authorization.k8s.io" || !self.kind().ends_with("Binding") {
            return;
        }
        if let (Some(kind), Some(name)) = (self.text("roleRef.kind"), self.text("roleRef.name")) {
            found.push(reference("rbac.authorization.k8s.io", kind, name, FieldPath::of("roleRef.name")));
        }
        let subjects = self.root().get("subjects").map(Node::items).unwrap_or_default();
        for (at, subject) in subjects.iter().enumerate() {
            if let (Some("ServiceAccount"), Some(name)) = (subject.text("kind"), subject.text("name")) {
                let path = FieldPath::root().key("subjects").index(at).key("name");
                let namespace = subject.text("namespace").map(str::to_owned);
                found.push(Reference { namespace, ..reference("", "ServiceAccount", name, path) });
            }
        }
    }

    /// Fields that name kind and name: scale targets and owners.
    fn typed_references(&self, found: &mut Vec<Reference>) {
        let mut named =
            vec![(FieldPath::of("spec.scaleTargetRef"), self.kind() == "HorizontalPodAutoscaler")];
        let owners = self
            .root()
            .at(&FieldPath::of("metadata.ownerReferences"))
            .map_or(0, |owners| owners.items().len());
        named.extend((0..owners).map(|at| (FieldPath::of("metadata.ownerReferences").index(at), true)));
        for (path, applies) in named {
            let Some(node) = self.root().at(&path).filter(|_| applies) else {
                continue;
            };
            if let (Some(kind), Some(name)) = (node.text("kind"), node.text("name")) {
                let group = node
                    .text("apiVersion")
                    .and_then(|api| api.split_once('/'))
                    .map_or("", |(group, _)| group);
                found.push(reference(group, kind, name, path.key("name")));
            }
        }
    }
}

impl PodTemplate<'_> {
    fn references(&self, found: &mut Vec<Reference>) {
        let Some(spec) = self.spec() else { return };
        let base = self.spec_path("");
        for (path, group, named) in POD_FIELDS {
            collect(spec, &base, path, group, named, found);
        }
        let volumes = spec.get("volumes").map(Node::items).unwrap_or_default();
        for (at, volume) in volumes.iter().enumerate() {
            let path = base.clone().key("volumes").index(at);
            volume_sources(volume, &path, found);
            let sources = volume.at(&FieldPath::of("projected.sources")).map(Node::items).unwrap_or_default();
            for (at, source) in sources.iter().enumerate() {
                volume_sources(source, &path.clone().key("projected").key("sources").index(at), found);
            }
        }
        for list in CONTAINERS {
            let containers = spec.get(list).map(Node::items).unwrap_or_default();
            for (at, container) in containers.iter().enumerate() {
                variables(container, &base.clone().key(list).index(at), found);
            }
        }
    }
}

/// ConfigMaps and Secrets that a volume, or a source of a projected one, is made of.
fn volume_sources(volume: &Node, path: &FieldPath, found: &mut Vec<Reference>) {
    for (field, name_key, kind) in
        [("configMap", "name", "ConfigMap"), ("secret", "secretName", "Secret"), ("secret", "name", "Secret")]
    {
        let Some(source) = volume.get(field) else { continue };
        let Some(name) = source.text(name_key) else {
            continue;
        };
        let path = path.clone().key(field);
        let optional = source.get("optional").and_then(Node::bool).unwrap_or(false);
        let items = source.get("items").map(Node::items).unwrap_or_default();
        if items.is_empty() {
            let path = path.clone().key(name_key);
            found.push(Reference { optional, ..reference("", kind, name, path) });
        }
        for (at, item) in items.iter().enumerate() {
            let key = item.text("key").map(str::to_owned);
            let path = path.clone().key("items").index(at).key("key");
            found.push(Reference { optional, key, ..reference("", kind, name, path) });
        }
    }
}

/// ConfigMaps and Secrets that a container's variables come from.
fn variables(container: &Node, path: &FieldPath, found: &mut Vec<Reference>) {
    let items = |list: &str| container.get(list).map(Node::items).unwrap_or_default().iter().enumerate();
    for (at, variable) in items("env") {
        for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
            let Some(source) = variable.get("valueFrom").and_then(|from| from.get(field)) else {
                continue;
            };
            let Some(name) = source.text("name") else { continue };
            let key = source.text("key").map(str::to_owned);
            let optional = source.get("optional").and_then(Node::bool).unwrap_or(false);
            let path = path.clone().key("env").index(at).key("valueFrom").key(field).key("name");
            found.push(Reference { optional, key, ..reference("", kind, name, path) });
        }
    }
    for (at, from) in items("envFrom") {
        for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
            let Some(source) = from.get(field) else { continue };
            let Some(name) = source.text("name") else { continue };
            let optional = source.get("optional").and_then(Node::bool).unwrap_or(false);
            let path = path.clone().key("envFrom").index(at).key(field).key("name");
            found.push(Reference { optional, ..reference("", kind, name, path) });
        }
    }
}

fn reference(group: &str, kind: &str, name: &str, path: FieldPath) -> Reference {
    Reference {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: name.to_owned(),
        key: None,
        optional: false,
        path,
    }
}

/// Follows a path such as `spec.tls[].secretName`, through every item of its lists.
fn collect(node: &Node, at: &FieldPath, path: &str, group: &str, kind: &str, found: &mut Vec<Reference>) {
    let Some((list, rest)) = path.split_once("[].") else {
        if let Some(name) = node.text(path).filter(|name| !name.is_empty()) {
            found.push(reference(group, kind, name, at.clone().join(&FieldPath::of(path))));
        }
        return;
    };
    let list = FieldPath::of(list);
    for (index, item) in node.at(&list).map(Node::items).unwrap_or_default().iter().enumerate() {
        collect(item, &at.clone().join(&list).index(index), rest, group, kind, found);
    }
}

#[cfg(test)]
mod tests {
    use crate::manifests::Manifests;

    fn found(text: &str) -> Vec<String> {
        let manifests = Manifests::parse("a.yaml", text).unwrap();
        let references = manifests.objects()[0].references();
        let show = |r: super::Reference| {
            let key = r.key.map(|key| format!("#{key}")).unwrap_or_default();
            format!("{} {}{key}{} @{}", r.kind, r.name, if r.optional { "?" } else { "" }, r.path)
        };
        references.into_iter().map(show).collect()
    }

    #[test]
    fn pods_name_what_they_are_made_of() {
        let text = "
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  serviceAccountName: sa
  imagePullSecrets: [{name: pull}]
  volumes:
  - {name: v, configMap: {name: cm, items: [{key: k, path: p}]}}
  - {name: w, secret: {secretName: s, optional: true}}
  - {name: x, projected: {sources: [{secret: {name: t}}]}}
  - {name: y, persistentVolumeClaim: {claimName: c}}
  containers:
  - name: c
    env: [{name: E, valueFrom: {secretKeyRef: {name: s, key: k}}}]
    envFrom: [{configMapRef: {name: cm}}]
";
        assert_eq!(
            found(text),
            [
                "ServiceAccount sa @spec.serviceAccountName",
                "Secret pull @spec.imagePullSecrets[0].name",
                "PersistentVolumeClaim c @spec.volumes[3].persistentVolumeClaim.claimName",
                "ConfigMap cm#k @spec.volumes[0].configMap.items[0].key",
                "Secret s? @spec.volumes[1].secret.secretName",
                "Secret t @spec.volumes[2].projected.sources[0].secret.name",
                "Secret s#k @spec.containers[0].env[0].valueFrom.secretKeyRef.name",
                "ConfigMap cm @spec.containers[0].envFrom[0].configMapRef.name",
            ]
        );
    }

    #[test]
    fn other_objects_name_theirs() {
        let binding = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a}, roleRef: {kind: Role, name: r}, subjects: [{kind: ServiceAccount, name: s, namespace: n}, {kind: User, name: u}]}";
        assert_eq!(found(binding), ["Role r @roleRef.name", "ServiceAccount s @subjects[0].name"]);
        let hpa = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}}";
        assert_eq!(found(hpa), ["Deployment d @spec.scaleTargetRef.name"]);
        let ingress = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {ingressClassName: nginx, rules: [{http: {paths: [{backend: {service: {name: s}}}]}}]}}";
        assert_eq!(
            found(ingress),
            [
                "IngressClass nginx @spec.ingressClassName",
                "Service s @spec.rules[0].http.paths[0].backend.service.name"
            ]
        );
    }
}
