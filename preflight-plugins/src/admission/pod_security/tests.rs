use serde_json::json;

use super::registry::{BASELINE, Check, RESTRICTED};
use super::*;
use Level::{Baseline, Restricted};
use Version::{Latest, Minor};

/// A pod that keeps everything, with some of its values changed: `metadata.annotations`, or paths below its spec.
fn pod(changes: &[(&str, Value)]) -> Value {
    let mut pod = json!({"metadata": {}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    }});
    for (path, value) in changes {
        let mut at = if path.starts_with("metadata.") { &mut pod } else { &mut pod["spec"] };
        for key in path.split('.') {
            at = match key.parse::<usize>() {
                Ok(index) => &mut at[index],
                Err(_) => &mut at[key],
            };
        }
        *at = value.clone();
    }
    pod
}

fn violations(level: Level, version: Version, metadata: &Value, spec: &Value) -> Vec<Violation> {
    evaluate((level, version), NEWEST, metadata, spec, false)
}

fn said(violations: &[Violation]) -> String {
    let all: Vec<_> = violations.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// A level and a version, what is changed in the pod, and what is said.
type Row = (Level, Version, Vec<(&'static str, Value)>, &'static str);

/// Asserts what is said of pods; nothing where they keep everything.
fn assert_said(table: impl IntoIterator<Item = Row>) {
    for (level, version, changes, expected) in table {
        let pod = pod(&changes);
        let violations = violations(level, version, &pod["metadata"], &pod["spec"]);
        assert_eq!(said(&violations), expected, "{level}:{version} {pod}");
        assert!(violations.iter().all(|violation| !violation.fields.is_empty()), "{level}:{version} {pod}");
    }
}

const PORTS: &str = "containers.0.ports";
const CONTEXT: &str = "containers.0.securityContext";
const APP_ARMOR: &str = "containers.0.securityContext.appArmorProfile";
const ADDED: &str = "containers.0.securityContext.capabilities.add";
const ESCALATION: &str = "containers.0.securityContext.allowPrivilegeEscalation";
const PROC_MOUNT: &str = "containers.0.securityContext.procMount";
const SECCOMP: &str = "containers.0.securityContext.seccompProfile";
const POD_SECCOMP: &str = "securityContext.seccompProfile";
const SE_LINUX: &str = "containers.0.securityContext.seLinuxOptions";
const SYSCTLS: &str = "securityContext.sysctls";
const ANNOTATIONS: &str = "metadata.annotations";
const HOST_PROCESS: &str = "securityContext.windowsOptions.hostProcess";

#[test]
fn a_pod_that_keeps_everything_keeps_it_in_all_versions() {
    let versions = || (0..40).map(Minor).chain([Latest]);
    assert_said(versions().map(|version| (Restricted, version, vec![], "")));
    assert_said(versions().map(|version| (Baseline, version, vec![], "")));
    let anything = vec![("hostPID", json!(true)), (CONTEXT, json!({"privileged": true}))];
    assert_said([(Level::Privileged, Latest, anything, "")]);
}

#[test]
fn what_is_the_nodes_is_refused() {
    let port = |port: u16| json!({"containerPort": 80, "hostPort": port});
    assert_said([
        (Baseline, Minor(0), vec![("hostPID", json!(true))], "host namespaces (hostPID=true)"),
        (
            Baseline,
            Latest,
            vec![("hostIPC", json!(true)), ("hostPID", json!(true)), ("hostNetwork", json!(true))],
            "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
        ),
        (Restricted, Latest, vec![("hostIPC", json!(false)), ("hostPID", json!(null))], ""),
        (
            Baseline,
            Latest,
            vec![(
                "volumes",
                json!([{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]),
            )],
            "hostPath volumes (volume \"a\")",
        ),
        (
            Baseline,
            Minor(0),
            vec![(
                "volumes",
                json!([{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {}}]),
            )],
            "hostPath volumes (volumes \"a\", \"b\")",
        ),
        (Baseline, Latest, vec![("volumes", json!([{"name": "a", "hostPath": null}]))], ""),
        (
            Baseline,
            Minor(0),
            vec![(PORTS, json!([port(8080)]))],
            "hostPort (container \"c\" uses hostPort 8080)",
        ),
        (
            Baseline,
            Latest,
            vec![(PORTS, json!([port(8080), port(10080)]))],
            "hostPort (container \"c\" uses hostPorts 10080, 8080)",
        ),
        (Baseline, Latest, vec![(PORTS, json!([port(0), {"containerPort": 81}]))], ""),
        (
            Baseline,
            Latest,
            vec![("hostNetwork", json!(true)), (PORTS, json!([{"containerPort": 80}]))],
            "host namespaces (hostNetwork=true), hostPort (container \"c\" uses hostPort 80)",
        ),
        (
            Baseline,
            Latest,
            vec![("containers.0.securityContext.privileged", json!(true))],
            "privileged (container \"c\" must not set securityContext.privileged=true)",
        ),
        (Baseline, Latest, vec![("containers.0.securityContext.privileged", json!(false))], ""),
    ]);
}

#[test]
fn hosts_of_probes_are_refused_since_1_34() {
    let probe = |host: &str| json!({"httpGet": {"port": 80, "host": host}});
    let lifecycle = json!({
        "preStop": {"tcpSocket": {"port": 80, "host": "b"}}, "postStart": {"httpGet": {"port": 80, "host": "a"}}});
    assert_said([
        (Baseline, Minor(33), vec![("containers.0.livenessProbe", probe("a"))], ""),
        (
            Baseline,
            Minor(34),
            vec![("containers.0.livenessProbe", probe("a"))],
            "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"a\")",
        ),
        (
            Restricted,
            Latest,
            vec![("containers.0.lifecycle", lifecycle), ("containers.0.startupProbe", probe("a"))],
            "probe or lifecycle host (container \"c\" uses probe or lifecycle hosts \"a\", \"b\")",
        ),
        (Baseline, Latest, vec![("containers.0.readinessProbe", probe(""))], ""),
    ]);
}

#[test]
fn masks_of_proc_stay_but_with_users_of_its_own() {
    let refused = "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")";
    let unmasked = |host_users: Value| vec![(PROC_MOUNT, json!("Unmasked")), ("hostUsers", host_users)];
    assert_said([
        (Baseline, Minor(0), unmasked(json!(null)), refused),
        (Baseline, Minor(34), unmasked(json!(false)), refused),
        (Baseline, Minor(35), unmasked(json!(false)), ""),
        (Baseline, Latest, unmasked(json!(false)), ""),
        (Baseline, Latest, unmasked(json!(true)), refused),
        (Restricted, Minor(34), unmasked(json!(false)), refused),
        (Restricted, Minor(35), unmasked(json!(false)), refused),
        (Restricted, Latest, vec![(PROC_MOUNT, json!("Default"))], ""),
    ]);
}

#[test]
fn capabilities_are_the_default_ones_or_none() {
    let dropped = "containers.0.securityContext.capabilities.drop";
    assert_said([
        (Baseline, Latest, vec![(ADDED, json!(["CHOWN"])), (dropped, json!(null))], ""),
        (
            Baseline,
            Minor(0),
            vec![(ADDED, json!(["SYS_ADMIN", "CHOWN", "NET_RAW"]))],
            "non-default capabilities (container \"c\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
             securityContext.capabilities.add)",
        ),
        (Restricted, Minor(21), vec![(ADDED, json!(["CHOWN"])), (dropped, json!(null))], ""),
        (
            Restricted,
            Minor(21),
            vec![(ADDED, json!(["ALL"]))],
            "non-default capabilities (container \"c\" must not include \"ALL\" in securityContext.capabilities.add)",
        ),
        (Restricted, Minor(22), vec![(ADDED, json!(["NET_BIND_SERVICE"]))], ""),
        (
            Restricted,
            Minor(22),
            vec![(ADDED, json!(["CHOWN"])), (dropped, json!(["all"]))],
            "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]; \
             container \"c\" must not include \"CHOWN\" in securityContext.capabilities.add)",
        ),
        (
            Restricted,
            Latest,
            vec![("containers.0.securityContext.capabilities", json!(null))],
            "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"])",
        ),
    ]);
}

