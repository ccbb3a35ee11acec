//! Sections of an environment that belong to checks which are not built yet. They are read, so that a mistake in
//! them is told now; that nothing enforces them is told by every verdict.

use preflight_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// What images must and must not have.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Security {
    /// The severity from which a known vulnerability stands in the way.
    pub cve_threshold: Option<CveThreshold>,
    /// Whether images must be signed.
    pub require_signatures: bool,
    /// Whether images must have attestations.
    pub require_attestations: bool,
}

impl Settings for Security {
    const SECTION: &'static str = "security";
}

/// A severity of vulnerabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CveThreshold {
    /// Low and worse.
    Low,
    /// Medium and worse.
    Medium,
    /// High and worse.
    High,
    /// Critical alone.
    Critical,
}
