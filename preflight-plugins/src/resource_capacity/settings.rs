//! What an environment says of the cluster's room.

use std::collections::BTreeMap;

use preflight_core::{Environment, FieldPath, Quantity, Settings, SettingsProblem};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::labels::Labels;

/// How much of the cluster may be requested, and used, after the release.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResourceThresholds {
    /// Percent of the allocatable CPU.
    #[schemars(range(min = 0, max = 100))]
    pub cpu_percent: Option<u8>,
    /// Percent of the allocatable memory.
    #[schemars(range(min = 0, max = 100))]
    pub memory_percent: Option<u8>,
    /// Whether the Metrics API must tell how much is in use.
    pub metrics: Metrics,
}

impl ResourceThresholds {
    /// The percentages, by the name of the resource that they are of.
    pub(super) const fn percents(&self) -> [(&'static str, Option<u8>); 2] {
        [("cpu", self.cpu_percent), ("memory", self.memory_percent)]
    }
}

/// What is done where the Metrics API is not served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Metrics {
    /// What is in use is not looked at.
    #[default]
    Optional,
    /// It is unknown, and blocks.
    Required,
}

impl Settings for ResourceThresholds {
    const SECTION: &'static str = "resource_thresholds";

    fn validate(&self, _environment: &Environment) -> Result<(), SettingsProblem> {
        for (resource, percent) in self.percents() {
            if let Some(percent) = percent.filter(|percent| *percent > 100) {
                let message = format!("{percent} is more than all there is");
                return Err(SettingsProblem::new(
                    FieldPath::of(&format!("{resource}_percent")),
                    message,
                    "give a percentage from 0 to 100",
                ));
            }
        }
        Ok(())
    }
}

/// Room that the cluster may have later.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Capacity {
    /// Groups of nodes that grow when pods do not fit, by a name of the environment's choosing.
    pub elastic: BTreeMap<String, Group>,
}

/// A group of nodes that an autoscaler adds to.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Group {
    /// Labels that its nodes have, and new ones will have.
    pub labels: BTreeMap<String, String>,
    /// How many nodes it may have in all.
    pub max_nodes: usize,
    /// What pods may request of a new node, where the group has none yet to go by.
    #[serde(default)]
    pub allocatable: BTreeMap<String, String>,
}

impl Settings for Capacity {
    const SECTION: &'static str = "capacity";

    fn validate(&self, _environment: &Environment) -> Result<(), SettingsProblem> {
        for (name, group) in &self.elastic {
            let at = FieldPath::of("elastic").key(name.as_str());
            if group.labels.is_empty() {
                let help = "name the labels that the group's nodes have";
                return Err(SettingsProblem::new(at, format!("the group {name} has no labels"), help));
            }
            for (resource, amount) in &group.allocatable {
                if let Err(error) = Quantity::parse(amount) {
                    let at = at.key("allocatable").key(resource.as_str());
                    return Err(SettingsProblem::new(
                        at,
                        error.to_string(),
                        "give a quantity, such as 4 or 16Gi",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Group {
    /// Whether a node is one of the group's.
    pub(super) fn has(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}
