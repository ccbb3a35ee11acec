//! A run under way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::check::{Cut, perform};
use super::select::Selected;
use crate::cluster::{Read, Reader, Resource};
use crate::context::Shared;
use crate::event::{Event, Listener};
use crate::phase::Phase;
use crate::report::{Decision, Report, RunFacts, SetAside, Verdict, judge};
use crate::result::{CheckResult, Status};

/// How long a verdict may be relied on: clusters change. Ten minutes.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long the end of a run waits for facts that only adorn the report.
const FACTS_PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Plan {
    pub(super) shared: Arc<Shared>,
    pub(super) checks: Vec<Selected>,
    pub(super) set_aside: Vec<SetAside>,
    pub(super) facts: RunFacts,
    pub(super) notes: Vec<String>,
    pub(super) fail_fast: bool,
    pub(super) listeners: Vec<Arc<dyn Listener>>,
    pub(super) start: Instant,
    pub(super) started: Timestamp,
    pub(super) timeout: Option<Duration>,
}

/// Where events go: to the listeners, and into the list of which the report is the fold.
#[derive(Clone)]
struct Stream {
    events: Arc<Mutex<Vec<Event>>>,
    listeners: Arc<[Arc<dyn Listener>]>,
}

impl Stream {
    fn emit(&self, event: Event) {
        for listener in self.listeners.iter() {
            listener.on(&event);
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

/// A run under way. Dropping it stops it.
pub struct Run {
    waiting: Vec<(Phase, JoinHandle<CheckResult>)>,
    done: Vec<CheckResult>,
    facts: JoinHandle<Option<RunFacts>>,
    known: RunFacts,
    set_aside: Vec<SetAside>,
    stream: Stream,
    cut: Arc<watch::Sender<Option<Cut>>>,
    start: Instant,
    expires: Timestamp,
}

/// Stops a run from elsewhere: on a signal, for example.
#[derive(Clone)]
pub struct Stop {
    cut: Arc<watch::Sender<Option<Cut>>>,
}

impl Stop {
    /// Stops the run. What was found stays found; what was not concluded is unknown.
    pub fn stop(&self, why: impl Into<String>) {
        cut_short(&self.cut, Cut::Signal(why.into()));
    }
}

/// The first reason stands.
fn cut_short(cut: &watch::Sender<Option<Cut>>, reason: Cut) {
    cut.send_if_modified(|slot| {
        let first = slot.is_none();
        if first {
            *slot = Some(reason);
        }
        first
    });
}

impl Run {
    pub(super) fn start(plan: Plan) -> Self {
        let cut = Arc::new(watch::Sender::new(None));
        let stream = Stream { events: Arc::default(), listeners: plan.listeners.into() };
        let checks =
            plan.checks.iter().map(|check| (check.descriptor.name.to_owned(), check.descriptor.phase));
        stream.emit(Event::RunStarted {
            checks: checks.collect(),
            facts: plan.facts.clone(),
            notes: plan.notes,
        });

        let facts = tokio::spawn(cluster_facts(Arc::clone(&plan.shared), plan.facts.clone()));
        let waiting = plan
            .checks
            .into_iter()
            .map(|check| {
                let phase = check.descriptor.phase;
                let (provides, shared) = (check.descriptor.provides.clone(), Arc::clone(&plan.shared));
                let work =
                    perform(check, Arc::clone(&plan.shared), plan.start, plan.timeout, cut.subscribe());
                let (stream, cut, fail_fast) = (stream.clone(), Arc::clone(&cut), plan.fail_fast);
                let task = tokio::spawn(async move {
                    let result = work.await;
                    provides.into_iter().for_each(|kind| shared.handover.close(kind));
                    if fail_fast && result.status == Status::Failed {
                        cut_short(&cut, Cut::FailFast(format!("fail-fast: {} failed", result.name)));
                    }
                    stream.emit(Event::CheckFinished { result: result.clone() });
                    result
                });
                (phase, task)
            })
            .collect();
        Self {
            waiting,
            done: Vec::new(),
            facts,
            known: plan.facts,
            set_aside: plan.set_aside,
            stream,
            cut,
            start: plan.start,
            expires: plan.started.checked_add(LIFETIME).unwrap_or(plan.started),
        }
    }

    /// A handle that stops the run.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        Stop { cut: Arc::clone(&self.cut) }
    }

    /// Waits for the phases that a deploy must wait for, and judges them.
    pub async fn blocking(&mut self) -> Blocking {
        self.wait(Phase::is_blocking).await;
        let checks: Vec<_> = self.done.iter().filter(|check| check.phase.is_blocking()).cloned().collect();
        let verdict = judge(&checks, self.all_set_aside(), self.expires.to_string());
        let facts = self.cluster_facts().await;
        Blocking { verdict, checks, facts }
    }

    /// Waits for every phase, and reports.
    pub async fn finish(mut self) -> Report {
        self.wait(|_| true).await;
        let facts = self.cluster_facts().await;
        self.stream.emit(Event::ClusterKnown { facts: facts.clone() });
        if let Some(Cut::Signal(why) | Cut::FailFast(why)) = self.cut.borrow().clone() {
            self.stream.emit(Event::Interrupted { why });
        }
        let verdict = judge(&self.done, self.all_set_aside(), self.expires.to_string());
        self.stream.emit(Event::RunFinished {
            verdict: verdict.clone(),
            finished_at: Timestamp::now().to_string(),
            duration_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let events = self.stream.events.lock().unwrap_or_else(PoisonError::into_inner);
        Report::of(&events).unwrap_or_else(|| Report::without_events(verdict, facts))
    }

    /// Both at once.
    pub async fn run(self) -> Report {
        self.finish().await
    }

    async fn wait(&mut self, which: impl Fn(Phase) -> bool) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(phase, _)| which(*phase));
        self.waiting = later;
        for (_, task) in now {
            // The task catches its check's panics; it is joined before the runtime ends.
            if let Ok(result) = task.await {
                self.done.push(result);
            }
        }
    }

    fn all_set_aside(&self) -> Vec<SetAside> {
        let mut all = self.set_aside.clone();
        if let Some(Cut::FailFast(why)) = &*self.cut.borrow() {
            let cut = |check: &&CheckResult| {
                check.status == Status::Skipped && check.message.contains(why.as_str())
            };
            all.extend(self.done.iter().filter(cut).map(|check| SetAside::new(&check.name, why)));
        }
        all
    }

    async fn cluster_facts(&mut self) -> RunFacts {
        // Who interrupts does not want to wait.
        let patience = if self.cut.borrow().is_some() { Duration::ZERO } else { FACTS_PATIENCE };
        if let Ok(Ok(Some(facts))) = timeout(patience, &mut self.facts).await {
            self.known = facts.clone();
            self.facts = tokio::spawn(async move { Some(facts) });
        }
        self.known.clone()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.facts.abort();
        for (_, task) in &self.waiting {
            task.abort();
        }
    }
}

/// What the cluster is, as far as it says; nothing here decides anything.
async fn cluster_facts(shared: Arc<Shared>, mut facts: RunFacts) -> Option<RunFacts> {
    let namespaces = Resource::cluster_wide("", "v1", "namespaces", "Namespace");
    let reads: Arc<[Read]> = Arc::new([Read::get(namespaces.clone()), Read::access_reviews()]);
    let reader = Reader::new(Arc::clone(&shared.session), reads, "report");
    facts.cluster.version = Some(reader.version().await.ok()?.git_version);
    let (system, user) = tokio::join!(reader.get(&namespaces, None, "kube-system"), reader.user());
    let uid = |namespace: &serde_json::Value| namespace.pointer("/metadata/uid")?.as_str().map(str::to_owned);
    facts.cluster.uid = system.ok().flatten().and_then(|namespace| uid(&namespace));
    facts.cluster.user = user.ok().map(|user| user.username).filter(|name| !name.is_empty());
    Some(facts)
}

/// What the blocking phases came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Blocking {
    /// What was decided.
    pub verdict: Verdict,
    /// What each check of the blocking phases came to.
    pub checks: Vec<CheckResult>,
    facts: RunFacts,
}

impl Blocking {
    /// The clearance to deploy, if the verdict is `go`.
    ///
    /// # Errors
    /// The verdict is not `go`.
    pub fn gate(self) -> Result<Clearance, Refusal> {
        if self.verdict.decision == Decision::Go {
            Ok(Clearance { verdict: self.verdict, facts: self.facts })
        } else {
            Err(Refusal { verdict: Box::new(self.verdict) })
        }
    }
}

/// Leave to deploy exactly these manifests to exactly this cluster, for a while.
#[derive(Debug, Clone)]
pub struct Clearance {
    verdict: Verdict,
    facts: RunFacts,
}

impl Clearance {
    /// Digest of the manifests and the environment that were looked at: `sha256:…`.
    #[must_use]
    pub fn inputs_digest(&self) -> &str {
        &self.facts.inputs_digest
    }

    /// UID of the cluster's `kube-system` namespace, where it may be read.
    #[must_use]
    pub fn cluster_uid(&self) -> Option<&str> {
        self.facts.cluster.uid.as_deref()
    }

    /// Until when it holds, as RFC 3339.
    #[must_use]
    pub fn expires_at(&self) -> &str {
        &self.verdict.expires_at
    }

    /// Whether it still holds.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.verdict.expires_at.parse::<Timestamp>().is_ok_and(|expires| Timestamp::now() < expires)
    }

    /// The verdict that it stands on, with its warnings and what was set aside.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// Why there is no clearance.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", verdict.headline)]
#[non_exhaustive]
pub struct Refusal {
    /// The verdict: `no-go` or `unknown`.
    pub verdict: Box<Verdict>,
}
