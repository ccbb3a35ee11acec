//! What objects around the workloads name: classes, Gateways, Secrets for TLS, Services of StatefulSets, roles.

use std::borrow::Cow;

use futures::future::join_all;
use preflight_core::cluster::Resource;
use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, Rule, Subject, Undecided};
use serde_json::Value;

use super::find::{Finder, Found, Target};
use super::producers;
use super::{
    CLASS_MISSING, CLUSTER_ROLES, INGRESS_CLASSES, PARENT_MISSING, ROLE_MISSING, ROLES, SECRETS,
    SERVICE_MISSING, SERVICES, TLS_SECRET_MISSING,
};

/// The API group of Gateways (<https://gateway-api.sigs.k8s.io>).
const GATEWAYS: &str = "gateway.networking.k8s.io";
/// Kinds that are attached to Gateways.
const ROUTES: [&str; 5] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"];

/// Something that an object names, and what it means if it is not there.
struct Naming<'a> {
    rule: &'static Rule,
    planned: &'a Planned,
    path: FieldPath,
    target: Target,
    /// The listener of a Gateway that is named.
    listener: Option<String>,
    /// What is wrong then: `gets no traffic`.
    then: &'static str,
    command: String,
}

static ALL: [&Rule; 5] =
    [&SERVICE_MISSING, &TLS_SECRET_MISSING, &CLASS_MISSING, &PARENT_MISSING, &ROLE_MISSING];

pub(super) async fn examine(check: &Examination, finder: &Finder<'_>) {
    let named: Vec<Naming<'_>> = finder.release.objects().iter().flat_map(named).collect();
    let looking = named.iter().map(|naming| look(finder, naming));
    let found = join_all(looking).await;
    let mut rules = ALL.map(|rule| (rule, check.rule(rule)));
    for (naming, found) in named.iter().zip(found) {
        let Some(wrong) = check.need(&[naming.rule], found) else { continue };
        let Some((_, rule)) = rules.iter_mut().find(|(rule, _)| *rule == naming.rule) else { continue };
        rule.examined();
        let Some(wrong) = wrong else { continue };
        let message = format!(
            "{} {}: it names the {}, {wrong}",
            naming.planned.object.id(),
            naming.then,
            naming.target
        );
        let remedy = Remediation::new("Name one that exists, or make it").command(&naming.command);
        rule.warn(Subject::at(&naming.planned.object, &naming.path), message, remedy);
    }
    let told = ["Services of StatefulSets", "Secrets for TLS", "classes", "Gateways", "roles"];
    for ((_, rule), told) in rules.into_iter().zip(told) {
        rule.conclude(told);
    }
}

/// What is wrong with what is named; nothing if it is there.
async fn look(finder: &Finder<'_>, naming: &Naming<'_>) -> Result<Option<String>, Undecided> {
    let found = finder.find(&naming.target).await?;
    if let (Some(listener), Found::There(gateway) | Found::Coming(_, gateway)) = (&naming.listener, &found) {
        let listeners = gateway["spec"]["listeners"].as_array().into_iter().flatten();
        let has = listeners.into_iter().any(|one| one["name"] == listener.as_str());
        return Ok((!has).then(|| format!("which has no listener {listener:?}")));
    }
    let Some(lack) = found.lack() else { return Ok(None) };
    if let Some(by) = finder.expected(&naming.target) {
        return Ok(Some(format!("{lack}; the environment expects {by} to make it")));
    }
    if naming.target.kind == "Secret"
        && let Some(maker) = producers::of(finder, &naming.target).await?
    {
        let trouble =
            maker.trouble.map(|trouble| format!(", and is not well: {trouble}")).unwrap_or_default();
        return Ok(Some(format!("{lack}; {} is to have it made{trouble}", maker.what)));
    }
    Ok(Some(lack.to_owned()))
}

fn named(planned: &Planned) -> Vec<Naming<'_>> {
    let object = &*planned.effective;
    let namespace = planned.namespace.as_deref();
    match (planned.object.group(), planned.object.kind()) {
        ("apps", "StatefulSet") => service(planned, object, namespace),
        ("networking.k8s.io", "Ingress") => ingress(planned, object, namespace),
        (GATEWAYS, "Gateway") => gateway(planned, object, namespace),
        (GATEWAYS, kind) if ROUTES.contains(&kind) => parents(planned, object, namespace),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            role(planned, object, namespace)
        }
        _ => Vec::new(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value[key].as_array().into_iter().flatten().enumerate()
}

fn spec(key: &str) -> FieldPath {
    FieldPath::of("spec").key(key)
}

