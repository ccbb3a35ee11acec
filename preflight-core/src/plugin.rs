//! The interface of a check.

use std::time::Duration;

use async_trait::async_trait;

use crate::cluster::Read;
use crate::context::Context;
use crate::environment::{Settings, SettingsSpec};
use crate::error::Undecided;
use crate::handover::Provided;
use crate::phase::Phase;
use crate::result::CheckResult;
use crate::rule::{Rule, Stability};

/// What a plugin is, decides, reads and can be set to.
#[derive(Debug, Clone)]
pub struct Descriptor {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) phase: Phase,
    pub(crate) stability: Stability,
    pub(crate) rules: Vec<&'static Rule>,
    pub(crate) reads: Vec<Read>,
    pub(crate) settings: Vec<SettingsSpec>,
    pub(crate) provides: Vec<Provided>,
    pub(crate) timeout: Option<Duration>,
}

impl Descriptor {
    /// A stable plugin. `name` is in kebab-case and the first part of its rules' ids.
    #[must_use]
    pub fn new(name: &'static str, phase: Phase, rules: &[&'static Rule]) -> Self {
        Self {
            name,
            summary: "",
            phase,
            stability: Stability::Stable,
            rules: rules.to_vec(),
            reads: Vec::new(),
            settings: Vec::new(),
            provides: Vec::new(),
            timeout: None,
        }
    }

    /// What it checks, in one sentence; shown by `preflight list`.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Says that the plugin hands a result over to others ([`Context::provide`]).
    #[must_use]
    pub fn provides<T: std::any::Any + Send + Sync>(mut self) -> Self {
        self.provides.push(Provided::of::<T>());
        self
    }

    /// Adds rules that are declared elsewhere.
    #[must_use]
    pub fn rules(mut self, rules: &[&'static Rule]) -> Self {
        self.rules.extend_from_slice(rules);
        self
    }

    /// Declares a read of the cluster. What is not declared cannot be read, is not in the ClusterRole that
    /// `preflight rbac` prints, and is not recorded in snapshots.
    #[must_use]
    pub fn reads(mut self, read: Read) -> Self {
        self.reads.push(read);
        self
    }

    /// Claims a section of `environments.yaml`.
    #[must_use]
    pub fn settings<S: Settings>(mut self) -> Self {
        self.settings.push(SettingsSpec::of::<S>());
        self
    }

    /// How long the check may take, where the phase's deadline is too long for it.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How far the plugin has come in its life; stable by default.
    #[must_use]
    pub const fn stability(mut self, stability: Stability) -> Self {
        self.stability = stability;
        self
    }

    /// The plugin's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it checks, in one sentence.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        self.summary
    }

    /// The phase that it runs in.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How far it has come in its life.
    #[must_use]
    pub const fn life(&self) -> Stability {
        self.stability
    }

    /// Its rules, in the order of declaration.
    #[must_use]
    pub fn all_rules(&self) -> &[&'static Rule] {
        &self.rules
    }

    /// The sections of an environment that it claims.
    #[must_use]
    pub fn all_settings(&self) -> &[SettingsSpec] {
        &self.settings
    }

    /// What it may read from the cluster.
    #[must_use]
    pub fn all_reads(&self) -> &[Read] {
        &self.reads
    }
}

/// A check. One implementation gives one [`CheckResult`] a run.
#[async_trait]
pub trait Plugin: Send + Sync + 'static {
    /// What it is, decides, reads and can be set to. Asked once a run.
    fn descriptor(&self) -> Descriptor;

    /// Looks, and writes what it finds through [`Context::examine`].
    ///
    /// # Errors
    /// Whatever keeps it from going on: what it has not concluded is then unknown, or skipped where a failed
    /// cause stands behind the error.
    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided>;
}
