//! What pruning takes away with its contents.

use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, Subject};

use super::DELETES_DATA;

/// Kinds that hold something.
const HOLDING: [(&str, &str); 3] = [
    ("Namespace", "everything in it"),
    ("PersistentVolumeClaim", "its volume, where the class does not retain it"),
    ("PersistentVolume", "what is on it, where it is not retained"),
];

pub(super) fn examine(check: &Examination, release: &Release) {
    let mut rule = check.rule(&DELETES_DATA);
    let Some(pruning) = check.need(&[&DELETES_DATA], release.pruning()) else { return };
    for gone in &pruning.deletions {
        rule.examined();
        let Some((_, with)) = HOLDING.iter().find(|(kind, _)| gone.resource.kind == *kind) else { continue };
        let place = gone.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let subject = format!("{} {place}{}", gone.resource.kind, gone.name);
        let message = format!("{subject} is no longer in the release, and pruning deletes it with {with}");
        let namespace =
            gone.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        let remedy = Remediation::new("Keep it in the release, or take the label away by which it is pruned")
            .command(format!("kubectl get {} {}{namespace} --show-labels", gone.resource.plural, gone.name));
        rule.warn(Subject::new(subject), message, remedy);
    }
    rule.conclude("objects that are pruned");
}
