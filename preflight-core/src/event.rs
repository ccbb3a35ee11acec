//! What happens during a run, as data. Reporters and metrics only listen, and the report is the fold of the
//! events, so that live and replayed output agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::report::{RunFacts, Verdict};
use crate::result::CheckResult;

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The run began; everything that can start, starts now.
    #[serde(rename_all = "camelCase")]
    RunStarted {
        /// The names of the checks that run, with their phases.
        checks: Vec<(String, Phase)>,
        /// What the run is about, as far as is known without asking the cluster.
        facts: RunFacts,
        /// What users should know besides: checks that will go.
        notes: Vec<String>,
    },
    /// The API server answered, or what it is became known.
    #[serde(rename_all = "camelCase")]
    ClusterKnown {
        /// What the run is about, with what the cluster said.
        facts: RunFacts,
    },
    /// A check came to its end.
    CheckFinished {
        /// What it came to.
        result: CheckResult,
    },
    /// The run was cut short.
    Interrupted {
        /// Why: a signal, or fail-fast.
        why: String,
    },
    /// The run came to its end.
    #[serde(rename_all = "camelCase")]
    RunFinished {
        /// What was decided.
        verdict: Verdict,
        /// When, as RFC 3339.
        finished_at: String,
        /// How long the run took, in milliseconds.
        #[serde(rename = "duration_ms")]
        duration_ms: u64,
    },
}

/// Listens to a run. Called on the run's own task: it must not block.
pub trait Listener: Send + Sync + 'static {
    /// Something happened.
    fn on(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Listener for F {
    fn on(&self, event: &Event) {
        self(event);
    }
}
