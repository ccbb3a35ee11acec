use preflight_core::Decision;
use serde_json::json;

use super::support::cases::expect_all;
use super::support::status;
use super::{
    DEPLOYMENTS, NAMESPACE, OPENAPI, OPENAPI_OF_APPS, PODS_HERE, SERVICES_HERE, case, deployment, index,
    schemas, service,
};

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

const OF_FIELDS: [&str; 2] = ["field-type", "field-unknown"];

/// What is expected of these rules where nothing is tried out.
fn untried(outcomes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    OF_TRIALS.iter().map(|rule| (*rule, "skipped")).chain(outcomes.iter().copied()).collect()
}

#[tokio::test]
async fn what_is_not_tried_out_is_read_as_the_api_server_reads_it() {
    let never = json!({"admission": {"dry_run": "never"}});
    let by = |method: &str| json!({"admission": {"dry_run": "never"}, "apply": method});
    let merged = || {
        let mut deployment = deployment(json!({"replica": 3}));
        let options = "Prune=false, ServerSideApply=true";
        deployment["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": options});
        deployment
    };
    let here = |name: &'static str| case("admission", name).environment(&never);
    let misspelt = || [deployment(json!({"replica": 3}))];
    let one = || [deployment(json!({}))];
    let old = json!({"gitVersion": "v1.24.17"});
    let unknown = || untried(&OF_FIELDS.map(|rule| (rule, "unknown")));
    let busy = || case("admission", "one of two was not tried").answers(DEPLOYMENTS, status(503, "busy"));
    expect_all(vec![
        case("admission", "everything was tried out").passes(&OF_FIELDS).asks_not(&[OPENAPI]),
        here("nothing is wrong").is(Decision::Go, &untried(&[])).passes(&OF_FIELDS),
        busy().passes(&OF_FIELDS).says("2 objects: 1 tried out by the API server, 1 read as it reads them"),
        here("a field is misspelt")
            .releases(&misspelt())
            .is(Decision::NoGo, &untried(&[("field-unknown", "failed")]))
            .says("it has no field spec.replica; replicas may be meant"),
        here("it is told how to find out what there is")
            .releases(&misspelt())
            .is(Decision::NoGo, &untried(&[("field-unknown", "failed")]))
            .says("kubectl explain deployment.spec --api-version=apps/v1"),
        here("a number is a text")
            .releases(&[deployment(json!({"replicas": "3"}))])
            .is(Decision::NoGo, &untried(&[("field-type", "failed")]))
            .says("spec.replicas is a string, and must be a whole number of 32 bits"),
        here("a port is true")
            .releases(&[service("web", json!({"ports": [{"port": true}]}))])
            .is(Decision::NoGo, &untried(&[("field-type", "failed")])),
        case("admission", "Helm 3 has it dropped")
            .releases(&misspelt())
            .environment(&by("helm"))
            .is(Decision::Go, &untried(&[("field-unknown", "warning")]))
            .says("Helm 3 has it dropped"),
        case("admission", "Argo CD has it dropped")
            .releases(&misspelt())
            .environment(&by("argocd"))
            .is(Decision::Go, &untried(&[("field-unknown", "warning")])),
        case("admission", "Argo CD has the API server merge it")
            .releases(&[merged()])
            .environment(&by("argocd"))
            .is(Decision::NoGo, &untried(&[("field-unknown", "failed")])),
        case("admission", "what is mistyped is refused whoever sends it")
            .releases(&[deployment(json!({"replicas": "3"}))])
            .environment(&by("helm"))
            .is(Decision::NoGo, &untried(&[("field-type", "failed")])),
        here("it may not be asked")
            .answers(OPENAPI, status(403, "no"))
            .is(Decision::Unknown, &unknown())
            .says("preflight rbac"),
        here("there is none").lacks(OPENAPI).is(Decision::Unknown, &unknown()),
        here("there is none of a group").lacks(OPENAPI_OF_APPS).is(Decision::Unknown, &unknown()),
        here("it does not tell of the kind")
            .holds(OPENAPI_OF_APPS, &schemas("apps", "apps", "StatefulSet", &json!({})))
            .releases(&one())
            .is(Decision::Unknown, &unknown())
            .says("tells no schema of apps/v1 Deployment"),
        here("it is one of somebody else")
            .holds(OPENAPI_OF_APPS, &schemas("apps", "other", "StatefulSet", &json!({})))
            .releases(&one())
            .is(Decision::Unknown, &unknown()),
        here("an old API server").holds("/version", &old).is(Decision::Unknown, &unknown()).says("v1.24.17"),
        here("the index is cut")
            .holds(OPENAPI, &json!({"paths": index()["none"]}))
            .is(Decision::Unknown, &unknown()),
    ])
    .await;
}
