//! The claims that pods of the release use, and that the release does not make.

use std::collections::BTreeSet;

use preflight_core::release::{Live, Planned};
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::wanted::{ByHand, Class, Wanted};
use super::world::World;
use super::{CLAIM_MISSING, CLAIM_STUCK, tell};
use crate::changes::{Happens, Rollout, rollout};
use crate::storage::{Claim, Origin, Use, claims_of};

pub(super) fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>]) {
    let mut missing = check.rule(&CLAIM_MISSING);
    let mut stuck = check.rule(&CLAIM_STUCK);
    let coming: BTreeSet<(String, String)> = claims_of(world.release)
        .0
        .into_iter()
        .filter(|claim| claim.origin != Origin::Ephemeral)
        .map(|claim| (claim.namespace, claim.name))
        .collect();
    for (planned, used) in &world.used {
        let Some(namespace) = planned.namespace.as_deref() else { continue };
        let rollout = rollout(planned, world.release.method());
        for used in used {
            if used.by == Use::Ephemeral {
                continue;
            }
            let named = used.by == Use::Named;
            let rules = [&CLAIM_MISSING, &CLAIM_STUCK];
            let rules = if named { &rules[..] } else { &rules[1..] };
            let Some(live) = check.need(rules, world.claim(namespace, &used.name)) else { continue };
            let subject = Subject::at(&planned.object, &used.path);
            let pods = match used.by {
                Use::Template(ordinal) if ordinal_stays(planned, &rollout, ordinal) => {
                    Happens::No("its pod stays as it is")
                }
                _ => rollout.pods,
            };
            match live {
                Some(live) => {
                    if named {
                        missing.examined();
                    }
                    stuck.examined();
                    look(check, &mut stuck, wanted, (namespace, &used.name, live), pods, subject);
                }
                None if named => {
                    missing.examined();
                    if !coming.contains(&(namespace.to_owned(), used.name.clone())) {
                        absent(&mut missing, world, planned, (namespace, &used.name), pods, subject);
                    }
                }
                // Its StatefulSet makes it.
                None => {}
            }
        }
    }
    own(check, &mut stuck, world, wanted);
    missing.conclude("claims that pods name");
    stuck.conclude("claims that are there");
}

/// Claims of the release that are there already, and that none of its pods uses.
fn own(check: &Examination, rule: &mut RuleCheck<'_>, world: &World<'_>, wanted: &[Wanted<'_>]) {
    for (_, planned) in world.release.of_kind("", "PersistentVolumeClaim") {
        let (Live::Present(live), Some(namespace), Some(name)) =
            (&planned.live, planned.namespace.as_deref(), planned.object.name())
        else {
            continue;
        };
        let users = super::wanted::users_of(world, namespace, name);
        if !users.is_empty() {
            continue;
        }
        let Ok(claim) = serde_json::from_value::<Claim>((**live).clone()) else {
            check.unknown(
                &[&CLAIM_STUCK],
                format!("{} in the cluster cannot be read", planned.object.id()),
                format!("kubectl get persistentvolumeclaim {name} -n {namespace} -o yaml"),
            );
            continue;
        };
        rule.examined();
        let subject = Subject::at(&planned.object, &FieldPath::of("metadata.name"));
        look(check, rule, wanted, (namespace, name, &claim), Happens::Yes, subject);
    }
}

fn absent(
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    planned: &Planned,
    (namespace, name): (&str, &str),
    pods: Happens,
    subject: Subject,
) {
    let remedy = Remediation::new("Put the claim into the release, or name one that is there")
        .command(format!("kubectl get persistentvolumeclaims -n {namespace}"));
    if let Some(by) = world.expected("PersistentVolumeClaim", Some(namespace), name) {
        let message = format!(
            "The claim {namespace}/{name} does not exist yet; the environment expects {by} to make it"
        );
        return rule.warn(subject, message, remedy);
    }
    let gone = if world.prunes(namespace, name).unwrap_or(false) {
        "is deleted by the release"
    } else {
        "does not exist"
    };
    let message = format!("{} uses the claim {namespace}/{name}, which {gone}", planned.object.id());
    tell(rule, pods, subject, &message, remedy);
}

/// Whether the pod of that ordinal is there and is not restarted.
fn ordinal_stays(planned: &Planned, rollout: &Rollout, ordinal: u64) -> bool {
    let Live::Present(live) = &planned.live else { return false };
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_u64);
    let first = number("/spec/ordinals/start").unwrap_or(0);
    let there = first..first + number("/spec/replicas").unwrap_or(1);
    matches!(rollout.template, Happens::No(_)) && there.contains(&ordinal)
}

