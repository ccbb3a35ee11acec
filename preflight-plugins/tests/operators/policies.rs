//! Admission policies in CEL, and their parameters.

use preflight_core::Decision;
use serde_json::{Value, json};

use crate::support::status;
use crate::world::{
    BINDINGS, Case, MUTATING_BINDINGS, MUTATING_POLICIES, NAMESPACE, POLICIES, case, config_map, expect_all,
    list, namespace, set,
};

const LIMITS: &str = "/api/v1/namespaces/shop/configmaps/limits";
const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn policy(fields: &Value) -> Value {
    let mut spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]},
    });
    set(&mut spec, fields);
    json!({"metadata": {"name": "limits"}, "spec": spec})
}

/// A binding whose parameters must be there.
fn binding(reference: &Value) -> Value {
    let mut wanted = json!({"parameterNotFoundAction": "Deny"});
    set(&mut wanted, reference);
    json!({"metadata": {"name": "everywhere"}, "spec": {"policyName": "limits", "paramRef": wanted}})
}

fn bound(name: &str, policy: &Value, binding: &Value) -> Case {
    case(name).lists(POLICIES, std::slice::from_ref(policy)).lists(BINDINGS, std::slice::from_ref(binding))
}

fn named() -> Value {
    json!({"name": "limits"})
}

#[tokio::test]
async fn parameters() {
    let plain = || policy(&json!({}));
    let limits = config_map("limits", "shop");
    let unserved = policy(&json!({"paramKind": {"apiVersion": "gone.io/v1", "kind": "Limit"}}));
    let ignored = policy(&json!({"failurePolicy": "Ignore"}));
    let rule = "admission-policy";
    expect_all(vec![
        bound("that are there", &plain(), &binding(&named())).holds(LIMITS, &limits).passes(&[rule]),
        bound("that are not", &plain(), &binding(&named())).fails(rule),
        bound("that are not, ignored", &ignored, &binding(&named())).warns(rule),
        bound(
            "that may be missing",
            &plain(),
            &binding(&json!({"name": "limits", "parameterNotFoundAction": "Allow"})),
        )
        .passes(&[rule]),
        bound("that may not be read", &plain(), &binding(&named()))
            .answers(LIMITS, status(403, "forbidden"))
            .unknown(&[rule]),
        bound("of a kind that is not served", &unserved, &binding(&named())).fails(rule),
        bound(
            "without a reference",
            &plain(),
            &json!({"metadata": {"name": "b"}, "spec": {"policyName": "limits"}}),
        )
        .passes(&[rule]),
        bound(
            "of a policy that is not there",
            &plain(),
            &json!({"metadata": {"name": "b"}, "spec": {"policyName": "gone"}}),
        ),
        case("of a mutating policy")
            .lists(MUTATING_POLICIES, &[plain()])
            .lists(MUTATING_BINDINGS, &[binding(&named())])
            .fails(rule),
    ])
    .await;
}

#[tokio::test]
async fn parameters_that_are_selected() {
    let (plain, rule) = (policy(&json!({})), "admission-policy");
    let by = |selector: Value| binding(&json!({"selector": selector}));
    let labelled = || by(json!({"matchLabels": {"use": "limits"}}));
    let coming = |labels: Value| {
        let mut coming = config_map("limits", "other");
        coming["metadata"]["labels"] = labels;
        coming["metadata"]["namespace"] = json!("shop");
        coming
    };
    let mut bare = policy(&json!({}));
    bare["spec"]["matchConstraints"]["resourceRules"][0]["resourceNames"] = json!(["settings"]);
    let settings = || config_map("settings", "shop");
    expect_all(vec![
        bound("some", &plain, &labelled())
            .lists(CONFIG_MAPS, &[config_map("limits", "shop")])
            .passes(&[rule]),
        bound("none", &plain, &labelled()).lists(CONFIG_MAPS, &[]).fails(rule),
        bound("that may not be listed", &plain, &labelled())
            .answers(CONFIG_MAPS, status(403, "forbidden"))
            .unknown(&[rule]),
        bound("that come with the release, before", &bare, &labelled())
            .lists(CONFIG_MAPS, &[])
            .releases(&[coming(json!({"use": "limits"})), settings()])
            .passes(&[rule]),
        bound("of which others come with the release", &bare, &labelled())
            .lists(CONFIG_MAPS, &[])
            .releases(&[coming(json!({"use": "other"})), settings()])
            .fails(rule),
    ])
    .await;
}

/// Parameters in the namespace of what is judged are needed in each.
#[tokio::test]
async fn every_namespace_is_looked_at() {
    let (plain, rule) = (policy(&json!({})), "admission-policy");
    let two = [config_map("settings", "shop"), config_map("settings", "back")];
    expect_all(vec![
        bound("there in the first namespace alone", &plain, &binding(&named()))
            .holds("/api/v1/namespaces/back", &namespace("back"))
            .holds(LIMITS, &config_map("limits", "shop"))
            .releases(&two)
            .fails(rule),
        bound("there in both", &plain, &binding(&named()))
            .holds("/api/v1/namespaces/back", &namespace("back"))
            .holds(LIMITS, &config_map("limits", "shop"))
            .holds("/api/v1/namespaces/back/configmaps/limits", &config_map("limits", "back"))
            .releases(&two)
            .passes(&[rule]),
    ])
    .await;
}

#[tokio::test]
async fn what_policies_match() {
    let mut of_team = policy(&json!({}));
    of_team["spec"]["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": {"team": "sales"}});
    let refused = status(403, "forbidden");
    let rule = "admission-policy";
    expect_all(vec![
        bound("a namespace that is selected", &of_team, &binding(&named())).fails(rule),
        bound("one that may not be read", &of_team, &binding(&named()))
            .answers(NAMESPACE, refused.clone())
            .unknown(&[rule]),
        bound("one that may not be read, and all is there", &of_team, &binding(&named()))
            .answers(NAMESPACE, refused)
            .holds(LIMITS, &config_map("limits", "shop"))
            .passes(&[rule]),
    ])
    .await;
}

#[tokio::test]
async fn servers_without_such_kinds() {
    expect_all(vec![
        case("no policies").lacks(POLICIES).lacks(BINDINGS),
        case("no mutating ones").lacks(MUTATING_POLICIES).lacks(MUTATING_BINDINGS),
        case("none at all").lacks(POLICIES).lacks(BINDINGS).lacks(MUTATING_POLICIES).lacks(MUTATING_BINDINGS),
        bound("policies, and no mutating ones", &policy(&json!({})), &binding(&named()))
            .lacks(MUTATING_POLICIES)
            .lacks(MUTATING_BINDINGS)
            .is(Decision::NoGo, &[("admission-policy", "failed")]),
        case("bindings alone").lacks(POLICIES).holds(BINDINGS, &list(&[binding(&named())])),
    ])
    .await;
}
