//! Whether webhooks are called at all: what cannot be told may not make a dead one pass.

use preflight_core::Decision;
use serde_json::{Value, json};

use crate::support::status;
use crate::world::{
    Case, MUTATING, NAMESPACE, SERVICE, SETTINGS, SLICES, VALIDATING, ca_bundle, case, config_map,
    configuration, expect_all, webhook,
};

const DEAD: &str = "webhook-unavailable";
const OTHERS: [&str; 3] = ["webhook-authority", "webhook-timeouts", "webhook-dry-run"];

/// A webhook without endpoints, with these fields.
fn dead(name: &str, fields: &Value) -> Case {
    case(name).lists(VALIDATING, &[configuration("guards", &[webhook(fields)])]).lists(SLICES, &[])
}

/// The healthy one is called besides, so that something is decided.
fn besides(name: &str, fields: &Value) -> Case {
    let mut other = webhook(fields);
    other["name"] = json!("other.example.com");
    other["clientConfig"]["service"]["name"] = json!("gone");
    case(name).lists(VALIDATING, &[configuration("guards", &[webhook(&json!({})), other])])
}

fn on(expressions: &[&str]) -> Value {
    let conditions: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| json!({"name": format!("c{at}"), "expression": expression}))
        .collect();
    json!({"matchConditions": conditions})
}

fn ignored(mut fields: Value) -> Value {
    fields["failurePolicy"] = json!("Ignore");
    fields
}

#[tokio::test]
async fn conditions() {
    let user = "request.userInfo.username != 'system:admin'";
    let authorizer = "authorizer.group('').resource('configmaps').check('delete').allowed()";
    expect_all(vec![
        besides("who asks, at a dead webhook", &on(&[user])).unknown(&[DEAD]).passes(&OTHERS),
        besides("what one may, at a dead webhook", &on(&[authorizer])).unknown(&[DEAD]).passes(&OTHERS),
        besides("what is no CEL, at a dead webhook", &on(&["object.("])).unknown(&[DEAD]).passes(&OTHERS),
        besides("what is no condition, at a dead webhook", &on(&["'yes'"])).unknown(&[DEAD]).passes(&OTHERS),
        besides("what the server makes up, at a dead webhook", &on(&["object.metadata.uid == 'a'"]))
            .unknown(&[DEAD])
            .passes(&OTHERS),
        besides(
            "one that cannot be told beside one that does not hold",
            &on(&[user, "request.operation == 'DELETE'"]),
        )
        .passes(&[DEAD]),
        besides(
            "one that cannot be told beside one that holds",
            &on(&["request.operation == 'CREATE'", user]),
        )
        .unknown(&[DEAD])
        .passes(&OTHERS),
        besides("the same, ignored", &ignored(on(&[user]))).passes(&[DEAD]),
        dead("one that holds", &on(&["request.operation == 'CREATE'", "object.metadata.name == 'settings'"]))
            .fails(DEAD),
    ])
    .await;
}

