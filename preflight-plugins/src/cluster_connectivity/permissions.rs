//! The identity that deploys may do what applying the release takes.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt};
use preflight_core::cluster::{Act, ClusterError, Identity, Permission, Reader, Resource};
use preflight_core::release::{Action, Planned, Release};
use preflight_core::{Context, Examination, Method, Remediation, RuleCheck, Subject, Undecided};

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
    check.need(&[&PERMISSION_MISSING], release.pruning());
    let needs = needs(release);
    let mut denied: BTreeMap<Place<'_>, Denied<'_>> = BTreeMap::new();
    for (act, answer) in ask_all(cluster, identity.as_ref(), needs.keys()).await {
        let answer = answer.map_err(|error| advise(error, identity.as_ref()));
        let Some(answer) = check.need(&[&PERMISSION_MISSING], answer) else { continue };
        rule.examined();
        let (Act::Resource { verb, group, resource, namespace, .. }, false) = (act, answer.allowed) else {
            continue;
        };
        let need = &needs[act];
        if !need.certain {
            let why = format!(
                "{} may not {}, and whether that is needed is not known: the live object cannot be read",
                who(cluster, identity.as_ref()).await,
                act.describe()
            );
            check.unknown(&[&PERMISSION_MISSING], why, "grant `get` on the objects of the release");
            continue;
        }
        let all = denied.entry((group, resource, namespace.as_deref())).or_insert_with(|| Denied::first(act));
        all.add(verb, &need.objects, answer.evaluation_error);
    }
    let who = who(cluster, identity.as_ref()).await;
    for denied in denied.into_values() {
        denied.tell(&mut rule, &who, identity.as_ref());
    }
    rule.conclude("permissions");
}

fn needs(release: &Release) -> BTreeMap<Act, Need<'_>> {
    let mut needs: BTreeMap<Act, Need<'_>> = BTreeMap::new();
    for planned in release.objects() {
        for (act, certain) in acts(planned, release.method()) {
            let need = needs.entry(act).or_insert_with(|| Need { objects: Vec::new(), certain: false });
            need.objects.push(planned);
            need.certain |= certain;
        }
    }
    for act in of_helm(release).into_iter().chain(of_pruning(release)) {
        needs.entry(act).or_insert_with(|| Need { objects: Vec::new(), certain: true });
    }
    needs
}

/// API group, plural and namespace.
type Place<'a> = (&'a str, &'a str, Option<&'a str>);

/// Everything that is refused on one kind in one namespace: one cause, told once.
struct Denied<'a> {
    first: &'a Act,
    verbs: Vec<&'a str>,
    objects: Vec<&'a Planned>,
    doubt: Option<String>,
}

impl<'a> Denied<'a> {
    const fn first(act: &'a Act) -> Self {
        Self { first: act, verbs: Vec::new(), objects: Vec::new(), doubt: None }
    }

    fn add(&mut self, verb: &'a str, objects: &[&'a Planned], doubt: Option<String>) {
        if !self.verbs.contains(&verb) {
            self.verbs.push(verb);
        }
        for object in objects {
            if !self.objects.iter().any(|known| std::ptr::eq(*known, *object)) {
                self.objects.push(object);
            }
        }
        self.doubt = self.doubt.take().or(doubt);
    }

    fn tell(&self, rule: &mut RuleCheck<'_>, who: &str, identity: Option<&Identity>) {
        let Act::Resource { group, resource, namespace, .. } = self.first else { return };
        let verbs = self.verbs.join(", ");
        let dotted = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let place =
            namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        let takes = match self.objects.as_slice() {
            [] => String::new(),
            [one] => format!(", which applying {} takes", one.object.id()),
            [one, more @ ..] => format!(", which applying {} and {} more takes", one.object.id(), more.len()),
        };
        let doubt =
            self.doubt.as_ref().map(|error| format!(" (the authorizer could not judge fully: {error})"));
        let subject = self.objects.first().map_or_else(
            || Subject::new(format!("the release in {}", namespace.as_deref().unwrap_or("the cluster"))),
            |planned| Subject::object(&planned.object),
        );
        let message = format!("{who} may not {verbs} {dotted}{place}{takes}{}", doubt.unwrap_or_default());
        let remedy = Remediation::new(format!("Grant it to {who}, then ask again"))
            .command(self.first.command(identity))
            .command(grant(&self.verbs, &dotted, namespace.as_deref(), who));
        rule.fail(subject, message, remedy);
    }
}

/// The name of the one who deploys: of the other identity, or one's own.
pub(super) async fn who(cluster: &Reader, identity: Option<&Identity>) -> String {
    match identity {
        Some(identity) => identity.user.clone(),
        None => match cluster.user().await {
            Ok(user) if !user.username.is_empty() => user.username,
            _ => "the identity in use".to_owned(),
        },
    }
}

pub(super) fn advise(error: ClusterError, identity: Option<&Identity>) -> Undecided {
    let undecided = Undecided::from(error);
    match identity {
        Some(_) if undecided.blocked_by().is_none() => undecided
            .advice("grant create on subjectaccessreviews.authorization.k8s.io (`preflight rbac --deployer` prints it)"),
        _ => undecided,
    }
}

/// The command that grants verbs on a kind, in a namespace or in all.
fn grant(verbs: &[&str], resource: &str, namespace: Option<&str>, who: &str) -> String {
    let (name, verbs) = (format!("deploy-{resource}"), verbs.join(","));
    let to = match who.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={who}"),
    };
    match namespace {
        Some(namespace) => format!(
            "kubectl create role {name} -n {namespace} --verb={verbs} --resource={resource} && \
             kubectl create rolebinding {name} -n {namespace} --role={name} {to}"
        ),
        None => format!(
            "kubectl create clusterrole {name} --verb={verbs} --resource={resource} && \
             kubectl create clusterrolebinding {name} --clusterrole={name} {to}"
        ),
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
            acts.push((Act::on(verb, resource, planned.namespace.as_deref()).named(name), certain));
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
    verbs.map(|verb| Act::on(verb, &secrets, Some(release.default_namespace()))).into()
}

/// `kubectl apply --prune` lists every kind that it prunes, and deletes.
fn of_pruning(release: &Release) -> Vec<Act> {
    let Ok(pruning) = release.pruning() else { return Vec::new() };
    let lists =
        pruning.lists.iter().map(|(resource, namespace)| Act::on("list", resource, namespace.as_deref()));
    let deletions = pruning
        .deletions
        .iter()
        .map(|gone| Act::on("delete", &gone.resource, gone.namespace.as_deref()).named(Some(&gone.name)));
    lists.chain(deletions).collect()
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
