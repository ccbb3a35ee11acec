//! What it means that a write would be refused: for sure, or only as long as the rest of the release is not there.

use preflight_core::FieldPath;
use preflight_core::cluster::Refusal;
use preflight_core::release::{Action, Release};

/// What a refusal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Somebody says no.
    Denied,
    /// The object is not valid; the field that is to blame, if it is told.
    Invalid(Option<FieldPath>),
    /// The identity may not, so nothing was tried.
    NotAllowed,
    /// It was not decided: the API server could not be asked, or not in this way.
    Undecided,
    /// It depends on what the release brings, or is looked at by another check, which sees the release as a whole.
    Elsewhere,
    /// It depends on what the release brings, and nothing looks at it.
    Unclear(&'static str),
}

/// What of a release decides about its other objects.
#[derive(Debug, Default)]
pub(super) struct Touches {
    webhooks: bool,
    policies: bool,
    namespaces: bool,
    /// Whether it changes anything that a policy may have for its parameters.
    parameters: bool,
}

impl Touches {
    pub(super) fn of(release: &Release) -> Self {
        let mut touches = Self::default();
        for planned in release.objects().iter().filter(|planned| planned.action != Action::Unchanged) {
            let (group, kind) = (planned.object.group(), planned.object.kind());
            touches.webhooks |= kind.ends_with("WebhookConfiguration");
            touches.policies |= kind.contains("AdmissionPolicy");
            touches.namespaces |= group.is_empty() && kind == "Namespace";
            touches.parameters |= kind == "ConfigMap" || group.contains('.') && !group.ends_with(".k8s.io");
        }
        touches
    }
}

/// What quotas say (`staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go`, v1.36), LimitRanges
/// (`plugin/pkg/admission/limitranger/admission.go`), policies without their parameters, those who let claims
/// grow, and those who look for what a pod
/// names. Other checks look at these, with the release as a whole.
const ELSEWHERE: [&str; 17] = [
    "failed to configure binding:",
    "failed to configure policy:",
    "exceeded quota:",
    "failed quota:",
    "insufficient quota to match these scopes",
    "status unknown for quota:",
    "usage per Container is",
    "usage per Pod is",
    "storage usage per PersistentVolumeClaim is",
    "ratio per Container is",
    "ratio per Pod is",
    "error looking up service account",
    "no PriorityClass with name",
    "pod rejected: RuntimeClass",
    "attempting to grant RBAC permissions not currently held",
    "only dynamically provisioned pvc can be resized",
    "Only bound persistent volume claims can be expanded",
];

/// What the refusal of a ValidatingAdmissionPolicy begins with
/// (`staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/dispatcher.go`, v1.36).
const POLICY: &str = "ValidatingAdmissionPolicy '";

