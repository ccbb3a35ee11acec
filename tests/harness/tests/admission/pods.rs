//! Random Pods for the Pod Security Standards. Each is valid (`pkg/apis/core/validation/validation.go`, Kubernetes
//! v1.36.3), so that nothing but PodSecurity refuses it.
//!
//! The API server has to run with `--allow-privileged`, and the namespace must have the ServiceAccount `default`.

use fastrand::Rng;
use serde_json::{Map, Value, json};

const APP_ARMOR_ANNOTATIONS: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_ANNOTATIONS: &str = "container.seccomp.security.alpha.kubernetes.io/";
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// A Pod that breaks most often none to two checks.
pub fn pod(rng: &mut Rng) -> Value {
    let mut draft = Draft::new(rng);
    for _ in 0..*pick(rng, &[0, 1, 1, 1, 2, 2, 2, 3, 4]) {
        let change = if draft.is_windows() { pick(rng, WINDOWS_BREAKS) } else { pick(rng, BREAKS) };
        change(&mut draft, rng);
    }
    for _ in 0..rng.usize(0..4) {
        let change = if draft.is_windows() { pick(rng, WINDOWS_KEEPS) } else { pick(rng, KEEPS) };
        change(&mut draft, rng);
    }
    draft.finish(rng)
}

/// Values of the labels `enforce` and `enforce-version`. Some versions are older or newer than those that are in use.
pub fn level_and_version(rng: &mut Rng) -> (String, String) {
    let level = *pick(
        rng,
        &["privileged", "baseline", "baseline", "baseline", "restricted", "restricted", "restricted"],
    );
    let version = match rng.u8(0..10) {
        0..=1 => "latest".to_owned(),
        2 => format!("v1.{}", rng.u8(0..20)),
        3 => format!("v1.{}", pick(rng, &[37, 99])),
        _ => format!("v1.{}", rng.u8(20..=36)),
    };
    (level.to_owned(), version)
}

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}

/// A pod that is being written.
struct Draft {
    spec: Value,
    annotations: Map<String, Value>,
    /// Ports and volumes that have been given away.
    given: usize,
}

type Change = fn(&mut Draft, &mut Rng);

/// Each breaks one check, of some level in some version.
const BREAKS: &[Change] = &[
    app_armor,
    capabilities,
    dropped_capabilities,
    host_namespace,
    host_path,
    host_port,
    probed_host,
    privileged,
    proc_mount,
    se_linux,
    seccomp,
    no_seccomp,
    seccomp_annotation,
    sysctl,
    host_process,
    privilege_escalation,
    restricted_volume,
    run_as_non_root,
    run_as_user,
];

/// Those of them that a pod for Windows may have.
const WINDOWS_BREAKS: &[Change] = &[
    app_armor_annotation,
    host_namespace,
    host_path,
    host_port,
    probed_host,
    seccomp_annotation,
    host_process,
    restricted_volume,
    run_as_non_root,
];

/// What breaks nothing.
const KEEPS: &[Change] = &[
    kept_app_armor,
    kept_capabilities,
    kept_falses,
    kept_nulls,
    kept_ports,
    kept_probe,
    kept_seccomp,
    kept_sysctl,
    kept_user,
    kept_volume,
    own_users,
    own_users,
];

/// What breaks nothing on Windows.
const WINDOWS_KEEPS: &[Change] = &[kept_ports, kept_probe, kept_volume];

