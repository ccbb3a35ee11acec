//! What Helm looks at before it begins (`pkg/action/validate.go` and `pkg/action/upgrade.go`, Helm 4.0).

use std::collections::BTreeMap;

use preflight_core::cluster::Reader;
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Examination, Method, Remediation, Subject};
use serde_json::Value;

use super::{HELM_OWNERSHIP, HELM_PENDING, SECRETS};

/// Annotations with which Helm says of which release an object is.
const RELEASE: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// The label with which charts say the same.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Operations that are under way, or broke off.
const PENDING: &str = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback)";

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release) {
    let mut ownership = check.rule(&HELM_OWNERSHIP);
    let mut pending = check.rule(&HELM_PENDING);
    if release.method() == Method::Helm && !release.objects().is_empty() {
        let own = own_release(release);
        for planned in release.objects() {
            let Live::Present(live) = &planned.live else { continue };
            // What a chart has in `crds/` is made without looking, and never changed.
            if planned.object.kind() == "CustomResourceDefinition" {
                continue;
            }
            ownership.examined();
            if let Some(why) = not_ours(live, own.as_deref()) {
                let message = format!("Helm does not take over {}: {why}", planned.object.id());
                ownership.predict(
                    Subject::object(&planned.object),
                    message,
                    adopt(planned, own.as_deref(), release),
                );
            }
        }
        let namespace = release.default_namespace();
        let found = cluster.select(&SECRETS, Some(namespace), PENDING).await;
        if let Some(found) = check.need(&[&HELM_PENDING], found) {
            pending.examined();
            for secret in found {
                let label = |key: &str| secret["metadata"]["labels"][key].as_str().unwrap_or_default();
                let name = label("name");
                if own.as_deref() != Some(name) {
                    continue;
                }
                let message =
                    format!("Helm's release {name} is {} (revision {})", label("status"), label("version"));
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

/// Why an object does not belong to the release.
fn not_ours(live: &Value, own: Option<&str>) -> Option<String> {
    let metadata = &live["metadata"];
    let of = metadata["annotations"][RELEASE].as_str();
    match (of, own) {
        _ if metadata["labels"]["app.kubernetes.io/managed-by"] != "Helm" => {
            Some("it is there, and was not made by Helm".to_owned())
        }
        (None, _) => Some("it does not say of which release it is".to_owned()),
        (Some(of), Some(own)) if of != own => Some(format!("it is of the release {of}, not of {own}")),
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
