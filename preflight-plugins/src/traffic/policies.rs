//! NetworkPolicies in force, and what they leave the release's pods.

use preflight_core::{Examination, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::NETWORK_POLICY;
use super::world::{Backend, Found, World};

/// Where DNS is asked.
const DNS: u64 = 53;

pub(super) fn examine(check: &Examination, world: &World<'_>) {
    let mut rule = check.rule(&NETWORK_POLICY);
    let policies = check.need(&[&NETWORK_POLICY], world.policies.as_ref().map_err(Clone::clone));
    let services = check.need(&[&NETWORK_POLICY], world.services.as_ref().map_err(Clone::clone));
    if let (Some(policies), Some(services)) = (policies, services) {
        for planned in world.release.objects() {
            let Some(namespace) = planned.namespace.as_deref() else { continue };
            let id = planned.object.id().to_string();
            let Some(pods) = world.coming(namespace).into_iter().find(|pods| pods.id == id) else { continue };
            rule.examined();
            let of = |kind: &str| -> Vec<&Found<'_>> {
                let here = policies.iter().filter(|policy| policy.namespace == namespace);
                here.filter(|policy| {
                    pods.fits(&policy.object["spec"]["podSelector"]) && governs(&policy.object, kind)
                })
                .collect()
            };
            let subject = || Subject::object(&planned.object);
            outgoing(&mut rule, &of("Egress"), &id, namespace, subject());
            incoming(&mut rule, &of("Ingress"), services, &pods, namespace, subject());
        }
    }
    rule.conclude("workloads");
}

/// Whether a policy is about traffic of that direction
/// (`staging/src/k8s.io/api/networking/v1/types.go`, v1.36).
fn governs(policy: &Value, kind: &str) -> bool {
    match policy["spec"]["policyTypes"].as_array().filter(|kinds| !kinds.is_empty()) {
        Some(kinds) => kinds.iter().any(|one| one == kind),
        None => {
            kind == "Ingress" || policy["spec"]["egress"].as_array().is_some_and(|rules| !rules.is_empty())
        }
    }
}

/// Whether a rule of a policy allows a port; any port where it names none.
fn allows(rule: &Value, port: u64, name: Option<&str>, protocol: Option<&str>) -> bool {
    let Some(ports) = rule["ports"].as_array().filter(|ports| !ports.is_empty()) else { return true };
    ports.iter().any(|own| {
        let of = own["protocol"].as_str().unwrap_or("TCP");
        let fits = match &own["port"] {
            Value::Null => true,
            Value::String(text) => Some(text.as_str()) == name || text.parse() == Ok(port),
            number => {
                let from = number.as_u64().unwrap_or(0);
                let to = own["endPort"].as_u64().unwrap_or(from);
                (from..=to).contains(&port)
            }
        };
        fits && protocol.is_none_or(|wanted| wanted == of)
    })
}

fn rules<'a>(policies: &'a [&Found<'_>], direction: &'a str) -> impl Iterator<Item = &'a Value> {
    policies.iter().flat_map(move |policy| policy.object["spec"][direction].as_array().into_iter().flatten())
}

fn names(policies: &[&Found<'_>]) -> String {
    policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn outgoing(rule: &mut RuleCheck<'_>, policies: &[&Found<'_>], id: &str, namespace: &str, subject: Subject) {
    let by_port = |one: &Value| allows(one, DNS, None, None);
    if policies.is_empty() || rules(policies, "egress").any(by_port) {
        return;
    }
    let message = format!(
        "the pods of {id} may not ask for names: no NetworkPolicy that selects them lets them out on port 53 ({})",
        names(policies)
    );
    let remedy = Remediation::new("Allow UDP and TCP on port 53 to the cluster's DNS")
        .command(format!("kubectl describe networkpolicies -n {namespace}"));
    rule.warn(subject, message, remedy);
}

fn incoming(
    rule: &mut RuleCheck<'_>,
    policies: &[&Found<'_>],
    services: &[Found<'_>],
    pods: &Backend,
    namespace: &str,
    subject: Subject,
) {
    if policies.is_empty() {
        return;
    }
    let here = services.iter().filter(|service| service.namespace == namespace);
    for service in here {
        let selector = &service.object["spec"]["selector"];
        let selects_any = selector.as_object().is_some_and(|selector| !selector.is_empty());
        if !selects_any || !pods.is_selected(selector) {
            continue;
        }
        for port in service.object["spec"]["ports"].as_array().into_iter().flatten() {
            let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
            let name = target.as_str();
            let own = pods.ports.iter().find(|own| Some(own.name.as_str()) == name);
            let number = own.map(|own| u64::from(own.container_port)).or_else(|| target.as_u64());
            let Some(number) = number else { continue };
            let own = pods.ports.iter().find(|own| u64::from(own.container_port) == number);
            let name = name.or_else(|| own.map(|own| own.name.as_str()));
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            if rules(policies, "ingress").any(|one| allows(one, number, name, Some(protocol))) {
                continue;
            }
            let message = format!(
                "the Service {namespace}/{} leads to port {number} of {}, and no NetworkPolicy that selects those pods lets \
                 anybody in there ({})",
                service.name,
                pods.id,
                names(policies)
            );
            let remedy = Remediation::new("Allow the port in a NetworkPolicy")
                .command(format!("kubectl describe networkpolicies -n {namespace}"));
            return rule.warn(subject, message, remedy);
        }
    }
}
