//! The classes of the release's new claims.

use preflight_core::{Examination, Remediation, RuleCheck};

use super::wanted::{ByHand, Class, Wanted};
use super::world::World;
use super::{CLASS_MISSING, DEFAULT_CLASS, OF_VOLUMES, tell};
use crate::storage::defaults;

pub(super) fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>]) {
    let mut missing = check.rule(&CLASS_MISSING);
    let mut default = check.rule(&DEFAULT_CLASS);
    for claim in wanted.iter().filter(|claim| !claim.there) {
        let names_one = claim.claim.claim.class().is_some();
        match &claim.class {
            Class::None => {}
            Class::Unknown(error) => {
                let rule = if names_one { &CLASS_MISSING } else { &DEFAULT_CLASS };
                check.need::<()>(&[rule], Err(error.clone()));
                check.need::<()>(&OF_VOLUMES, Err(error.clone()));
            }
            Class::Missing(name) => {
                missing.examined();
                class_missing(check, &mut missing, world, claim, name);
            }
            Class::Expected(name, by) => {
                missing.examined();
                missing.warn(
                    claim.subject("storageClassName"),
                    format!(
                        "The StorageClass {name} does not exist yet; the environment expects {by} to make it"
                    ),
                    Remediation::new("Make sure that it is there before the release is applied")
                        .command(format!("kubectl get storageclass {name}")),
                );
            }
            Class::NoDefault => {
                default.examined();
                no_default(check, &mut default, world, claim);
            }
            Class::Found(..) if names_one => missing.examined(),
            Class::Found(name, _) => {
                default.examined();
                several(&mut default, world, claim, name);
            }
        }
    }
    missing.conclude("claims that name a class");
    default.conclude("claims that leave the class to the cluster");
}

fn class_missing(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    claim: &Wanted<'_>,
    name: &str,
) {
    match &claim.by_hand {
        ByHand::Given => return,
        ByHand::Unknown(error) => {
            check.need::<()>(&[&CLASS_MISSING], Err(error.clone()));
            return;
        }
        ByHand::Perhaps | ByHand::Lacking => {}
    }
    let there: Vec<_> = world.classes.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let there = match there.as_slice() {
        [] => "the cluster has none at all".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    tell(
        rule,
        claim.due,
        claim.subject("storageClassName"),
        &format!("{} names the StorageClass {name}, which does not exist; {there}", claim.told()),
        Remediation::new("Name a class that the cluster has, or create this one")
            .command("kubectl get storageclasses"),
    );
}

fn no_default(check: &Examination, rule: &mut RuleCheck<'_>, world: &World<'_>, claim: &Wanted<'_>) {
    match &claim.by_hand {
        ByHand::Given => return,
        ByHand::Unknown(error) => {
            check.need::<()>(&[&DEFAULT_CLASS], Err(error.clone()));
            return;
        }
        ByHand::Perhaps | ByHand::Lacking => {}
    }
    let remedy = || {
        let names = world.classes.iter().flatten().map(|(name, _)| name.as_str());
        let name = names.into_iter().next().unwrap_or("NAME");
        Remediation::new("Name a class in the claim, or mark one as the default").command(format!(
            "kubectl annotate storageclass {name} storageclass.kubernetes.io/is-default-class=true"
        ))
    };
    let mut expected = world.environment.expects().iter().filter(|expected| expected.kind == "StorageClass");
    if let Some(expected) = expected.next() {
        let by = expected.by.as_deref().unwrap_or("something else");
        return rule.warn(
            claim.subject(""),
            format!(
                "{} names no StorageClass, and none is the default yet; the environment expects {by} to make {}",
                claim.told(),
                expected.name
            ),
            remedy(),
        );
    }
    tell(
        rule,
        claim.due,
        claim.subject(""),
        &format!(
            "{} names no StorageClass, none is marked as the default, and no PersistentVolume without a class fits",
            claim.told()
        ),
        remedy(),
    );
}

fn several(rule: &mut RuleCheck<'_>, world: &World<'_>, claim: &Wanted<'_>, used: &str) {
    let all = world.classes.iter().flatten().map(|(name, class)| (name.as_str(), class));
    let marked: Vec<_> = defaults(all).into_iter().map(|(name, _)| name).collect();
    if let [_, others @ ..] = marked.as_slice()
        && !others.is_empty()
    {
        rule.warn(
            claim.subject(""),
            format!(
                "{} names no StorageClass, and {} are marked as the default: it gets {used}, which is the newest",
                claim.told(),
                marked.join(", ")
            ),
            Remediation::new("Name the class in the claim, or take the mark from the others").command(format!(
                "kubectl annotate storageclass {} storageclass.kubernetes.io/is-default-class-",
                others.join(" ")
            )),
        );
    }
}