#[test]
fn app_armor_is_not_switched_off() {
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    let annotated = |value: &str| (ANNOTATIONS, json!({key: value}));
    let both = "forbidden AppArmor profiles (container \"c\" and annotation must not set AppArmor profile type to \
                \"Unconfined\", \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")";
    assert_said([
        (Baseline, Latest, vec![(APP_ARMOR, json!({"type": "RuntimeDefault"}))], ""),
        (Baseline, Latest, vec![(APP_ARMOR, json!({"type": "Localhost", "localhostProfile": "a"}))], ""),
        (Baseline, Latest, vec![annotated("")], ""),
        (Baseline, Latest, vec![annotated("runtime/default")], ""),
        (Baseline, Latest, vec![annotated("localhost/a")], ""),
        (
            Baseline,
            Minor(0),
            vec![(APP_ARMOR, json!({"type": "Unconfined"})), ("securityContext.appArmorProfile", json!({}))],
            "forbidden AppArmor profiles (pod and container \"c\" must not set AppArmor profile type to \"\", \
             \"Unconfined\")",
        ),
        (Baseline, Latest, vec![annotated("unconfined")], both),
        (Baseline, Latest, vec![annotated("unconfined"), (APP_ARMOR, json!({"type": "Unconfined"}))], both),
        (
            Baseline,
            Latest,
            vec![annotated("unconfined"), ("securityContext.appArmorProfile", json!({"type": "Unconfined"}))],
            "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to \"Unconfined\", \
             \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")",
        ),
        (
            Baseline,
            Latest,
            vec![annotated("unconfined"), ("os", json!({"name": "windows"}))],
            "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
             \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")",
        ),
    ]);
}

