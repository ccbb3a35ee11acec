//! A role in the release may not grant what the deployer does not hold itself.
//!
//! As the API server decides it (`pkg/registry/rbac/validation/rule.go` and
//! `pkg/registry/rbac/{role,rolebinding}/policybased/storage.go`, v1.36): every single permission that a role
//! grants must be held by its author, unless the author has `escalate` on the role, or, for a binding, `bind`.

use std::collections::BTreeSet;

use preflight_core::cluster::{Act, Identity, Reader};
use preflight_core::release::{Action, Planned, Release};
use preflight_core::{Context, Examination, FieldPath, Remediation, RuleCheck, Subject, Undecided};
use serde_json::Value;

use super::ROLE_ESCALATION;
use super::permissions::{advise, ask, ask_all, who};
use crate::told::some;

const GROUP: &str = "rbac.authorization.k8s.io";
/// Permissions of one role that are asked about one by one. Beyond it the answer would cost more than it is worth.
const CAP: usize = 1000;
/// Permissions that are told of one role.
const TOLD: usize = 3;

pub(super) async fn examine(check: &Examination, context: &Context, cluster: &Reader, release: &Release) {
    let mut rule = check.rule(&ROLE_ESCALATION);
    let identity = context.environment().deployer();
    for (at, planned) in release.objects().iter().enumerate() {
        if planned.object.group() != GROUP || planned.action == Action::Unchanged {
            continue;
        }
        let outcome = match planned.object.kind() {
            "Role" | "ClusterRole" => role(cluster, identity.as_ref(), planned).await,
            "RoleBinding" | "ClusterRoleBinding" => {
                binding(cluster, identity.as_ref(), (at, planned), release).await
            }
            _ => continue,
        };
        match outcome {
            Ok(Held::All) => rule.examined(),
            Ok(Held::NoRole { comes_later }) => {
                rule.examined();
                tell_no_role(&mut rule, planned, comes_later);
            }
            Ok(Held::Missing(missing)) => {
                rule.examined();
                let who = who(cluster, identity.as_ref()).await;
                tell(&mut rule, planned, &missing, identity.as_ref(), &who);
            }
            Err(undecided) => {
                check.need::<()>(&[&ROLE_ESCALATION], Err(undecided));
            }
        }
    }
    rule.conclude("roles and bindings");
}

enum Held {
    All,
    /// What the deployer does not hold.
    Missing(Vec<Act>),
    /// The role that a binding names is not there. Only who may bind it, whatever it grants, can bind it then.
    NoRole {
        comes_later: bool,
    },
}

fn tell_no_role(rule: &mut RuleCheck<'_>, planned: &Planned, comes_later: bool) {
    let text = |path| planned.object.text(path).unwrap_or_default();
    let (kind, name) = (text("roleRef.kind"), text("roleRef.name"));
    let (what, remedy) = match comes_later {
        true => ("is created only after this binding", format!("Put the {kind} {name} before the binding")),
        false => ("does not exist", format!("Create the {kind} {name}, or correct roleRef")),
    };
    rule.predict(
        Subject::at(&planned.object, &FieldPath::of("roleRef.name")),
        format!("The {kind} {name} {what}, so the API server cannot tell whether the deployer may bind it, and refuses"),
        Remediation::new(remedy).command(format!("kubectl get {}s -A", kind.to_lowercase())),
    );
}

fn tell(
    rule: &mut RuleCheck<'_>,
    planned: &Planned,
    missing: &[Act],
    identity: Option<&Identity>,
    who: &str,
) {
    let binding = planned.object.kind().ends_with("Binding");
    let acts = some(missing.iter().map(Act::describe), TOLD);
    let message = format!("{} grants what {who} does not hold: {acts}", planned.object.id());
    let (verb, resource, name) = if binding {
        let kind = planned.object.text("roleRef.kind").unwrap_or("Role");
        ("bind", format!("{}s", kind.to_lowercase()), planned.object.text("roleRef.name").unwrap_or_default())
    } else {
        ("escalate", format!("{}s", planned.object.kind().to_lowercase()), planned.object.display_name())
    };
    let field = if binding { "roleRef" } else { "rules" };
    let first = missing.first().map(|act| act.command(identity));
    let mut remedy = Remediation::new(format!(
        "Grant those permissions to the deployer, or the verb `{verb}` on {resource} \"{name}\""
    ));
    if let Some(command) = first {
        remedy = remedy.command(command);
    }
    remedy = remedy.command(format!(
        "kubectl create clusterrole may-{verb} --verb={verb} --resource={resource}.{GROUP} --resource-name={name}"
    ));
    rule.predict(Subject::at(&planned.object, &FieldPath::of(field)), message, remedy);
}

