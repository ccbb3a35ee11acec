//! The claims that have no volume yet: their classes, their users, and the volumes made by hand that serve them.

use std::collections::BTreeMap;

use preflight_core::release::{Live, Planned};
use preflight_core::{Examination, Rule, Subject, Undecided};
use serde::Deserialize;
use serde_json::Value;

use super::world::World;
use super::{
    CLAIM_IMMUTABLE, CLAIM_RESIZE, CLAIM_STUCK, CLASS_MISSING, DATA_SOURCE_MISSING, DEFAULT_CLASS, OF_VOLUMES,
};
use crate::changes::{Happens, rollout};
use crate::storage::{
    Claim, Fit, Origin, ReleaseClaim, StorageClass, Use, UsedClaim, Volume, Wish, claims_of, defaults, fits,
    match_all, volume_reaches,
};

/// Claims of one template, or volumes of one workload, that are matched at most.
const COPIES: u64 = 500;

/// The class that a claim gets.
#[derive(Debug, Clone)]
pub(super) enum Class<'a> {
    /// It asks for none.
    None,
    /// There is none of that name.
    Missing(String),
    /// There is none of that name yet, and this is to make it.
    Expected(String, &'a str),
    /// It names none, and none is the default.
    NoDefault,
    /// This one.
    Found(&'a str, &'a StorageClass),
    /// The classes could not be looked at.
    Unknown(Undecided),
}

/// A volume made by hand for a claim.
#[derive(Debug, Clone)]
pub(super) enum ByHand {
    /// There is one for each.
    Given,
    /// There are some, and whether this claim gets one depends on which is bound first.
    Perhaps,
    /// There is none.
    Lacking,
    /// That could not be looked at.
    Unknown(Undecided),
}

/// A workload whose pods use a claim.
#[derive(Debug, Clone)]
pub(super) struct User<'a> {
    pub(super) planned: &'a Planned,
    pub(super) spec: Value,
    pub(super) pods: Happens,
}

/// A claim that has no volume yet: the release makes it, or its pods use it.
pub(super) struct Wanted<'a> {
    pub(super) claim: ReleaseClaim<'a>,
    /// Whether the claim is there already, and waits.
    pub(super) there: bool,
    /// How many more there are of the same template of which the same is to be said.
    pub(super) more: usize,
    pub(super) class: Class<'a>,
    pub(super) users: Vec<User<'a>>,
    /// Whether it has to get its volume for the release to land.
    pub(super) due: Happens,
    pub(super) by_hand: ByHand,
}

impl<'a> Wanted<'a> {
    pub(super) fn subject(&self, below: &str) -> Subject {
        let path = self.claim.path.clone();
        // What is used by its name is written elsewhere.
        let path = if below.is_empty() || self.there { path } else { path.key(below) };
        Subject::at(&self.claim.planned.object, &path)
    }

    /// `The claim shop/data`, and how many more like it.
    pub(super) fn told(&self) -> String {
        let told = format!("The claim {}/{}", self.claim.namespace, self.claim.name);
        match self.more {
            0 => told,
            more => format!("{told} (and {more} more of its template)"),
        }
    }

    /// The class, where there is one and the claim is not served by hand.
    pub(super) fn made_by(&self) -> Option<(&'a str, &'a StorageClass, &'a str)> {
        match &self.class {
            Class::Found(name, class) => Some((*name, *class, class.made_by()?)),
            _ => None,
        }
    }

    fn wish(&self) -> Option<Wish<'_>> {
        let class = match &self.class {
            Class::None | Class::NoDefault => "",
            Class::Missing(name) | Class::Expected(name, _) => name,
            Class::Found(name, _) => name,
            Class::Unknown(_) => return None,
        };
        let ReleaseClaim { namespace, name, claim, .. } = &self.claim;
        Some(Wish { namespace, name, claim, class })
    }
}

/// The class that a claim gets.
pub(super) fn class_of<'a>(world: &'a World<'_>, claim: &Claim) -> Class<'a> {
    let written = claim.class();
    if written == Some("") {
        return Class::None;
    }
    let classes = match &world.classes {
        Ok(classes) => classes,
        Err(error) => return Class::Unknown(error.clone()),
    };
    let Some(name) = written else {
        let all = classes.iter().map(|(name, class)| (name.as_str(), class));
        return match defaults(all).first() {
            Some((name, class)) => Class::Found(name, class),
            None => Class::NoDefault,
        };
    };
    match (classes.get_key_value(name), world.expected("StorageClass", None, name)) {
        (Some((name, class)), _) => Class::Found(name, class),
        (None, Some(by)) => Class::Expected(name.to_owned(), by),
        (None, None) => Class::Missing(name.to_owned()),
    }
}

