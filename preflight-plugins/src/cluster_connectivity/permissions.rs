//! The identity that deploys may do what applying the release takes.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt};
use preflight_core::cluster::{Act, ClusterError, Identity, Permission, Reader, Resource};
use preflight_core::release::{Action, Planned, Release};
use preflight_core::{Context, Examination, Method, Remediation, Subject};

use super::PERMISSION_MISSING;

/// Reviews under way at once.
const REVIEWS: usize = 24;

/// Something that must be allowed, and for what.
struct Need<'a> {
    /// The objects that need it.
    objects: Vec<&'a Planned>,
    /// Whether it is needed for sure; otherwise only for one of the actions that an object might have.
    certain: bool,
}

pub(super) async fn examine(check: &Examination, context: &Context, cluster: &Reader, release: &Release) {
    let identity = context.environment().deployer();
    let mut rule = check.rule(&PERMISSION_MISSING);
    let mut needs: BTreeMap<Act, Need<'_>> = BTreeMap::new();
    for planned in release.objects() {
        for (act, certain) in acts(planned, release.method()) {
            let need = needs.entry(act).or_insert_with(|| Need {
                objects: Vec::new(),
                certain: false,
            });
            need.objects.push(planned);
            need.certain |= certain;
        }
    }
    for act in of_helm(release) {
        needs.entry(act).or_insert_with(|| Need {
            objects: Vec::new(),
            certain: true,
        });
    }
    let who = who(identity.as_ref());
    for (act, answer) in ask_all(cluster, identity.as_ref(), needs.keys()).await {
        let need = &needs[act];
        let answer = answer.map_err(|error| advise(error, identity.as_ref()));
        let Some(answer) = check.need(&[&PERMISSION_MISSING], answer) else {
            continue;
        };
        rule.examined();
        if answer.allowed {
            continue;
        }
        let what = format!("{who} may not {}", act.describe());
        if need.certain {
            let doubt = answer
                .evaluation_error
                .map(|error| format!(" (the authorizer could not judge fully: {error})"));
            let message = format!("{what}{}{}", of_objects(&need.objects), doubt.unwrap_or_default());
            let subject = need.objects.first().map_or_else(
                || Subject::new(format!("Helm's release in {}", release.default_namespace())),
                |planned| Subject::object(&planned.object),
            );
            rule.fail(subject, message, remedy(act, identity.as_ref()));
        } else {
            let why =
                format!("{what}, and whether that is needed is not known: the live object cannot be read");
            check.unknown(
                &[&PERMISSION_MISSING],
                why,
                "grant `get` on the objects of the release",
            );
        }
    }
    rule.conclude("permissions");
}

pub(super) fn who(identity: Option<&Identity>) -> String {
    identity.map_or_else(
        || "The identity in use".to_owned(),
        |identity| identity.user.clone(),
    )
}

fn of_objects(objects: &[&Planned]) -> String {
    match objects {
        [] => String::new(),
        [one] => format!(", which applying {} takes", one.object.id()),
        [one, more @ ..] => format!(
            ", which applying {} and {} more takes",
            one.object.id(),
            more.len()
        ),
    }
}

pub(super) fn advise(error: ClusterError, identity: Option<&Identity>) -> preflight_core::Undecided {
    let undecided = preflight_core::Undecided::from(error);
    match identity {
        Some(_) if undecided.blocked_by().is_none() => undecided
            .advice("grant create on subjectaccessreviews.authorization.k8s.io (`preflight rbac` prints it)"),
        _ => undecided,
    }
}

pub(super) fn remedy(act: &Act, identity: Option<&Identity>) -> Remediation {
    let to = who(identity);
    Remediation::new(format!(
        "Grant it to {}, then ask again",
        to.replace("The identity", "the identity")
    ))
    .command(act.command(identity))
    .command(grant(act, identity))
}

