//! What an environment says of the cluster's storage.

use preflight_core::{Environment, FieldPath, Settings, SettingsProblem};
use schemars::JsonSchema;
use serde::Deserialize;

/// What cannot be seen of the cluster's storage.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Storage {
    /// Provisioners that are no CSI drivers and that make volumes there, by the names that StorageClasses have for them:
    /// `rancher.io/local-path`.
    pub provisioners: Vec<String>,
}

impl Settings for Storage {
    const SECTION: &'static str = "storage";

    fn validate(&self, _environment: &Environment) -> Result<(), SettingsProblem> {
        let blank = |name: &String| name.trim().is_empty() || name.contains(char::is_whitespace);
        match self.provisioners.iter().position(blank) {
            None => Ok(()),
            Some(at) => Err(SettingsProblem::new(
                FieldPath::root().key("provisioners").index(at),
                format!("{:?} is no name of a provisioner", self.provisioners[at]),
                "write it as the StorageClass does: `rancher.io/local-path`",
            )),
        }
    }
}
