//! What a deployment check is, how checks run against a real cluster, and how results are told.
//!
//! One question is answered before anything is applied: *will this release land on this cluster, now?* The answer
//! is `go`, `no-go` or `unknown`, and every `no-go` names the object, the line in the manifest, and the command
//! that mends it.
//!
//! # The law: a pass needs evidence
//!
//! A rule passes only when the plugin says so and says on what evidence. Whatever could not be looked at, for
//! whatever reason, is `unknown`, and `unknown` never turns into `go`. What a failed cause makes impossible is
//! `skipped`, with the name of that cause: one cause, one failure.
//!
//! # Embedding
//!
//! ```no_run
//! use preflight_core::cluster::AccessOptions;
//! use preflight_core::{Cluster, Manifests, Preflight};
//!
//! # async fn deploy() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::resolve(&AccessOptions::default())?; // reads local files only
//! let mut run = Preflight::new(cluster)
//!     .manifests(Manifests::from_path("deploy/")?)
//!     .start()?; // an error is bad configuration; from here on nothing fails
//! let clearance = run.blocking().await.gate()?; // binds the manifests and the cluster, for a while
//! println!("cleared until {}", clearance.expires_at());
//! let report = run.finish().await; // with the compliance phase
//! # Ok(())
//! # }
//! ```
//!
//! # Writing a check
//!
//! A check is a type that implements [`Plugin`]: it declares its rules with [`rules!`] and what it reads with
//! [`cluster::Read`], and writes what it finds through [`Context::examine`]. See `examples/custom_plugin.rs`.

pub mod cluster;
mod context;
mod environment;
mod error;
mod event;
mod examine;
mod handover;
mod input;
pub mod manifests;
pub mod net;
mod orchestrator;
mod phase;
mod plugin;
mod quantity;
mod redact;
pub mod release;
pub mod report;
pub mod reporter;
mod result;
mod rule;
pub mod snapshot;
mod yaml;

pub use async_trait::async_trait;

pub use cluster::Cluster;
pub use context::Context;
pub use environment::{
    Apply, Environment, Environments, Expected, Method, OnUnknown, Settings, SettingsProblem, SettingsSpec,
};
pub use error::{Advice, Undecided};
pub use event::{Event, Listener};
pub use examine::{Examination, RuleCheck};
pub use input::InputError;
pub use manifests::Manifests;
pub use orchestrator::{Blocking, Clearance, Preflight, Refusal, Run, Stop};
pub use phase::Phase;
pub use plugin::{Descriptor, Plugin};
pub use quantity::{Quantity, QuantityError};
pub use redact::redact;
pub use report::{Decision, Report, Verdict};
pub use result::{Basis, CheckResult, Finding, Outcome, Remediation, RuleResult, Severity, Status, Subject};
pub use rule::{Consequence, Rule, Stability};
pub use yaml::{FieldPath, Place, Segment};
