//! Answering as the recorded API server would.

use bytes::Bytes;
use http_body_util::Full;
use kube::client::Body;
use serde_json::{Value, json};

use super::selector::{fields_match, labels_match};
use super::store::{Refused, Store, cluster_wide, review_key, text};
use super::{Answer, Asked, NotRecorded, Snapshot};
use crate::cluster::OPENAPI;

pub(super) fn answer(store: &Store, asked: &Asked) -> Result<Answer, NotRecorded> {
    if asked.method == "POST" {
        return review(store, asked);
    }
    if asked.method != "GET" {
        return Err(missing(asked));
    }
    let path = asked.path.trim_end_matches('/');
    match path {
        "/version" => store.header.version.as_ref().map(ok).ok_or_else(|| missing(asked)),
        "/readyz" => {
            let readyz = store.header.readyz.as_ref().ok_or_else(|| missing(asked))?;
            Ok(Answer {
                code: readyz.code,
                content_type: "text/plain",
                body: readyz.body.clone().into_bytes(),
            })
        }
        "/api" | "/apis" => discovery(store, asked, path),
        _ if path.starts_with(OPENAPI) => schemas(store, asked, path),
        _ => objects(store, asked, path),
    }
}

fn discovery(store: &Store, asked: &Asked, path: &str) -> Result<Answer, NotRecorded> {
    let document = store.discovery.get(path).ok_or_else(|| missing(asked))?;
    if asked.accept.contains("APIGroupDiscoveryList") { Ok(ok(document)) } else { Err(missing(asked)) }
}

/// The list of schemas, or those of one group version.
fn schemas(store: &Store, asked: &Asked, path: &str) -> Result<Answer, NotRecorded> {
    if let Some(refused) = store.refused(path) {
        return Ok(refuse(refused));
    }
    if store.header.absent.contains(path) {
        return Ok(status(404, "NotFound", "the server could not find the requested resource"));
    }
    if path == OPENAPI && !store.header.schemas.is_empty() {
        let url = |of: &String| (of.clone(), json!({"serverRelativeURL": format!("{OPENAPI}/{of}")}));
        let paths: serde_json::Map<_, _> = store.header.schemas.iter().map(url).collect();
        return Ok(ok(&json!({"paths": paths})));
    }
    let of = path.strip_prefix(OPENAPI).unwrap_or_default().trim_start_matches('/');
    store.schemas.get(of).map(ok).ok_or_else(|| missing(asked))
}

fn review(store: &Store, asked: &Asked) -> Result<Answer, NotRecorded> {
    let body = asked.body.as_ref().ok_or_else(|| missing(asked))?;
    let kind = text(body, "/kind").unwrap_or_default();
    if let Some(refused) = store.refused(&asked.path) {
        return Ok(status(refused.code, &refused.reason, &refused.message));
    }
    let found = store.reviews.get(&(kind.clone(), review_key(body.get("spec"))));
    let status = found.ok_or_else(|| NotRecorded { what: describe_review(&kind, body) })?;
    let mut answer = body.clone();
    answer["status"] = status.clone();
    Ok(Answer { code: 201, ..ok(&answer) })
}

fn describe_review(kind: &str, body: &Value) -> String {
    let attribute = |key: &str| text(body, &format!("/spec/resourceAttributes/{key}")).unwrap_or_default();
    match (attribute("verb"), attribute("resource")) {
        (verb, resource) if !verb.is_empty() => format!("whether one may {verb} {resource} ({kind})"),
        _ => format!("an answer to a {kind}"),
    }
}

fn objects(store: &Store, asked: &Asked, path: &str) -> Result<Answer, NotRecorded> {
    if let Some(refused) = store.refused(path) {
        return Ok(refuse(refused));
    }
    let parts = Parts::of(path).ok_or_else(|| missing(asked))?;
    match parts.name {
        Some(name) => one(store, asked, path, &parts, name),
        None => list(store, asked, path),
    }
}

