use serde_json::{Value, json};

use super::*;
use crate::Cluster;

/// A cluster to be recorded, as far as its header goes.
const OF: &str =
    "{apiVersion: preflight.ameide.io/v1, kind: Snapshot, server: 'https://host:6443', namespace: team}";

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Reviews about what may be done: paths and kinds.
const REVIEWS: [(&str, &str); 3] = [
    ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("subjectaccessreviews", "SubjectAccessReview"),
    ("namespaces/shop/localsubjectaccessreviews", "LocalSubjectAccessReview"),
];

fn get(snapshot: &Snapshot, path: &str) -> Result<(u16, Value), NotRecorded> {
    query(snapshot, path, &[])
}

fn query(snapshot: &Snapshot, path: &str, query: &[(&str, &str)]) -> Result<(u16, Value), NotRecorded> {
    let mut asked = Asked::get(path, "application/json");
    asked.query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    snapshot.answer(&asked).map(|answer| (answer.code, body(&answer)))
}

fn parse(text: &str) -> Snapshot {
    Snapshot::parse("snapshot.yaml", text).unwrap()
}

/// What an API server with two ConfigMaps and a Secret answers, recorded, written and read again.
fn recorded() -> (Snapshot, String) {
    let recorder = Recorder::new();
    let saw = |path: &str, code: u16, value: &Value| {
        recorder.saw(&Asked::get(path, "application/json"), code, value.to_string().as_bytes());
    };
    saw("/version", 200, &json!({"gitVersion": "v1.36.3"}));
    saw(
        "/api",
        200,
        &json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [
        {"metadata": {}, "versions": [{"version": "v1", "resources": [
            {"resource": "configmaps", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced"}]}]}]}),
    );
    let map = |name: &str| json!({"metadata": {"name": name, "namespace": "shop", "managedFields": [{}]}, "data": {"k": "canary-value"}});
    let page = |cont: &str, item: Value| json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"continue": cont}, "items": [item]});
    let list = "/api/v1/namespaces/shop/configmaps";
    saw(list, 200, &page("more", map("a")));
    let mut second = Asked::get(list, "application/json");
    second.query.push(("continue".into(), "more".into()));
    recorder.saw(&second, 200, page("", map("b")).to_string().as_bytes());
    saw(
        "/api/v1/namespaces/shop/secrets/s",
        200,
        &json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "s", "namespace": "shop"}}),
    );
    saw(
        "/api/v1/namespaces/shop/secrets/full",
        200,
        &json!({"kind": "Secret", "apiVersion": "v1", "type": "Opaque",
        "metadata": {"name": "full", "namespace": "shop", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"p\":\"canary-applied\"}}"}},
        "data": {"password": "Y2FuYXJ5LWRhdGE="}}),
    );
    saw(
        "/apis/apps/v1/namespaces/shop/deployments/web",
        200,
        &json!({"kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": {"spec": {"containers": [
            {"name": "c", "env": [{"name": "TOKEN", "value": "canary-env"}]}]}}}}),
    );
    saw("/api/v1/namespaces/gone", 404, &json!({"kind": "Status"}));
    saw(
        "/api/v1/nodes",
        403,
        &json!({"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden"}),
    );
    recorder.saw(&Asked::get("/readyz", "*/*"), 200, b"[+]ping ok\n");
    for (path, kind) in REVIEWS {
        let review = Asked {
            method: "POST".into(),
            path: format!("/apis/authorization.k8s.io/v1/{path}"),
            body: Some(json!({"kind": kind, "apiVersion": "authorization.k8s.io/v1",
                "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}})),
            ..Asked::get("", "application/json")
        };
        recorder.saw(&review, 201, json!({"status": {"allowed": true}}).to_string().as_bytes());
    }
    let mut file = Vec::new();
    recorder.write(&Cluster::from_snapshot(parse(OF)), "2026-01-01T00:00:00Z", &mut file).unwrap();
    let text = String::from_utf8(file).unwrap();
    (parse(&text), text)
}

#[test]
fn what_was_recorded_is_answered() {
    let (snapshot, _) = recorded();
    assert_eq!((snapshot.server(), snapshot.namespace()), (Some("https://host:6443"), Some("team")));
    assert_eq!(get(&snapshot, "/version").unwrap().1["gitVersion"], "v1.36.3");
    let (code, list) = get(&snapshot, "/api/v1/namespaces/shop/configmaps").unwrap();
    assert_eq!(
        (code, list["kind"].as_str(), list["items"].as_array().unwrap().len()),
        (200, Some("ConfigMapList"), 2)
    );
    assert_eq!(get(&snapshot, "/api/v1/namespaces/shop/configmaps/a").unwrap().0, 200);
    assert_eq!(get(&snapshot, "/api/v1/namespaces/shop/configmaps/c").unwrap().0, 404, "the list is whole");
    assert_eq!(get(&snapshot, "/api/v1/namespaces/gone").unwrap().0, 404);
    let (code, status) = get(&snapshot, "/api/v1/nodes").unwrap();
    assert_eq!((code, status["message"].as_str()), (403, Some("nodes is forbidden")));
}

#[test]
fn schemas_are_kept_of_the_kinds_that_are_needed() {
    let recorder = Recorder::new();
    let saw = |path: &str, code: u16, value: &Value| {
        let mut asked = Asked::get(path, "application/json");
        asked.query.push(("hash".into(), "AB".into()));
        recorder.saw(&asked, code, value.to_string().as_bytes());
    };
    let url = |of: &str| json!({"serverRelativeURL": format!("/openapi/v3/{of}?hash=AB")});
    let index = json!({"paths": {"api/v1": url("api/v1"), "apis/apps/v1": url("apis/apps/v1"), "apis/a/v1": url("apis/a/v1")}});
    saw("/openapi/v3", 200, &index);
    let of = |kind: &str| {
        json!({"type": "object", "description": "words", "properties": {"spec": {"type": "string"}},
        "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": kind}]})
    };
    let apps = json!({"paths": {"/a": {}}, "components": {"schemas": {"D": of("Deployment"), "S": of("StatefulSet")}}});
    saw("/openapi/v3/apis/apps/v1", 200, &apps);
    recorder.needs_schema("apis/apps/v1", "Deployment");
    saw("/openapi/v3/apis/a/v1", 403, &json!({"kind": "Status", "message": "no"}));
    let mut file = Vec::new();
    recorder.write(&Cluster::from_snapshot(parse(OF)), "", &mut file).unwrap();
    let text = String::from_utf8(file).unwrap();
    assert!(!text.contains("words"));
    let snapshot = parse(&text);
    let (_, index) = get(&snapshot, "/openapi/v3").unwrap();
    assert_eq!(index["paths"]["apis/apps/v1"]["serverRelativeURL"], "/openapi/v3/apis/apps/v1");
    let (_, apps) = get(&snapshot, "/openapi/v3/apis/apps/v1").unwrap();
    let names: Vec<_> = apps["components"]["schemas"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["D"]);
    assert!(get(&snapshot, "/openapi/v3/api/v1").is_err(), "it was not asked for");
    assert_eq!(get(&snapshot, "/openapi/v3/apis/a/v1").unwrap().0, 403);
    assert!(get(&parse(OF), "/openapi/v3").is_err());
}

