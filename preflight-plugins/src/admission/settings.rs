//! What an environment says of admission.

use preflight_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// How the API server's decisions are found out.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Admission {
    /// Whether writes are tried out (`dryRun=All`), of which the API server keeps nothing.
    pub dry_run: DryRun,
}

/// Whether writes are tried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DryRun {
    /// Where the identity may. Where it may not, the rules that need it are set aside, and the verdict says so.
    #[default]
    Auto,
    /// Never.
    Never,
    /// It must be possible: what could not be tried is unknown.
    Required,
}

impl Settings for Admission {
    const SECTION: &'static str = "admission";
}
