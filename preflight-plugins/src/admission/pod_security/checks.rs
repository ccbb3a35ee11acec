//! The checks themselves (`check_*.go` in `policy/` of `k8s.io/pod-security-admission`, v0.36.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::pod::{
    Except, Found, Holder, Kind, Pod, find, items, named, plural, quoted, text, uses, violation,
};
use super::{Violation, tables};

const APP_ARMOR: &str = "securityContext.appArmorProfile";
const APP_ARMOR_ANNOTATIONS: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP: &str = "securityContext.seccompProfile";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_ANNOTATIONS: &str = "container.seccomp.security.alpha.kubernetes.io/";
const CAPABILITIES_ADDED: &str = "securityContext.capabilities.add";
const CAPABILITIES_DROPPED: &str = "securityContext.capabilities.drop";
const RUN_AS_NON_ROOT: &str = "securityContext.runAsNonRoot";
const SE_LINUX: &str = "securityContext.seLinuxOptions";

pub(super) fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = Found::default();
    for holder in pod.holders() {
        let wrong = app_armor_of(pod, holder).filter(|(kind, _)| !is_default_or_local(kind));
        found.add(holder, wrong.map(|(kind, field)| (kind.to_owned(), field)));
    }
    let mut setters = found.setters();
    let mut annotations = BTreeSet::new();
    for (key, value) in pod.annotations() {
        let taken = matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
        if key.starts_with(APP_ARMOR_ANNOTATIONS) && !taken {
            annotations.insert(annotation(key, value));
            let field = field_of_annotation(key);
            if !found.fields.contains(&field) {
                found.fields.push(field);
            }
        }
    }
    if !annotations.is_empty() {
        setters.push(plural("annotation", annotations.len()));
    }
    let values: Vec<_> = found.values.iter().chain(&annotations).map(String::as_str).collect();
    let detail =
        format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&values));
    let reason = if values.len() == 1 { "forbidden AppArmor profile" } else { "forbidden AppArmor profiles" };
    found.violation(reason, detail)
}

/// The type of an AppArmor profile, and where it is said. Where a Pod is created, an annotation gives its container the
/// profile that no field says, unless the pod says the same (`applyAppArmorVersionSkew` of
/// `pkg/registry/core/pod/strategy.go`, Kubernetes v1.36.3). Only `unconfined` matters here.
fn app_armor_of<'a>(pod: &Pod<'a>, holder: &Holder<'a>) -> Option<(&'a str, String)> {
    let profile = holder.get(APP_ARMOR);
    if profile.is_object() {
        return Some((text(&profile["type"]), holder.at(&format!("{APP_ARMOR}.type"))));
    }
    let given =
        !pod.template && matches!(holder.kind, Kind::Init | Kind::Regular) && !pod.is(Except::Windows);
    let key = format!("{APP_ARMOR_ANNOTATIONS}{}", holder.name);
    let unconfined = given && text(&pod.metadata["annotations"][&key]) == "unconfined";
    let said = text(&pod.own.get(APP_ARMOR)["type"]) == "Unconfined";
    (unconfined && !said).then(|| ("Unconfined", field_of_annotation(&key)))
}

pub(super) fn capabilities_baseline(pod: &Pod<'_>) -> Option<Violation> {
    let found = capabilities_beyond(pod, &tables::DEFAULT_CAPABILITIES);
    let detail = added_capabilities(&found);
    found.violation("non-default capabilities", detail)
}

pub(super) fn capabilities_restricted(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = find(&pod.containers, CAPABILITIES_DROPPED, |dropped| {
        !items(dropped).iter().any(|capability| text(capability) == "ALL")
    });
    let beyond = capabilities_beyond(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !found.is_empty() {
        details.push(format!("{} must set {CAPABILITIES_DROPPED}=[\"ALL\"]", found.who()));
    }
    if !beyond.is_empty() {
        details.push(added_capabilities(&beyond));
    }
    found.fields.extend(beyond.fields);
    found.violation("unrestricted capabilities", details.join("; "))
}

/// Who adds capabilities that are not among these.
fn capabilities_beyond<'a>(pod: &Pod<'a>, taken: &[&str]) -> Found<'a> {
    let mut found = Found::default();
    for container in &pod.containers {
        let added = items(container.get(CAPABILITIES_ADDED)).iter().map(text).enumerate();
        let beyond = added.filter(|(_, capability)| !taken.contains(capability));
        found.add(
            container,
            beyond.map(|(index, capability)| {
                (capability.to_owned(), container.at(&format!("{CAPABILITIES_ADDED}[{index}]")))
            }),
        );
    }
    found
}

fn added_capabilities(found: &Found<'_>) -> String {
    format!("{} must not include {} in {CAPABILITIES_ADDED}", found.who(), found.values())
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.own.is(field, true));
    let fields: Vec<_> = shared.map(str::to_owned).collect();
    let details: Vec<_> = fields.iter().map(|field| format!("{field}=true")).collect();
    violation("host namespaces", details.join(", "), fields)
}

