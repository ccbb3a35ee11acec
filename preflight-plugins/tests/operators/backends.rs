//! What webhooks are called at, and for how long.

use preflight_core::Decision;
use serde_json::{Value, json};

use crate::world::{
    Case, MUTATING, SERVICE, SLICES, VALIDATING, ca_bundle, case, client, config_map, configuration,
    expect_all, service, set, slice, webhook,
};

const ALL: [&str; 4] = ["webhook-unavailable", "webhook-authority", "webhook-timeouts", "webhook-dry-run"];

/// The healthy webhook, with these fields instead.
fn with(name: &str, fields: &Value) -> Case {
    case(name).lists(VALIDATING, &[configuration("guards", &[webhook(fields)])])
}

#[tokio::test]
async fn where_webhooks_are_called() {
    let at = |bundle: &str| json!({"url": "https://guard.example.com/check", "caBundle": bundle});
    let mut external = service();
    external["spec"] = json!({"type": "ExternalName", "externalName": "guard.example.com"});
    let bundle = ca_bundle();
    let mut comes = service();
    set(&mut comes, &json!({"apiVersion": "v1"}));
    set(&mut comes["spec"], &json!({"selector": {"app": "guard"}}));
    let pods = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "guard", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "guard"}}, "template": {"metadata": {"labels": {"app": "guard"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    expect_all(vec![
        case("a webhook that is well").passes(&ALL),
        with("one without sideEffects", &json!({"sideEffects": null})).warns("webhook-dry-run"),
        with("one with side effects", &json!({"sideEffects": "Some"})).warns("webhook-dry-run"),
        with("one at a URL", &json!({"clientConfig": at(bundle)})).unknown(&["webhook-unavailable"]),
        with(
            "one at a URL that does not say what happens if it fails",
            &json!({"clientConfig": at(bundle), "failurePolicy": null}),
        )
        .unknown(&["webhook-unavailable"]),
        with("one at a URL that is ignored", &json!({"clientConfig": at(bundle), "failurePolicy": "Ignore"})),
        case("one whose Service is another name").holds(SERVICE, &external).unknown(&["webhook-unavailable"]),
        with("the same, ignored", &json!({"failurePolicy": "Ignore"})).holds(SERVICE, &external),
        with("one without an authority", &json!({"clientConfig": client("")}))
            .unknown(&["webhook-authority"]),
        with("the same, ignored", &json!({"clientConfig": client(""), "failurePolicy": "Ignore"}))
            .warns("webhook-authority"),
        with("one whose authority is no base64", &json!({"clientConfig": client("?")}))
            .fails("webhook-authority"),
        case("one whose Service is not there").lacks(SERVICE).fails("webhook-unavailable"),
        with("the same, ignored", &json!({"failurePolicy": "Ignore"}))
            .lacks(SERVICE)
            .warns("webhook-unavailable"),
        case("one whose Service comes with the release, without pods")
            .lacks(SERVICE)
            .releases(&[comes.clone(), config_map("settings", "shop")])
            .fails("webhook-unavailable")
            .says("the Service shop/guard comes only with the release, which brings no pods for it"),
        case("one whose Service comes with the release, with its pods")
            .lacks(SERVICE)
            .releases(&[comes, pods, config_map("settings", "shop")])
            .fails("webhook-unavailable")
            .says("and its pods, of Deployment shop/guard, are not ready when it is called"),
    ])
    .await;
}

#[tokio::test]
async fn endpoints() {
    let slices = |name: &str, slices: &[Value]| case(name).lists(SLICES, slices);
    let (yes, no) = (json!(true), json!(false));
    let mut empty = slice("https", &yes);
    empty["endpoints"] = json!(null);
    let mut unnamed = service();
    set(&mut unnamed["spec"], &json!({"ports": [{"port": 443}]}));
    let dead = "webhook-unavailable";
    expect_all(vec![
        slices("no slice", &[]).fails(dead),
        slices("an endpoint that is not ready", &[slice("https", &no)]).fails(dead),
        slices("one that does not say whether it is", &[slice("https", &json!(null))]),
        slices("one of another port", &[slice("metrics", &yes)]).fails(dead),
        slices("a slice without endpoints", &[empty.clone()]).fails(dead),
        slices(
            "several slices, one with a ready endpoint",
            &[empty, slice("https", &no), slice("https", &yes)],
        ),
        slices(
            "several slices, the ready one of another port",
            &[slice("https", &no), slice("metrics", &yes)],
        )
        .fails(dead),
        slices("a port without a name", &[slice("", &yes)]).holds(SERVICE, &unnamed),
        slices("a port without a name, and an endpoint of another", &[slice("https", &yes)])
            .holds(SERVICE, &unnamed)
            .fails(dead),
    ])
    .await;
}

#[tokio::test]
async fn timeouts_add_up() {
    let takes = |name: &str, seconds: i64| webhook(&json!({"name": name, "timeoutSeconds": seconds}));
    let all = |name: &str, mutating: &[i64], validating: &[i64]| {
        let of = |kind: &str, seconds: &[i64]| {
            let numbered = seconds.iter().enumerate();
            numbered.map(|(at, seconds)| takes(&format!("{kind}-{at}"), *seconds)).collect::<Vec<_>>()
        };
        case(name)
            .lists(MUTATING, &[configuration("m", &of("m", mutating))])
            .lists(VALIDATING, &[configuration("v", &of("v", validating))])
    };
    let mut unsaid = webhook(&json!({}));
    set(&mut unsaid, &json!({"timeoutSeconds": null}));
    let (long, slow) = ("webhook-timeouts", Decision::Go);
    expect_all(vec![
        all("33 s", &[10, 10], &[13, 3]).passes(&[long]),
        all("34 s", &[10, 10], &[14, 3]).is(slow, &[(long, "warning")]),
        all("two validating ones of 30 s, side by side", &[], &[30, 30]).passes(&[long]),
        all("two mutating ones of 17 s, one after the other", &[17, 17], &[]).is(slow, &[(long, "warning")]),
        case("four that do not say, so 10 s each")
            .lists(MUTATING, &[configuration("m", &[unsaid.clone(), unsaid.clone(), unsaid])])
            .is(slow, &[(long, "warning")]),
    ])
    .await;
}
