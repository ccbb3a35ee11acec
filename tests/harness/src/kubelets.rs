//! What the kubelets and a volume provisioner would do, as far as rollouts need it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::Api;
use crate::images::Images;

/// The provisioner of the StorageClasses for which volumes are made.
const PROVISIONER: &str = "harness.example/csi";
/// How often everything is looked at.
const BEAT: Duration = Duration::from_millis(150);

/// Plays the kubelets until the task ends. They pull from the registries of the tests.
pub(crate) async fn play(api: Api, images: Arc<Images>) {
    loop {
        for pod in api.items("/api/v1/pods").await {
            play_pod(&api, &images, &pod).await;
        }
        for claim in api.items("/api/v1/persistentvolumeclaims").await {
            provision(&api, &claim).await;
        }
        tokio::time::sleep(BEAT).await;
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

async fn play_pod(api: &Api, images: &Images, pod: &Value) {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        // Whatever it answers, it will be asked again.
        let _ = api.delete(&format!("{path}?gracePeriodSeconds=0")).await;
        return;
    }
    if text(pod, "/spec/nodeName").is_empty()
        || matches!(text(pod, "/status/phase"), "Running" | "Succeeded" | "Failed")
    {
        return;
    }
    let status = match start(api, images, pod, namespace).await {
        Err((reason, message)) => waiting(pod, reason, &message),
        Ok(_) if text(pod, "/spec/restartPolicy") != "Always" => finished(pod),
        Ok(digests) => running(pod, &digests),
    };
    let _ = api.merge(&format!("{path}/status"), &json!({"status": status})).await;
}

/// Digests of images, by their names.
type Digests = BTreeMap<String, String>;

/// Pulls what the pod needs: gives the digests, or why it does not start.
async fn start(
    api: &Api,
    images: &Images,
    pod: &Value,
    namespace: &str,
) -> Result<Digests, (&'static str, String)> {
    let mut digests = Digests::new();
    let node = text(pod, "/spec/nodeName");
    let Ok(node) = api.get(&format!("/api/v1/nodes/{node}")).await else {
        return Err(("NodeMissing", format!("there is no node {node:?} and no kubelet")));
    };
    let label = node.pointer("/metadata/labels/kubernetes.io~1arch").and_then(Value::as_str);
    let architecture = label.unwrap_or("amd64");
    for container in containers(pod) {
        let image = text(container, "/image");
        if image.contains(['$', '{', ' ']) || image.is_empty() {
            return Err(("InvalidImageName", format!("couldn't parse image name {image:?}")));
        }
        let cached = node["status"]["images"].as_array().into_iter().flatten().any(|cached| {
            cached["names"].as_array().into_iter().flatten().any(|name| name.as_str() == Some(image))
        });
        if cached && text(container, "/imagePullPolicy") != "Always" {
            continue;
        }
        if text(container, "/imagePullPolicy") == "Never" {
            return Err(("ErrImageNeverPull", format!("Container image {image:?} is not present")));
        }
        let logins = match logins(api, pod, namespace, image).await {
            Ok(logins) => logins,
            Err(why) => return Err(("ErrImagePull", why)),
        };
        match images.pull(image, architecture, &logins).await {
            Err(why) => return Err(("ErrImagePull", why)),
            Ok(pulled) => {
                digests.insert(image.to_owned(), pulled.digest);
                if let Some(why) = runs_as_root(pod, container, &pulled.user) {
                    return Err(("CreateContainerConfigError", why));
                }
            }
        }
    }
    for Wanted { plural, name, keys } in wanted(pod) {
        let path = format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
        let object = match api.get(&path).await {
            Ok(object) => object,
            Err(error) if error.code == 404 => {
                return Err(("CreateContainerConfigError", format!("{plural} {name:?} not found")));
            }
            Err(_) => continue,
        };
        let has = |key: &String| ["data", "binaryData"].iter().any(|map| !object[*map][key].is_null());
        if let Some(key) = keys.iter().find(|key| !has(key)) {
            let message = format!("couldn't find key {key} in {plural} {namespace}/{name}");
            return Err(("CreateContainerConfigError", message));
        }
    }
    if let Some(why) = containers(pod).into_iter().find_map(unknown_port) {
        return Err(("ContainersNotReady", why));
    }
    if digests.keys().any(|image| image.contains("/crashes:")) {
        return Err(("CrashLoopBackOff", "back-off 5m0s restarting failed container".to_owned()));
    }
    Ok(digests)
}

/// A probe that asks a named port which the container does not have fails each time.
fn unknown_port(container: &Value) -> Option<String> {
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"];
    let asked = probes
        .into_iter()
        .flat_map(|probe| ["httpGet", "tcpSocket"].map(|way| &container[probe][way]["port"]));
    let mut unknown = asked.filter_map(Value::as_str).filter(|port| {
        let mut ports = container["ports"].as_array().into_iter().flatten();
        port.parse::<u16>().is_err() && !ports.any(|own| own["name"] == *port)
    });
    unknown.next().map(|port| format!("couldn't find port: {port:?}"))
}

/// Users and passwords of the pod's pull secrets that are for the image's host. The API server has put those of the
/// ServiceAccount into the pod.
async fn logins(
    api: &Api,
    pod: &Value,
    namespace: &str,
    image: &str,
) -> Result<Vec<(String, String)>, String> {
    let host = Images::host_of(image).unwrap_or_default();
    let mut logins = Vec::new();
    for named in pod["spec"]["imagePullSecrets"].as_array().into_iter().flatten() {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{}", text(named, "/name"));
        let Ok(secret) = api.get(&path).await else { continue };
        let data = text(&secret, "/data/.dockerconfigjson");
        if text(&secret, "/type") != "kubernetes.io/dockerconfigjson" || data.is_empty() {
            continue;
        }
        let bytes = STANDARD.decode(data).map_err(|error| error.to_string())?;
        let config: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if !config["auths"].is_null() && !config["auths"].is_object() {
            return Err("cannot unmarshal auths".to_owned());
        }
        for (key, entry) in config["auths"].as_object().into_iter().flatten() {
            if *key == host || key.starts_with(&format!("{host}/")) {
                logins.push((text(entry, "/username").to_owned(), text(entry, "/password").to_owned()));
            }
        }
    }
    Ok(logins)
}

/// What a kubelet says of a container that must not run as root, and would.
fn runs_as_root(pod: &Value, container: &Value, user: &str) -> Option<String> {
    let of = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() { &pod["spec"]["securityContext"][key] } else { own }
    };
    if of("runAsNonRoot") != true {
        return None;
    }
    match of("runAsUser").as_i64() {
        Some(0) => Some("container's runAsUser breaks non-root policy".to_owned()),
        Some(_) => None,
        None => match user.split(':').next().unwrap_or_default() {
            "" | "0" => Some("container has runAsNonRoot and image will run as root".to_owned()),
            name if name.parse::<u32>().is_err() => Some(format!("image has non-numeric user ({name})")),
            _ => None,
        },
    }
}

