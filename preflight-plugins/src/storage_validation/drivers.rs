//! What makes the volumes is there, on the nodes where they are needed.

use std::collections::BTreeSet;

use preflight_core::{Examination, Remediation, RuleCheck, Undecided};

use super::settings::Storage;
use super::wanted::{ByHand, Wanted};
use super::world::World;
use super::{DRIVER_MISSING, tell};
use crate::storage::is_csi_name;

/// What names of provisioners begin with that Kubernetes itself once had.
const BUILT_IN: &str = "kubernetes.io/";
/// From when on none of them is left that no CSI driver has taken over from, but for one for tests
/// (`cmd/kube-controller-manager/app/plugins.go`, v1.31 to v1.36).
const NONE_LEFT: u16 = 31;
/// The one for tests, which a flag switches on.
const FOR_TESTS: &str = "kubernetes.io/host-path";
/// Names that are told of a longer list.
const TOLD: usize = 5;

pub(super) fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>], settings: &Storage) {
    let mut rule = check.rule(&DRIVER_MISSING);
    for claim in wanted {
        let Some((class, _, made_by)) = claim.made_by() else { continue };
        match &claim.by_hand {
            ByHand::Given => continue,
            ByHand::Unknown(error) => {
                check.need::<()>(&[&DRIVER_MISSING], Err(error.clone()));
                continue;
            }
            ByHand::Perhaps | ByHand::Lacking => {}
        }
        if settings.provisioners.iter().any(|known| known == made_by) {
            rule.examined();
            continue;
        }
        if made_by.starts_with(BUILT_IN) && made_by != FOR_TESTS {
            built_in(check, &mut rule, world, claim, class, made_by);
            continue;
        }
        if let Some(csi) = check.need(&[&DRIVER_MISSING], is_csi(world, made_by)) {
            if csi {
                registered(check, &mut rule, world, claim, class, made_by);
            } else {
                traced(check, &mut rule, world, claim, class, made_by);
            }
        }
    }
    rule.conclude("claims for which a volume is made");
}

/// Whether a provisioner is a CSI driver, going by what the cluster knows of it and then by its name.
pub(super) fn is_csi(world: &World<'_>, name: &str) -> Result<bool, Undecided> {
    if is_csi_name(name) {
        return Ok(true);
    }
    if name.contains('/') {
        return Ok(false);
    }
    let drivers = world.drivers.as_ref().map_err(Clone::clone)?;
    let nodes = world.csi_nodes.as_ref().map_err(Clone::clone)?;
    let volumes = world.volumes.as_ref().map_err(Clone::clone)?;
    Ok(drivers.contains_key(name)
        || nodes.iter().any(|(_, _, node)| node.driver(name).is_some())
        || volumes.values().any(|volume| volume.spec.csi.as_ref().is_some_and(|csi| csi.driver == name)))
}

/// A provisioner that Kubernetes itself had, and that no CSI driver has taken over from. Volumes that it made before say
/// nothing.
fn built_in(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    class: &str,
    provisioner: &str,
) {
    let version = world.version.as_ref().map_err(Clone::clone);
    let Some(version) = check.need(&[&DRIVER_MISSING], version) else { return };
    rule.examined();
    let remedy = Remediation::new("Name a class of a CSI driver").command("kubectl get storageclasses");
    let message = format!(
        "{} has the StorageClass {class}, whose provisioner {provisioner} is no part of Kubernetes {}",
        claim.told(),
        version.git_version
    );
    match version.minor() {
        Some(NONE_LEFT..) => tell(rule, claim.due, claim.subject("storageClassName"), &message, remedy),
        _ => rule.unknown(
            format!(
                "whether Kubernetes {} still has the provisioner {provisioner} is not known",
                version.git_version
            ),
            remedy.on_one_line(),
        ),
    }
}

