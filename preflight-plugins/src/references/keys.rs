//! Which keys ConfigMaps and Secrets have.

use std::collections::BTreeSet;

use preflight_core::Undecided;
use serde_json::Value;

use super::find::{Finder, Found, Target};
use super::settings::References;

/// The keys that are known of an object, and whether it may have others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    known: BTreeSet<String>,
    /// Why there may be more.
    more: Option<&'static str>,
}

/// Maps of an object whose keys count.
const MAPS: [&str; 3] = ["data", "binaryData", "stringData"];
/// What the token controller puts into a Secret of its type
/// (`pkg/controller/serviceaccount/tokens_controller.go`, v1.36).
const OF_TOKENS: [&str; 3] = ["token", "ca.crt", "namespace"];

impl Keys {
    /// Whether it has a key; why that cannot be told.
    pub(super) fn has(&self, key: &str) -> Result<bool, &'static str> {
        match self.more {
            _ if self.known.contains(key) => Ok(true),
            None => Ok(false),
            Some(why) => Err(why),
        }
    }

    /// The keys that are known.
    pub(super) fn known(&self) -> impl ExactSizeIterator<Item = &String> {
        self.known.iter()
    }

    /// The keys that an object is written with.
    fn written(object: &Value) -> Self {
        let maps = MAPS.into_iter().filter_map(|map| object[map].as_object());
        let mut known: BTreeSet<String> = maps.flat_map(|map| map.keys().cloned()).collect();
        if object["type"] == "kubernetes.io/service-account-token" {
            known.extend(OF_TOKENS.map(str::to_owned));
        }
        Self { known, more: None }
    }

    /// The keys that those who wrote a Secret are said to have written, in its metadata. Whoever wrote before the API
    /// server kept account of that is not in it.
    fn managed(object: &Value) -> Self {
        let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let fields = managers.flat_map(|manager| MAPS.map(|map| &manager["fieldsV1"][format!("f:{map}")]));
        let keys = fields.filter_map(Value::as_object).flat_map(|map| map.keys());
        let known = keys.filter_map(|key| key.strip_prefix("f:")).map(str::to_owned).collect();
        Self { known, more: Some("its metadata does not tell of that key") }
    }
}

/// The keys of what was found.
pub(super) async fn of(
    finder: &Finder<'_>,
    settings: References,
    target: &Target,
    found: &Found,
) -> Result<Keys, Undecided> {
    match found {
        Found::Coming(_, object) => Ok(Keys::written(object)),
        Found::There(object) if target.kind != "Secret" => Ok(Keys::written(object)),
        Found::There(object) => {
            // What is there is looked at without its contents; what the release writes is known with them.
            let mut keys = Keys::written(object);
            keys.known.extend(Keys::managed(object).known);
            keys.more = Some("its metadata does not tell of that key, and its contents are not read");
            let namespace = target.namespace.as_deref().unwrap_or_default();
            if settings.read_secrets
                && let Some(contents) = finder.cluster.secret(namespace, &target.name).await?
            {
                keys.known.extend(contents.keys.iter().cloned());
                keys.more = None;
            }
            Ok(keys)
        }
        _ => Ok(Keys::default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_told_by_what_is_written_and_by_who_wrote() {
        let written =
            Keys::written(&json!({"data": {"a": ""}, "stringData": {"b": "x"}, "binaryData": {"c": ""}}));
        assert_eq!(written.known().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((written.has("a"), written.has("d")), (Ok(true), Ok(false)));
        let token = Keys::written(&json!({"type": "kubernetes.io/service-account-token"}));
        assert_eq!(token.has("token"), Ok(true));
        let managed = Keys::managed(&json!({"metadata": {"managedFields": [
            {"manager": "a", "fieldsV1": {"f:data": {".": {}, "f:user": {}}, "f:type": {}}},
            {"manager": "b", "fieldsV1": {"f:data": {"f:password": {}}}}]}}));
        assert_eq!(managed.has("user"), Ok(true));
        assert_eq!(managed.has("password"), Ok(true));
        assert!(managed.has("token").is_err());
    }
}
