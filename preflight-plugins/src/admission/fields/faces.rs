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
            _ if is_applied_by_server(planned, method) => Some(Self::Apply),
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

/// Whether the API server merges it. Argo CD has it do so where the object says so.
fn is_applied_by_server(planned: &Planned, method: Method) -> bool {
    const OPTIONS: &str = "argocd.argoproj.io/sync-options";
    let annotations = planned.object.annotations();
    let mut options =
        annotations.iter().filter(|(key, _)| *key == OPTIONS).flat_map(|(_, all)| all.split(','));
    match method {
        Method::Server => true,
        Method::Argocd => options.any(|option| option.trim() == "ServerSideApply=true"),
        _ => false,
    }
}

/// Who has unknown fields dropped instead of refused; `None` where they are refused. Argo CD sets kubectl's validator, which
/// leaves it to the API server, but asks that for nothing (`newApplyOptionsCommon` in its
/// `gitops-engine/pkg/utils/kube/resource_ops.go`; argoproj/argo-cd#16817). Helm 4 asks for it (`Create` in `pkg/kube/client.go`).
pub(in crate::admission) fn who_drops(planned: &Planned, method: Method) -> Option<&'static str> {
    match method {
        _ if is_applied_by_server(planned, method) => None,
        Method::Helm => Some("Helm 3 has it dropped, Helm 4 has it refused"),
        Method::Argocd => Some("Argo CD has it dropped"),
        _ => None,
    }
}
