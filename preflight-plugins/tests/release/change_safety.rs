use serde_json::{Value, json};

use super::support::cases::expect_all;
use super::support::status;
use super::{SCALERS, SECRETS, WEB, case, deployment, service};

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown() {
    let live = deployment(json!({"replicas": 3}));
    let helm = json!({"apply": "helm"});
    expect_all(vec![
        case("change-safety", "nothing is there").passes(&["annotations-too-large"]),
        case("change-safety", "what is there is forbidden to see")
            .answers(WEB, status(403, "no"))
            .unknown(&["being-deleted", "immutable-field", "owned-by-others", "paused"]),
        case("change-safety", "something is there").holds(WEB, &live).passes(&["immutable-field"]),
        case("change-safety", "autoscalers are forbidden")
            .holds(WEB, &live)
            .answers(SCALERS, status(403, "no"))
            .unknown(&["replicas-of-autoscaler"]),
        case("change-safety", "what Helm keeps is forbidden to see")
            .environment(&helm)
            .answers(SECRETS, status(403, "no"))
            .unknown(&["helm-pending"]),
        case("change-safety", "Helm is not used").answers(SECRETS, status(403, "no")),
    ])
    .await;
}

#[tokio::test]
async fn helm_takes_over_what_was_its_own() {
    let helm = json!({"apply": "helm"});
    let labelled = |name: &str| json!({"app.kubernetes.io/instance": name});
    let release = || {
        // Most of them say of which release they are.
        let mut own = [deployment(json!({})), service("web", json!({})), service("more", json!({}))];
        own.iter_mut().for_each(|object| object["metadata"]["labels"] = labelled("shop"));
        own
    };
    let live = |labels: &Value, annotations: &Value, manager: &str| {
        let mut live = deployment(json!({}));
        live["metadata"]["labels"] = labels.clone();
        live["metadata"]["annotations"] = annotations.clone();
        live["metadata"]["managedFields"] = json!([{"manager": manager}]);
        live
    };
    let none = json!({});
    let by_helm = json!({"app.kubernetes.io/managed-by": "Helm"});
    let of =
        |name: &str| json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "default"});
    let record = |status: &str| {
        json!({"metadata": {"name": "sh.helm.release.v1.shop.v1", "labels": {
            "owner": "helm", "name": "shop", "status": status, "version": "1"}}})
    };
    let case = |name: &'static str, live: Value, records: &[Value]| {
        case("change-safety", name)
            .environment(&helm)
            .releases(&release())
            .holds(WEB, &live)
            .lists(SECRETS, records)
    };
    let bare = live(&none, &none, "helm");
    let others = live(&none, &none, "kubectl-create");
    let mut hook = release();
    hook[0]["metadata"]["annotations"] =
        json!({"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "hook-succeeded"});
    expect_all(vec![
        case("it is the release's own", live(&by_helm, &of("shop"), "helm"), &[record("deployed")])
            .passes(&["helm-ownership"]),
        case("it is another release's", live(&by_helm, &of("other"), "helm"), &[record("deployed")])
            .fails("helm-ownership")
            .says("of the release other, not of shop"),
        case("an install meets it", bare.clone(), &[]).fails("helm-ownership"),
        case("an install after an uninstall meets it", bare.clone(), &[record("uninstalled")])
            .fails("helm-ownership"),
        case("an upgrade meets what Helm has written", bare.clone(), &[record("deployed")])
            .unknown(&["helm-ownership"])
            .says("helm get manifest shop -n default"),
        case("an upgrade meets what Helm has never written", others, &[record("deployed")])
            .fails("helm-ownership"),
        case("whether it is an upgrade is not known", bare.clone(), &[])
            .answers(SECRETS, status(403, "no"))
            .unknown(&["helm-ownership", "helm-pending"]),
        case("a hook meets it", bare, &[record("deployed")]).releases(&hook),
        case("an upgrade is under way", live(&by_helm, &of("shop"), "helm"), &[record("pending-upgrade")])
            .fails("helm-pending"),
    ])
    .await;
}

/// Two checks see it, and one of them tells it.
#[tokio::test]
async fn a_conflict_is_told_once() {
    let mut live = deployment(json!({"replicas": 3}));
    live["metadata"]["managedFields"] = json!([{"manager": "scaler", "operation": "Update", "apiVersion": "apps/v1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let refusal = "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1: .spec.replicas";
    let case = |check: &'static str, name: &'static str| {
        case(check, name)
            .environment(&json!({"apply": "server"}))
            .releases(&[deployment(json!({}))])
            .holds(WEB, &live)
            .answers(&format!("PATCH {WEB}"), status(409, refusal))
    };
    expect_all(vec![
        case("change-safety", "a field is another's").fails("field-conflict").says("belongs to scaler"),
        case("admission", "a field is another's, which another check tells").passes(&["refused"]),
        case("admission", "a conflict that no other check sees")
            .holds(WEB, &deployment(json!({"replicas": 3})))
            .fails("refused"),
    ])
    .await;
}