impl Draft {
    /// One that keeps everything that is asked of its system.
    fn new(rng: &mut Rng) -> Self {
        let os = *pick(rng, &[None, None, None, Some("linux"), Some("windows")]);
        let mut containers: Vec<_> =
            ["app", "log", "side"][..rng.usize(1..=3)].iter().map(|name| container(name)).collect();
        let mut init: Vec<_> =
            ["migrate", "proxy"][..rng.usize(0..=2)].iter().map(|name| container(name)).collect();
        for container in &mut init {
            if rng.bool() {
                container["restartPolicy"] = "Always".into();
            }
        }
        let mut own = json!({});
        // What may be said for all of them is said by the pod, or by each of them.
        let fields: &[(&str, Value)] =
            &[("runAsNonRoot", json!(true)), ("seccompProfile", json!({"type": "RuntimeDefault"}))];
        for (field, value) in &fields[..if os == Some("windows") { 1 } else { 2 }] {
            if rng.u8(0..3) > 0 {
                own[field] = value.clone();
                continue;
            }
            for container in containers.iter_mut().chain(&mut init) {
                container["securityContext"][field] = value.clone();
            }
        }
        if os != Some("windows") {
            for container in containers.iter_mut().chain(&mut init) {
                container["securityContext"]["allowPrivilegeEscalation"] = false.into();
                container["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
            }
        }
        let mut spec = json!({"containers": containers, "securityContext": own});
        if !init.is_empty() {
            spec["initContainers"] = init.into();
        }
        if let Some(os) = os {
            spec["os"] = json!({"name": os});
        }
        Self { spec, annotations: Map::new(), given: 0 }
    }

    fn is_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// The lists and indices of its containers.
    fn places(&self) -> Vec<(&'static str, usize)> {
        let of_list = |list: &'static str| {
            (0..self.spec[list].as_array().map_or(0, Vec::len)).map(move |at| (list, at))
        };
        LISTS.into_iter().flat_map(of_list).collect()
    }

    /// Any of its containers.
    fn container(&mut self, rng: &mut Rng) -> &mut Value {
        let (list, at) = *pick(rng, &self.places());
        &mut self.spec[list][at]
    }

    /// Any of its containers that may have probes.
    fn lasting_container(&mut self, rng: &mut Rng) -> &mut Value {
        let mut places = self.places();
        places
            .retain(|(list, at)| *list == "containers" || self.spec[*list][*at]["restartPolicy"] == "Always");
        let (list, at) = *pick(rng, &places);
        &mut self.spec[list][at]
    }

    /// The security context of any of its containers.
    fn context(&mut self, rng: &mut Rng) -> &mut Value {
        &mut self.container(rng)["securityContext"]
    }

    /// Its own security context, or that of any of its containers.
    fn any_context(&mut self, rng: &mut Rng) -> &mut Value {
        if rng.bool() { &mut self.spec["securityContext"] } else { self.context(rng) }
    }

    /// The security contexts of all, its own first.
    fn contexts(&mut self) -> Vec<&mut Value> {
        let Some(spec) = self.spec.as_object_mut() else { return Vec::new() };
        let (mut own, mut of_containers) = (Vec::new(), Vec::new());
        for (field, value) in spec {
            if field == "securityContext" {
                own.push(value);
            } else if LISTS.contains(&field.as_str()) {
                let containers = value.as_array_mut().into_iter().flatten();
                of_containers.extend(containers.map(|container| &mut container["securityContext"]));
            }
        }
        own.append(&mut of_containers);
        own
    }

    fn a_name(&self, rng: &mut Rng) -> String {
        let (list, at) = *pick(rng, &self.places());
        self.spec[list][at]["name"].as_str().unwrap_or_default().to_owned()
    }

    fn annotate(&mut self, key: String, value: &str) {
        self.annotations.insert(key, value.into());
    }

    /// Adds a volume with this source.
    fn volume(&mut self, source: &Value) {
        let mut volume = source.clone();
        volume["name"] = format!("v{}", self.given).into();
        self.given += 1;
        push(&mut self.spec["volumes"], volume);
    }

    /// A number that no other port has. Some have four figures, others five.
    fn port(&mut self) -> usize {
        self.given += 1;
        9995 + self.given
    }

