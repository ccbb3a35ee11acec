use preflight_core::Decision;
use serde_json::json;

use super::support::cases::expect_all;
use super::support::status;
use super::{DEPLOYMENTS, NAMESPACE, PODS_HERE, SERVICES_HERE, case, deployment};

const OF_TRIALS: [&str; 4] = ["invalid", "pods-refused", "refused", "warned"];

#[tokio::test]
async fn what_cannot_be_tried_is_said() {
    let skipped = OF_TRIALS.map(|rule| (rule, "skipped"));
    let one = || [deployment(json!({}))];
    let busy = |name: &'static str| {
        case("admission", name)
            .releases(&one())
            .answers(DEPLOYMENTS, status(503, "busy"))
            .answers(PODS_HERE, status(503, "busy"))
    };
    let deployer = json!({"deployer": "jane", "admission": {"dry_run": "required"}});
    expect_all(vec![
        case("admission", "all is well").passes(&["refused", "invalid", "pods-refused", "pod-security"]),
        case("admission", "the environment does not want it")
            .environment(&json!({"admission": {"dry_run": "never"}}))
            .is(Decision::Go, &skipped),
        busy("the API server is too busy").is(Decision::Go, &skipped),
        busy("the API server is too busy, and it must be tried")
            .environment(&json!({"admission": {"dry_run": "required"}}))
            .unknown(&OF_TRIALS)
            .says("busy"),
        case("admission", "one may not act as the one who deploys")
            .environment(&deployer)
            .unknown(&OF_TRIALS),
        case("admission", "a webhook cannot be tried")
            .releases(&one())
            .answers(DEPLOYMENTS, status(400, "admission webhook \"a\" does not support dry run"))
            .passes(&["pods-refused"]),
        case("admission", "namespaces are forbidden")
            .answers(NAMESPACE, status(403, "no"))
            .unknown(&["pod-security"]),
    ])
    .await;
}

#[tokio::test]
async fn what_the_api_server_says_is_told() {
    let denied = "admission webhook \"guard.example.com\" denied the request: not today";
    expect_all(vec![
        case("admission", "a webhook says no")
            .answers(DEPLOYMENTS, status(403, denied))
            .fails("refused")
            .says("not today"),
        case("admission", "the Service is not valid")
            .answers(SERVICES_HERE, status(422, "Service \"web\" is invalid: spec.ports: Required value"))
            .fails("invalid"),
        case("admission", "pods are refused")
            .answers(PODS_HERE, status(403, denied))
            .fails("pods-refused")
            .says("the pods of Deployment shop/web are refused"),
        case("admission", "a quota is left to the check of capacity").answers(
            PODS_HERE,
            status(403, "pods \"web-\" is forbidden: exceeded quota: q, requested: pods=1"),
        ),
    ])
    .await;
}
