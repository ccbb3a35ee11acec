//! Applying a release for real, as kubectl would.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::waiting::poll;

/// How long a definition may take until it is established.
const ESTABLISHING: Duration = Duration::from_secs(20);

/// How a release is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Apply {
    /// As `kubectl apply`.
    #[default]
    Client,
    /// As `kubectl apply --server-side`.
    Server,
    /// As `kubectl create`.
    Create,
}

/// What came of applying one object.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The object as it was sent.
    pub object: Value,
    /// Why it was refused, if it was.
    pub result: Result<(), String>,
}

/// Applies the objects once, in order. With a namespace, as `kubectl -n`: objects that name another are refused
/// before anything is sent. After a definition, waits until it is established.
pub async fn apply(api: &Api, objects: &[Value], method: Apply, namespace: Option<&str>) -> Vec<Applied> {
    api.forget_kinds();
    let mut applied = Vec::new();
    for object in objects {
        let mut object = object.clone();
        let result = match place(api, &mut object, namespace).await {
            Ok(()) => one(api, &object, method).await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        if result.is_ok() && object["kind"] == "CustomResourceDefinition" {
            established(api, &object).await;
        }
        applied.push(Applied { object, result });
    }
    applied
}

/// What kubectl prunes: paths of lists, in which `NS` stands for a namespace.
const PRUNED: [&str; 16] = [
    "/api/v1/namespaces/NS/configmaps",
    "/api/v1/namespaces/NS/endpoints",
    "/api/v1/namespaces/NS/persistentvolumeclaims",
    "/api/v1/namespaces/NS/pods",
    "/api/v1/namespaces/NS/replicationcontrollers",
    "/api/v1/namespaces/NS/secrets",
    "/api/v1/namespaces/NS/services",
    "/apis/batch/v1/namespaces/NS/jobs",
    "/apis/batch/v1/namespaces/NS/cronjobs",
    "/apis/networking.k8s.io/v1/namespaces/NS/ingresses",
    "/apis/apps/v1/namespaces/NS/daemonsets",
    "/apis/apps/v1/namespaces/NS/deployments",
    "/apis/apps/v1/namespaces/NS/replicasets",
    "/apis/apps/v1/namespaces/NS/statefulsets",
    "/api/v1/namespaces",
    "/api/v1/persistentvolumes",
];

/// Deletes what was applied earlier, has these labels and is not among what was applied now, as
/// `kubectl apply --prune -l`. Gives what was refused.
pub async fn prune(api: &Api, applied: &[Applied], selector: &str) -> Vec<Applied> {
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let namespaces: std::collections::BTreeSet<_> = applied
        .iter()
        .map(|done| text(&done.object, "namespace"))
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let mut refused = Vec::new();
    let mut note = |path: &str, error: ApiError| {
        refused.push(Applied {
            object: json!({"kind": "prune", "metadata": {"name": path}}),
            result: Err(error.to_string()),
        });
    };
    let lists = PRUNED.into_iter().flat_map(|list| match list.contains("/NS/") {
        true => namespaces.iter().map(|namespace| list.replace("NS", namespace)).collect(),
        false => vec![list.to_owned()],
    });
    for list in lists.collect::<Vec<_>>() {
        let found = match api.get(&format!("{list}?labelSelector={selector}")).await {
            Ok(found) => found,
            Err(error) => {
                note(&list, error);
                continue;
            }
        };
        for object in found["items"].as_array().into_iter().flatten() {
            let ours = object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
                .is_string();
            let name = text(object, "name");
            let kept = applied.iter().any(|done| {
                text(&done.object, "name") == name
                    && text(&done.object, "namespace") == text(object, "namespace")
                    && list.ends_with(&format!(
                        "{}s",
                        done.object["kind"].as_str().unwrap_or_default().to_lowercase()
                    ))
            });
            if ours && !kept {
                let path = format!("{list}/{name}");
                if let Err(error) = api.delete(&path).await {
                    note(&path, error);
                }
            }
        }
    }
    refused
}

/// Puts the object into its namespace.
async fn place(api: &Api, object: &mut Value, namespace: Option<&str>) -> Result<(), String> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespaced =
        api.is_namespaced(&text("apiVersion"), &text("kind")).await.map_err(|error| error.to_string())?;
    let own = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
    match (own, namespace) {
        (Some(own), Some(asked)) if own != asked && namespaced => {
            Err(format!("the namespace {own:?} of the object does not match the namespace {asked:?}"))
        }
        (None, asked) if namespaced => {
            object["metadata"]["namespace"] = asked.unwrap_or("default").into();
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn one(api: &Api, object: &Value, method: Apply) -> Result<(), ApiError> {
    if method == Apply::Create {
        return api.create(object).await.map(drop);
    }
    if object.pointer("/metadata/name").is_none() {
        return Err(ApiError { code: 0, message: "cannot use generate name with apply".to_owned() });
    }
    if method == Apply::Server {
        return api.server_apply(object).await.map(drop);
    }
    let mut object = object.clone();
    let last = format!("{object}\n");
    if object["metadata"]["annotations"].is_null() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        last.clone().into();
    let path = api.path(&object).await?;
    match api.get(&path).await {
        Ok(live) => {
            let annotations = live.pointer("/metadata/annotations");
            let before =
                annotations.and_then(|all| all.get("kubectl.kubernetes.io/last-applied-configuration"));
            if before.and_then(Value::as_str) == Some(last.as_str()) {
                return Ok(());
            }
            let before: Value = before
                .and_then(Value::as_str)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            take_away(&before, &mut object);
            api.merge(&format!("{path}?fieldValidation=Strict"), &object).await.map(drop)
        }
        Err(error) if error.code == 404 => {
            prune_nulls(&mut object);
            api.create(&object).await.map(drop)
        }
        Err(error) => Err(error),
    }
}

/// What is null in mappings is not sent of what is made.
fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// What was applied before and no longer is, is taken away: fields of objects, not items of lists.
fn take_away(before: &Value, patch: &mut Value) {
    let (Value::Object(before), Value::Object(patch)) = (before, patch) else { return };
    for (key, before) in before {
        take_away(before, patch.entry(key.clone()).or_insert(Value::Null));
    }
}

async fn established(api: &Api, definition: &Value) {
    let Ok(path) = api.path(definition).await else {
        return;
    };
    let served = async || {
        let live = api.get(&path).await.unwrap_or_default();
        let conditions = live["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .find(|condition| condition["type"] == "Established" && condition["status"] == "True")?;
        api.forget_kinds();
        // The kind is served a moment after its definition says that it is established.
        let group = live["spec"]["group"].as_str().unwrap_or_default();
        let version = live["spec"]["versions"][0]["name"].as_str().unwrap_or_default();
        let kind = live["spec"]["names"]["kind"].as_str().unwrap_or_default();
        api.is_namespaced(&format!("{group}/{version}"), kind).await.ok()
    };
    poll(ESTABLISHING, served).await;
}
