//! Playing a release through: controllers make and end pods step by step, quotas let them in or not, and the scheduler
//! finds them nodes, until everything is as it is to be or nothing moves any more.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::fit::Survey;
use super::fleet::{Fleet, NodeId, ShapeId};
use super::place::{Policy, choose, evict};
use super::quota::{Excess, Quota};
use super::reason::{Histogram, Reason};
use super::rollout::{Generation, Member, Plan, Stage, Step};
use super::scene::{Ending, Hitch, Scene, Stuck, Waiting};
use super::shortfall::{short_on, shortfall};
use super::state::{PodId, State};

/// Rounds after which a play is given up.
const ROUNDS: usize = 20_000;
/// How long a play may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// In how many rounds a controller takes a step, while others take theirs: one waits for its pods to end, another backs
/// off.
const PACES: [usize; 3] = [1, 2, 8];

#[derive(Debug, Clone)]
struct Actor {
    member: Member,
    pod: Option<PodId>,
    cost: i32,
    shape: ShapeId,
    since: usize,
    refused: Option<Excess>,
}

/// Whose turn it is to get a node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    priority: Reverse<i32>,
    since: usize,
    chance: u32,
    who: Who,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// Somebody else's pod, by its place.
    Other(usize),
    /// A pod of the release: its workload's place, and its own.
    Ours(usize, usize),
}

struct Play<'a> {
    fleet: &'a Fleet,
    scene: &'a Scene<'a>,
    state: State,
    quotas: Vec<Quota>,
    casts: Vec<Vec<Actor>>,
    /// In how many rounds each workload's controller takes a step.
    paces: Vec<usize>,
    started: Vec<bool>,
    waiting: Vec<(Waiting, usize)>,
    policy: Policy,
    rng: Rng,
    clock: usize,
    begun: Instant,
    had_choice: bool,
    evicted: Vec<PodId>,
    slow: Vec<usize>,
}

impl Scene<'_> {
    /// Plays it through once.
    #[must_use]
    pub fn play(&self, policy: Policy, seed: u64) -> Ending {
        let mut play = Play::new(self, policy, Rng::with_seed(seed));
        let settled = play.run();
        let stuck = play.stuck(settled);
        let Play { had_choice, evicted, slow, state, .. } = play;
        Ending { settled, stuck, had_choice, evicted, slow, state }
    }
}

impl<'a> Play<'a> {
    fn new(scene: &'a Scene<'a>, policy: Policy, mut rng: Rng) -> Self {
        let casts = scene.workloads.iter().map(|workload| {
            let actor = |(member, pod, cost): &(Member, Option<PodId>, i32)| {
                let shape = match pod {
                    Some(pod) => scene.state.pod(*pod).shape,
                    None => workload.mold(member.generation)?.shapes.of(member.slot)?,
                };
                Some(Actor { member: member.clone(), pod: *pod, cost: *cost, shape, since: 0, refused: None })
            };
            workload.members.iter().filter_map(actor).collect()
        });
        let pace = |_| if policy == Policy::Random { PACES[rng.usize(..PACES.len())] } else { 1 };
        let paces = (0..scene.workloads.len()).map(pace).collect();
        Self {
            fleet: scene.fleet,
            scene,
            state: scene.state.clone(),
            quotas: scene.quotas.clone(),
            casts: casts.collect(),
            paces,
            started: vec![false; scene.workloads.len()],
            waiting: scene.waiting.iter().map(|waiting| (*waiting, 0)).collect(),
            policy,
            rng,
            clock: 0,
            begun: Instant::now(),
            had_choice: false,
            evicted: Vec::new(),
            slow: Vec::new(),
        }
    }

    /// Whether it came to rest.
    fn run(&mut self) -> bool {
        for _ in 0..ROUNDS {
            if self.is_late() {
                return false;
            }
            let (prompt, tardy) = self.order();
            // Who is slow waits for nobody but the others.
            if !self.round(&prompt) && !self.round(&tardy) {
                return true;
            }
        }
        false
    }