#[test]
fn se_linux_is_that_of_containers() {
    let of_type = |name: &str| vec![(SE_LINUX, json!({"type": name, "level": "s0"}))];
    assert_said([
        (Baseline, Latest, of_type("container_t"), ""),
        (Baseline, Latest, of_type(""), ""),
        (Baseline, Minor(31), of_type("container_engine_t"), ""),
        (
            Baseline,
            Minor(30),
            of_type("container_engine_t"),
            "seLinuxOptions (container \"c\" set forbidden securityContext.seLinuxOptions: type \
             \"container_engine_t\")",
        ),
        (
            Baseline,
            Latest,
            vec![
                (SE_LINUX, json!({"type": "spc_t", "role": "r"})),
                ("securityContext.seLinuxOptions", json!({"type": "a_t", "user": "u"})),
            ],
            "seLinuxOptions (pod and container \"c\" set forbidden securityContext.seLinuxOptions: types \"a_t\", \
             \"spc_t\"; user may not be set; role may not be set)",
        ),
    ]);
}

#[test]
fn seccomp_is_not_switched_off_and_for_restricted_said() {
    let annotations = json!({
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.seccomp.security.alpha.kubernetes.io/c": "",
        "container.seccomp.security.alpha.kubernetes.io/other": "unconfined",
    });
    let annotated = || vec![(ANNOTATIONS, annotations.clone())];
    let forbidden = "seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/c=\"\", \
                     seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    let taken = json!({
        "seccomp.security.alpha.kubernetes.io/pod": "docker/default",
        "container.seccomp.security.alpha.kubernetes.io/c": "localhost/a",
    });
    let unconfined = || vec![(SECCOMP, json!({"type": "Unconfined"}))];
    let of_container =
        "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")";
    let missing = || vec![(POD_SECCOMP, json!(null))];
    assert_said([
        (Baseline, Minor(0), annotated(), forbidden),
        (Baseline, Minor(18), annotated(), forbidden),
        (Restricted, Minor(18), annotated(), forbidden),
        (Baseline, Minor(18), vec![(ANNOTATIONS, taken)], ""),
        (Baseline, Minor(19), annotated(), ""),
        (Restricted, Minor(19), annotated(), ""),
        (Baseline, Minor(18), unconfined(), ""),
        (Baseline, Minor(19), unconfined(), of_container),
        (Restricted, Latest, unconfined(), of_container),
        (
            Baseline,
            Latest,
            vec![(SECCOMP, json!({"type": "Unconfined"})), (POD_SECCOMP, json!({}))],
            "seccompProfile (pod and container \"c\" must not set securityContext.seccompProfile.type to \"\", \
             \"Unconfined\")",
        ),
        (Baseline, Latest, missing(), ""),
        (Restricted, Minor(18), missing(), ""),
        (
            Restricted,
            Minor(19),
            missing(),
            "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \
             \"RuntimeDefault\" or \"Localhost\")",
        ),
        (Restricted, Latest, vec![(POD_SECCOMP, json!(null)), (SECCOMP, json!({"type": "Localhost"}))], ""),
    ]);
}