/// The workloads of the release whose pods use a claim of that name.
pub(super) fn users_of<'a>(world: &World<'a>, namespace: &str, name: &str) -> Vec<User<'a>> {
    let uses = |planned: &Planned, used: &[UsedClaim]| {
        planned.namespace.as_deref() == Some(namespace) && used.iter().any(|used| used.name == name)
    };
    let users = world.used.iter().filter(|(planned, used)| uses(planned, used));
    users.filter_map(|(planned, _)| user(world, planned)).collect()
}

fn user<'a>(world: &World<'a>, planned: &'a Planned) -> Option<User<'a>> {
    let spec = planned.object.pod_template()?.spec_json();
    Some(User { planned, spec, pods: rollout(planned, world.release.method()).pods })
}

/// What matters most of whether pods are started.
pub(super) fn soonest(users: &[User<'_>]) -> Option<Happens> {
    let rank = |happens: &Happens| match happens {
        Happens::Yes => 0,
        Happens::Perhaps(_) => 1,
        Happens::No(_) => 2,
    };
    users.iter().map(|user| user.pods).min_by_key(rank)
}

/// The claims that have no volume yet: those that the release makes, and those that are there and that its pods use.
pub(super) fn wanted<'a>(check: &Examination, world: &'a World<'a>) -> Vec<Wanted<'a>> {
    let (claims, unread) = claims_of(world.release);
    for (planned, why) in unread {
        let rules = [&CLAIM_RESIZE, &CLAIM_IMMUTABLE, &CLAIM_STUCK].into_iter().chain(of_new_claims());
        check.unknown(
            &rules.collect::<Vec<_>>(),
            format!("a claim of {} cannot be read: {why}", planned.object.id()),
            "correct the manifest",
        );
    }
    let mut wanted: Vec<_> = claims.into_iter().filter_map(|claim| of_release(check, world, claim)).collect();
    for (planned, used) in &world.used {
        let Some(namespace) = planned.namespace.as_deref() else { continue };
        for used in used {
            let same = |one: &Wanted<'_>| one.claim.namespace == namespace && one.claim.name == used.name;
            // Where it could not be looked at, whoever looks for claims that are missing says so.
            let Ok(Some(live)) = world.claim(namespace, &used.name) else { continue };
            if used.by == Use::Ephemeral || !waits(live) || wanted.iter().any(same) {
                continue;
            }
            wanted.push(settle(
                world,
                ReleaseClaim {
                    planned,
                    path: used.path.clone(),
                    namespace: namespace.to_owned(),
                    name: used.name.clone(),
                    origin: Origin::Object,
                    claim: live.clone(),
                    count: Some(1),
                    made: Happens::No("no pod is started that uses it"),
                },
                true,
            ));
        }
    }
    by_hand(world, &mut wanted);
    alike(wanted)
}

fn of_new_claims() -> impl Iterator<Item = &'static Rule> {
    [&CLASS_MISSING, &DEFAULT_CLASS, &DATA_SOURCE_MISSING].into_iter().chain(OF_VOLUMES)
}

/// Whether a claim has no volume yet, and may get one.
fn waits(live: &Claim) -> bool {
    live.metadata.deletion_timestamp.is_none() && matches!(live.status.phase.as_str(), "" | "Pending")
}

fn of_release<'a>(
    check: &Examination,
    world: &'a World<'a>,
    mut claim: ReleaseClaim<'a>,
) -> Option<Wanted<'a>> {
    let rules: Vec<_> = of_new_claims().collect();
    match claim.origin {
        Origin::Object => match &claim.planned.live {
            Live::Absent => {}
            Live::Unknown(error) => {
                check.need::<()>(&rules, Err(error.clone()));
                check.need::<()>(&[&CLAIM_RESIZE, &CLAIM_IMMUTABLE, &CLAIM_STUCK], Err(error.clone()));
                return None;
            }
            Live::Present(live) => {
                // One that cannot be read is told by the rule about those that are there.
                let live = Claim::deserialize(&**live).ok().filter(waits)?;
                claim.claim = live;
                claim.made = Happens::Yes;
                return Some(settle(world, claim, true));
            }
            _ => return None,
        },
        // Those that are there are found by their users.
        Origin::Template(_) => {
            if check.need(&rules, world.claim(&claim.namespace, &claim.name))?.is_some() {
                return None;
            }
        }
        // Unchanged pods keep theirs.
        Origin::Ephemeral => {
            if matches!(claim.made, Happens::No(_)) && matches!(claim.planned.live, Live::Present(_)) {
                return None;
            }
        }
    }
    Some(settle(world, claim, false))
}