    /// Puts right what would be invalid together, and makes a Pod of it.
    fn finish(mut self, rng: &mut Rng) -> Value {
        self.settle_users();
        self.settle_network();
        self.settle_annotations(rng);
        for context in self.contexts() {
            // No container is privileged and yet gets no privileges.
            if context["privileged"] == true && context["allowPrivilegeEscalation"] == false {
                context["allowPrivilegeEscalation"] = Value::Null;
            }
        }
        let mut metadata = json!({"name": format!("pod-{:08x}", rng.u32(..))});
        if !self.annotations.is_empty() {
            metadata["annotations"] = self.annotations.into();
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec})
    }

    /// With users of its own, a pod has no namespaces of the node; without, its containers' `/proc` is masked.
    fn settle_users(&mut self) {
        let is_host_process =
            self.contexts().iter().any(|context| context["windowsOptions"]["hostProcess"] == true);
        let is_unmasked = self.contexts().iter().any(|context| context["procMount"] == "Unmasked");
        if is_host_process {
            self.spec["hostNetwork"] = true.into();
            remove(&mut self.spec, "hostUsers");
            for context in self.contexts() {
                remove(context, "procMount");
            }
        } else if is_unmasked {
            self.spec["hostUsers"] = false.into();
        }
        if self.spec["hostUsers"] == false {
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                remove(&mut self.spec, field);
            }
        }
    }

    /// On the node's network, ports are the node's, and parameters of shared namespaces are not the pod's to set.
    fn settle_network(&mut self) {
        let (network, ipc) = (self.spec["hostNetwork"] == true, self.spec["hostIPC"] == true);
        for (list, at) in self.places() {
            let ports = self.spec[list][at].get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten() {
                if network && port["hostPort"].is_u64() {
                    port["hostPort"] = port["containerPort"].clone();
                }
            }
        }
        let sysctls = self.spec["securityContext"].get_mut("sysctls");
        if let Some(sysctls) = sysctls.and_then(Value::as_array_mut) {
            sysctls.retain(|sysctl| {
                let name = sysctl["name"].as_str().unwrap_or_default();
                let shared = (network && name.starts_with("net")) || (ipc && name.starts_with("kernel"));
                !shared
            });
        }
    }

    /// Annotations say what fields say, where there are any.
    fn settle_annotations(&mut self, rng: &mut Rng) {
        let is_windows = self.is_windows();
        let own = self.spec["securityContext"].clone();
        for (list, at) in self.places() {
            let container = self.spec[list][at].clone();
            let context = &container["securityContext"];
            let name = container["name"].as_str().unwrap_or_default();
            let app_armor = [&context["appArmorProfile"], &own["appArmorProfile"]];
            if let Some(profile) = app_armor.into_iter().find(|profile| profile.is_object() && !is_windows) {
                self.align(&format!("{APP_ARMOR_ANNOTATIONS}{name}"), profile, rng);
            }
            if context["seccompProfile"].is_object() {
                self.align(&format!("{SECCOMP_ANNOTATIONS}{name}"), &context["seccompProfile"], rng);
            }
        }
        if own["seccompProfile"].is_object() {
            self.align(SECCOMP_ANNOTATION, &own["seccompProfile"], rng);
        }
    }

    /// Has an annotation, if it is there, say what a profile says.
    fn align(&mut self, key: &str, profile: &Value, rng: &mut Rng) {
        let is_seccomp = key.contains("seccomp");
        let value = match profile["type"].as_str() {
            Some("Unconfined") => "unconfined".to_owned(),
            Some("Localhost") => {
                format!("localhost/{}", profile["localhostProfile"].as_str().unwrap_or_default())
            }
            _ if is_seccomp && rng.bool() => "docker/default".to_owned(),
            _ => "runtime/default".to_owned(),
        };
        if let Some(annotation) = self.annotations.get_mut(key) {
            *annotation = value.into();
        }
    }
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "registry.example.com/app:1", "securityContext": {}})
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(items) => items.push(item),
        None => *list = json!([item]),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(field);
    }
}

fn app_armor(draft: &mut Draft, rng: &mut Rng) {
    if rng.u8(0..3) > 0 {
        draft.any_context(rng)["appArmorProfile"] = json!({"type": "Unconfined"});
    }
    if rng.bool() {
        app_armor_annotation(draft, rng);
    }
}