#[test]
fn kernel_parameters_are_known_ones() {
    let set = |names: &[&str]| {
        let all: Vec<_> = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
        vec![(SYSCTLS, json!(all))]
    };
    assert_said([
        (Baseline, Minor(0), set(&["kernel.shm_rmid_forced", "net.ipv4.ip_unprivileged_port_start"]), ""),
        (
            Baseline,
            Minor(26),
            set(&["net.ipv4.ip_local_reserved_ports"]),
            "forbidden sysctls (net.ipv4.ip_local_reserved_ports)",
        ),
        (Baseline, Minor(27), set(&["net.ipv4.ip_local_reserved_ports"]), ""),
        (
            Baseline,
            Minor(28),
            set(&["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout"]),
            "forbidden sysctls (net.ipv4.tcp_keepalive_time, net.ipv4.tcp_fin_timeout)",
        ),
        (Baseline, Minor(29), set(&["net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"]), ""),
        (Baseline, Minor(31), set(&["net.ipv4.tcp_rmem"]), "forbidden sysctls (net.ipv4.tcp_rmem)"),
        (Baseline, Minor(32), set(&["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]), ""),
        (Restricted, Latest, set(&["net/ipv4/tcp_rmem"]), "forbidden sysctls (net/ipv4/tcp_rmem)"),
    ]);
}

#[test]
fn processes_of_windows_nodes_are_refused() {
    let of_container = "containers.0.securityContext.windowsOptions.hostProcess";
    assert_said([
        (
            Baseline,
            Minor(0),
            vec![(HOST_PROCESS, json!(true)), (of_container, json!(true))],
            "hostProcess (pod and container \"c\" must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (Restricted, Latest, vec![(HOST_PROCESS, json!(false)), (of_container, json!(false))], ""),
    ]);
}

#[test]
fn privileges_do_not_grow() {
    let refused = "allowPrivilegeEscalation != false (container \"c\" must set \
                   securityContext.allowPrivilegeEscalation=false)";
    assert_said([
        (Baseline, Latest, vec![(ESCALATION, json!(true))], ""),
        (Restricted, Minor(7), vec![(ESCALATION, json!(null))], ""),
        (Restricted, Minor(8), vec![(ESCALATION, json!(null))], refused),
        (Restricted, Latest, vec![(ESCALATION, json!(true))], refused),
    ]);
}

#[test]
fn restricted_volumes_are_few() {
    let none = json!([
        {"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "csi": {"driver": "d"}},
        {"name": "d", "image": {"reference": "i"}}, {"name": "e", "ephemeral": {}}, {"name": "f", "nfs": null}]);
    let refused = json!([
        {"name": "a", "nfs": {"server": "s", "path": "/"}}, {"name": "b", "configMap": {"name": "m"}},
        {"name": "c", "hostPath": {"path": "/"}}]);
    assert_said([
        (Restricted, Latest, vec![("volumes", none)], ""),
        (
            Restricted,
            Minor(0),
            vec![("volumes", refused.clone())],
            "restricted volume types (volumes \"a\", \"c\" use restricted volume types \"hostPath\", \"nfs\")",
        ),
        (
            Restricted,
            Latest,
            vec![("volumes", json!([{"name": "a", "storageos": {}}]))],
            "restricted volume types (volume \"a\" uses restricted volume type \"storageos\")",
        ),
        (Baseline, Latest, vec![("volumes", refused)], "hostPath volumes (volume \"c\")"),
    ]);
}

#[test]
fn restricted_pods_are_not_root() {
    let pod_says = |value: Value| vec![("securityContext.runAsNonRoot", value)];
    let missing = "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)";
    let root = || vec![("securityContext.runAsUser", json!(0))];
    let own_users = |mut changes: Vec<(&'static str, Value)>| {
        changes.push(("hostUsers", json!(false)));
        changes
    };
    assert_said([
        (Baseline, Latest, pod_says(json!(false)), ""),
        (Restricted, Minor(0), pod_says(json!(null)), missing),
        (
            Restricted,
            Latest,
            pod_says(json!(false)),
            "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
        ),
        (
            Restricted,
            Latest,
            vec![("containers.0.securityContext.runAsNonRoot", json!(false))],
            "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)",
        ),
        (
            Restricted,
            Latest,
            vec![
                ("securityContext.runAsNonRoot", json!(null)),
                ("containers.0.securityContext.runAsNonRoot", json!(true)),
            ],
            "",
        ),
        (Restricted, Minor(34), own_users(pod_says(json!(null))), missing),
        (Restricted, Minor(35), own_users(pod_says(json!(null))), ""),
        (Restricted, Minor(22), root(), ""),
        (Restricted, Minor(23), root(), "runAsUser=0 (pod must not set runAsUser=0)"),
        (
            Restricted,
            Latest,
            vec![("containers.0.securityContext.runAsUser", json!(0))],
            "runAsUser=0 (container \"c\" must not set runAsUser=0)",
        ),
        (Restricted, Latest, vec![("securityContext.runAsUser", json!(1000))], ""),
        (Restricted, Minor(34), own_users(root()), "runAsUser=0 (pod must not set runAsUser=0)"),
        (Restricted, Minor(35), own_users(root()), ""),
    ]);
}

#[test]
fn windows_has_not_what_is_asked_since_1_25() {
    let bare =
        |os: &str| vec![("os", json!({"name": os})), (CONTEXT, json!(null)), (POD_SECCOMP, json!(null))];
    let lacks = "allowPrivilegeEscalation != false (container \"c\" must set \
                 securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
                 securityContext.capabilities.drop=[\"ALL\"]), seccompProfile (pod or container \"c\" must set \
                 securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    assert_said([
        (Restricted, Minor(24), bare("windows"), lacks),
        (Restricted, Minor(25), bare("windows"), ""),
        (Restricted, Latest, bare("windows"), ""),
        (Restricted, Latest, bare("linux"), lacks),
    ]);
}

#[test]
fn the_baseline_comes_first() {
    let all = vec![
        ("hostPID", json!(true)),
        (ADDED, json!(["SYS_ADMIN"])),
        (ESCALATION, json!(true)),
        (SECCOMP, json!({"type": "Unconfined"})),
        (SYSCTLS, json!([{"name": "kernel.msgmax"}])),
        (SE_LINUX, json!({"user": "u"})),
    ];
    assert_said([
        (
            Restricted,
            Latest,
            all.clone(),
            "host namespaces (hostPID=true), seLinuxOptions (container \"c\" set forbidden \
             securityContext.seLinuxOptions: user may not be set), forbidden sysctls (kernel.msgmax), \
             allowPrivilegeEscalation != false (container \"c\" must set \
             securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must not \
             include \"SYS_ADMIN\" in securityContext.capabilities.add), seccompProfile (container \"c\" must not set \
             securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            Baseline,
            Latest,
            all,
            "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in \
             securityContext.capabilities.add), host namespaces (hostPID=true), seLinuxOptions (container \"c\" set \
             forbidden securityContext.seLinuxOptions: user may not be set), seccompProfile (container \"c\" must not \
             set securityContext.seccompProfile.type to \"Unconfined\"), forbidden sysctls (kernel.msgmax)",
        ),
    ]);
}

#[test]
fn all_containers_are_looked_at_and_pointed_at() {
    let spec = json!({
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "nfs": {}}],
        "securityContext": {"runAsNonRoot": true, "sysctls": [{"name": "a.b"}]},
        "containers": [
            {"name": "a", "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "KILL"]}}},
            {"name": "b", "securityContext": {"allowPrivilegeEscalation": true, "capabilities": {"drop": ["KILL"]}}}],
        "initContainers": [{"name": "i", "ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": 2}]}],
        "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": true}}],
    });
    let metadata = json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/e": "unconfined"}});
    let violations = violations(Restricted, Latest, &metadata, &spec);
    let fields: Vec<_> = violations.iter().map(|violation| violation.fields.join(" ")).collect();
    let key = "metadata.annotations[\"container.apparmor.security.beta.kubernetes.io/e\"]";
    let everyone = "initContainers[0] containers[0] containers[1] ephemeralContainers[0]";
    let expected = [
        key,
        "initContainers[0].ports[1].hostPort",
        "ephemeralContainers[0].securityContext.privileged",
        "securityContext.sysctls[0].name",
        "initContainers[0] containers[0] containers[1].securityContext.allowPrivilegeEscalation ephemeralContainers[0]",
        "initContainers[0] containers[1].securityContext.capabilities.drop ephemeralContainers[0] \
         containers[0].securityContext.capabilities.add[1]",
        "volumes[1].nfs",
        everyone,
    ];
    assert_eq!(fields, expected);
    assert!(violations[7].detail.starts_with("pod or containers \"i\", \"a\", \"b\", \"e\" must set "));
}

