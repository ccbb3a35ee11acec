//! What a webhook answers.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::authority::Serving;

/// What a webhook is like. See [`Webhooks`](super::Webhooks) for the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Allow,
    Deny,
    Mutate,
    Slow,
    Hang,
    Error,
    WrongName,
    ExpiredCertificate,
    Convert,
    ConvertFails,
}

impl Behaviour {
    const ALL: [(&'static str, Self); 10] = [
        ("allow", Self::Allow),
        ("deny", Self::Deny),
        ("mutate", Self::Mutate),
        ("slow", Self::Slow),
        ("hang", Self::Hang),
        ("error", Self::Error),
        ("wrong-name", Self::WrongName),
        ("expired-certificate", Self::ExpiredCertificate),
        ("convert", Self::Convert),
        ("convert-fails", Self::ConvertFails),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, behaviour)| behaviour)
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        path.rsplit('/').next().and_then(Self::named)
    }

    pub(super) const fn serving(self) -> Serving {
        match self {
            Self::WrongName => Serving::WrongName,
            Self::ExpiredCertificate => Serving::Expired,
            _ => Serving::Right,
        }
    }
}

/// The status and the body that a review is answered with, after a while or never.
pub(super) async fn answer(behaviour: Behaviour, delay: Duration, review: &Value) -> (u16, String) {
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Slow => tokio::time::sleep(delay).await,
        Behaviour::Error => return (500, "the harness has an error".to_owned()),
        _ => {}
    }
    let response = match review["kind"].as_str() {
        Some("AdmissionReview") => admission(behaviour, &review["request"]),
        Some("ConversionReview") => conversion(behaviour, &review["request"]),
        _ => return (400, "that is no review".to_owned()),
    };
    let body = json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response});
    (200, body.to_string())
}

fn admission(behaviour: Behaviour, request: &Value) -> Value {
    let mut response = json!({"uid": request["uid"], "allowed": behaviour != Behaviour::Deny});
    if behaviour == Behaviour::Deny {
        response["status"] = json!({"message": "the harness denies everything"});
    }
    if behaviour == Behaviour::Mutate && !request["object"].is_null() {
        let mut patch = Vec::new();
        if request["object"]["metadata"]["labels"].is_null() {
            patch.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
        }
        patch.push(json!({"op": "add", "path": "/metadata/labels/harness~1mutated", "value": "true"}));
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(Value::from(patch).to_string()).into();
    }
    response
}

/// Only `apiVersion` differs between the versions.
fn conversion(behaviour: Behaviour, request: &Value) -> Value {
    if matches!(behaviour, Behaviour::ConvertFails | Behaviour::Deny) {
        let result = json!({"status": "Failure", "message": "the harness converts nothing"});
        return json!({"uid": request["uid"], "convertedObjects": [], "result": result});
    }
    let mut objects = request["objects"].clone();
    for object in objects.as_array_mut().into_iter().flatten() {
        object["apiVersion"] = request["desiredAPIVersion"].clone();
    }
    json!({"uid": request["uid"], "convertedObjects": objects, "result": {"status": "Success"}})
}

/// One line about a review.
pub(super) fn describe(review: &Value) -> String {
    let request = &review["request"];
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if review["kind"] == "ConversionReview" {
        return format!("convert to {}", text("/desiredAPIVersion"));
    }
    let place = format!("{}/{}", text("/namespace"), text("/name"));
    let dry_run = if request["dryRun"] == true { " (dry run)" } else { "" };
    format!("{} {} {}{dry_run}", text("/operation"), text("/kind/kind"), place.trim_start_matches('/'))
}