fn settle<'a>(world: &'a World<'a>, mut claim: ReleaseClaim<'a>, there: bool) -> Wanted<'a> {
    let users = match claim.origin {
        Origin::Object => users_of(world, &claim.namespace, &claim.name),
        _ => user(world, claim.planned).into_iter().collect(),
    };
    if claim.count.is_none() {
        let nodes = users.first().and_then(|user| world.nodes_for(Some(&user.spec)).ok());
        claim.count = nodes.map(|nodes| nodes.len() as u64);
    }
    let class = class_of(world, &claim.claim);
    let waits = matches!(&class, Class::Found(_, class) if class.waits());
    let due = match claim.origin {
        Origin::Object if waits => soonest(&users)
            .unwrap_or(Happens::No("no pod of the release uses it, and its class waits for one")),
        Origin::Object if there => soonest(&users).unwrap_or(claim.made),
        _ => claim.made,
    };
    Wanted { claim, there, more: 0, class, users, due, by_hand: ByHand::Lacking }
}

/// Leaves one of those that a StatefulSet's template makes and of which the same is to be said.
fn alike(wanted: Vec<Wanted<'_>>) -> Vec<Wanted<'_>> {
    let mut left: Vec<Wanted<'_>> = Vec::new();
    for one in wanted {
        let same = |other: &&mut Wanted<'_>| {
            std::ptr::eq(other.claim.planned, one.claim.planned)
                && other.claim.path == one.claim.path
                && other.there == one.there
                && matches!(other.claim.origin, Origin::Template(_))
                && std::mem::discriminant(&other.by_hand) == std::mem::discriminant(&one.by_hand)
        };
        match left.iter_mut().find(same) {
            Some(other) => other.more += 1,
            None => left.push(one),
        }
    }
    left
}

/// Settles which claims get volumes that were made by hand, none of them twice. Those that nobody makes a volume for are
/// served first.
fn by_hand(world: &World<'_>, wanted: &mut [Wanted<'_>]) {
    let volumes = match &world.volumes {
        Ok(volumes) => volumes,
        Err(error) => {
            for claim in wanted {
                claim.by_hand = ByHand::Unknown(error.clone());
            }
            return;
        }
    };
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|at| wanted[*at].made_by().is_some());
    let (mut owners, mut allowed, mut unknown) = (Vec::new(), Vec::new(), BTreeMap::new());
    for at in order {
        match fitting(world, &wanted[at], volumes) {
            Ok(names) => {
                let copies = wanted[at].claim.count.unwrap_or(1).min(COPIES);
                for _ in 0..copies {
                    owners.push(at);
                    allowed.push(names.clone());
                }
            }
            Err(error) => {
                unknown.insert(at, error);
            }
        }
    }
    let (matched, in_turn) = (match_all(&allowed), one_by_one(&allowed));
    let served = |given: &[bool], at: usize| {
        let mut own = owners.iter().zip(given).filter(|(owner, _)| **owner == at).peekable();
        own.peek().is_some() && own.all(|(_, given)| *given)
    };
    let matched: Vec<bool> = matched.iter().map(Option::is_some).collect();
    let by_hand: Vec<ByHand> = (0..wanted.len())
        .map(|at| match unknown.get(&at) {
            Some(error) => ByHand::Unknown(error.clone()),
            None if served(&matched, at) && served(&in_turn, at) => ByHand::Given,
            None if served(&matched, at) => ByHand::Perhaps,
            None => ByHand::Lacking,
        })
        .collect();
    for (claim, by_hand) in wanted.iter_mut().zip(by_hand) {
        claim.by_hand = by_hand;
    }
}

/// The volumes that fit a claim, in the order in which they are taken: the smallest first.
fn fitting<'v>(
    world: &World<'_>,
    wanted: &Wanted<'_>,
    volumes: &'v BTreeMap<String, Volume>,
) -> Result<Vec<&'v str>, Undecided> {
    let Some(wish) = wanted.wish() else {
        return match &wanted.class {
            Class::Unknown(error) => Err(error.clone()),
            _ => Ok(Vec::new()),
        };
    };
    let mut fitting = Vec::new();
    for (name, volume) in volumes {
        let fit = fits(wish, name, volume);
        if fit.fits() && reached(world, wanted, volume)? {
            let order = (fit != Fit::Kept, volume.spec.access_modes.len(), volume.size());
            fitting.push((order, name.as_str()));
        }
    }
    fitting.sort();
    Ok(fitting.into_iter().map(|(_, name)| name).collect())
}

/// Whether each workload that uses the claim has a node from which the volume is reached.
fn reached(world: &World<'_>, wanted: &Wanted<'_>, volume: &Volume) -> Result<bool, Undecided> {
    if volume.node_affinity().is_none() && volume.metadata.labels.is_empty() {
        return Ok(true);
    }
    for user in &wanted.users {
        let nodes = world.nodes_for(Some(&user.spec))?;
        if !nodes.iter().any(|(_, labels)| volume_reaches(volume, labels)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What comes of it if each takes the first volume that is free, in this order.
fn one_by_one(allowed: &[Vec<&str>]) -> Vec<bool> {
    let mut taken: Vec<&str> = Vec::new();
    let mut given = Vec::new();
    for names in allowed {
        let free = names.iter().find(|name| !taken.contains(name));
        taken.extend(free);
        given.push(free.is_some());
    }
    given
}
