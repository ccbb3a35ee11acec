//! Ingresses and routes of the release: what they lead to, and who else has their hosts.

use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, Subject};
use serde_json::Value;

use super::world::{Found, World};
use super::{BACKEND_MISSING, HOST_TAKEN};

/// The API group of routes (<https://gateway-api.sigs.k8s.io>).
const GATEWAYS: &str = "gateway.networking.k8s.io";

pub(super) fn examine(check: &Examination, world: &World<'_>) {
    let mut missing = check.rule(&BACKEND_MISSING);
    if let Some(services) = check.need(&[&BACKEND_MISSING], world.services.as_ref().map_err(Clone::clone)) {
        for planned in world.release.objects() {
            for target in targets(planned) {
                if let Some(error) = world.partial.as_ref().filter(|_| !world.is_seen(&target.namespace)) {
                    check.need::<()>(&[&BACKEND_MISSING], Err(error.clone()));
                    continue;
                }
                missing.examined();
                let found = services
                    .iter()
                    .find(|service| service.name == target.service && service.namespace == target.namespace);
                let why = match found {
                    None => "which does not exist".to_owned(),
                    Some(service) if !has_port(service, &target.port) => {
                        format!("which has no port {}", target.port.to_string().trim_matches('"'))
                    }
                    Some(_) => continue,
                };
                let message = format!(
                    "{} leads to the Service {}/{}, {why}",
                    planned.object.id(),
                    target.namespace,
                    target.service
                );
                let remedy = Remediation::new("Name a Service and a port that it has")
                    .command(format!("kubectl get services -n {}", target.namespace));
                missing.warn(Subject::at(&planned.object, &target.path), message, remedy);
            }
        }
    }
    missing.conclude("backends of Ingresses and routes");

    let mut taken = check.rule(&HOST_TAKEN);
    if let Some(ingresses) = check.need(&[&HOST_TAKEN], world.ingresses.as_ref().map_err(Clone::clone)) {
        for ingress in ingresses.iter().filter(|ingress| ingress.planned.is_some()) {
            let mine = hosts(&ingress.object);
            if mine.is_empty() {
                continue;
            }
            taken.examined();
            let others = ingresses.iter().filter(|other| {
                other.namespace != ingress.namespace && class(&other.object) == class(&ingress.object)
            });
            if let Some((other, host)) =
                others.into_iter().find_map(|other| Some((other, shared(&mine, other)?)))
                && let Some((_, planned)) = ingress.planned
            {
                let message = format!(
                    "{} wants {host}, which the Ingress {}/{} has",
                    planned.object.id(),
                    other.namespace,
                    other.name
                );
                let remedy = Remediation::new("Take another host or path, or have the other one removed")
                    .command(format!("kubectl get ingress {} -n {} -o yaml", other.name, other.namespace));
                taken.warn(Subject::at(&planned.object, &FieldPath::of("spec.rules")), message, remedy);
            } else if let Some(error) = &world.partial_ingresses {
                // Who has it in another namespace is not seen.
                check.need::<()>(&[&HOST_TAKEN], Err(error.clone()));
            }
        }
    }
    taken.conclude("Ingresses");
}

/// A Service and a port that something leads to.
struct Target {
    namespace: String,
    service: String,
    /// A number, or a name; null for any.
    port: Value,
    path: FieldPath,
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value[key].as_array().into_iter().flatten().enumerate()
}

fn targets(planned: &Planned) -> Vec<Target> {
    let Some(namespace) = planned.namespace.as_deref() else { return Vec::new() };
    let spec = &planned.effective["spec"];
    let at = FieldPath::of("spec");
    let mut found = Vec::new();
    let backend = |backend: &Value, path: FieldPath| {
        let service = &backend["service"];
        // The number 0 is one that is not written.
        let number = &service["port"]["number"];
        let port = if number.as_u64().unwrap_or(0) == 0 { &service["port"]["name"] } else { number };
        Some(Target {
            namespace: namespace.to_owned(),
            service: service["name"].as_str()?.to_owned(),
            port: port.clone(),
            path: path.key("service").key("name"),
        })
    };
    match (planned.object.group(), planned.object.kind()) {
        ("networking.k8s.io", "Ingress") => {
            found.extend(backend(&spec["defaultBackend"], at.clone().key("defaultBackend")));
            for (rule_at, rule) in items(spec, "rules") {
                let base = at.clone().key("rules").index(rule_at).key("http").key("paths");
                for (path_at, path) in items(&rule["http"], "paths") {
                    found.extend(backend(&path["backend"], base.clone().index(path_at).key("backend")));
                }
            }
        }
        (GATEWAYS, _) => {
            for (rule_at, rule) in items(spec, "rules") {
                let base = at.clone().key("rules").index(rule_at).key("backendRefs");
                let services = items(rule, "backendRefs")
                    .filter(|(_, named)| matches!(named["kind"].as_str(), None | Some("Service")));
                found.extend(services.filter_map(|(index, named)| {
                    Some(Target {
                        namespace: named["namespace"].as_str().unwrap_or(namespace).to_owned(),
                        service: named["name"].as_str()?.to_owned(),
                        port: named["port"].clone(),
                        path: base.clone().index(index).key("name"),
                    })
                }));
            }
        }
        _ => {}
    }
    found
}

fn has_port(service: &Found<'_>, port: &Value) -> bool {
    let ports = service.object["spec"]["ports"].as_array().into_iter().flatten();
    port.is_null() || ports.into_iter().any(|own| own["port"] == *port || own["name"] == *port)
}

fn class(ingress: &Value) -> Option<&str> {
    let annotation = ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].as_str();
    ingress["spec"]["ingressClassName"].as_str().or(annotation)
}

/// The hosts of an Ingress, each with its paths.
fn hosts(ingress: &Value) -> Vec<(String, String)> {
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or("*").to_owned();
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        paths
            .map(move |path| (host.clone(), path["path"].as_str().unwrap_or("/").to_owned()))
            .collect::<Vec<_>>()
    });
    paths.collect()
}

/// A host and path that another Ingress has too.
fn shared(mine: &[(String, String)], other: &Found<'_>) -> Option<String> {
    let others = hosts(&other.object);
    let (host, path) = mine.iter().find(|own| others.contains(own))?;
    Some(format!("{host}{path}"))
}
