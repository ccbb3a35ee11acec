//! Which volumes a claim may be bound to.

use std::collections::BTreeMap;

use super::{Claim, Volume};
use crate::labels::selects;

/// A claim that wants a volume, with its class settled.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The claim's namespace.
    pub namespace: &'a str,
    /// The claim's name.
    pub name: &'a str,
    /// The claim.
    pub claim: &'a Claim,
    /// Its class as it will be: the one that is written, or the default; empty for none.
    pub class: &'a str,
}

/// How a volume fits a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is kept for this claim.
    Kept,
    /// It is free, and does.
    Free,
    /// It does not, for this reason.
    Not(&'static str),
}

impl Fit {
    /// Whether it fits.
    #[must_use]
    pub const fn fits(self) -> bool {
        matches!(self, Self::Kept | Self::Free)
    }
}

/// Whether a volume fits a claim, nodes apart (`FindMatchingVolume`,
/// `k8s.io/component-helpers/storage/volume/pv_helpers.go`, v1.36; and for a claim that names its volume
/// `syncUnboundClaim` and `checkVolumeSatisfyClaim`, `pkg/controller/volume/persistentvolume/pv_controller.go`).
#[must_use]
pub fn fits(wish: Wish<'_>, name: &str, volume: &Volume) -> Fit {
    let claim = wish.claim;
    let kept = volume.spec.claim_ref.as_ref().map(|kept| {
        let same = kept.namespace == wish.namespace && kept.name == wish.name;
        same && (kept.uid.is_empty() || kept.uid == claim.metadata.uid)
    });
    let asked = claim.spec.volume_name.as_str();
    if !asked.is_empty() && asked != name {
        return Fit::Not("the claim names another volume");
    }
    if kept == Some(false) {
        return Fit::Not("it belongs to another claim");
    }
    // What is kept for the claim, and named by it, is bound whatever it is.
    if kept == Some(true) && !asked.is_empty() {
        return Fit::Kept;
    }
    if volume.size().unwrap_or_default() < claim.spec.size().unwrap_or_default() {
        return Fit::Not("it is too small");
    }
    if volume.is_block() != claim.spec.is_block() {
        return Fit::Not("its volumeMode is another");
    }
    if volume.spec.volume_attributes_class_name != claim.spec.volume_attributes_class_name {
        return Fit::Not("its volumeAttributesClassName is another");
    }
    if volume.metadata.deletion_timestamp.is_some() {
        return Fit::Not("it is being deleted");
    }
    if !claim.spec.access_modes.iter().all(|mode| volume.spec.access_modes.contains(mode)) {
        return Fit::Not("it lacks an access mode");
    }
    if kept == Some(true) {
        // Whatever its class and its labels.
        return Fit::Kept;
    }
    if volume.class() != wish.class {
        return Fit::Not("its class is another");
    }
    // Of what the claim names, no more is asked.
    if !asked.is_empty() {
        return Fit::Free;
    }
    if volume.phase() != "Available" && !volume.is_new() {
        return Fit::Not("it is not available");
    }
    if claim.spec.selector.as_ref().is_some_and(|selector| !selects(selector, &volume.metadata.labels)) {
        return Fit::Not("the claim's selector does not select it");
    }
    Fit::Free
}

/// Of the volumes that fit, the one that is taken: one that is kept for the claim, or else of those with the fewest
/// access modes the smallest (`pkg/controller/volume/persistentvolume/index.go`, v1.36).
pub fn smallest<'a>(
    wish: Wish<'_>,
    volumes: impl IntoIterator<Item = (&'a str, &'a Volume)>,
) -> Option<(&'a str, &'a Volume)> {
    let mut fitting: Vec<_> = volumes
        .into_iter()
        .map(|(name, volume)| (fits(wish, name, volume), name, volume))
        .filter(|(fit, _, _)| fit.fits())
        .collect();
    fitting.sort_by(|(a_fit, a_name, a), (b_fit, b_name, b)| {
        let key = |fit: Fit, volume: &Volume| (fit != Fit::Kept, volume.spec.access_modes.len());
        key(*a_fit, a)
            .cmp(&key(*b_fit, b))
            .then_with(|| a.size().cmp(&b.size()))
            .then_with(|| a_name.cmp(b_name))
    });
    fitting.into_iter().next().map(|(_, name, volume)| (name, volume))
}

/// Gives as many wishes as possible a volume each, and no volume twice: for each wish the volume's name, or `None`.
/// `allowed` has for each wish the names that fit, the first ones first. No order of binding serves more wishes than
/// this one; which ones are served, another order may decide otherwise.
#[must_use]
pub fn match_all(allowed: &[Vec<&str>]) -> Vec<Option<String>> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for wish in 0..allowed.len() {
        let mut seen = Vec::new();
        serve(wish, allowed, &mut taken, &mut seen);
    }
    let mut given = vec![None; allowed.len()];
    for (name, wish) in taken {
        given[wish] = Some(name);
    }
    given
}