fn containers(pod: &Value) -> Vec<&Value> {
    let list = |key: &str| pod["spec"][key].as_array().into_iter().flatten().collect::<Vec<_>>();
    [list("initContainers"), list("containers")].concat()
}

/// A ConfigMap or Secret without which a pod does not start, and the keys that it must have.
struct Wanted {
    plural: &'static str,
    name: String,
    keys: Vec<String>,
}

/// ConfigMaps and Secrets without which the pod does not start.
fn wanted(pod: &Value) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut add = |source: &Value, plural: &'static str, name: &str| {
        let Some(name) = source[name].as_str().filter(|_| source["optional"] != true) else { return };
        let items = source["items"].as_array().into_iter().flatten().map(|item| &item["key"]);
        let keys = items.chain([&source["key"]]).filter_map(Value::as_str).map(str::to_owned).collect();
        wanted.push(Wanted { plural, name: name.to_owned(), keys });
    };
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    for volume in volumes {
        add(&volume["configMap"], "configmaps", "name");
        add(&volume["secret"], "secrets", "secretName");
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            add(&source["configMap"], "configmaps", "name");
            add(&source["secret"], "secrets", "name");
        }
    }
    for container in containers(pod) {
        for variable in container["env"].as_array().into_iter().flatten() {
            add(&variable["valueFrom"]["configMapKeyRef"], "configmaps", "name");
            add(&variable["valueFrom"]["secretKeyRef"], "secrets", "name");
        }
        for from in container["envFrom"].as_array().into_iter().flatten() {
            add(&from["configMapRef"], "configmaps", "name");
            add(&from["secretRef"], "secrets", "name");
        }
    }
    wanted
}

fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).map(|now| now.to_string()).unwrap_or_default()
}

fn conditions(ready: bool, reason: &str) -> Value {
    let condition = |kind: &str, is: bool| json!({"type": kind, "status": if is { "True" } else { "False" }, "reason": reason, "lastTransitionTime": now()});
    json!([
        condition("PodScheduled", true),
        condition("Initialized", true),
        condition("ContainersReady", ready),
        condition("Ready", ready)
    ])
}

fn statuses(pod: &Value, ready: bool, state: &Value, digests: &Digests) -> Value {
    let one = |container: &Value| {
        let digest = container["image"].as_str().and_then(|image| digests.get(image));
        let id = digest.map(|digest| format!("{}@{digest}", Images::name_of(text(container, "/image"))));
        json!({"name": container["name"], "image": container["image"], "imageID": id.unwrap_or_default(), "ready": ready,
               "started": ready, "restartCount": 0, "state": state})
    };
    pod["spec"]["containers"].as_array().into_iter().flatten().map(one).collect()
}

fn running(pod: &Value, digests: &Digests) -> Value {
    json!({"phase": "Running", "podIP": "10.244.0.1", "podIPs": [{"ip": "10.244.0.1"}], "startTime": now(),
           "conditions": conditions(true, "Started"), "containerStatuses": statuses(pod, true, &json!({"running": {"startedAt": now()}}), digests)})
}

fn finished(pod: &Value) -> Value {
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}});
    json!({"phase": "Succeeded", "startTime": now(), "conditions": conditions(false, "PodCompleted"),
           "containerStatuses": statuses(pod, false, &ended, &Digests::new())})
}

fn waiting(pod: &Value, reason: &str, message: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    json!({"phase": "Pending", "startTime": now(), "conditions": conditions(false, "ContainersNotReady"),
           "containerStatuses": statuses(pod, false, &state, &Digests::new())})
}

/// Makes the volume that a claim waits for; the controller manager binds the two.
async fn provision(api: &Api, claim: &Value) {
    let class = text(claim, "/spec/storageClassName");
    if text(claim, "/status/phase") != "Pending"
        || class.is_empty()
        || !text(claim, "/spec/volumeName").is_empty()
    {
        return;
    }
    let Ok(class_object) = api.get(&format!("/apis/storage.k8s.io/v1/storageclasses/{class}")).await else {
        return;
    };
    let selected =
        claim.pointer("/metadata/annotations").and_then(|all| all.get("volume.kubernetes.io/selected-node"));
    let waits = text(&class_object, "/volumeBindingMode") == "WaitForFirstConsumer";
    if text(&class_object, "/provisioner") != PROVISIONER || (waits && selected.is_none()) {
        return;
    }
    let uid = text(claim, "/metadata/uid");
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pv-{uid}")},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/nowhere"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": uid,
                         "namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"]},
        },
    });
    // It may be there already.
    let _ = api.create(&volume).await;
}