/// Whether a CSI driver is registered where it is needed.
fn registered(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    class: &str,
    driver: &str,
) {
    let nodes = world.csi_nodes.as_ref().map_err(Clone::clone);
    let Some(csi_nodes) = check.need(&[&DRIVER_MISSING], nodes) else { return };
    let has = |name: &str| csi_nodes.get(name).is_some_and(|node| node.driver(driver).is_some());
    let remedy = || {
        Remediation::new(format!("Install the CSI driver {driver}, or name a class of another one")).command(
            "kubectl get csinodes -o custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name",
        )
    };
    rule.examined();
    if !csi_nodes.iter().any(|(_, name, _)| has(name)) {
        let Some(drivers) = check.need(&[&DRIVER_MISSING], world.drivers.as_ref().map_err(Clone::clone))
        else {
            return;
        };
        let Some(nodes) = check.need(&[&DRIVER_MISSING], world.nodes_for(None)) else { return };
        let message = format!(
            "{} has the StorageClass {class}, whose CSI driver {driver} is registered on none of {} nodes",
            claim.told(),
            nodes.len()
        );
        if nodes.is_empty() {
            return rule.unknown(message, "kubectl get nodes");
        }
        if claim.users.is_empty() && drivers.contains_key(driver) {
            // Its controller may make volumes all the same.
            return rule.unknown(message, remedy().on_one_line());
        }
        return tell(rule, claim.due, claim.subject("storageClassName"), &message, remedy());
    }
    for user in &claim.users {
        let Some(nodes) = check.need(&[&DRIVER_MISSING], world.nodes_for(Some(&user.spec))) else { return };
        let (with, without): (Vec<_>, Vec<_>) =
            nodes.iter().map(|(name, _)| *name).partition(|name| has(name));
        let workload = user.planned.object.id();
        if without.is_empty() {
            continue;
        }
        let message = format!(
            "{} has the StorageClass {class}, whose CSI driver {driver} is not registered on {} of {} nodes where the pods of {workload} may run: {}",
            claim.told(),
            without.len(),
            nodes.len(),
            some(&without)
        );
        let subject = claim.subject("storageClassName");
        // A DaemonSet has a pod on each of them.
        if with.is_empty() || user.planned.object.kind() == "DaemonSet" {
            tell(rule, claim.due, subject, &message, remedy());
        } else {
            rule.warn(subject, message, remedy());
        }
    }
}

/// Whether a provisioner that is no CSI driver has left any trace.
fn traced(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    class: &str,
    provisioner: &str,
) {
    let volumes = world.volumes.as_ref().map_err(Clone::clone);
    let Some(volumes) = check.need(&[&DRIVER_MISSING], volumes) else { return };
    if volumes.values().any(|volume| volume.provisioned_by() == Some(provisioner)) {
        return rule.examined();
    }
    let Some(pods) = check.need(&[&DRIVER_MISSING], world.pods.as_ref().map_err(Clone::clone)) else {
        return;
    };
    let own: BTreeSet<_> = pods
        .iter()
        .filter(|(_, _, pod)| pod.names(provisioner))
        .map(|(namespace, name, pod)| (pod.ready, format!("{namespace}/{name}")))
        .collect();
    if own.iter().any(|(ready, _)| *ready) {
        return rule.examined();
    }
    let pods = match own.is_empty() {
        true => "no pod names it".to_owned(),
        false => {
            let names: Vec<_> = own.iter().map(|(_, name)| name.as_str()).collect();
            format!("its pods are not ready ({})", some(&names))
        }
    };
    rule.unknown(
        format!(
            "whether anything makes volumes of the StorageClass {class} for the claim {}/{} cannot be told: no volume was made by {provisioner} yet, and {pods}",
            claim.claim.namespace, claim.claim.name
        ),
        format!("if {provisioner} is well, say so in the environment: `storage: {{provisioners: [{provisioner}]}}`"),
    );
}

fn some(names: &[&str]) -> String {
    let told = names.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