#[test]
fn reviews_are_answered_by_what_they_ask() {
    let (snapshot, _) = recorded();
    let ask = |(path, kind): (&str, &str), verb: &str| {
        snapshot.answer(&Asked {
            method: "POST".into(),
            path: format!("/apis/authorization.k8s.io/v1/{path}"),
            body: Some(json!({"kind": kind,
                "spec": {"resourceAttributes": {"resource": "pods", "verb": verb, "namespace": ""}}})),
            ..Asked::get("", "application/json")
        })
    };
    for review in REVIEWS {
        assert_eq!(body(&ask(review, "get").unwrap())["status"]["allowed"], true);
        assert!(ask(review, "delete").unwrap_err().to_string().contains("delete pods"));
    }
}

#[test]
fn what_was_not_recorded_is_not_known() {
    let (snapshot, _) = recorded();
    for path in [
        "/api/v1/namespaces/other/configmaps",
        "/api/v1/configmaps",
        "/api/v1/namespaces/shop/pods",
        "/api/v1/namespaces/other/configmaps/a",
        "/api/v1/namespaces/here",
        "/apis",
        "/metrics",
    ] {
        assert!(get(&snapshot, path).is_err(), "{path}");
    }
}

#[test]
fn nothing_secret_is_written() {
    let (_, text) = recorded();
    for canary in ["canary-value", "canary-applied", "Y2FuYXJ5", "canary-env"] {
        assert!(!text.contains(canary), "{canary}");
    }
    assert!(text.contains("password"), "key names stay");
}

