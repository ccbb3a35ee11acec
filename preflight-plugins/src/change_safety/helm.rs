//! What Helm looks at before it begins (`pkg/action/validate.go` and `pkg/action/upgrade.go`, Helm 4.0).

use std::collections::BTreeMap;

use preflight_core::cluster::Reader;
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Examination, Method, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::{HELM_OWNERSHIP, HELM_PENDING, SECRETS};

/// Annotations with which Helm says of which release an object is.
const RELEASE: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// The label with which charts say the same.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// The annotation that makes an object a hook.
const HOOK: &str = "helm.sh/hook";
/// Operations that are under way, or broke off.
const PENDING: &str = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback)";

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release) {
    let mut ownership = check.rule(&HELM_OWNERSHIP);
    let mut pending = check.rule(&HELM_PENDING);
    if release.method() == Method::Helm && !release.objects().is_empty() {
        let own = own_release(release);
        let namespace = release.default_namespace();
        let records = match &own {
            Some(own) => format!("owner=helm,name={own}"),
            None => PENDING.to_owned(),
        };
        let records = cluster.select(&SECRETS, Some(namespace), &records).await;
        let records = check.need(&[&HELM_PENDING], records);
        // What is not known may be an upgrade.
        let is_install =
            own.is_some() && records.as_ref().is_some_and(|records| !records.iter().any(is_there));
        owners(&mut ownership, release, own.as_deref(), is_install);
        if let Some(records) = records {
            pending.examined();
            let under_way = records.iter().filter(|record| label(record, "status").starts_with("pending-"));
            for record in under_way.filter(|record| own.as_deref() == Some(label(record, "name"))) {
                let name = label(record, "name");
                let message = format!(
                    "Helm's release {name} is {} (revision {})",
                    label(record, "status"),
                    label(record, "version")
                );
                let remedy = Remediation::new("Wait until that operation has ended, or roll it back")
                    .command(format!("helm history {name} -n {namespace}"))
                    .command(format!("helm rollback {name} -n {namespace}"));
                pending.fail_for_now(Subject::new(format!("Helm release {name}")), message, remedy);
            }
        }
    }
    ownership.conclude("objects that are there");
    pending.conclude("namespaces of releases");
}

fn label<'a>(record: &'a Value, key: &str) -> &'a str {
    record["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// Whether a record says that its release is there, so that Helm upgrades it.
fn is_there(record: &Value) -> bool {
    !matches!(label(record, "status"), "uninstalled" | "uninstalling")
}

/// Objects that are there and not the release's. An upgrade looks only at those that the release did not have before:
/// which ones it had is in the contents of its record, which are not read.
fn owners(rule: &mut RuleCheck<'_>, release: &Release, own: Option<&str>, is_install: bool) {
    for planned in release.objects() {
        let Live::Present(live) = &planned.live else { continue };
        // What a chart has in `crds/` is made without looking, and never changed; hooks are made without looking too.
        let is_hook = planned.object.annotations().iter().any(|(key, _)| *key == HOOK);
        if is_hook || planned.object.kind() == "CustomResourceDefinition" {
            continue;
        }
        rule.examined();
        let Some(doubt) = not_ours(live, own) else { continue };
        let message = format!("Helm does not take over {}: {}", planned.object.id(), doubt.why);
        let remedy = adopt(planned, own, release);
        if doubt.of_another || is_install || !helm_has_written(live) {
            rule.predict(Subject::object(&planned.object), message, remedy);
        } else {
            let why = format!("{message}, unless its release had it before, which is not read");
            let namespace = release.default_namespace();
            rule.unknown(why, format!("helm get manifest {} -n {namespace}", own.unwrap_or("RELEASE")));
        }
    }
}

/// Whether Helm, or what is made of it, has ever written an object. Where nobody is told to have, it may have.
fn helm_has_written(live: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array().filter(|managers| !managers.is_empty());
    managers.is_none_or(|managers| {
        let mut names = managers.iter().filter_map(|manager| manager["manager"].as_str());
        names.any(|name| name.to_lowercase().contains("helm"))
    })
}

/// The name of the release: what most of its objects that are there say, else what its charts say.
fn own_release(release: &Release) -> Option<String> {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for planned in release.objects() {
        let live = match &planned.live {
            Live::Present(live) => live["metadata"]["annotations"][RELEASE].as_str(),
            _ => None,
        };
        let written = planned.effective["metadata"]["labels"][INSTANCE].as_str();
        if let Some(name) = live.or(written) {
            *named.entry(name.to_owned()).or_default() += 1;
        }
    }
    named.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name)
}

/// Why an object does not seem to belong to the release.
struct Doubt {
    why: String,
    /// It says that it belongs to another one, which has written it last.
    of_another: bool,
}

fn not_ours(live: &Value, own: Option<&str>) -> Option<Doubt> {
    let metadata = &live["metadata"];
    let of = metadata["annotations"][RELEASE].as_str();
    let nobody = |why: &str| Some(Doubt { why: why.to_owned(), of_another: false });
    match (of, own) {
        _ if metadata["labels"]["app.kubernetes.io/managed-by"] != "Helm" => {
            nobody("it is there, and does not say that Helm made it")
        }
        (None, _) => nobody("it does not say of which release it is"),
        (Some(of), Some(own)) if of != own => {
            Some(Doubt { why: format!("it is of the release {of}, not of {own}"), of_another: true })
        }
        _ => None,
    }
}

/// The commands that make Helm take an object for its own.
fn adopt(planned: &Planned, own: Option<&str>, release: &Release) -> Remediation {
    let own = own.unwrap_or("RELEASE");
    let namespace =
        planned.namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let object =
        format!("{} {}{namespace}", planned.object.kind().to_lowercase(), planned.object.display_name());
    Remediation::new("Delete it, or have Helm adopt it")
        .command(format!("kubectl label --overwrite {object} app.kubernetes.io/managed-by=Helm"))
        .command(format!(
            "kubectl annotate --overwrite {object} {RELEASE}={own} {NAMESPACE}={}",
            release.default_namespace()
        ))
}
