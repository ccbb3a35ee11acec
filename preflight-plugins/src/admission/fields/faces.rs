//! How an object is sent, which decides how it is decoded.

use preflight_core::Method;
use preflight_core::release::{Action, Live, Planned};

/// What decodes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// It is made: the JSON decoder. kubectl leaves out of mappings what is null when it applies, not when it creates.
    Create {
        /// Whether what is null is left out.
        prunes: bool,
    },
    /// It is merged into what is there, and the whole is converted
    /// (`staging/src/k8s.io/apimachinery/pkg/runtime/converter.go`, v1.36).
    Patch,
    /// Server-side apply: the schemas of the structured merge, then the same conversion.
    Apply,
    /// One of the first two; what is there could not be looked at.
    Unseen,
}

impl Face {
    /// How an object of the release is sent; `None` where it is not.
    pub(super) fn of(planned: &Planned, method: Method) -> Option<Self> {
        let prunes = matches!(method, Method::Client | Method::Argocd);
        match (&planned.live, method) {
            (_, Method::Server) => Some(Self::Apply),
            _ if planned.action == Action::Unchanged => None,
            (Live::Absent, _) => Some(Self::Create { prunes }),
            // It is refused because it is there, and that is told elsewhere.
            (Live::Present(_), Method::Create) => None,
            (Live::Unknown(_), Method::Create) => Some(Self::Create { prunes }),
            (Live::Present(_), _) => Some(Self::Patch),
            _ => Some(Self::Unseen),
        }
    }

    /// Whether integers that do not fit are cut, not refused.
    pub(super) const fn cuts(self) -> bool {
        !matches!(self, Self::Create { .. })
    }
}

/// Whether unknown fields are refused. Helm asks for no validation of fields, so that they are dropped; and Argo CD does
/// not where it is told so.
pub(in crate::admission) fn is_strict(planned: &Planned, method: Method) -> bool {
    const OPTIONS: &str = "argocd.argoproj.io/sync-options";
    let annotations = planned.object.annotations();
    let lenient = |(key, value): &(&str, &str)| *key == OPTIONS && value.contains("Validate=false");
    match method {
        Method::Helm => false,
        Method::Argocd => !annotations.iter().any(lenient),
        _ => true,
    }
}
