//! What admission makes of the release's pods, handed over by the check that tries the release out.

use std::collections::BTreeMap;

use serde_json::Value;

/// Pods that admission changes, each as a whole, by the place of their workload in the release: a sidecar is injected, a
/// toleration is added.
#[derive(Debug, Default)]
pub(crate) struct AdmittedPods {
    pods: BTreeMap<usize, Value>,
    unclear: BTreeMap<usize, String>,
}

impl AdmittedPods {
    /// A pod of the object at a place of the release, if admission changes it; or why its pods are not known.
    #[cfg(feature = "resource-capacity")]
    pub(crate) fn of(&self, position: usize) -> Result<Option<&Value>, &str> {
        match self.unclear.get(&position) {
            Some(why) => Err(why),
            None => Ok(self.pods.get(&position)),
        }
    }

    /// The pods of an object are changed.
    #[cfg(feature = "admission")]
    pub(crate) fn change(&mut self, position: usize, pod: Value) {
        self.pods.entry(position).or_insert(pod);
    }

    /// What pods an object makes is not known.
    #[cfg(feature = "admission")]
    pub(crate) fn unclear(&mut self, position: usize, why: String) {
        self.unclear.insert(position, why);
    }
}
