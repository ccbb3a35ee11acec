//! Sections of an environment that belong to plugins.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Environment;
use crate::yaml::{FieldPath, Located, Node};

/// A section of an environment that a plugin reads. Derive `Deserialize` with `deny_unknown_fields`, so that a
/// misspelt key is refused.
pub trait Settings: DeserializeOwned + Default + JsonSchema + Send + Sync + 'static {
    /// The section's key, in snake_case.
    const SECTION: &'static str;

    /// Looks at what the types cannot say: that files are there and hold what they should, for example.
    ///
    /// # Errors
    /// What is wrong, where in the section, and what to do. It is told as bad input.
    fn validate(&self, _environment: &Environment) -> Result<(), SettingsProblem> {
        Ok(())
    }
}

/// What is wrong with a section of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsProblem {
    /// Where in the section.
    pub path: FieldPath,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl SettingsProblem {
    /// A problem at a field of the section.
    pub fn new(path: FieldPath, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { path, message: message.into(), help: help.into() }
    }
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
    validate: fn(&Erased, &Environment) -> Result<(), SettingsProblem>,
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
            validate: |settings, environment| {
                let settings = settings.downcast_ref::<S>();
                settings.map_or(Ok(()), |settings| settings.validate(environment))
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

    pub(crate) fn validate(
        &self,
        settings: &Erased,
        environment: &Environment,
    ) -> Result<(), SettingsProblem> {
        (self.validate)(settings, environment)
    }

    pub(crate) fn schema(&self) -> serde_json::Value {
        (self.schema)()
    }
}
