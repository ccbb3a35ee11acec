//! Conflicts of server-side apply.

use preflight_core::release::Release;
use preflight_core::{Apply, Examination, Remediation, Subject};

use super::FIELD_CONFLICT;
use crate::updates::conflicts;

pub(super) fn examine(check: &Examination, release: &Release, apply: &Apply) {
    let mut rule = check.rule(&FIELD_CONFLICT);
    for planned in release.objects() {
        let Some(found) = conflicts::of(planned, apply) else { continue };
        rule.examined();
        for (manager, path) in found {
            let message =
                format!("{}: {path} belongs to {manager}, and has another value", planned.object.id());
            let file = planned.object.place_of_name().file;
            let remedy = Remediation::new(
                "Take the field out of the manifest, or take it over with `apply: {force: true}`",
            )
            .command(format!("kubectl apply --server-side --force-conflicts -f {file}"));
            rule.predict(Subject::at(&planned.object, &path), message, remedy);
        }
    }
    rule.conclude("objects that are there");
}