/// The policy that refuses.
pub(super) fn policy(refusal: &Refusal) -> Option<&str> {
    let (_, rest) = refusal.message.split_once(POLICY)?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// Whether a policy was evaluated, and says no: nothing was wrong with its parameters.
pub(super) fn is_judged(refusal: &Refusal) -> bool {
    !ELSEWHERE[..2].iter().any(|text| refusal.message.contains(text))
}

/// What a refusal means, by the server's words.
pub(super) fn meaning(refusal: &Refusal, touches: &Touches) -> Meaning {
    let Refusal { code, message, .. } = refusal;
    let says = |text: &str| message.contains(text);
    match code {
        403 if says("\" cannot ") && says(" resource \"") => Meaning::NotAllowed,
        403 if ELSEWHERE.iter().any(|text| says(text)) || says("because it is being terminated") => {
            Meaning::Elsewhere
        }
        403 if says("violates PodSecurity") && touches.namespaces => Meaning::Elsewhere,
        _ if says(POLICY) && (says(ELSEWHERE[0]) || says(ELSEWHERE[1])) => Meaning::Elsewhere,
        // It is worked out with what the release changes.
        _ if says(POLICY) && (touches.policies || touches.namespaces || touches.parameters) => {
            Meaning::Elsewhere
        }
        // The policy says with which status.
        _ if says(POLICY) => Meaning::Denied,
        _ if says("admission webhook \"") && says("does not support dry run") => Meaning::Undecided,
        _ if says("denied the request") && touches.webhooks => {
            Meaning::Unclear("the release changes webhooks")
        }
        // Whether webhooks can be called is looked at with the release's own pods.
        500 if says("failed calling webhook") => Meaning::Elsewhere,
        500 if says("field not declared in schema") => Meaning::Invalid(field_of_apply(message)),
        400 | 422 if !says("denied the request") => Meaning::Invalid(field(refusal)),
        // What is named comes with the release, or is looked for by another check.
        404 => Meaning::Elsewhere,
        500.. | 415 | 429 => Meaning::Undecided,
        _ => Meaning::Denied,
    }
}

/// The field that is to blame.
fn field(refusal: &Refusal) -> Option<FieldPath> {
    let cause = refusal.causes.iter().find(|cause| !cause.field.is_empty() && cause.field != "<nil>");
    if let Some(cause) = cause {
        return Some(FieldPath::parse(&cause.field));
    }
    // `strict decoding error: unknown field "spec.replica", unknown field "spec.x"`.
    let (_, rest) = refusal.message.split_once("field \"")?;
    let (path, _) = rest.split_once('"')?;
    Some(FieldPath::parse(path))
}

/// `.spec.template.spec.containers[name="app"].imagee: field not declared in schema`: as far as it can be followed.
fn field_of_apply(message: &str) -> Option<FieldPath> {
    let (path, _) = message.split_once(": field not declared in schema")?;
    let path = path.rsplit(' ').next()?.trim_start_matches('.');
    Some(FieldPath::parse(path.split_once('[').map_or(path, |(before, _)| before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, message: &str) -> Refusal {
        serde_json::from_value(serde_json::json!({"code": code, "message": message})).unwrap()
    }

    #[test]
    fn refusals_are_told_apart_by_their_words() {
        let none = Touches::default();
        let some = Touches { webhooks: true, policies: true, namespaces: true, parameters: true };
        let webhook = "admission webhook \"guard.example.com\" denied the request: no";
        let policy = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        let path = |text: &str| Meaning::Invalid(Some(FieldPath::parse(text)));
        for (code, message, alone, with) in [
            (
                403,
                "deployments.apps is forbidden: User \"jane\" cannot create resource \"deployments\" in API group \"apps\"",
                Meaning::NotAllowed,
                Meaning::NotAllowed,
            ),
            (
                403,
                "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1",
                Meaning::Elsewhere,
                Meaning::Elsewhere,
            ),
            (
                403,
                "pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": x",
                Meaning::Denied,
                Meaning::Elsewhere,
            ),
            (403, webhook, Meaning::Denied, Meaning::Unclear("the release changes webhooks")),
            (400, webhook, Meaning::Denied, Meaning::Unclear("the release changes webhooks")),
            (403, policy, Meaning::Denied, Meaning::Elsewhere),
            (422, policy, Meaning::Denied, Meaning::Elsewhere),
            (400, "admission webhook \"a\" does not support dry run", Meaning::Undecided, Meaning::Undecided),
            (
                400,
                "strict decoding error: unknown field \"spec.a[0].b\"",
                path("spec.a[0].b"),
                path("spec.a[0].b"),
            ),
            (
                500,
                "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema",
                path("spec.replica"),
                path("spec.replica"),
            ),
            (404, "namespaces \"a\" not found", Meaning::Elsewhere, Meaning::Elsewhere),
            (503, "busy", Meaning::Undecided, Meaning::Undecided),
        ] {
            assert_eq!(meaning(&refusal(code, message), &none), alone, "{message}");
            assert_eq!(meaning(&refusal(code, message), &some), with, "{message}");
        }
    }

    #[test]
    fn the_field_is_that_of_the_first_cause() {
        let refusal: Refusal = serde_json::from_value(serde_json::json!({
            "code": 422, "message": "no", "causes": [{"field": "spec.selector", "message": "field is immutable"}]}))
        .unwrap();
        let expected = Meaning::Invalid(Some(FieldPath::of("spec.selector")));
        assert_eq!(meaning(&refusal, &Touches::default()), expected);
    }
}
