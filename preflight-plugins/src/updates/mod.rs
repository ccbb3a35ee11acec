//! What becomes of an object that is there when it is applied anew, and which changes the API server refuses.

pub mod conflicts;
mod defaults;
pub mod immutable;
pub mod patch;

use preflight_core::Method;
use preflight_core::release::{Live, Planned};
use serde_json::Value;

use crate::changes::{last_applied, merged};
use patch::is_built_in;

/// An object as it is, and as it will be; `None` where nothing is there, or where it stays.
#[must_use]
pub fn before_and_after(planned: &Planned, method: Method) -> Option<(Value, Value)> {
    use preflight_core::release::Action;
    let Live::Present(live) = &planned.live else { return None };
    // `kubectl create` refuses whatever is there.
    if planned.action == Action::Unchanged || method == Method::Create {
        return None;
    }
    let wanted = &*planned.effective;
    let after = match method {
        Method::Client | Method::Argocd | Method::Helm if is_built_in(planned.object.group()) => {
            // What Helm takes away depends on the release before, which is not read.
            let before = if method == Method::Helm { None } else { last_applied(live) };
            patch::applied(live, &patch::strategic(&before.unwrap_or_default(), live, wanted))
        }
        _ => merged(planned, method),
    };
    Some(((**live).clone(), defaulted(after)))
}

#[cfg(feature = "interception")]
pub(crate) use defaults::{each, pod_spec, present, put};

/// An object with the values that the API server fills in, as far as they matter for what may be changed.
#[must_use]
pub fn defaulted(mut object: Value) -> Value {
    defaults::fill(&mut object);
    object
}
