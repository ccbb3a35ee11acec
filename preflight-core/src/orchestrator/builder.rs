//! Putting a run together.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::run::{Plan, Run};
use super::select::{Selection, select};
use crate::InputError;
use crate::cluster::{Cluster, Session};
use crate::context::Shared;
use crate::environment::{Environment, SettingsSpec};
use crate::event::Listener;
use crate::handover::Handover;
use crate::manifests::Manifests;
use crate::phase::Phase;
use crate::plugin::Plugin;
use crate::report::{ClusterFacts, RunFacts};
use crate::snapshot::Recorder;

/// A run, put together and not yet started.
///
/// ```no_run
/// # async fn demo(cluster: preflight_core::Cluster) -> Result<(), Box<dyn std::error::Error>> {
/// use preflight_core::{Manifests, Preflight};
///
/// let mut run = Preflight::new(cluster).manifests(Manifests::from_path("deploy/")?).start()?;
/// let clearance = run.blocking().await.gate()?;
/// println!("{} may be applied until {}", clearance.inputs_digest(), clearance.expires_at());
/// let report = run.finish().await;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Preflight {
    cluster: Cluster,
    environment: Environment,
    manifests: Manifests,
    plugins: Vec<Arc<dyn Plugin>>,
    listeners: Vec<Arc<dyn Listener>>,
    settings: Vec<SettingsSpec>,
    selection: Selection,
    namespace: Option<String>,
    fail_fast: bool,
    timeout: Option<Duration>,
    recorder: Option<Recorder>,
    offline: bool,
}

impl Preflight {
    /// A run against a cluster, with nothing to check yet.
    pub fn new(cluster: impl Into<Cluster>) -> Self {
        Self {
            cluster: cluster.into(),
            environment: Environment::default(),
            manifests: Manifests::empty(),
            plugins: Vec::new(),
            listeners: Vec::new(),
            settings: Vec::new(),
            selection: Selection::default(),
            namespace: None,
            fail_fast: false,
            timeout: None,
            recorder: None,
            offline: false,
        }
    }

    /// The environment's entry.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// What is about to be applied.
    pub fn manifests(mut self, manifests: Manifests) -> Self {
        self.manifests = manifests;
        self
    }

    /// Adds a check.
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Adds checks.
    pub fn plugins(mut self, plugins: impl IntoIterator<Item = Arc<dyn Plugin>>) -> Self {
        self.plugins.extend(plugins);
        self
    }

    /// Knows sections of the environment whose plugins are not part of this run. The verdict says that they were
    /// not looked at.
    pub fn known_settings(mut self, settings: impl IntoIterator<Item = SettingsSpec>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Runs only the checks of these names. Beta checks run only if they are named here.
    pub fn only(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.selection.only.extend(names);
        self
    }

    /// Sets the checks of these names aside. The verdict says so.
    pub fn skip(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.selection.skip.extend(names);
        self
    }

    /// Runs only the phases that a deploy must wait for. The verdict says what was set aside.
    pub const fn only_blocking(mut self, only_blocking: bool) -> Self {
        self.selection.blocking = only_blocking;
        self
    }

    /// The namespace of objects that name none, as `kubectl -n`. Objects that name another contradict it.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Stops at the first check that fails.
    pub const fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// The most time that the whole run may take, where the phases' deadlines are too long.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reaches the cluster and nothing else. What only something else could answer is set aside, and the verdict says
    /// so.
    pub const fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Listens to the run.
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Records what the cluster answers, for a snapshot.
    pub fn recorder(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Starts everything at once. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Bad configuration: an unknown check, two checks of one name, a section of the environment that no plugin
    /// claims or that does not fit. From here on the run is infallible.
    pub fn start(self) -> Result<Run, InputError> {
        let selected = select(self.plugins, &self.selection, &self.environment)?;
        let mut specs: Vec<SettingsSpec> = selected.known_settings;
        let claimed: Vec<&'static str> = selected
            .checks
            .iter()
            .flat_map(|check| check.descriptor.settings.iter().map(SettingsSpec::section))
            .collect();
        specs.extend(self.settings);
        let settings = self.environment.read_settings(&specs)?;
        let mut set_aside = selected.set_aside;
        set_aside.extend(self.environment.unread_sections(&claimed));

        let start = Instant::now();
        let started = Timestamp::now();
        let deadline =
            |phase: Phase| start + self.timeout.map_or(phase.deadline(), |cap| cap.min(phase.deadline()));
        let reads = selected.checks.iter().flat_map(|check| check.descriptor.reads.clone()).collect();
        let session = Session::new(
            &self.cluster,
            reads,
            deadline(Phase::Compliance),
            self.recorder,
            self.environment.cluster_uid().map(str::to_owned),
        );
        let namespace = self.namespace.or_else(|| self.environment.namespace().map(str::to_owned));
        let default_namespace = namespace
            .clone()
            .or_else(|| self.cluster.namespace().map(str::to_owned))
            .unwrap_or_else(|| "default".to_owned());
        let facts = RunFacts {
            preflight_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started.to_string(),
            environment: self.environment.name().map(str::to_owned),
            inputs_digest: inputs_digest(&self.manifests, &self.environment, &default_namespace),
            objects: self.manifests.objects().len(),
            cluster: ClusterFacts {
                server: self.cluster.server().map(str::to_owned),
                context: self.cluster.context().map(str::to_owned),
                source: self.cluster.source().to_owned(),
                ..ClusterFacts::default()
            },
        };
        let plan = Plan {
            shared: Arc::new(Shared {
                session,
                manifests: self.manifests,
                environment: self.environment,
                cluster_context: self.cluster.context().map(str::to_owned),
                namespace,
                default_namespace,
                settings,
                offline: self.offline,
                release: tokio::sync::OnceCell::new(),
                handover: Handover::of(
                    selected.checks.iter().flat_map(|check| check.descriptor.provides.clone()),
                ),
            }),
            checks: selected.checks,
            set_aside,
            facts,
            notes: selected.notes,
            fail_fast: self.fail_fast,
            listeners: self.listeners,
            start,
            started,
            timeout: self.timeout,
        };
        Ok(Run::start(plan))
    }
}

/// A digest of everything that the verdict depends on and that the user gave.
fn inputs_digest(manifests: &Manifests, environment: &Environment, namespace: &str) -> String {
    let mut digest = Sha256::new();
    for part in [manifests.digest().as_str(), &environment.digest(), namespace] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    format!("sha256:{}", digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
