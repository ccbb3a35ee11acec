//! Phases of a run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a deploy must wait for. Not the order of the work: everything starts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// Blocking; is the cluster there, and what the release stands on. Budget 45 seconds.
    Infrastructure,
    /// Blocking; will it fit. Budget 30 seconds more.
    Resources,
    /// Not blocking; may it run. Budget 5 minutes.
    Compliance,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 3] = [Self::Infrastructure, Self::Resources, Self::Compliance];

    /// Whether a deploy waits for it.
    #[must_use]
    pub const fn is_blocking(self) -> bool {
        !matches!(self, Self::Compliance)
    }

    /// When its checks must be done, counted from the start of the run: 45, 75 (45 + 30) and 300 seconds.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Infrastructure => Duration::from_secs(45),
            Self::Resources => Duration::from_secs(75),
            Self::Compliance => Duration::from_secs(300),
        }
    }

    /// The name that users see: `infrastructure`, `resources` or `compliance`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Resources => "resources",
            Self::Compliance => "compliance",
        }
    }
}