fn app_armor_annotation(draft: &mut Draft, rng: &mut Rng) {
    let name = draft.a_name(rng);
    draft.annotate(format!("{APP_ARMOR_ANNOTATIONS}{name}"), "unconfined");
}

fn capabilities(draft: &mut Draft, rng: &mut Rng) {
    let one = *pick(rng, &["NET_RAW", "SYS_ADMIN", "ALL", "CHOWN", "SYS_CHROOT", "CAP_NET_RAW"]);
    let added = if rng.bool() { json!([one]) } else { json!(["NET_BIND_SERVICE", one, "KILL"]) };
    draft.context(rng)["capabilities"]["add"] = added;
}

fn dropped_capabilities(draft: &mut Draft, rng: &mut Rng) {
    let capabilities = &mut draft.context(rng)["capabilities"];
    match rng.u8(0..3) {
        0 => *capabilities = Value::Null,
        1 => remove(capabilities, "drop"),
        _ => capabilities["drop"] = json!(["NET_RAW", "CHOWN"]),
    }
}

fn host_namespace(draft: &mut Draft, rng: &mut Rng) {
    let fields: &[&str] =
        if draft.is_windows() { &["hostNetwork"] } else { &["hostNetwork", "hostPID", "hostIPC"] };
    draft.spec[*pick(rng, fields)] = true.into();
}

fn host_path(draft: &mut Draft, _: &mut Rng) {
    draft.volume(&json!({"hostPath": {"path": "/var/log"}}));
}

fn host_port(draft: &mut Draft, rng: &mut Rng) {
    for _ in 0..rng.usize(1..=2) {
        let port = draft.port();
        // One of them is free whatever else is taken.
        let host_port = *pick(rng, &[port, port + 20_000]);
        push(&mut draft.container(rng)["ports"], json!({"containerPort": port, "hostPort": host_port}));
    }
}

fn probed_host(draft: &mut Draft, rng: &mut Rng) {
    let host = *pick(rng, &["10.0.0.1", "localhost", "example.com"]);
    let handler = match rng.u8(0..2) {
        0 => json!({"httpGet": {"port": 80, "host": host}}),
        _ => json!({"tcpSocket": {"port": 80, "host": host}}),
    };
    let field = *pick(rng, &["livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop"]);
    let container = draft.lasting_container(rng);
    match field {
        "postStart" | "preStop" => container["lifecycle"][field] = handler,
        _ => container[field] = handler,
    }
}

fn privileged(draft: &mut Draft, rng: &mut Rng) {
    draft.context(rng)["privileged"] = true.into();
}

fn proc_mount(draft: &mut Draft, rng: &mut Rng) {
    draft.context(rng)["procMount"] = "Unmasked".into();
}

fn se_linux(draft: &mut Draft, rng: &mut Rng) {
    let options = &[
        json!({"type": "spc_t"}),
        json!({"type": "container_engine_t"}),
        json!({"user": "system_u", "type": "container_t"}),
        json!({"role": "system_r", "type": ""}),
        json!({"user": "system_u", "role": "system_r", "type": "container_logreader_t", "level": "s0:c1,c2"}),
    ];
    draft.any_context(rng)["seLinuxOptions"] = pick(rng, options).clone();
}

fn seccomp(draft: &mut Draft, rng: &mut Rng) {
    draft.any_context(rng)["seccompProfile"] = json!({"type": "Unconfined"});
}

fn no_seccomp(draft: &mut Draft, rng: &mut Rng) {
    remove(&mut draft.spec["securityContext"], "seccompProfile");
    if rng.bool() {
        remove(draft.context(rng), "seccompProfile");
    }
}

fn seccomp_annotation(draft: &mut Draft, rng: &mut Rng) {
    let key = match rng.u8(0..3) {
        0 => SECCOMP_ANNOTATION.to_owned(),
        1 => format!("{SECCOMP_ANNOTATIONS}other"),
        _ => format!("{SECCOMP_ANNOTATIONS}{}", draft.a_name(rng)),
    };
    draft.annotate(key, "unconfined");
}