    /// Who takes a step in this round, and who does so only where nobody else has one to take.
    fn order(&mut self) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.casts.len()).collect();
        self.rng.shuffle(&mut order);
        let single = |at: &usize| self.scene.workloads[*at].plan == Plan::Single;
        // Pods of their own are made when they are applied, before any controller does anything.
        order.sort_by_key(|at| !single(at));
        order.into_iter().partition(|at| single(at) || self.rng.usize(..self.paces[*at]) == 0)
    }

    /// Whether anything moved.
    fn round(&mut self, order: &[usize]) -> bool {
        let mut moved = self.control(order);
        moved |= self.retry(order);
        moved |= self.schedule();
        moved |= self.finish();
        moved
    }

    fn is_late(&self) -> bool {
        self.begun.elapsed() > PATIENCE
    }

    /// Controllers take their next steps.
    fn control(&mut self, order: &[usize]) -> bool {
        let mut moved = false;
        for &at in order {
            let members: Vec<Member> = self.casts[at].iter().map(|actor| actor.member.clone()).collect();
            let steps = match self.first_steps(at, &members) {
                Some(steps) => steps,
                None => self.scene.workloads[at].plan.next(&members),
            };
            moved |= !steps.is_empty();
            for step in steps {
                match step {
                    Step::Make { generation, slot } => self.make(at, generation, slot),
                    Step::End(member) => self.leave(at, member, Stage::Gone),
                    Step::EndSome { generation, count } => self.end_some(at, generation, count),
                }
            }
        }
        moved
    }

    /// A Deployment whose number changes brings its old pods to the new number before it rolls.
    fn first_steps(&mut self, at: usize, members: &[Member]) -> Option<Vec<Step>> {
        let wanted = self.scene.workloads[at].scaled_first.filter(|_| !self.started[at])?;
        self.started[at] = true;
        let there = members.len();
        Some(if there < wanted {
            vec![Step::Make { generation: Generation::Old, slot: 0 }; wanted - there]
        } else {
            vec![Step::EndSome { generation: Generation::Old, count: there - wanted }]
        })
    }

    fn make(&mut self, at: usize, generation: Generation, slot: usize) {
        let workload = &self.scene.workloads[at];
        let Some(shape) = workload.mold(generation).and_then(|mold| mold.shapes.of(slot)) else { return };
        self.clock += 1;
        let member = Member { generation, slot, stage: Stage::Refused };
        self.casts[at].push(Actor { member, pod: None, cost: 0, shape, since: self.clock, refused: None });
        let actor = self.casts[at].len() - 1;
        self.let_in(at, actor);
    }

    /// Asks the quotas.
    fn let_in(&mut self, at: usize, actor: usize) -> bool {
        let generation = self.casts[at][actor].member.generation;
        let Some(mold) = self.scene.workloads[at].mold(generation) else { return false };
        let refused = self.quotas.iter().find_map(|quota| quota.refuses(&mold.charge));
        let is_in = refused.is_none();
        // Which of several gets what becomes free in a quota is a matter of who asks first.
        self.had_choice |= !is_in && self.casts.len() > 1;
        if is_in {
            self.quotas.iter_mut().for_each(|quota| quota.charge(&mold.charge, true));
            self.casts[at][actor].member.stage = Stage::Pending;
        }
        self.casts[at][actor].refused = refused;
        is_in
    }

    /// Whoever was refused is tried again.
    fn retry(&mut self, order: &[usize]) -> bool {
        let mut moved = false;
        let mut order = order.to_vec();
        self.rng.shuffle(&mut order);
        for at in order {
            // Nobody applies a pod of its own again.
            let is_retried = self.scene.workloads[at].plan != Plan::Single;
            for actor in 0..self.casts[at].len() {
                let is_refused = self.casts[at][actor].member.stage == Stage::Refused;
                if is_retried && is_refused && self.let_in(at, actor) {
                    self.slow.push(at);
                    moved = true;
                }
            }
        }
        moved
    }

    fn leave(&mut self, at: usize, actor: usize, to: Stage) {
        let (stage, pod, generation) = {
            let actor = &self.casts[at][actor];
            (actor.member.stage, actor.pod, actor.member.generation)
        };
        if let Some(pod) = pod {
            self.state.take(self.fleet, pod);
        }
        if matches!(stage, Stage::Pending | Stage::Unready | Stage::Ready)
            && let Some(mold) = self.scene.workloads[at].mold(generation)
        {
            let mut charge = mold.charge.clone();
            if to == Stage::Done {
                // Ended pods are counted as objects until they are gone.
                charge.amounts.remove("count/pods");
            }
            self.quotas.iter_mut().for_each(|quota| quota.charge(&charge, false));
        }
        self.casts[at][actor].member.stage = to;
    }

    /// Those go first that are not ready, then the cheapest, then those who share a node
    /// (`ActivePodsWithRanks`, `pkg/controller/controller_utils.go`, v1.36).
    fn end_some(&mut self, at: usize, generation: Generation, count: usize) {
        let node_of = |actor: &Actor| actor.pod.map(|pod| self.state.pod(pod).node);
        let mut together: HashMap<NodeId, usize> = HashMap::new();
        for actor in self.casts[at].iter().filter(|actor| actor.member.stage == Stage::Ready) {
            if let Some(node) = node_of(actor) {
                *together.entry(node).or_default() += 1;
            }
        }
        let mut there: Vec<(u8, i32, Reverse<usize>, u32, usize)> = Vec::new();
        for (place, actor) in self.casts[at].iter().enumerate() {
            let rank = match actor.member.stage {
                Stage::Refused => 0,
                Stage::Pending => 1,
                Stage::Unready => 2,
                Stage::Ready => 3,
                Stage::Done | Stage::Gone => continue,
            };
            if actor.member.generation == generation {
                let together =
                    Reverse(node_of(actor).map_or(0, |node| together.get(&node).copied().unwrap_or(0)));
                there.push((rank, actor.cost, together, 0, place));
            }
        }
        there.iter_mut().for_each(|entry| entry.3 = self.rng.u32(..));
        there.sort_unstable();
        // Which of equals goes is a matter of when each got ready.
        if let (Some(last), Some(first)) =
            (count.checked_sub(1).and_then(|last| there.get(last)), there.get(count))
        {
            self.had_choice |= (last.0, last.1, last.2) == (first.0, first.1, first.2);
        }
        for (.., actor) in there.into_iter().take(count) {
            self.leave(at, actor, Stage::Gone);
        }
    }

    /// Pods get nodes: the most important first, then whoever waits longest.
    fn schedule(&mut self) -> bool {
        let mut placed_waiting = Vec::new();
        let mut moved = false;
        // Where one finds no node, no other of its shape does before something leaves.
        let mut hopeless: HashSet<ShapeId> = HashSet::new();
        for Turn { who, .. } in self.queue() {
            if self.is_late() {
                return true;
            }
            match who {
                Who::Ours(at, place) if self.casts[at][place].member.stage == Stage::Pending => {
                    let (shape, pin) = (self.casts[at][place].shape, self.pin(at, place));
                    if pin.is_none() && hopeless.contains(&shape) {
                        continue;
                    }
                    if let Some(pod) = self.seat(shape, pin) {
                        self.casts[at][place].pod = Some(pod);
                        self.casts[at][place].member.stage = Stage::Ready;
                        moved = true;
                    } else if pin.is_none() && self.only_loses(shape) {
                        hopeless.insert(shape);
                    }
                }
                Who::Ours(..) => {}
                Who::Other(place) => {
                    let waiting = self.waiting[place].0;
                    if self.seat(waiting.shape, waiting.node).is_some() {
                        placed_waiting.push(place);
                        moved = true;
                    }
                }
            }
        }
        placed_waiting.sort_unstable();
        for place in placed_waiting.into_iter().rev() {
            self.waiting.remove(place);
        }
        moved
    }

    /// Whether pods that are placed can only take room away from those of a shape.
    fn only_loses(&self, shape: ShapeId) -> bool {
        let shape = self.fleet.shape(shape);
        shape.near.is_empty() && shape.spread.is_empty() && !shape.preempts_any(self.fleet)
    }

    /// Who waits for a node, in the order in which they are looked at.
    fn queue(&mut self) -> Vec<Turn> {
        let turn = |shape: ShapeId, since: usize, who: Who| {
            let priority = Reverse(self.fleet.shape(shape).priority);
            Turn { priority, since, chance: 0, who }
        };
        let others = self.waiting.iter().enumerate();
        let mut queue: Vec<Turn> =
            others.map(|(place, (waiting, since))| turn(waiting.shape, *since, Who::Other(place))).collect();
        for (at, cast) in self.casts.iter().enumerate() {
            let pending = cast.iter().enumerate().filter(|(_, actor)| actor.member.stage == Stage::Pending);
            queue.extend(pending.map(|(place, actor)| turn(actor.shape, actor.since, Who::Ours(at, place))));
        }
        if self.policy != Policy::Scored {
            // Retries and their back-off mix up who comes first.
            for turn in &mut queue {
                (turn.since, turn.chance) = (0, self.rng.u32(..));
            }
        }
        queue.sort_unstable();
        // Who of equals is looked at first is a matter of who was made first.
        let shape_of = |turn: &Turn| match turn.who {
            Who::Ours(at, place) => self.casts[at][place].shape,
            Who::Other(place) => self.waiting[place].0.shape,
        };
        let equals = queue
            .windows(2)
            .any(|pair| pair[0].priority == pair[1].priority && shape_of(&pair[0]) != shape_of(&pair[1]));
        self.had_choice |= equals;
        queue
    }

    fn pin(&self, at: usize, actor: usize) -> Option<NodeId> {
        matches!(self.scene.workloads[at].plan, Plan::Daemon { .. })
            .then(|| self.casts[at][actor].member.slot)
    }

    /// Puts a pod onto a node, if there is one, or can be made one.
    fn seat(&mut self, shape: ShapeId, pin: Option<NodeId>) -> Option<PodId> {
        let node = match pin {
            Some(node) => Survey::of(self.fleet, &self.state, shape).fits(node).then_some(node),
            None => choose(self.fleet, &self.state, shape, self.policy, &mut self.rng).map(|choice| {
                self.had_choice |= choice.had_others;
                choice.node
            }),
        };
        let node = match node {
            Some(node) => node,
            None => {
                let eviction = evict(self.fleet, &mut self.state, shape, pin)?;
                eviction.victims.into_iter().for_each(|victim| self.make_go(victim));
                eviction.node
            }
        };
        Some(self.state.put(self.fleet, shape, node, false))
    }

    /// A pod is evicted; its controller makes another one.
    fn make_go(&mut self, pod: PodId) {
        for at in 0..self.casts.len() {
            if let Some(actor) = self.casts[at].iter().position(|actor| actor.pod == Some(pod)) {
                return self.leave(at, actor, Stage::Gone);
            }
        }
        let shape = self.state.pod(pod).shape;
        self.state.take(self.fleet, pod);
        self.evicted.push(pod);
        self.clock += 1;
        self.waiting.push((Waiting { shape, node: None }, self.clock));
    }

    /// Pods that run to an end make room.
    fn finish(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.casts.len() {
            for actor in 0..self.casts[at].len() {
                if self.scene.workloads[at].ends && self.casts[at][actor].member.stage == Stage::Ready {
                    self.leave(at, actor, Stage::Done);
                    moved = true;
                }
            }
        }
        moved
    }

    fn stuck(&self, settled: bool) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        for (at, cast) in self.casts.iter().enumerate() {
            let members: Vec<Member> = cast.iter().map(|actor| actor.member.clone()).collect();
            if settled && self.scene.workloads[at].plan.is_done(&members) {
                continue;
            }
            let new = |stages: &[Stage]| {
                let of =
                    |member: &&Member| member.generation == Generation::New && stages.contains(&member.stage);
                members.iter().filter(of).count()
            };
            let wanted = new(&[Stage::Refused, Stage::Pending, Stage::Unready, Stage::Ready, Stage::Done]);
            let why = cast.iter().enumerate().find_map(|(place, actor)| {
                match (&actor.refused, actor.member.stage) {
                    (Some(excess), Stage::Refused) => Some(Hitch::Quota(excess.clone())),
                    (_, Stage::Pending) => Some(self.no_node(actor.shape, self.pin(at, place))),
                    _ => None,
                }
            });
            let pods = (wanted, new(&[Stage::Ready, Stage::Done]));
            stuck.push(Stuck { workload: at, pods, why: why.unwrap_or(Hitch::Steps) });
        }
        stuck
    }

    fn no_node(&self, shape: ShapeId, pin: Option<NodeId>) -> Hitch {
        let survey = Survey::of(self.fleet, &self.state, shape);
        let Some(node) = pin else {
            return Hitch::NoNode {
                nodes: survey.histogram(),
                shortfall: shortfall(self.fleet, &self.state, shape),
            };
        };
        let mut nodes = Histogram { nodes: self.fleet.nodes().len(), ..Histogram::default() };
        for reason in survey.reasons(node) {
            *nodes.counts.entry(reason).or_default() += 1;
        }
        if nodes.nodes > 1 {
            nodes.counts.insert(Reason::NotNamed, nodes.nodes - 1);
        }
        Hitch::NoNode {
            nodes,
            shortfall: short_on(self.fleet, &self.state, shape, node).map(|(shortfall, _)| shortfall),
        }
    }
}
