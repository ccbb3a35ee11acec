//! Sections of an environment that belong to plugins.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::yaml::{Located, Node};

/// A section of an environment that a plugin reads. Derive `Deserialize` with `deny_unknown_fields`, so that a
/// misspelt key is refused.
pub trait Settings: DeserializeOwned + Default + JsonSchema + Send + Sync + 'static {
    /// The section's key, in snake_case.
    const SECTION: &'static str;
}

type Erased = Arc<dyn Any + Send + Sync>;

/// The plugins' settings, by type.
pub(crate) type SettingsMap = HashMap<TypeId, Erased>;

/// A claim to a section.
#[derive(Clone)]
pub struct SettingsSpec {
    id: TypeId,
    section: &'static str,
    read: fn(Option<&Node>) -> Result<Erased, Located>,
    schema: fn() -> serde_json::Value,
}

impl fmt::Debug for SettingsSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettingsSpec").field(&self.section).finish()
    }
}

impl SettingsSpec {
    /// The claim of these settings.
    #[must_use]
    pub fn of<S: Settings>() -> Self {
        Self {
            id: TypeId::of::<S>(),
            section: S::SECTION,
            read: |node| match node {
                Some(node) => S::deserialize(node).map(|settings| Arc::new(settings) as Erased),
                None => Ok(Arc::new(S::default())),
            },
            schema: || schemars::schema_for!(S).to_value(),
        }
    }

    pub(crate) const fn id(&self) -> TypeId {
        self.id
    }

    pub(crate) const fn section(&self) -> &'static str {
        self.section
    }

    pub(crate) fn read(&self, node: Option<&Node>) -> Result<Erased, Located> {
        (self.read)(node)
    }

    pub(crate) fn schema(&self) -> serde_json::Value {
        (self.schema)()
    }
}