#[tokio::test]
async fn what_lands_anyway_does_not_hide_what_may_not() {
    let pods = |fields: Value| {
        let mut fields = fields;
        fields["rules"] = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
        fields
    };
    let none = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle", "namespace": "shop"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "idle"}}, "template": {
            "metadata": {"labels": {"app": "idle"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let of_team = || pods(json!({"namespaceSelector": {"matchLabels": {"team": "sales"}}}));
    let mut elsewhere = pod.clone();
    elsewhere["metadata"]["namespace"] = json!("back");
    let release = |last: &[Value]| [&[config_map("settings", "shop"), none.clone()], last].concat();
    expect_all(vec![
        besides("pods of none alone", &of_team()).releases(&release(&[])).warns(DEAD),
        besides("pods of none, and one that is made", &of_team()).releases(&release(&[pod])).fails(DEAD),
        besides("pods of none, and one of which it cannot be told", &of_team())
            .releases(&release(&[elsewhere]))
            .answers("/api/v1/namespaces/back", status(403, "forbidden"))
            .unknown(&[DEAD]),
    ])
    .await;
}

#[tokio::test]
async fn namespaces_that_may_not_be_read() {
    let team = |value: &str| json!({"namespaceSelector": {"matchLabels": {"team": value}}});
    let refused = || status(403, "forbidden");
    let mut slow = webhook(&team("sales"));
    slow["timeoutSeconds"] = json!(17);
    expect_all(vec![
        dead("labels that select", &team("sales")).fails(DEAD),
        besides("labels that do not", &team("other")).passes(&[DEAD]),
        besides("labels that are not known", &team("sales"))
            .answers(NAMESPACE, refused())
            .unknown(&[DEAD])
            .passes(&OTHERS),
        besides("labels that are not needed", &json!({"objectSelector": {}}))
            .answers(NAMESPACE, refused())
            .fails(DEAD),
        case("labels that are not known, of what is well either way")
            .lists(VALIDATING, &[configuration("guards", &[webhook(&team("sales"))])])
            .answers(NAMESPACE, refused())
            .passes(&[DEAD])
            .passes(&OTHERS),
        case("labels that are not known, of what takes long if it is called")
            .lists(VALIDATING, &[configuration("guards", &[webhook(&json!({"timeoutSeconds": 17}))])])
            .lists(MUTATING, &[configuration("guards", &[slow])])
            .answers(NAMESPACE, refused())
            .unknown(&["webhook-timeouts"])
            .passes(&[DEAD, "webhook-authority", "webhook-dry-run"]),
        besides("labels that are not known, ignored", &ignored(team("sales")))
            .answers(NAMESPACE, refused())
            .passes(&[DEAD]),
    ])
    .await;
}

/// Whether an object is made or changed, and from what, is not known if it may not be read.
#[tokio::test]
async fn objects_that_may_not_be_read() {
    let rules = |operations: &[&str]| json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["configmaps"]}]});
    let hidden = |case: Case| case.answers(SETTINGS, status(403, "forbidden"));
    let mut labelled = rules(&["UPDATE"]);
    labelled["objectSelector"] = json!({"matchLabels": {"was": "there"}});
    expect_all(vec![
        dead("called for changes, and nothing is there", &rules(&["UPDATE"])).is(Decision::Unknown, &[]),
        hidden(dead("called for changes, and what is there is not known", &rules(&["UPDATE"])))
            .unknown(&[DEAD])
            .passes(&OTHERS),
        hidden(dead("called for what is made, and what is there is not known", &rules(&["CREATE"])))
            .unknown(&[DEAD])
            .passes(&OTHERS),
        hidden(dead("called for either, and what is there is not known", &rules(&["*"])))
            .unknown(&[DEAD])
            .passes(&OTHERS),
        hidden(dead("called for what had a label", &labelled)).unknown(&[DEAD]).passes(&OTHERS),
        hidden(besides("called for deletions", &rules(&["DELETE"]))).passes(&[DEAD]),
        hidden(dead("ignored", &ignored(rules(&["*"])))).passes(&["webhook-timeouts"]),
    ])
    .await;
}

#[tokio::test]
async fn each_webhook_at_the_same_service_is_told() {
    let guards = [webhook(&json!({})), webhook(&json!({"name": "other", "failurePolicy": "Ignore"}))];
    expect_all(vec![
        case("a Service that may not be read, and one that does not care")
            .lists(VALIDATING, &[configuration("guards", &guards)])
            .answers(SERVICE, status(403, "forbidden"))
            .unknown(&[DEAD])
            .passes(&["webhook-authority", "webhook-dry-run", "webhook-timeouts"]),
    ])
    .await;
}

/// A configuration that the release changes is in force as it is until then.
#[tokio::test]
async fn configurations_that_the_release_changes() {
    let of = |fields: &Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "guards"}, "webhooks": [webhook(fields)],
        })
    };
    let at = |name: &str| json!({"clientConfig": {"service": {"namespace": "shop", "name": name}}});
    let settings = || config_map("settings", "shop");
    let (gone, mended) = (
        json!({"clientConfig": {"service": {"namespace": "shop", "name": "gone"}, "caBundle": ca_bundle()}}),
        of(&json!({})),
    );
    let broken = |name: &str| case(name).lists(VALIDATING, &[configuration("guards", &[webhook(&gone)])]);
    expect_all(vec![
        broken("a dead one that is mended after").releases(&[settings(), mended.clone()]).fails(DEAD),
        broken("a dead one that is mended before").releases(&[mended.clone(), settings()]).passes(&[DEAD]),
        case("one that dies after").releases(&[settings(), of(&gone)]).passes(&[DEAD]),
        case("one that dies before").releases(&[of(&gone), settings()]).fails(DEAD),
        case("one that is changed, with an authority that was put in")
            .releases(&[of(&at("guard")), settings()])
            .passes(&[DEAD, "webhook-authority"]),
        case("one that is no webhook")
            .releases(&[of(&json!({"timeoutSeconds": "long"})), settings()])
            .unknown(&[DEAD, "webhook-authority", "webhook-timeouts", "webhook-dry-run"]),
    ])
    .await;
}