pub(super) fn host_paths(pod: &Pod<'_>) -> Option<Violation> {
    let (mut names, mut fields) = (Vec::new(), Vec::new());
    for (index, volume) in items(pod.own.get("volumes")).iter().enumerate() {
        if volume["hostPath"].is_object() {
            names.push(text(&volume["name"]));
            fields.push(format!("volumes[{index}].hostPath"));
        }
    }
    violation("hostPath volumes", named("volume", &names), fields)
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = Found::default();
    for container in &pod.containers {
        let ports = items(container.get("ports")).iter().enumerate();
        found.add(
            container,
            ports.filter_map(|(index, port)| {
                let (number, field) = port_of_node(pod, port)?;
                Some((number.to_string(), container.at(&format!("ports[{index}].{field}"))))
            }),
        );
    }
    let ports: Vec<_> = found.values.iter().map(String::as_str).collect();
    let detail = format!(
        "{} {} {} {}",
        found.who(),
        uses(found.containers.len()),
        plural("hostPort", ports.len()),
        ports.join(", ")
    );
    found.violation("hostPort", detail)
}

/// The port of the node that a container's port takes, and the field that says so. Pods on the node's network take
/// those of their containers (`defaultHostNetworkPorts` of `pkg/apis/core/v1/defaults.go`, Kubernetes v1.36.3).
fn port_of_node(pod: &Pod<'_>, port: &Value) -> Option<(i64, &'static str)> {
    let number = |field: &'static str| {
        let number = port[field].as_i64().filter(|number| *number != 0);
        number.map(|number| (number, field))
    };
    let on_node = !pod.template && pod.own.is("hostNetwork", true);
    number("hostPort").or_else(|| on_node.then(|| number("containerPort")).flatten())
}

pub(super) fn probed_hosts(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = Found::default();
    for container in &pod.containers {
        let called = tables::HANDLERS
            .iter()
            .flat_map(|handler| ["httpGet", "tcpSocket"].map(|action| format!("{handler}.{action}.host")));
        found.add(
            container,
            called.filter_map(|field| {
                let host = text(container.get(&field));
                (!host.is_empty()).then(|| (host.to_owned(), container.at(&field)))
            }),
        );
    }
    // Here alone the server sorts the containers.
    found.containers.sort_unstable();
    let reason = "probe or lifecycle host";
    let detail = format!(
        "{} {} {} {}",
        found.who(),
        uses(found.containers.len()),
        plural(reason, found.values.len()),
        found.values()
    );
    found.violation(reason, detail)
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let found = find(&pod.containers, "securityContext.privileged", |value| value.as_bool() == Some(true));
    let detail = format!("{} must not set securityContext.privileged=true", found.who());
    found.violation("privileged", detail)
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let field = "securityContext.procMount";
    let found = find(&pod.containers, field, |value| value.as_str().is_some_and(|kind| kind != "Default"));
    let detail = format!("{} must not set {field} to {}", found.who(), found.values());
    found.violation("procMount", detail)
}

pub(super) fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = Found::default();
    let (mut user, mut role) = (false, false);
    for holder in pod.holders() {
        let options = holder.get(SE_LINUX);
        let kind = text(&options["type"]);
        let is_kind_wrong = !kind.is_empty() && !tables::has(&tables::SE_LINUX_TYPES, kind, pod.minor);
        let has_user = !text(&options["user"]).is_empty();
        let has_role = !text(&options["role"]).is_empty();
        if is_kind_wrong {
            found.values.insert(kind.to_owned());
        }
        user |= has_user;
        role |= has_role;
        let fields = [(is_kind_wrong, "type"), (has_user, "user"), (has_role, "role")];
        let wrong = fields.into_iter().filter(|(wrong, _)| *wrong);
        found.note(holder, wrong.map(|(_, field)| holder.at(&format!("{SE_LINUX}.{field}"))).collect());
    }
    let types = (!found.values.is_empty())
        .then(|| format!("{} {}", plural("type", found.values.len()), found.values()));
    let user = user.then(|| "user may not be set".to_owned());
    let role = role.then(|| "role may not be set".to_owned());
    let data: Vec<_> = [types, user, role].into_iter().flatten().collect();
    let setters = found.setters().join(" and ");
    let detail = format!("{setters} set forbidden {SE_LINUX}: {}", data.join("; "));
    found.violation("seLinuxOptions", detail)
}

pub(super) fn seccomp_annotations(pod: &Pod<'_>) -> Option<Violation> {
    let (mut forbidden, mut fields) = (BTreeSet::new(), Vec::new());
    let of_containers =
        pod.containers.iter().map(|container| format!("{SECCOMP_ANNOTATIONS}{}", container.name));
    for key in std::iter::once(SECCOMP_ANNOTATION.to_owned()).chain(of_containers) {
        let Some(value) = pod.metadata["annotations"][&key].as_str() else { continue };
        let taken = matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
        if !taken && forbidden.insert(annotation(&key, value)) {
            fields.push(field_of_annotation(&key));
        }
    }
    let all: Vec<_> = forbidden.into_iter().collect();
    let detail = format!("forbidden {} {}", plural("annotation", all.len()), all.join(", "));
    violation("seccompProfile", detail, fields)
}

