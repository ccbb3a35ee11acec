//! What an environment says of references.

use preflight_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// How references are looked at.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct References {
    /// Whether Secrets may be read to see which keys they have. Their contents are neither kept nor told.
    pub read_secrets: bool,
}

impl Settings for References {
    const SECTION: &'static str = "references";
}
