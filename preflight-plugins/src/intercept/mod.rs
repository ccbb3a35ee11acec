//! What stands between a write and the cluster: requests as admission sees them, and which webhooks and policies are
//! called for them.

mod evaluate;
mod made;
mod matching;
mod mutate;
mod policies;
mod requests;
mod settle;
mod webhooks;

pub(crate) use evaluate::{Compiled, Outcome, Seen, validate};
pub(crate) use made::claims;
pub(crate) use matching::{Matched, Whose};
pub(crate) use policies::{
    Binding, MutatingBinding, MutatingPolicy, Pair, Parameters, Policies, Policy, parameters,
};
pub(crate) use policies::{Force, PolicyKind};
pub(crate) use requests::{LimitRanges, Request, Requests, requests};
pub(crate) use settle::{Settled, Sources, changing, compiled, settle};
pub(crate) use webhooks::{ClientConfig, ServiceReference};
pub(crate) use webhooks::{Mutating, Validating, Webhook};
