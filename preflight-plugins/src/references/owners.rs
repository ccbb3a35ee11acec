//! Owners of the release's objects: what nobody owns that is there, the garbage collector deletes.

use futures::future::join_all;
use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, Subject, Undecided};
use serde_json::Value;

use super::OWNER_MISSING;
use super::find::{Finder, Found, Target};

pub(super) async fn examine(check: &Examination, finder: &Finder<'_>) {
    let mut rule = check.rule(&OWNER_MISSING);
    let owned: Vec<&Planned> =
        finder.release.objects().iter().filter(|planned| !owners(&planned.effective).is_empty()).collect();
    let looking = owned.iter().map(|planned| look(finder, planned));
    for (planned, found) in owned.iter().zip(join_all(looking).await) {
        let Some(has_one) = check.need(&[&OWNER_MISSING], found) else { continue };
        rule.examined();
        if has_one {
            continue;
        }
        let all = owners(&planned.effective);
        let text = |key: &str| all[0][key].as_str().unwrap_or_default();
        let message = format!(
            "{} is owned by the {} {} (UID {}), which does not exist: the garbage collector deletes it",
            planned.object.id(),
            text("kind"),
            text("name"),
            text("uid")
        );
        let namespace = planned.namespace.as_deref().unwrap_or("default");
        let command =
            format!("kubectl get {} {} -n {namespace} -o yaml", text("kind").to_lowercase(), text("name"));
        rule.predict(
            Subject::at(&planned.object, &FieldPath::of("metadata.ownerReferences")),
            message,
            Remediation::new("Leave `ownerReferences` out, or give the owner's present UID").command(command),
        );
    }
    rule.conclude("objects with owners");
}

fn owners(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map_or(&[], Vec::as_slice)
}

/// Whether any owner is there.
async fn look(finder: &Finder<'_>, planned: &Planned) -> Result<bool, Undecided> {
    for owner in owners(&planned.effective) {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let Some(resource) = finder.resource(group, text("kind"))? else { continue };
        let target = Target::of(&resource, planned.namespace.as_deref(), text("name"));
        if let Found::There(live) = finder.find(&target).await?
            && live["metadata"]["uid"] == owner["uid"]
        {
            return Ok(true);
        }
    }
    Ok(false)
}