/// A path of objects: the list's, and the name if it is of one.
struct Parts<'a> {
    list: &'a str,
    group: &'a str,
    plural: &'a str,
    name: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`, then `namespaces/NAMESPACE/` or not, then plural and name.
    fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (group, below) = match segments.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let (plural, name) = match below {
            ["namespaces", _, plural] => (*plural, None),
            ["namespaces", _, plural, name] => (*plural, Some(*name)),
            [plural] => (*plural, None),
            [plural, name] => (*plural, Some(*name)),
            _ => return None,
        };
        let list = match name {
            Some(name) => &path[..path.len() - name.len() - 1],
            None => path,
        };
        Some(Self { list, group, plural, name })
    }
}

fn one(
    store: &Store,
    asked: &Asked,
    path: &str,
    parts: &Parts<'_>,
    name: &str,
) -> Result<Answer, NotRecorded> {
    if let Some(object) = store.objects.get(parts.list).and_then(|items| items.get(name)) {
        return Ok(ok(&shaped(object, &asked.accept)));
    }
    let complete =
        store.header.lists.contains(parts.list) || store.header.lists.contains(&cluster_wide(parts.list));
    if complete || store.header.absent.contains(path) {
        let of = if parts.group.is_empty() {
            parts.plural.to_owned()
        } else {
            format!("{}.{}", parts.plural, parts.group)
        };
        return Ok(status(404, "NotFound", &format!("{of} \"{name}\" not found")));
    }
    Err(missing(asked))
}

fn list(store: &Store, asked: &Asked, path: &str) -> Result<Answer, NotRecorded> {
    let mut items = store.list(path).or_else(|| store.selected(path, asked)).ok_or_else(|| missing(asked))?;
    for (key, matches) in
        [("labelSelector", labels_match as fn(&Value, &str) -> Option<bool>), ("fieldSelector", fields_match)]
    {
        if let Some(selector) = asked.parameter(key) {
            let unreadable = || NotRecorded { what: format!("what the selector {selector:?} means") };
            let keep: Vec<bool> = items
                .iter()
                .map(|item| matches(item, selector).ok_or_else(unreadable))
                .collect::<Result<_, _>>()?;
            let mut keep = keep.into_iter();
            items.retain(|_| keep.next().unwrap_or(false));
        }
    }
    let total = items.len();
    let start = asked.parameter("continue").and_then(|token| token.parse().ok()).unwrap_or(0).min(total);
    let limit = asked
        .parameter("limit")
        .and_then(|limit| limit.parse().ok())
        .filter(|limit| *limit > 0)
        .unwrap_or(total);
    let end = (start + limit).min(total);
    let mut metadata = json!({"resourceVersion": "1"});
    if end < total {
        metadata["continue"] = end.to_string().into();
        metadata["remainingItemCount"] = (total - end).into();
    }
    let page: Vec<Value> = items[start..end].iter().map(|item| shaped(item, &asked.accept)).collect();
    let kind =
        store.kinds.get(&cluster_wide(path)).map_or_else(|| "List".to_owned(), |kind| format!("{kind}List"));
    let api_version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
    let api_version: Vec<_> =
        api_version.split('/').take(if path.starts_with("/apis/") { 2 } else { 1 }).collect();
    Ok(ok(&json!({"kind": kind, "apiVersion": api_version.join("/"), "metadata": metadata, "items": page})))
}

/// Only the metadata, where that is what is asked for.
fn shaped(object: &Value, accept: &str) -> Value {
    if !accept.contains("as=PartialObjectMetadata") {
        return object.clone();
    }
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

fn ok(value: &Value) -> Answer {
    Answer { code: 200, content_type: "application/json", body: value.to_string().into_bytes() }
}

fn refuse(refused: &Refused) -> Answer {
    status(refused.code, &refused.reason, &refused.message)
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Answer { code, ..ok(&body) }
}

fn missing(asked: &Asked) -> NotRecorded {
    NotRecorded { what: format!("{} {}", asked.method.to_lowercase(), asked.path) }
}

/// A client whose service is the snapshot.
pub(super) fn client(snapshot: Snapshot) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let snapshot = snapshot.clone();
        async move { respond(&snapshot, request).await }
    });
    kube::Client::new(service, "default")
}

async fn respond(
    snapshot: &Snapshot,
    request: http::Request<Body>,
) -> Result<http::Response<Full<Bytes>>, tower::BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect_bytes().await?;
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(query_of).unwrap_or_default(),
        accept: head
            .headers
            .get("accept")
            .and_then(|accept| accept.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: serde_json::from_slice(&body).ok(),
    };
    let answer = snapshot.answer(&asked)?;
    Ok(http::Response::builder()
        .status(answer.code)
        .header("content-type", answer.content_type)
        .body(Full::new(Bytes::from(answer.body)))?)
}

/// The keys and values of a query, decoded.
fn query_of(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decoded(k), decoded(v)))
        .collect()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0));
                rest = after;
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