#[test]
fn templates_have_fewer_defaults() {
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    let pod = pod(&[
        (ANNOTATIONS, json!({key: "unconfined"})),
        ("hostNetwork", json!(true)),
        (PORTS, json!([{"containerPort": 80}])),
        ("volumes", json!([{"name": "v"}])),
    ]);
    let violations = evaluate((Restricted, Latest), NEWEST, &pod["metadata"], &pod["spec"], true);
    let expected = "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
                    \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\"), host namespaces \
                    (hostNetwork=true)";
    assert_eq!(said(&violations), expected);
}

#[test]
fn wrong_types_are_as_if_absent() {
    assert_said([
        (
            Baseline,
            Latest,
            vec![
                ("hostPID", json!("true")),
                ("volumes", json!({"hostPath": {}})),
                ("initContainers", json!("none")),
                (PORTS, json!([{"hostPort": "80"}, null])),
                (SE_LINUX, json!("spc_t")),
                (ANNOTATIONS, json!(["container.apparmor.security.beta.kubernetes.io/c"])),
            ],
            "",
        ),
        (
            Restricted,
            Latest,
            vec![(ESCALATION, json!("false"))],
            "allowPrivilegeEscalation != false (container \"c\" must set \
             securityContext.allowPrivilegeEscalation=false)",
        ),
    ]);
    assert!(violations(Baseline, Latest, &Value::Null, &Value::Null).is_empty());
}

