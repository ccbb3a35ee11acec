//! What stands between a write and the cluster: requests as admission sees them, and which webhooks and policies are
//! called for them.

#[cfg(feature = "admission")]
mod evaluate;
mod made;
mod matching;
#[cfg(feature = "admission")]
mod mutate;
mod policies;
mod requests;
#[cfg(feature = "admission")]
mod settle;
mod webhooks;

#[cfg(feature = "admission")]
pub(crate) use evaluate::{Compiled, Outcome, Seen, validate};
pub(crate) use matching::{Matched, Whose};
pub(crate) use policies::{
    Binding, MutatingBinding, MutatingPolicy, Pair, Parameters, Policies, Policy, parameters,
};
#[cfg(feature = "admission")]
pub(crate) use policies::{Force, PolicyKind};
pub(crate) use requests::{LimitRanges, Request, Requests, requests};
#[cfg(feature = "admission")]
pub(crate) use settle::{Sources, changing, compiled, settle};
#[cfg(feature = "operator-health")]
pub(crate) use webhooks::{ClientConfig, ServiceReference};
pub(crate) use webhooks::{Mutating, Validating, Webhook};