fn service<'a>(planned: &'a Planned, object: &Value, namespace: Option<&str>) -> Vec<Naming<'a>> {
    let named = text(&object["spec"], "serviceName").map(|name| Naming {
        rule: &SERVICE_MISSING,
        planned,
        path: spec("serviceName"),
        target: Target::of(&SERVICES, namespace, name),
        listener: None,
        then: "has pods without names in DNS",
        command: format!("kubectl get services -n {}", namespace.unwrap_or_default()),
    });
    named.into_iter().collect()
}

fn ingress<'a>(planned: &'a Planned, object: &Value, namespace: Option<&str>) -> Vec<Naming<'a>> {
    let class = text(&object["spec"], "ingressClassName").map(|name| Naming {
        rule: &CLASS_MISSING,
        planned,
        path: spec("ingressClassName"),
        target: Target::of(&INGRESS_CLASSES, None, name),
        listener: None,
        then: "gets no traffic",
        command: "kubectl get ingressclasses".to_owned(),
    });
    let secrets = items(&object["spec"], "tls").filter_map(|(at, tls)| {
        let path = spec("tls").index(at).key("secretName");
        Some(tls_secret(planned, path, namespace, text(tls, "secretName")?))
    });
    class.into_iter().chain(secrets).collect()
}

fn tls_secret<'a>(planned: &'a Planned, path: FieldPath, namespace: Option<&str>, name: &str) -> Naming<'a> {
    let namespace = namespace.unwrap_or_default();
    Naming {
        rule: &TLS_SECRET_MISSING,
        planned,
        path,
        target: Target::of(&SECRETS, Some(namespace), name),
        listener: None,
        then: "has no certificate",
        command: format!("kubectl create secret tls {name} -n {namespace} --cert=FILE --key=FILE"),
    }
}

fn gateway<'a>(planned: &'a Planned, object: &Value, namespace: Option<&str>) -> Vec<Naming<'a>> {
    let class = text(&object["spec"], "gatewayClassName").map(|name| Naming {
        rule: &CLASS_MISSING,
        planned,
        path: spec("gatewayClassName"),
        target: gateway_object("GatewayClass", None, name),
        listener: None,
        then: "gets no traffic",
        command: "kubectl get gatewayclasses".to_owned(),
    });
    let secrets = items(&object["spec"], "listeners").flat_map(|(at, listener)| {
        let base = spec("listeners").index(at).key("tls").key("certificateRefs");
        items(&listener["tls"], "certificateRefs")
            .filter(|(_, named)| matches!(text(named, "kind"), None | Some("Secret")))
            .filter_map(move |(at, named)| {
                let namespace = text(named, "namespace").or(namespace);
                Some(tls_secret(planned, base.clone().index(at).key("name"), namespace, text(named, "name")?))
            })
            .collect::<Vec<_>>()
    });
    class.into_iter().chain(secrets).collect()
}

fn gateway_object(kind: &'static str, namespace: Option<&str>, name: &str) -> Target {
    Target {
        group: Cow::Borrowed(GATEWAYS),
        kind: Cow::Borrowed(kind),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

fn parents<'a>(planned: &'a Planned, object: &Value, namespace: Option<&str>) -> Vec<Naming<'a>> {
    let gateways = items(&object["spec"], "parentRefs").filter(|(_, named)| {
        matches!(text(named, "kind"), None | Some("Gateway"))
            && matches!(text(named, "group"), None | Some(GATEWAYS))
    });
    let named = gateways.filter_map(|(at, named)| {
        let namespace = text(named, "namespace").or(namespace);
        Some(Naming {
            rule: &PARENT_MISSING,
            planned,
            path: spec("parentRefs").index(at).key("name"),
            target: gateway_object("Gateway", namespace, text(named, "name")?),
            listener: text(named, "sectionName").map(str::to_owned),
            then: "gets no traffic",
            command: format!("kubectl get gateways -n {}", namespace.unwrap_or_default()),
        })
    });
    named.collect()
}

fn role<'a>(planned: &'a Planned, object: &Value, namespace: Option<&str>) -> Vec<Naming<'a>> {
    let named = &object["roleRef"];
    let resource: Resource = match text(named, "kind") {
        Some("Role") => ROLES,
        Some("ClusterRole") => CLUSTER_ROLES,
        _ => return Vec::new(),
    };
    let command = match namespace.filter(|_| resource.namespaced) {
        Some(namespace) => format!("kubectl get roles -n {namespace}"),
        None => "kubectl get clusterroles".to_owned(),
    };
    let named = text(named, "name").map(|name| Naming {
        rule: &ROLE_MISSING,
        planned,
        path: FieldPath::of("roleRef.name"),
        target: Target::of(&resource, namespace, name),
        listener: None,
        then: "grants nothing",
        command,
    });
    named.into_iter().collect()
}