type Pairs = &'static [(&'static str, &'static str)];

const WRONG_LEVEL: &str = "must be one of privileged, baseline, restricted";
const WRONG_VERSION: &str = "must be \"latest\" or \"v1.x\"";

#[test]
fn labels_say_what_is_asked() {
    let standard = |text: &str| {
        let (level, version) = text.split_once(':').unwrap();
        (level.parse::<Level>().unwrap(), version.parse::<Version>().unwrap())
    };
    let table: [(Pairs, [&str; 3], Pairs); 12] = [
        (&[], ["privileged:latest", "privileged:latest", "privileged:latest"], &[]),
        (&[("enforce", "baseline")], ["baseline:latest", "baseline:latest", "privileged:latest"], &[]),
        (&[("warn", "restricted")], ["privileged:latest", "restricted:latest", "privileged:latest"], &[]),
        (
            &[("enforce", "baseline"), ("enforce-version", "v1.22")],
            ["baseline:v1.22", "baseline:v1.22", "privileged:latest"],
            &[],
        ),
        (
            &[("enforce", "baseline"), ("enforce-version", "v1.22"), ("warn-version", "latest")],
            ["baseline:v1.22", "baseline:latest", "privileged:latest"],
            &[],
        ),
        (
            &[("enforce", "restricted"), ("warn", "privileged")],
            ["restricted:latest", "privileged:latest", "privileged:latest"],
            &[],
        ),
        (
            &[("audit", "restricted"), ("audit-version", "v1.0")],
            ["privileged:latest", "privileged:latest", "restricted:v1.0"],
            &[],
        ),
        (
            &[("enforce", "strict")],
            ["restricted:latest", "privileged:latest", "privileged:latest"],
            &[("enforce", WRONG_LEVEL)],
        ),
        (
            &[("enforce", "Baseline"), ("enforce-version", "v1.20")],
            ["restricted:v1.20", "privileged:latest", "privileged:latest"],
            &[("enforce", WRONG_LEVEL)],
        ),
        (
            &[("enforce", "baseline"), ("enforce-version", "1.20")],
            ["baseline:latest", "baseline:latest", "privileged:latest"],
            &[("enforce-version", WRONG_VERSION)],
        ),
        (
            &[("enforce", "baseline"), ("warn", ""), ("audit", "x"), ("audit-version", "v2.0")],
            ["baseline:latest", "privileged:latest", "privileged:latest"],
            &[("audit", WRONG_LEVEL), ("audit-version", WRONG_VERSION), ("warn", WRONG_LEVEL)],
        ),
        (
            &[("enforce-version", "v1.20")],
            ["privileged:v1.20", "privileged:latest", "privileged:latest"],
            &[],
        ),
    ];
    for (said, [enforce, warn, audit], wrong) in table {
        let labels = said.iter().map(|(name, value)| (format!("{LABELS}{name}"), (*value).to_owned()));
        let (policy, invalid) = Policy::of(&labels.collect::<Labels>());
        let expected = Policy {
            enforce: standard(enforce),
            warn: standard(warn),
            audit: standard(audit),
            ..Policy::default()
        };
        assert_eq!(policy, expected, "{said:?}");
        let invalid: Vec<_> = invalid.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = wrong
            .iter()
            .map(|(name, problem)| {
                let value = said.iter().find(|(other, _)| other == name).unwrap().1;
                format!("metadata.labels[{LABELS}{name}]: Invalid value: \"{value}\": {problem}")
            })
            .collect();
        assert_eq!(invalid, expected, "{said:?}");
    }
}