fn sysctl(draft: &mut Draft, rng: &mut Rng) {
    set_sysctl(
        draft,
        rng,
        &[
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
            "net.ipv4.tcp_rmem",
            "net.ipv4.tcp_wmem",
            "net.core.somaxconn",
            "net/ipv4/tcp_syncookies",
            "kernel.msgmax",
            "vm.swappiness",
        ],
    );
}

fn set_sysctl(draft: &mut Draft, rng: &mut Rng, names: &[&str]) {
    let name = *pick(rng, names);
    let sysctls = &mut draft.spec["securityContext"]["sysctls"];
    let mut there = sysctls.as_array().into_iter().flatten();
    if !there.any(|sysctl| sysctl["name"] == name) {
        push(sysctls, json!({"name": name, "value": "1"}));
    }
}

/// Only where the system is not Linux for sure. All containers are, or none.
fn host_process(draft: &mut Draft, rng: &mut Rng) {
    if draft.spec["os"]["name"] == "linux" {
        return;
    }
    let (of_pod, of_containers) = *pick(rng, &[(true, false), (false, true), (true, true)]);
    if of_pod {
        draft.spec["securityContext"]["windowsOptions"] = json!({"hostProcess": true});
    } else {
        remove(&mut draft.spec["securityContext"], "windowsOptions");
    }
    for (list, at) in draft.places() {
        let context = &mut draft.spec[list][at]["securityContext"];
        if of_containers {
            context["windowsOptions"] = json!({"hostProcess": true});
        } else {
            remove(context, "windowsOptions");
        }
    }
}

fn privilege_escalation(draft: &mut Draft, rng: &mut Rng) {
    draft.context(rng)["allowPrivilegeEscalation"] = pick(rng, &[json!(null), json!(true)]).clone();
}