/// Whether a claim that is there will do.
fn look(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    wanted: &[Wanted<'_>],
    (namespace, name, claim): (&str, &str, &Claim),
    pods: Happens,
    subject: Subject,
) {
    let told = format!("The claim {namespace}/{name}");
    let remedy = |summary: &str| {
        Remediation::new(summary)
            .command(format!("kubectl describe persistentvolumeclaim {name} -n {namespace}"))
    };
    if claim.metadata.deletion_timestamp.is_some() {
        let message = format!("{told} is being deleted, and no new pod may use it");
        let remedy = Remediation::new("Wait until it is gone, and make it anew").command(format!(
            "kubectl wait --for=delete persistentvolumeclaim/{name} -n {namespace} --timeout=5m"
        ));
        return tell(rule, pods, subject, &message, remedy);
    }
    match claim.status.phase.as_str() {
        "Bound" => {}
        "Lost" => {
            let volume = &claim.spec.volume_name;
            let message = format!("{told} has lost its volume {volume}");
            tell(rule, pods, subject, &message, remedy("Restore its volume, or make another claim"));
        }
        _ => {
            let same = |one: &&Wanted<'_>| one.claim.namespace == namespace && one.claim.name == name;
            if let Some(wanted) = wanted.iter().find(same) {
                pending(check, rule, wanted, &told, subject, remedy);
            }
        }
    }
}

/// Whether a claim that has no volume yet will get one.
fn pending(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    claim: &Wanted<'_>,
    told: &str,
    subject: Subject,
    remedy: impl Fn(&str) -> Remediation,
) {
    let why = match &claim.class {
        Class::Unknown(error) => {
            check.need::<()>(&[&CLAIM_STUCK], Err(error.clone()));
            return;
        }
        Class::Found(name, class) => match class.made_by() {
            // The scheduler sees to it once there is a pod.
            Some(_) if class.waits() => return,
            Some(_) if matches!(claim.by_hand, ByHand::Given) => return,
            Some(by) => {
                return rule.warn(
                    subject,
                    format!("{told} is still Pending: {by} has not made its volume yet"),
                    remedy("Look at its events"),
                );
            }
            None => format!("its StorageClass {name} has no provisioner"),
        },
        Class::Expected(name, by) => {
            return rule.warn(
                subject,
                format!("{told} is Pending until {by} makes the StorageClass {name}"),
                remedy("Make sure that the class is there before the release is applied"),
            );
        }
        Class::Missing(name) => format!("the StorageClass {name} does not exist"),
        Class::NoDefault => "it has no StorageClass, and none is the default".to_owned(),
        Class::None => "it has no StorageClass".to_owned(),
    };
    match &claim.by_hand {
        ByHand::Given => {}
        ByHand::Unknown(error) => {
            check.need::<()>(&[&CLAIM_STUCK], Err(error.clone()));
        }
        ByHand::Perhaps => rule.warn(
            subject,
            format!("{told} is Pending, and gets a PersistentVolume only if others take other ones: {why}"),
            remedy("Keep a volume for it, with `claimRef` in the PersistentVolume"),
        ),
        ByHand::Lacking => {
            let message = format!("{told} is Pending and stays so: {why}, and no PersistentVolume fits");
            tell(
                rule,
                claim.due,
                subject,
                &message,
                remedy("Make a PersistentVolume that fits, or another claim"),
            );
        }
    }
}
