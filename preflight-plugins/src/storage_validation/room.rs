//! A volume fits, or there is room to make one.

use preflight_core::{Examination, Remediation, RuleCheck};

use super::wanted::{ByHand, Class, Wanted};
use super::world::World;
use super::{CAPACITY_SHORT, NO_VOLUME, tell};
use crate::storage::{CsiDriver, Fit, StorageClass, Wish, capacity_reaches, fits, meets_topology};

/// Volumes of which it is told why they do not fit.
const TOLD: usize = 3;

pub(super) fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>]) {
    let mut none = check.rule(&NO_VOLUME);
    let mut short = check.rule(&CAPACITY_SHORT);
    for claim in wanted {
        match (&claim.class, &claim.by_hand) {
            // What class it gets is another rule's matter.
            (Class::Missing(_) | Class::Expected(..) | Class::NoDefault | Class::Unknown(_), _) => {}
            (Class::Found(..), ByHand::Given) => none.examined(),
            (Class::Found(name, class), _) if claim.there && class.made_by().is_some() => {
                room(check, &mut short, world, claim, (name, class));
            }
            // Of those that are there another rule tells.
            _ if claim.there => {}
            (Class::Found(name, class), _) if class.made_by().is_some() => {
                none.examined();
                allowed_topologies(check, &mut none, world, claim, name, class);
                room(check, &mut short, world, claim, (name, class));
            }
            _ => {
                none.examined();
                by_hand(check, &mut none, world, claim);
            }
        }
    }
    none.conclude("claims");
    short.conclude("claims of drivers that tell how much room they have");
}

/// A claim that is served by volumes that were made by hand, and by nothing else.
fn by_hand(check: &Examination, rule: &mut RuleCheck<'_>, world: &World<'_>, claim: &Wanted<'_>) {
    let remedy = Remediation::new("Make a PersistentVolume that fits, or name a class that makes volumes")
        .command("kubectl get persistentvolumes")
        .command("kubectl get storageclasses");
    let class = match &claim.class {
        Class::Found(name, _) => format!("the StorageClass {name} has no provisioner"),
        _ => "it has no StorageClass".to_owned(),
    };
    match &claim.by_hand {
        ByHand::Given => {}
        ByHand::Unknown(error) => {
            check.need::<()>(&[&NO_VOLUME], Err(error.clone()));
        }
        ByHand::Perhaps => rule.warn(
            claim.subject(""),
            format!(
                "{} gets a PersistentVolume only if others take other ones, which depends on who is first; {class}",
                claim.told()
            ),
            Remediation::new("Keep a volume for it, with `claimRef` in the PersistentVolume")
                .command("kubectl get persistentvolumes"),
        ),
        ByHand::Lacking => {
            let message =
                format!("No PersistentVolume is left for {}: {class}, and {}", lower(&claim.told()), why(world, claim));
            tell(rule, claim.due, claim.subject(""), &message, remedy);
        }
    }
}

fn lower(told: &str) -> String {
    told.replacen("The", "the", 1)
}

/// Why the volumes that there are do not fit.
fn why(world: &World<'_>, wanted: &Wanted<'_>) -> String {
    let claim = &wanted.claim;
    let class = match &wanted.class {
        Class::Found(name, _) => name,
        _ => "",
    };
    let wish = Wish { namespace: &claim.namespace, name: &claim.name, claim: &claim.claim, class };
    let Ok(volumes) = &world.volumes else { return "they could not be looked at".to_owned() };
    // Of its own class the reasons are worth telling, of others they are not.
    let near = volumes.iter().filter(|(_, volume)| volume.class() == class);
    let reasons: Vec<String> = near
        .take(TOLD)
        .map(|(name, volume)| match fits(wish, name, volume) {
            Fit::Not(why) => format!("{name}: {why}"),
            _ => format!("{name}: another claim of the release takes it, or no node for the pods reaches it"),
        })
        .collect();
    match reasons.is_empty() {
        true => format!("of {} volumes none has that class", volumes.len()),
        false => reasons.join("; "),
    }
}

/// Where a class makes volumes, and where the pods may run.
fn allowed_topologies(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    name: &str,
    class: &StorageClass,
) {
    if class.allowed_topologies.is_empty() {
        return;
    }
    for user in &claim.users {
        let Some(nodes) = check.need(&[&NO_VOLUME], world.nodes_for(Some(&user.spec))) else { return };
        if nodes.is_empty() || nodes.iter().any(|(_, labels)| meets_topology(class, labels)) {
            continue;
        }
        let message = format!(
            "{} has the StorageClass {name}, which makes volumes only where none of {} nodes is on which the pods of {} may run",
            claim.told(),
            nodes.len(),
            user.planned.object.id()
        );
        let remedy =
            Remediation::new("Let the pods run there, or name a class that makes volumes where they run")
                .command(format!("kubectl get storageclass {name} -o jsonpath='{{.allowedTopologies}}'"))
                .command("kubectl get nodes --show-labels");
        tell(rule, claim.due, claim.subject("storageClassName"), &message, remedy);
    }
}

/// Whether there is room, where the driver tells it.
fn room(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    (name, class): (&str, &StorageClass),
) {
    let Some(driver) = class.made_by() else { return };
    let Some(drivers) = check.need(&[&CAPACITY_SHORT], world.drivers.as_ref().map_err(Clone::clone)) else {
        return;
    };
    let tells = drivers.get(driver).is_some_and(CsiDriver::tells_capacity);
    let Some(size) = claim.claim.claim.spec.size().filter(|_| tells) else { return };
    let capacities = world.capacities.as_ref().map_err(Clone::clone);
    let Some(capacities) = check.need(&[&CAPACITY_SHORT], capacities) else { return };
    let of_class: Vec<_> = capacities
        .iter()
        .map(|(_, _, capacity)| capacity)
        .filter(|capacity| capacity.storage_class_name == name)
        .collect();
    let subject = || claim.subject("resources");
    let remedy = || {
        Remediation::new("Make room, ask for less, or name another class")
            .command("kubectl get csistoragecapacities -A")
    };
    rule.examined();
    if world.coming.contains(name) {
        return rule.warn(
            subject(),
            format!("How much room there is for the StorageClass {name} is told only once it is there"),
            remedy(),
        );
    }
    let largest = of_class.iter().filter_map(|capacity| capacity.largest()).max();
    let most = largest.map_or_else(|| "nothing".to_owned(), |largest| format!("{largest} at most"));
    if !class.waits() {
        // The scheduler does not look; the driver does.
        if largest.is_some_and(|largest| largest < size) {
            rule.warn(
                subject(),
                format!(
                    "{} asks for {size}, and {driver} tells of {most} for the StorageClass {name}",
                    claim.told()
                ),
                remedy(),
            );
        }
        return;
    }
    for user in &claim.users {
        let Some(nodes) = check.need(&[&CAPACITY_SHORT], world.nodes_for(Some(&user.spec))) else { return };
        let fits = |labels| of_class.iter().any(|capacity| capacity_reaches(capacity, name, size, labels));
        if nodes.is_empty() || nodes.iter().any(|(_, labels)| fits(labels)) {
            continue;
        }
        let message = format!(
            "{} asks for {size}, and {driver} has no room for that on any of {} nodes where the pods of {} may run: it tells of {most}",
            claim.told(),
            nodes.len(),
            user.planned.object.id()
        );
        tell(rule, claim.due, subject(), &message, remedy());
    }
}
