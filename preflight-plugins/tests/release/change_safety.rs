use serde_json::json;

use super::support::cases::expect_all;
use super::support::status;
use super::{SCALERS, SECRETS, WEB, case, deployment};

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