#[test]
fn versions_are_latest_or_numbers() {
    for (text, expected) in [
        ("latest", Some(Latest)),
        ("v1.0", Some(Minor(0))),
        ("v1.20", Some(Minor(20))),
        ("v1.10000", Some(Minor(10000))),
        ("v1.9223372036854775807", Some(Minor(9_223_372_036_854_775_807))),
        ("v1.9223372036854775808", None),
        ("", None),
        ("foo", None),
        ("v1", None),
        ("v1.", None),
        ("v1.00", None),
        ("v1.020", None),
        ("v1.+1", None),
        ("v1.2.3", None),
        ("v2.0", None),
        ("1.1", None),
        ("Latest", None),
    ] {
        assert_eq!(text.parse::<Version>().ok(), expected, "{text}");
        if let Some(version) = expected {
            assert_eq!(version.to_string(), text);
        }
    }
}

#[test]
fn the_server_refuses_or_warns() {
    let labels = |enforce: &str, warn: &str| {
        let label = |mode: &str, value: &str| (format!("{LABELS}{mode}"), value.to_owned());
        let labels = [label("enforce", enforce), label("warn", warn), label("warn-version", "v1.99")];
        Policy::of(&Labels::from(labels)).0
    };
    let pod = pod(&[(ESCALATION, json!(null))]);
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let refusal = "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must \
                   set securityContext.allowPrivilegeEscalation=false)";
    let warning = "would violate PodSecurity \"restricted:v1.99\": allowPrivilegeEscalation != false (container \"c\" \
                   must set securityContext.allowPrivilegeEscalation=false)";
    for (policy, refused, warned, template) in [
        (labels("restricted", "restricted"), Some(refusal), None, Some(warning)),
        (labels("baseline", "restricted"), None, Some(warning), Some(warning)),
        (labels("restricted", "baseline"), Some(refusal), None, None),
        (labels("privileged", "privileged"), None, None, None),
    ] {
        assert_eq!(policy.refusal(metadata, spec).as_deref(), refused, "{policy:?}");
        assert_eq!(policy.warning(metadata, spec).as_deref(), warned, "{policy:?}");
        assert_eq!(policy.template_warning(metadata, spec).as_deref(), template, "{policy:?}");
    }
}

