//! From a snapshot's text to what it holds.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::resources::{Plurals, is_cluster_wide};
use super::store::{API_VERSION, Header, KIND, SCHEMAS, Store, review_key, text};
use crate::InputError;
use crate::yaml::{Located, Source, parse_documents};

const DISCOVERY: &str = "APIGroupDiscoveryList";
const REVIEWS: [&str; 4] =
    ["SelfSubjectReview", "SelfSubjectAccessReview", "SubjectAccessReview", "LocalSubjectAccessReview"];

pub(super) fn read(name: &str, content: &str) -> Result<Store, InputError> {
    let source = Source::new(name, content);
    let (mut store, mut plurals) = (Store::default(), Plurals::default());
    let (mut objects, mut has_header) = (Vec::new(), false);
    for node in parse_documents(&source)? {
        let (api_version, kind) = (node.text("apiVersion"), node.text("kind"));
        let Some(kind) = kind.filter(|_| api_version.is_some()).map(str::to_owned) else {
            return Err(InputError::new(
                "a snapshot is made of Kubernetes objects: this has no apiVersion and kind",
            )
            .at(source.place(node.span, true))
            .help("record one with `preflight snapshot`, or use what `kubectl get -o yaml` prints"));
        };
        if api_version == Some(API_VERSION) && kind == KIND {
            has_header = true;
            store.header = Header::deserialize(&node).map_err(|error: Located| {
                let span = error.span.unwrap_or(node.span);
                InputError::new(error.message).at(source.place(span, true)).maybe_help(error.help)
            })?;
            continue;
        }
        let value = node.json();
        if api_version == Some(API_VERSION) && kind == SCHEMAS {
            store.schemas.insert(text(&value, "/path").unwrap_or_default(), value);
        } else if kind == DISCOVERY {
            plurals.learn(&value);
            let core = value.pointer("/items/0/metadata/name").is_none();
            store.discovery.insert(if core { "/api" } else { "/apis" }, value);
        } else if REVIEWS.contains(&kind.as_str()) {
            store.reviews.insert((kind, review_key(value.get("spec"))), value["status"].clone());
        } else {
            objects.push(value);
        }
    }
    for object in objects {
        put(&mut store, object, &plurals, has_header);
    }
    Ok(store)
}

fn put(store: &mut Store, mut object: Value, plurals: &Plurals, has_header: bool) {
    let kind = text(&object, "/kind").unwrap_or_default();
    let api_version = text(&object, "/apiVersion").unwrap_or_default();
    let is_list = kind.ends_with("List")
        && object.get("items").is_some_and(|items| items.is_array() || items.is_null());
    if !is_list {
        store.put(object, plurals);
        return;
    }
    let items = match object["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let item_kind = kind.strip_suffix("List").unwrap_or_default();
    let items: Vec<Value> = items
        .into_iter()
        .map(|mut item| {
            // Items of typed lists leave out what the list says.
            if item.get("kind").is_none() {
                item["kind"] = item_kind.into();
                item["apiVersion"] = api_version.clone().into();
            }
            item
        })
        .collect();
    if !has_header {
        complete_lists(store, &items, (&api_version, item_kind), plurals);
    }
    for item in items {
        store.put(item, plurals);
    }
}

/// Without a header that says which lists are whole, a list is taken for what `kubectl get` prints: whole for the
/// cluster if its items are cluster-wide or of several namespaces, else for the one namespace that they are of.
fn complete_lists(store: &mut Store, items: &[Value], typed: (&str, &str), plurals: &Plurals) {
    if items.is_empty() && !typed.1.is_empty() {
        store.header.lists.insert(plurals.path(typed.0, typed.1, None));
        return;
    }
    let of = |item: &Value| Some((text(item, "/apiVersion")?, text(item, "/kind")?));
    let kinds: BTreeSet<_> = items.iter().filter_map(of).collect();
    for (api_version, kind) in kinds {
        let same = |item: &&Value| of(item).as_ref() == Some(&(api_version.clone(), kind.clone()));
        let namespaces: BTreeSet<_> =
            items.iter().filter(same).map(|item| text(item, "/metadata/namespace")).collect();
        let only = namespaces.into_iter().collect::<Vec<_>>();
        let path = match only.as_slice() {
            [Some(namespace)] if !is_cluster_wide(&kind) => {
                plurals.path(&api_version, &kind, Some(namespace))
            }
            _ => plurals.path(&api_version, &kind, None),
        };
        store.header.lists.insert(path);
    }
}
