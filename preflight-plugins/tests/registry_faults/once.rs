//! Each question is put once, however many containers need the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use preflight_core::{Decision, Outcome};
use serde_json::{Value, json};

use crate::support::{Asked, Server};
use crate::world::{
    Scene, ask_about, config, digest_of, healthy, manifest, plain, pull_secret, told, with_header,
    with_tokens,
};

#[tokio::test]
async fn every_question_is_put_once() {
    // Two tags of one repository, that lead to different manifests with one configuration; and another repository.
    let other = manifest().replace("\"layers\":[]", "\"layers\":[ ]");
    assert_ne!(digest_of(&other), digest_of(&manifest()));
    let two = move |asked: &Asked| {
        let is_config = asked.path.ends_with(&digest_of(&config()));
        match asked.path.rsplit('/').next().unwrap_or_default() {
            "2" => with_header(200, &format!("docker-content-digest: {}", digest_of(&other)), &other),
            "1" => plain(200, &manifest()),
            _ if is_config => plain(200, &config()),
            _ => healthy(asked),
        }
    };
    let registry = Server::start(Arc::new(with_tokens(two))).await;
    let host = registry.address.to_string();
    let pod = |name: &str, secret: Option<&str>, images: &[&str]| {
        let containers: Vec<Value> = images
            .iter()
            .enumerate()
            .map(|(at, image)| json!({"name": format!("c{at}"), "image": format!("{host}/{image}")}))
            .collect();
        let secrets: Vec<Value> = secret.iter().map(|name| json!({"name": name})).collect();
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"imagePullSecrets": secrets, "containers": containers},
        })
    };
    // Equal credentials under two names are the same credentials.
    let release = [
        pull_secret("pull", &host),
        pull_secret("same", &host),
        pod("a", Some("pull"), &["shop/web:1", "shop/web:2"]),
        pod("b", Some("same"), &["shop/web:1"]),
        pod("c", Some("pull"), &["shop/web:1", "shop/web:1"]),
        pod("d", None, &["shop/web:1", "shop/worker:1"]),
    ];
    let report = ask_about(&host, &Scene::default(), &release).await;
    assert_eq!((report.verdict.decision, told(&report)), (Decision::Go, [].into()));
    // Seven containers run three images.
    let rules = || report.checks.iter().flat_map(|check| &check.rules);
    let missing = rules().find(|rule| rule.rule == "registry-health/image-missing").unwrap();
    assert_eq!(missing.outcome, Outcome::Passed { evidence: "3 images".to_owned() });
    let mut asked: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for one in registry.log() {
        let as_user = one.authorization.as_deref().is_some_and(|shown| shown.starts_with("Basic "));
        let path = one.path.split('?').next().unwrap_or_default().to_owned();
        let scope = one.path.split("scope=").nth(1).map(|scope| format!(" {scope}")).unwrap_or_default();
        *asked.entry((format!("{} {path}{scope}", one.method), as_user)).or_default() += 1;
    }
    let token = |repository: &str| format!("GET /token repository%3Ashop%2F{repository}%3Apull");
    let config = digest_of(&config());
    let blob = |repository: &str| format!("GET /v2/shop/{repository}/blobs/{config}");
    let manifest = |image: &str| format!("GET /v2/shop/{image}");
    // With tokens, whoever asks looks alike to the registry: once as the user, once as nobody.
    let expected = [
        ("GET /v2/".to_owned(), false, 1),
        (token("web"), true, 1),
        (token("web"), false, 1),
        (token("worker"), false, 1),
        (manifest("web/manifests/1"), false, 2),
        (manifest("web/manifests/2"), false, 1),
        (manifest("worker/manifests/1"), false, 1),
        (blob("web"), false, 2),
        (blob("worker"), false, 1),
    ];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(what, as_user, times)| ((what, as_user), times)).collect();
    assert_eq!(asked, expected);
}