/// The command that grants it.
fn grant(act: &Act, identity: Option<&Identity>) -> String {
    let user = identity.map_or("USER", |identity| identity.user.as_str());
    match act {
        Act::Resource {
            verb,
            group,
            resource,
            subresource,
            namespace,
            ..
        } => {
            let group = if group.is_empty() {
                String::new()
            } else {
                format!(".{group}")
            };
            let sub = subresource
                .as_ref()
                .map(|sub| format!("/{sub}"))
                .unwrap_or_default();
            let what = format!("--verb={verb} --resource={resource}{group}{sub}");
            match namespace {
                Some(namespace) => format!(
                    "kubectl create role deploy-{resource} {what} -n {namespace} && \
                     kubectl create rolebinding deploy-{resource} --role=deploy-{resource} --user={user} -n {namespace}"
                ),
                None => format!(
                    "kubectl create clusterrole deploy-{resource} {what} && \
                     kubectl create clusterrolebinding deploy-{resource} --clusterrole=deploy-{resource} --user={user}"
                ),
            }
        }
        Act::Path { verb, path } => {
            format!("kubectl create clusterrole deploy-path --verb={verb} --non-resource-url={path}")
        }
        _ => String::new(),
    }
}

/// What applying an object takes, and whether for sure.
///
/// `kubectl apply` gets, then creates or patches (`pkg/cmd/apply/apply.go`); server-side apply patches, for which
/// the API server also demands `create` where nothing is there yet (`endpoints/handlers/patch.go`, v1.36).
fn acts(planned: &Planned, method: Method) -> Vec<(Act, bool)> {
    let Some(resource) = planned.serving.resource() else {
        return Vec::new();
    };
    let named = planned.object.name().is_some();
    let (read, make, change): (&[&str], &[&str], &[&str]) = match method {
        _ if !named => (&[], &["create"], &[]),
        Method::Server => (&[], &["patch", "create"], &["patch"]),
        Method::Create => (&[], &["create"], &[]),
        _ => (&["get"], &["create"], &["patch"]),
    };
    let mut acts = Vec::new();
    let mut add = |verbs: &[&str], certain: bool| {
        for verb in verbs {
            // The name of a new object is not known to the authorizer.
            let name = planned.object.name().filter(|_| *verb != "create");
            acts.push((
                Act::on(verb, resource, planned.namespace.as_deref()).named(name),
                certain,
            ));
        }
    };
    add(read, true);
    match planned.action {
        Action::Create => add(make, true),
        Action::Update => add(change, true),
        Action::Unchanged => {}
        _ => {
            // What is needed either way is needed for sure.
            let (both, either): (Vec<&str>, Vec<&str>) = make
                .iter()
                .chain(change)
                .copied()
                .partition(|verb| make.contains(verb) && change.contains(verb));
            add(&both, true);
            add(&either, false);
        }
    }
    acts
}

/// Helm keeps each revision of a release in a Secret of the release's namespace.
fn of_helm(release: &Release) -> Vec<Act> {
    if release.method() != Method::Helm || release.objects().is_empty() {
        return Vec::new();
    }
    let secrets = Resource::namespaced("", "v1", "secrets", "Secret");
    let verbs = ["get", "list", "create", "update"];
    verbs
        .map(|verb| Act::on(verb, &secrets, Some(release.default_namespace())))
        .into()
}

/// Asks about every act, many at once.
pub(super) async fn ask_all<'a>(
    cluster: &Reader,
    identity: Option<&Identity>,
    acts: impl Iterator<Item = &'a Act>,
) -> Vec<(&'a Act, Result<Permission, ClusterError>)> {
    let asking: Vec<_> = acts.map(|act| ask(cluster, identity, act).boxed()).collect();
    futures::stream::iter(asking).buffered(REVIEWS).collect().await
}

/// Asks about an act. Where it is allowed on every name, it is not asked about the name: RBAC grants names only in
/// addition.
pub(super) async fn ask<'a>(
    cluster: &Reader,
    identity: Option<&Identity>,
    act: &'a Act,
) -> (&'a Act, Result<Permission, ClusterError>) {
    let any = act.clone().named(None);
    match cluster.may(identity, &any).await {
        Ok(permission) if !permission.allowed && any != *act => (act, cluster.may(identity, act).await),
        answer => (act, answer),
    }
}