#[test]
fn a_list_is_served_in_pages_and_by_selectors() {
    let snapshot = parse(
        "{apiVersion: v1, kind: PodList, items: [\
         {metadata: {name: a, namespace: x, labels: {app: web}}, spec: {nodeName: n1}},\
         {metadata: {name: b, namespace: z, labels: {app: web}}},\
         {metadata: {name: c, namespace: x, labels: {app: db}}}]}",
    );
    let names = |query: &[(&str, &str)]| {
        let (_, list) = super::tests::query(&snapshot, "/api/v1/pods", query).unwrap();
        let names: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].clone()).collect();
        (names, list["metadata"]["continue"].as_str().map(str::to_owned))
    };
    let (first, more) = names(&[("limit", "2")]);
    assert_eq!(first.len(), 2);
    let (second, end) = names(&[("limit", "2"), ("continue", &more.unwrap())]);
    assert_eq!((second.len(), end), (1, None));
    assert_eq!(names(&[("labelSelector", "app in (web)")]).0.len(), 2);
    assert_eq!(names(&[("fieldSelector", "spec.nodeName=n1")]).0, ["a"]);
    assert!(super::tests::query(&snapshot, "/api/v1/pods", &[("labelSelector", "a b")]).is_err());
    let (_, in_x) = get(&snapshot, "/api/v1/namespaces/x/pods").unwrap();
    assert_eq!(in_x["items"].as_array().unwrap().len(), 2);
}

#[test]
fn without_a_header_a_list_is_whole_for_where_its_items_are() {
    let one_namespace = parse(
        "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}]}",
    );
    assert!(get(&one_namespace, "/api/v1/namespaces/x/pods").is_ok());
    assert!(get(&one_namespace, "/api/v1/namespaces/z/pods").is_err());
    assert!(get(&one_namespace, "/api/v1/pods").is_err());
    let wide =
        parse("{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Node, metadata: {name: a}}]}");
    assert_eq!(get(&wide, "/api/v1/nodes/b").unwrap().0, 404);
    let empty = parse("{apiVersion: v1, kind: PodList, items: []}");
    assert_eq!(get(&empty, "/api/v1/pods").unwrap().1["items"], json!([]));
    let alone = parse("{apiVersion: v1, kind: Namespace, metadata: {name: a}}");
    assert_eq!(get(&alone, "/api/v1/namespaces/a").unwrap().0, 200);
    assert!(get(&alone, "/api/v1/namespaces/b").is_err() && get(&alone, "/api/v1/namespaces").is_err());
}

#[test]
fn what_a_selector_selected_is_known_for_that_selector_alone() {
    let recorder = Recorder::new();
    let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": [
        {"kind": "PartialObjectMetadata", "metadata": {"name": "s", "namespace": "shop", "labels": {"app": "web"}}}]});
    let mut asked = Asked::get("/api/v1/namespaces/shop/secrets", "");
    asked.query.push(("labelSelector".into(), "app=web".into()));
    recorder.saw(&asked, 200, list.to_string().as_bytes());
    let mut file = Vec::new();
    recorder.write(&Cluster::from_snapshot(parse(OF)), "", &mut file).unwrap();
    let snapshot = parse(&String::from_utf8(file).unwrap());
    let select =
        |selector| query(&snapshot, "/api/v1/namespaces/shop/secrets", &[("labelSelector", selector)]);
    assert_eq!(select("app=web").unwrap().1["items"][0]["kind"], "Secret");
    assert!(select("app=db").is_err());
    assert!(get(&snapshot, "/api/v1/namespaces/shop/secrets").is_err());
}

#[test]
fn a_half_read_list_is_not_a_list() {
    let recorder = Recorder::new();
    let page = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "more"}, "items": []});
    recorder.saw(&Asked::get("/api/v1/pods", ""), 200, page.to_string().as_bytes());
    let mut file = Vec::new();
    recorder.write(&Cluster::from_snapshot(parse(OF)), "", &mut file).unwrap();
    assert!(get(&parse(&String::from_utf8(file).unwrap()), "/api/v1/pods").is_err());
}

#[test]
fn bad_snapshots_are_told_with_their_place() {
    let error = Snapshot::parse("s.yaml", "a: 1\n").unwrap_err();
    assert!(error.to_string().contains("no apiVersion") && error.advice().is_some());
    let error = Snapshot::parse("s.yaml", "apiVersion: preflight.ameide.io/v1\nkind: Snapshot\nlsits: []\n")
        .unwrap_err();
    assert_eq!(error.place().map(|place| place.line), Some(3));
    assert_eq!(error.advice(), Some("did you mean `lists`?"));
    assert!(Snapshot::parse("s.yaml", "a: [").is_err());
}
