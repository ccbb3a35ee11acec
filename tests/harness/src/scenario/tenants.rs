//! Identities that see their own namespaces alone.

use std::collections::BTreeSet;
use std::io;

use serde_json::json;

use super::PATIENCE;
use super::state::other;
use crate::api::Api;
use crate::control_plane::ControlPlane;
use crate::credentials::User;
use crate::waiting::poll;

/// Each with its user, and what its Roles allow.
const TENANTS: [(User, &str, &[&str]); 2] =
    [(User::Tenant, "tenant", &["*"]), (User::TenantReader, "tenant-reader", &["get", "list", "watch"])];
const GROUP: &str = "rbac.authorization.k8s.io";

/// Gives both of them these namespaces, and waits until they are let in.
pub(super) async fn admit(plane: &ControlPlane, namespaces: &BTreeSet<String>) -> io::Result<()> {
    for (user, name, verbs) in TENANTS {
        for namespace in namespaces {
            let metadata = json!({"name": name, "namespace": namespace});
            let role = json!({
                "apiVersion": format!("{GROUP}/v1"), "kind": "Role", "metadata": metadata,
                "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}],
            });
            let binding = json!({
                "apiVersion": format!("{GROUP}/v1"), "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
                "subjects": [{"apiGroup": GROUP, "kind": "User", "name": name}],
            });
            for object in [role, binding] {
                plane.api().create(&object).await.map_err(other)?;
            }
        }
        let api = Api::from_kubeconfig(&plane.kubeconfig(&user, "harness")?).await?;
        for namespace in namespaces {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            let let_in = poll(PATIENCE, async || api.get(&path).await.ok()).await;
            let_in.ok_or_else(|| io::Error::other(format!("{name} is not let into {namespace}")))?;
        }
    }
    Ok(())
}