#[test]
fn templates_are_where_kinds_have_them() {
    let template = json!({"spec": {"containers": []}});
    for (version, kind, mut object, found) in [
        ("apps/v1", "Deployment", json!({"spec": {"template": template}}), true),
        ("apps/v1", "StatefulSet", json!({"spec": {"template": template}}), true),
        ("batch/v1", "Job", json!({"spec": {"template": template}}), true),
        ("batch/v1", "CronJob", json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}), true),
        ("v1", "PodTemplate", json!({"template": template}), true),
        ("v1", "ReplicationController", json!({"spec": {"template": null}}), false),
        ("v1", "Pod", json!({"spec": {"containers": []}}), false),
        ("example.com/v1", "Deployment", json!({"spec": {"template": template}}), false),
    ] {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        assert_eq!(template_of(&object), found.then_some(&template), "{object}");
    }
}

#[test]
fn updates_matter_if_containers_change() {
    let spec = |image: &str, ephemeral: Value| {
        json!({
        "containers": [{"name": "c", "image": image}], "ephemeralContainers": ephemeral, "tolerations": [image]})
    };
    let debug = |image: &str| json!([{"name": "debug", "image": image}]);
    let mut more_tolerations = spec("a", json!([]));
    more_tolerations["tolerations"] = json!([]);
    let mut more_containers = spec("a", json!([]));
    more_containers["initContainers"] = json!([{"name": "i"}]);
    for (now, before, expected) in [
        (spec("a", json!([])), more_tolerations, false),
        (spec("a", json!([])), spec("b", json!([])), true),
        (spec("a", json!([])), more_containers, true),
        (spec("a", debug("a")), spec("a", json!(null)), true),
        (spec("a", debug("a")), spec("a", debug("a")), false),
        (spec("a", debug("a")), spec("a", debug("b")), true),
        (spec("a", json!([])), spec("a", debug("a")), false),
    ] {
        assert_eq!(is_significant(&now, &before), expected, "{now} {before}");
    }
}

#[test]
fn the_registry_is_in_order() {
    for checks in [BASELINE, RESTRICTED] {
        assert!(checks.is_sorted_by_key(|check| check.id));
        assert!(checks.iter().all(|check| check.since.is_sorted_by_key(|(since, ..)| *since)));
    }
    let newest = |check: &Check| check.since.iter().map(|(since, ..)| *since).max();
    let of_checks = BASELINE.iter().chain(RESTRICTED).filter_map(newest).max();
    let of_tables = tables::SYSCTLS.iter().chain(&tables::SE_LINUX_TYPES).map(|(since, _)| *since).max();
    assert_eq!(of_checks, Some(NEWEST));
    assert!(of_tables <= of_checks);
    assert_eq!((BASELINE.len(), RESTRICTED.len()), (12, 7));
}