async fn role(cluster: &Reader, identity: Option<&Identity>, planned: &Planned) -> Result<Held, Undecided> {
    let Some(resource) = planned.serving.resource() else {
        return Ok(Held::All);
    };
    let namespace = planned.namespace.as_deref();
    let escalate = Act::on("escalate", resource, namespace).named(planned.object.name());
    if allowed(cluster, identity, &escalate).await? {
        return Ok(Held::All);
    }
    let mut acts = granted(&planned.effective, namespace)?;
    if aggregates(&planned.effective) {
        // It may come to grant anything, so its author must hold everything.
        acts.insert(Act::resource("*", "*", "*", None, namespace, None));
        acts.insert(Act::path("*", "*"));
    }
    held(cluster, identity, acts).await
}

async fn binding(
    cluster: &Reader,
    identity: Option<&Identity>,
    (at, planned): (usize, &Planned),
    release: &Release,
) -> Result<Held, Undecided> {
    let (Some(kind), Some(name)) = (planned.object.text("roleRef.kind"), planned.object.text("roleRef.name"))
    else {
        return Ok(Held::All);
    };
    let of_cluster = kind == "ClusterRole";
    let resource = if of_cluster { super::cluster_roles() } else { super::roles() };
    let namespace = planned.namespace.as_deref();
    if allowed(cluster, identity, &Act::on("bind", &resource, namespace).named(Some(name))).await? {
        return Ok(Held::All);
    }
    let role_namespace = namespace.filter(|_| !of_cluster);
    let coming = release
        .of_kind(GROUP, kind)
        .find(|(_, role)| role.object.name() == Some(name) && role.namespace.as_deref() == role_namespace);
    let comes_later = release.is_file_order() && coming.is_some_and(|(role_at, _)| role_at > at);
    let role = match coming.filter(|_| !comes_later) {
        Some((_, role)) if aggregates(&role.effective) => {
            return Err(Undecided::unknown(format!(
                "{} takes its rules from others once it is there, so what binding it grants is not known",
                role.object.id()
            ))
            .advice("apply the ClusterRole first, or give the deployer the verb `bind` on it"));
        }
        Some((_, role)) => Some(std::sync::Arc::clone(&role.effective)),
        None => cluster.get(&resource, role_namespace, name).await?,
    };
    let Some(role) = role else { return Ok(Held::NoRole { comes_later }) };
    held(cluster, identity, granted(&role, namespace)?).await
}

async fn allowed(cluster: &Reader, identity: Option<&Identity>, act: &Act) -> Result<bool, Undecided> {
    let (_, answer) = ask(cluster, identity, act).await;
    Ok(answer.map_err(|error| advise(error, identity))?.allowed)
}

async fn held(cluster: &Reader, identity: Option<&Identity>, acts: BTreeSet<Act>) -> Result<Held, Undecided> {
    if acts.len() > CAP {
        return Err(Undecided::unknown(format!(
            "a role grants {} permissions, more than are asked about",
            acts.len()
        ))
        .advice("give the deployer the verb `escalate` or `bind` on the role"));
    }
    let mut missing = Vec::new();
    for (act, answer) in ask_all(cluster, identity, acts.iter()).await {
        if !answer.map_err(|error| advise(error, identity))?.allowed {
            missing.push(act.clone());
        }
    }
    Ok(if missing.is_empty() { Held::All } else { Held::Missing(missing) })
}

/// Whether a ClusterRole takes its rules from others.
fn aggregates(role: &Value) -> bool {
    role.get("aggregationRule").is_some_and(|rule| !rule.is_null())
}

/// Every single permission that a role's rules grant, in a namespace or in all.
fn granted(role: &Value, namespace: Option<&str>) -> Result<BTreeSet<Act>, Undecided> {
    let mut acts = BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let list = |key: &str| -> Vec<&str> {
            rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let names = list("resourceNames");
        let names: Vec<Option<&str>> =
            if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for verb in list("verbs") {
            for path in list("nonResourceURLs") {
                acts.insert(Act::path(verb, path));
            }
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for name in &names {
                        acts.insert(resource_act(verb, group, resource, namespace, *name));
                        if acts.len() > CAP * 4 {
                            return Err(Undecided::unknown(
                                "a role grants more permissions than are asked about",
                            ));
                        }
                    }
                }
            }
        }
    }
    Ok(acts)
}

fn resource_act(verb: &str, group: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) -> Act {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub)),
        None => (resource, None),
    };
    Act::resource(verb, group, resource, subresource, namespace, name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(role: &Value) -> Vec<String> {
        granted(role, Some("shop")).unwrap().iter().map(Act::describe).collect()
    }

    #[test]
    fn a_role_grants_every_combination() {
        let role = json!({"rules": [
            {"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "pods/log"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]},
            {"verbs": ["get"], "nonResourceURLs": ["/healthz"]},
        ]});
        let all = described(&role);
        assert_eq!(all.len(), 10);
        assert!(all.contains(&"list pods.apps/log in namespace shop".to_owned()), "{all:?}");
        assert!(all.contains(&"get secrets \"a\" in namespace shop".to_owned()));
        assert!(all.contains(&"get /healthz".to_owned()));
    }
}
