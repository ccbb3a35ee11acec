//! Objects that somebody else keeps as they are.

use preflight_core::release::{Action, Live, Release};
use preflight_core::{Examination, Method, Remediation, Subject};
use serde_json::Value;

use super::OWNED_BY_OTHERS;

/// Says of which application of Argo CD an object is.
const ARGO: &str = "argocd.argoproj.io/tracking-id";
/// Says of which Kustomization or HelmRelease of Flux an object is.
const FLUX: [&str; 2] = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];

pub(super) fn examine(check: &Examination, release: &Release) {
    let mut rule = check.rule(&OWNED_BY_OTHERS);
    for planned in release.objects() {
        let Live::Present(live) = &planned.live else { continue };
        rule.examined();
        if planned.action == Action::Unchanged {
            continue;
        }
        let Some(owner) = owner(live, &planned.effective, release.method()) else { continue };
        let message =
            format!("{} is kept as it is by {owner}, which will undo the change", planned.object.id());
        let namespace =
            planned.namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        let command = format!(
            "kubectl get {} {}{namespace} -o yaml",
            planned.object.kind().to_lowercase(),
            planned.object.display_name()
        );
        let remedy = Remediation::new("Change it where its owner has it from").command(command);
        rule.warn(Subject::object(&planned.object), message, remedy);
    }
    rule.conclude("objects that are there");
}

fn owner(live: &Value, wanted: &Value, method: Method) -> Option<String> {
    let owners = live["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let mut controllers = owners.filter(|owner| owner["controller"] == true);
    if let Some(owner) = controllers.next() {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        return Some(format!("the {} {}", text("kind"), text("name")));
    }
    let said =
        |object: &Value, list: &str, key: &str| object["metadata"][list][key].as_str().map(str::to_owned);
    let argo = said(live, "annotations", ARGO).filter(|_| method != Method::Argocd);
    if let Some(application) = argo.filter(|own| said(wanted, "annotations", ARGO).as_ref() != Some(own)) {
        let name = application.split(':').next().unwrap_or_default().to_owned();
        return Some(format!("the Argo CD application {name}"));
    }
    FLUX.iter().find_map(|key| {
        let name = said(live, "labels", key)?;
        (said(wanted, "labels", key).as_ref() != Some(&name)).then(|| format!("Flux ({name})"))
    })
}
