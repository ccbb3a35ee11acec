//! What makes the volumes is there, on the nodes where they are needed.

use std::collections::BTreeSet;

use preflight_core::{Examination, Remediation, RuleCheck, Undecided};

use super::settings::Storage;
use super::wanted::{ByHand, Wanted};
use super::world::World;
use super::{DRIVER_MISSING, tell};
use crate::storage::is_csi_name;
use crate::told::some;

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
        let maker = Maker { check, world, claim, class, provisioner: made_by };
        if made_by.starts_with(BUILT_IN) && made_by != FOR_TESTS {
            maker.built_in(&mut rule);
            continue;
        }
        match maker.need(is_csi(world, made_by)) {
            Some(true) => maker.registered(&mut rule),
            Some(false) => maker.traced(&mut rule),
            None => {}
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

/// What makes the volumes of a claim's class.
struct Maker<'a> {
    check: &'a Examination,
    world: &'a World<'a>,
    claim: &'a Wanted<'a>,
    class: &'a str,
    provisioner: &'a str,
}

impl Maker<'_> {
    fn need<T>(&self, found: Result<T, impl Into<Undecided>>) -> Option<T> {
        self.check.need(&[&DRIVER_MISSING], found)
    }

    /// A provisioner that Kubernetes itself had, and that no CSI driver has taken over from. Volumes that it made before say
    /// nothing.
    fn built_in(&self, rule: &mut RuleCheck<'_>) {
        let Self { world, claim, class, provisioner, .. } = *self;
        let version = world.version.as_ref().map_err(Clone::clone);
        let Some(version) = self.need(version) else { return };
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
    fn registered(&self, rule: &mut RuleCheck<'_>) {
        let Self { world, claim, class, provisioner: driver, .. } = *self;
        let nodes = world.csi_nodes.as_ref().map_err(Clone::clone);
        let Some(csi_nodes) = self.need(nodes) else { return };
        let has = |name: &str| csi_nodes.get(name).is_some_and(|node| node.driver(driver).is_some());
        let remedy = || {
            let what = format!("Install the CSI driver {driver}, or name a class of another one");
            let columns = "NODE:.metadata.name,DRIVERS:.spec.drivers[*].name";
            Remediation::new(what).command(format!("kubectl get csinodes -o custom-columns={columns}"))
        };
        rule.examined();
        if !csi_nodes.iter().any(|(_, name, _)| has(name)) {
            let Some(drivers) = self.need(world.drivers.as_ref().map_err(Clone::clone)) else { return };
            let Some(nodes) = self.need(world.nodes_for(None)) else { return };
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
            let Some(nodes) = self.need(world.nodes_for(Some(&user.spec))) else { return };
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
                some(&without, TOLD)
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
    fn traced(&self, rule: &mut RuleCheck<'_>) {
        let Self { world, claim, class, provisioner, .. } = *self;
        let volumes = world.volumes.as_ref().map_err(Clone::clone);
        let Some(volumes) = self.need(volumes) else { return };
        if volumes.values().any(|volume| volume.provisioned_by() == Some(provisioner)) {
            return rule.examined();
        }
        let Some(pods) = self.need(world.pods.as_ref().map_err(Clone::clone)) else { return };
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
            false => format!("its pods are not ready ({})", some(own.iter().map(|(_, name)| name), TOLD)),
        };
        let why = format!(
            "whether anything makes volumes of the StorageClass {class} for the claim {}/{} cannot be told: no volume was made by {provisioner} yet, and {pods}",
            claim.claim.namespace, claim.claim.name
        );
        let setting = format!("storage: {{provisioners: [{provisioner}]}}");
        rule.unknown(why, format!("if {provisioner} is well, say so in the environment: `{setting}`"));
    }
}
