//! What new claims are filled from.

use serde_json::{Value, json};

use crate::support::ok;
use crate::world::{CLASSES, Case, SNAPSHOT, case, claim, class, expect_all};

const OTHER: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/other";

fn filled(name: &str, source: &Value) -> Case {
    case(name).releases(&[claim(&json!({"dataSource": source}))])
}

#[tokio::test]
async fn sources_of_claims() {
    let rule = "data-source-missing";
    let snapshot =
        || json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"});
    let other = || json!({"kind": "PersistentVolumeClaim", "name": "other"});
    let ready = |ready: bool| json!({"kind": "VolumeSnapshot", "metadata": {"name": "before"}, "status": {"readyToUse": ready}});
    let mut of_release = claim(&json!({}));
    of_release["metadata"]["name"] = "other".into();
    let expects = json!({"expects": [{"kind": "VolumeSnapshot", "namespace": "shop", "name": "before"}]});
    let stale = json!({"kind": "APIGroupDiscoveryList", "items": [{
        "metadata": {"name": "snapshot.storage.k8s.io"},
        "versions": [{"version": "v1", "freshness": "Stale", "resources": []}]}]});
    expect_all(vec![
        filled("a snapshot that is ready", &snapshot()).holds(SNAPSHOT, &ready(true)).passes(&[rule]),
        filled("one that is not ready", &snapshot()).holds(SNAPSHOT, &ready(false)).warns(rule),
        filled("one that is not there", &snapshot()).fails(rule),
        filled("one that is expected", &snapshot()).environment(&expects).warns(rule),
        filled("one whose kind nothing serves", &snapshot())
            .holds("/apis", &json!({"kind": "APIGroupDiscoveryList", "items": []}))
            .fails(rule)
            .says("nothing serves that kind"),
        filled("one whose kind is served by what does not answer", &snapshot())
            .answers("/apis", ok(&stale))
            .unknown(&[rule]),
        filled("a claim that is there", &other()).holds(OTHER, &of_release).passes(&[rule]),
        filled("a claim that is not", &other()).fails(rule),
        case("a claim of the release")
            .releases(&[of_release, claim(&json!({"dataSource": other()}))])
            .passes(&[rule]),
        case("by a reference of any kind")
            .releases(&[claim(&json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "other"}}))])
            .fails(rule),
        filled("one that is not there, for a claim that nobody needs yet", &other())
            .lists(CLASSES, &[class("fast", &json!({"volumeBindingMode": "WaitForFirstConsumer"}))])
            .warns(rule),
    ])
    .await;
}