/// Finds a volume for a wish, moving others to another one where that helps (augmenting paths in a bipartite graph).
fn serve<'a>(
    wish: usize,
    allowed: &[Vec<&'a str>],
    taken: &mut BTreeMap<String, usize>,
    seen: &mut Vec<&'a str>,
) -> bool {
    for name in &allowed[wish] {
        if seen.contains(name) {
            continue;
        }
        seen.push(name);
        let free = match taken.get(*name).copied() {
            None => true,
            Some(other) => serve(other, allowed, taken, seen),
        };
        if free {
            taken.insert((*name).to_owned(), wish);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(fields: &Value) -> Claim {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "resources": {"requests": {"storage": "10Gi"}},
        });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"uid": "1"}, "spec": spec})).unwrap()
    }

    fn volume(fields: &Value) -> Volume {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "capacity": {"storage": "10Gi"},
        });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let metadata = json!({"labels": {"disk": "fast"}, "deletionTimestamp": spec["gone"]});
        let phase = spec["phase"].as_str().unwrap_or("Available").to_owned();
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}}))
            .unwrap()
    }

    fn wish(claim: &Claim) -> Wish<'_> {
        Wish { namespace: "shop", name: "data", claim, class: claim.class().unwrap_or_default() }
    }

    #[test]
    fn volumes_fit_or_not_for_a_reason() {
        let own = |uid: &str| json!({"claimRef": {"namespace": "shop", "name": "data", "uid": uid}});
        for (asks, has, fit) in [
            (json!({}), json!({}), Fit::Free),
            (json!({}), json!({"capacity": {"storage": "20Gi"}}), Fit::Free),
            (json!({}), json!({"phase": "Pending"}), Fit::Free),
            (json!({}), json!({"capacity": {"storage": "9Gi"}}), Fit::Not("it is too small")),
            (json!({}), json!({"volumeMode": "Block"}), Fit::Not("its volumeMode is another")),
            (json!({"volumeMode": "Block"}), json!({"volumeMode": "Block"}), Fit::Free),
            (json!({"accessModes": ["ReadWriteMany"]}), json!({}), Fit::Not("it lacks an access mode")),
            (json!({}), json!({"storageClassName": ""}), Fit::Not("its class is another")),
            (json!({"storageClassName": ""}), json!({"storageClassName": null}), Fit::Free),
            (json!({}), json!({"phase": "Released"}), Fit::Not("it is not available")),
            (json!({}), json!({"gone": "2026-01-01T00:00:00Z"}), Fit::Not("it is being deleted")),
            (json!({}), own(""), Fit::Kept),
            (json!({}), own("1"), Fit::Kept),
            (json!({}), own("2"), Fit::Not("it belongs to another claim")),
            (
                json!({}),
                json!({"claimRef": {"namespace": "a", "name": "data"}}),
                Fit::Not("it belongs to another claim"),
            ),
            (json!({"selector": {"matchLabels": {"disk": "fast"}}}), json!({}), Fit::Free),
            (
                json!({"selector": {"matchLabels": {"disk": "slow"}}}),
                json!({}),
                Fit::Not("the claim's selector does not select it"),
            ),
            (json!({"volumeName": "v"}), json!({}), Fit::Free),
            (json!({"volumeName": "w"}), json!({}), Fit::Not("the claim names another volume")),
            (
                json!({"volumeAttributesClassName": "gold"}),
                json!({}),
                Fit::Not("its volumeAttributesClassName is another"),
            ),
        ] {
            assert_eq!(fits(wish(&claim(&asks)), "v", &volume(&has)), fit, "{asks} {has}");
        }
    }

    #[test]
    fn the_smallest_is_taken() {
        let sized = |size: &str| volume(&json!({"capacity": {"storage": size}}));
        let (small, medium, large) = (sized("5Gi"), sized("10Gi"), sized("20Gi"));
        let both = volume(&json!({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}));
        let kept = volume(
            &json!({"capacity": {"storage": "50Gi"}, "claimRef": {"namespace": "shop", "name": "data"}}),
        );
        let asks = claim(&json!({}));
        let taken = |volumes: &[(&'static str, &Volume)]| {
            smallest(wish(&asks), volumes.iter().map(|(name, volume)| (*name, *volume)))
                .map(|(name, _)| name.to_owned())
        };
        assert_eq!(taken(&[("l", &large), ("m", &medium), ("s", &small)]).as_deref(), Some("m"));
        assert_eq!(taken(&[("both", &both), ("l", &large)]).as_deref(), Some("l"));
        assert_eq!(taken(&[("m", &medium), ("kept", &kept)]).as_deref(), Some("kept"));
        assert_eq!(taken(&[("s", &small)]), None);
    }

    #[test]
    fn no_volume_is_given_twice_and_as_many_as_possible_are_given() {
        let given = |allowed: &[Vec<&str>]| {
            match_all(allowed).into_iter().map(|name| name.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(given(&[vec!["a", "b"], vec!["a"]]), ["b", "a"]);
        assert_eq!(given(&[vec!["a"], vec!["a"]]), ["a", ""]);
        assert_eq!(given(&[vec![], vec!["a"]]), ["", "a"]);
        assert_eq!(given(&[vec!["a", "b"], vec!["a", "c"], vec!["a"]]), ["b", "c", "a"]);
    }
}