fn restricted_volume(draft: &mut Draft, rng: &mut Rng) {
    let sources = [
        json!({"gcePersistentDisk": {"pdName": "d"}}),
        json!({"awsElasticBlockStore": {"volumeID": "d"}}),
        json!({"gitRepo": {"repository": "r"}}),
        json!({"nfs": {"server": "s", "path": "/"}}),
        json!({"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:disk", "lun": 0}}),
        json!({"glusterfs": {"endpoints": "e", "path": "p"}}),
        json!({"rbd": {"monitors": ["m"], "image": "i"}}),
        json!({"flexVolume": {"driver": "example.com/driver"}}),
        json!({"cinder": {"volumeID": "d"}}),
        json!({"cephfs": {"monitors": ["m"]}}),
        json!({"flocker": {"datasetName": "d"}}),
        json!({"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0}}),
        json!({"azureFile": {"secretName": "s", "shareName": "s"}}),
        json!({"vsphereVolume": {"volumePath": "p"}}),
        json!({"quobyte": {"registry": "r:7861", "volume": "v"}}),
        json!({"azureDisk": {"diskName": "d", "diskURI": "https://a.blob.core.windows.net/c/d.vhd"}}),
        json!({"photonPersistentDisk": {"pdID": "d"}}),
        json!({"portworxVolume": {"volumeID": "d"}}),
        json!({"scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "s"}, "volumeName": "v"}}),
        json!({"storageos": {"volumeName": "v"}}),
    ];
    draft.volume(pick(rng, &sources));
}

fn run_as_non_root(draft: &mut Draft, rng: &mut Rng) {
    if rng.bool() {
        draft.any_context(rng)["runAsNonRoot"] = false.into();
        return;
    }
    remove(&mut draft.spec["securityContext"], "runAsNonRoot");
    if rng.bool() {
        remove(draft.context(rng), "runAsNonRoot");
    }
}

fn run_as_user(draft: &mut Draft, rng: &mut Rng) {
    draft.any_context(rng)["runAsUser"] = json!(0);
}

fn kept_app_armor(draft: &mut Draft, rng: &mut Rng) {
    let name = draft.a_name(rng);
    match rng.u8(0..4) {
        0 => draft.any_context(rng)["appArmorProfile"] = json!({"type": "RuntimeDefault"}),
        1 => {
            draft.any_context(rng)["appArmorProfile"] = json!({"type": "Localhost", "localhostProfile": "a"})
        }
        2 => draft.annotate(format!("{APP_ARMOR_ANNOTATIONS}{name}"), "localhost/b"),
        _ => draft.annotate(format!("{APP_ARMOR_ANNOTATIONS}{name}"), ""),
    }
}

fn kept_capabilities(draft: &mut Draft, rng: &mut Rng) {
    let context = draft.context(rng);
    if context["capabilities"]["add"].is_null() {
        context["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
    }
}

fn kept_falses(draft: &mut Draft, rng: &mut Rng) {
    let field = *pick(rng, &["hostNetwork", "hostPID", "hostIPC"]);
    if draft.spec[field].is_null() {
        draft.spec[field] = false.into();
    }
    let context = draft.context(rng);
    if context["privileged"].is_null() {
        context["privileged"] = false.into();
    }
    if context["procMount"].is_null() {
        context["procMount"] = "Default".into();
    }
}

fn kept_nulls(draft: &mut Draft, rng: &mut Rng) {
    for field in ["privileged", "procMount", "seLinuxOptions", "runAsUser", "appArmorProfile"] {
        let context = draft.context(rng);
        if context[field].is_null() {
            context[field] = Value::Null;
        }
    }
}

fn kept_ports(draft: &mut Draft, rng: &mut Rng) {
    let port = draft.port();
    let mut written = json!({"containerPort": port});
    if rng.bool() {
        written["hostPort"] = Value::Null;
    }
    push(&mut draft.container(rng)["ports"], written);
}

fn kept_probe(draft: &mut Draft, rng: &mut Rng) {
    let handler =
        pick(rng, &[json!({"httpGet": {"port": 80, "host": ""}}), json!({"grpc": {"port": 80}})]).clone();
    let container = draft.lasting_container(rng);
    if container["livenessProbe"].is_null() {
        container["livenessProbe"] = handler;
    }
}

fn kept_seccomp(draft: &mut Draft, rng: &mut Rng) {
    let context = draft.context(rng);
    if context["seccompProfile"].is_null() {
        context["seccompProfile"] = json!({"type": "Localhost", "localhostProfile": "p.json"});
    }
    if rng.bool() {
        let name = draft.a_name(rng);
        draft.annotate(format!("{SECCOMP_ANNOTATIONS}{name}"), "localhost/p.json");
    }
}

fn kept_sysctl(draft: &mut Draft, rng: &mut Rng) {
    set_sysctl(
        draft,
        rng,
        &[
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        ],
    );
}

fn kept_user(draft: &mut Draft, rng: &mut Rng) {
    let context = draft.any_context(rng);
    if context["runAsUser"].is_null() {
        context["runAsUser"] = json!(1000);
    }
}

fn kept_volume(draft: &mut Draft, rng: &mut Rng) {
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let sources = [
        json!({}),
        json!({"emptyDir": {}}),
        json!({"hostPath": null}),
        json!({"configMap": {"name": "m"}}),
        json!({"secret": {"secretName": "s"}}),
        json!({"projected": {"sources": [{"configMap": {"name": "m"}}]}}),
        json!({"downwardAPI": {}}),
        json!({"persistentVolumeClaim": {"claimName": "c"}}),
        json!({"csi": {"driver": "csi.example.com"}}),
        json!({"image": {"reference": "registry.example.com/data:1"}}),
        json!({"ephemeral": {"volumeClaimTemplate": claim}}),
    ];
    draft.volume(pick(rng, &sources));
}

/// It takes the namespaces of the node away, if it has any.
fn own_users(draft: &mut Draft, _: &mut Rng) {
    draft.spec["hostUsers"] = false.into();
}
