//! The pods of storage drivers, found among all pods.

use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

/// Between the kubelet's folder and that of a driver (`pkg/kubelet/config/defaults.go`, v1.36: `DefaultKubeletPluginsDirName`).
const PLUGINS: &str = "/plugins/";
/// The container that makes volumes for a CSI driver (<https://github.com/kubernetes-csi/external-provisioner>).
const CSI_PROVISIONER: &str = "csi-provisioner";

/// What is looked at of a pod: enough to tell whether it belongs to a storage driver.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Value")]
pub struct Pod {
    /// Whether it is ready.
    pub(super) ready: bool,
    /// Whether a container of it makes volumes for a CSI driver.
    pub(super) provisions: bool,
    /// Names of the CSI drivers whose folders on the node it mounts.
    pub(super) folders: Vec<String>,
    /// Images, arguments and values of variables that may name a provisioner.
    pub(super) words: Vec<String>,
}

view!(Pod: namespaced "" "v1" "pods" "Pod");

impl From<Value> for Pod {
    fn from(pod: Value) -> Self {
        let conditions = pod["status"]["conditions"].as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let folders: Vec<String> =
            volumes.filter_map(|volume| driver_of(volume["hostPath"]["path"].as_str()?)).collect();
        let mut found = Self { ready, folders, ..Self::default() };
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            found.provisions |= container["name"] == CSI_PROVISIONER || image.contains("/csi-provisioner");
            let lists = ["command", "args"].into_iter();
            let words = lists.flat_map(|key| container[key].as_array().into_iter().flatten());
            let values = container["env"].as_array().into_iter().flatten().map(|variable| &variable["value"]);
            let words = words.chain(values).filter_map(Value::as_str).filter(|word| may_name(word));
            found.words.extend(words.map(str::to_owned));
            found.words.push(image.to_owned());
        }
        found
    }
}

/// Names of provisioners have a domain and, those that are no CSI drivers, a slash. Anything longer is none, and would
/// take up memory for every pod of the cluster.
fn may_name(word: &str) -> bool {
    word.len() < 128 && word.contains('/') && word.contains('.')
}

/// The driver whose folder this is, or is in.
fn driver_of(path: &str) -> Option<String> {
    let (_, below) = path.split_once(PLUGINS)?;
    let name = below.split('/').next()?;
    (!name.is_empty() && name != "kubernetes.io").then(|| name.to_owned())
}

impl Pod {
    /// Whether its arguments, variables or images name this provisioner.
    pub(super) fn names(&self, provisioner: &str) -> bool {
        let image = IMAGES.iter().find(|(name, _)| *name == provisioner).map(|(_, image)| *image);
        self.words.iter().any(|word| {
            word == provisioner
                || word.rsplit('=').next() == Some(provisioner)
                || image.is_some_and(|image| word.contains(image))
        })
    }
}

/// Provisioners that have their names built in, and what their images are called:
/// <https://github.com/rancher/local-path-provisioner>, <https://github.com/kubernetes/minikube>
/// (`cmd/storage-provisioner`), <https://github.com/canonical/microk8s-core-addons> (`addons/hostpath-storage`).
const IMAGES: &[(&str, &str)] = &[
    ("rancher.io/local-path", "local-path-provisioner"),
    ("k8s.io/minikube-hostpath", "k8s-minikube/storage-provisioner"),
    ("microk8s.io/hostpath", "hostpath-provisioner"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_drivers_are_known_by_their_folders_and_containers() {
        let pod: Pod = serde_json::from_value(json!({
            "spec": {
                "containers": [{"name": "csi-provisioner", "image": "registry.k8s.io/sig-storage/csi-provisioner:v5", "args": ["--v=2"]}],
                "volumes": [
                    {"hostPath": {"path": "/var/lib/kubelet/plugins/ebs.csi.aws.com/"}},
                    {"hostPath": {"path": "/var/lib/kubelet/plugins/kubernetes.io/csi"}},
                    {"hostPath": {"path": "/var/lib/kubelet/plugins_registry/"}},
                    {"emptyDir": {}},
                ],
            },
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        assert_eq!(
            (pod.ready, pod.provisions, pod.folders),
            (true, true, vec!["ebs.csi.aws.com".to_owned()])
        );
    }

    #[test]
    fn provisioners_are_named_by_arguments_variables_and_images() {
        let pod = |container: Value| -> Pod {
            serde_json::from_value(json!({"spec": {"containers": [container]}})).unwrap()
        };
        for (container, provisioner, names) in [
            (
                json!({"env": [{"name": "PROVISIONER_NAME", "value": "example.com/nfs"}]}),
                "example.com/nfs",
                true,
            ),
            (json!({"args": ["--provisioner=example.com/nfs"]}), "example.com/nfs", true),
            (json!({"args": ["--provisioner=example.com/nfs2"]}), "example.com/nfs", false),
            (json!({"image": "rancher/local-path-provisioner:v0.0.32"}), "rancher.io/local-path", true),
            (json!({"image": "rancher/local-path-provisioner:v0.0.32"}), "example.com/nfs", false),
        ] {
            assert_eq!(pod(container.clone()).names(provisioner), names, "{container}");
        }
    }
}