pub(super) fn seccomp_baseline(pod: &Pod<'_>) -> Option<Violation> {
    let mut found = Found::default();
    for holder in pod.holders() {
        let kind = seccomp_of(holder).filter(|kind| !is_default_or_local(kind));
        found.add(holder, kind.map(|kind| (kind.to_owned(), holder.at(&format!("{SECCOMP}.type")))));
    }
    let setters = found.setters().join(" and ");
    let detail = format!("{setters} must not set {SECCOMP}.type to {}", found.values());
    found.violation("seccompProfile", detail)
}

pub(super) fn seccomp_restricted(pod: &Pod<'_>) -> Option<Violation> {
    let wrong = seccomp_baseline(pod);
    if wrong.is_some() || seccomp_of(&pod.own).is_some() {
        return wrong;
    }
    let found = find(&pod.containers, SECCOMP, |profile| !profile.is_object());
    let detail =
        format!("pod or {} must set {SECCOMP}.type to \"RuntimeDefault\" or \"Localhost\"", found.who());
    found.violation("seccompProfile", detail)
}

/// The type of its own seccomp profile, if it has one.
fn seccomp_of<'a>(holder: &Holder<'a>) -> Option<&'a str> {
    let profile = holder.get(SECCOMP);
    profile.is_object().then(|| text(&profile["type"]))
}

pub(super) fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    let list = "securityContext.sysctls";
    let (mut names, mut fields) = (Vec::new(), Vec::new());
    for (index, sysctl) in items(pod.own.get(list)).iter().enumerate() {
        let name = text(&sysctl["name"]);
        if !tables::has(&tables::SYSCTLS, name, pod.minor) {
            names.push(name);
            fields.push(format!("{list}[{index}].name"));
        }
    }
    violation("forbidden sysctls", names.join(", "), fields)
}

pub(super) fn host_process(pod: &Pod<'_>) -> Option<Violation> {
    let field = "securityContext.windowsOptions.hostProcess";
    let found = find(pod.holders(), field, |value| value.as_bool() == Some(true));
    let detail = format!("{} must not set {field}=true", found.setters().join(" and "));
    found.violation("hostProcess", detail)
}

pub(super) fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    let field = "securityContext.allowPrivilegeEscalation";
    let found = find(&pod.containers, field, |value| value.as_bool() != Some(false));
    let detail = format!("{} must set {field}=false", found.who());
    found.violation("allowPrivilegeEscalation != false", detail)
}

pub(super) fn restricted_volumes(pod: &Pod<'_>) -> Option<Violation> {
    let (mut names, mut sources, mut fields) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (index, volume) in items(pod.own.get("volumes")).iter().enumerate() {
        let has = |source: &&str| volume[*source].is_object();
        if tables::TAKEN_VOLUMES.iter().any(has) {
            continue;
        }
        // One that has none of them would be an emptyDir.
        if let Some(source) = tables::REFUSED_VOLUMES.iter().copied().find(has) {
            names.push(text(&volume["name"]));
            sources.insert(source);
            fields.push(format!("volumes[{index}].{source}"));
        }
    }
    let sources: Vec<_> = sources.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named("volume", &names),
        uses(names.len()),
        plural("restricted volume type", sources.len()),
        quoted(&sources)
    );
    violation("restricted volume types", detail, fields)
}

pub(super) fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let wrong = find(pod.holders(), RUN_AS_NON_ROOT, |value| value.as_bool() == Some(false));
    if !wrong.is_empty() {
        let detail = format!("{} must not set {RUN_AS_NON_ROOT}=false", wrong.setters().join(" and "));
        return wrong.violation(reason, detail);
    }
    if pod.own.is(RUN_AS_NON_ROOT, true) {
        return None;
    }
    let missing = find(&pod.containers, RUN_AS_NON_ROOT, |value| value.as_bool().is_none());
    let detail = format!("pod or {} must set {RUN_AS_NON_ROOT}=true", missing.who());
    missing.violation(reason, detail)
}

pub(super) fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let found = find(pod.holders(), "securityContext.runAsUser", |value| value.as_i64() == Some(0));
    let detail = format!("{} must not set runAsUser=0", found.setters().join(" and "));
    found.violation("runAsUser=0", detail)
}

/// Whether a type of AppArmor's or seccomp's profiles is one that the baseline takes.
fn is_default_or_local(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// An annotation as the server writes it. What is valid and yet not taken is a plain word, so quotes are those of Go.
fn annotation(key: &str, value: &str) -> String {
    format!("{key}={value:?}")
}

fn field_of_annotation(key: &str) -> String {
    format!("metadata.annotations[{key:?}]")
}
