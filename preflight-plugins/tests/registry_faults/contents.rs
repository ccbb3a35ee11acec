//! Faults of what the registry gives: manifests, indexes, configurations, and where it sends one for them.

use std::sync::Arc;

use preflight_core::Decision;
use serde_json::{Value, json};

use crate::support::{Asked, Handler, Server};
use crate::world::{
    MANIFEST, Scene, ask, but, challenge, config, config_path, digest_of, elsewhere, expect_all, fault,
    healthy, holding, manifest, plain, says, told, with_header, with_tokens,
};

#[tokio::test]
async fn manifests() {
    let cut = || with_header(200, "content-length: 5000", "{\"schemaVersion\": 2, \"con");
    let other = format!("docker-content-digest: {}", digest_of("other"));
    let digest = digest_of(&manifest());
    let pinned = digest.clone();
    let by_digest = move |name, handler: fn(&Asked) -> _| {
        let image = format!("shop/web@{pinned}");
        fault(name, handler).scene(move |scene| scene.image = image)
    };
    let below_digest = |asked: &Asked| asked.path.contains("/manifests/sha256:");
    let large = " ".repeat(5 << 20);
    expect_all(vec![
        by_digest("healthy, by digest", healthy).is(Decision::Go, &[]),
        by_digest("another content than the digest's", |asked| match asked.path.contains("/manifests/") {
            true => plain(200, &config()),
            false => healthy(asked),
        })
        .unknown("server-error"),
        fault("a digest that is not there", healthy)
            .scene(|scene| scene.image = format!("shop/web@{}", digest_of("other")))
            .fails("image-missing"),
        fault("a manifest that is cut short", but(MANIFEST, move |_| cut())).unknown("server-error"),
        fault("a manifest that is not JSON", but(MANIFEST, |_| plain(200, "{]"))).unknown("server-error"),
        fault("a manifest that is none", but(MANIFEST, |_| plain(200, "{}"))).unknown("server-error"),
        fault("a header with another digest", but(MANIFEST, move |_| with_header(200, &other, &manifest())))
            .unknown("server-error"),
        fault("a manifest that is too large", but(MANIFEST, move |_| plain(200, &large)))
            .unknown("server-error"),
        fault("404 MANIFEST_UNKNOWN", but(MANIFEST, |_| says(404, "MANIFEST_UNKNOWN")))
            .fails("image-missing"),
        fault("404 NAME_UNKNOWN", but(MANIFEST, |_| says(404, "NAME_UNKNOWN"))).fails("image-missing"),
        fault("404 without words, from a registry", but(MANIFEST, |_| plain(404, ""))).fails("image-missing"),
        fault("404 to a user who may not see it", with_tokens(but(MANIFEST, |_| says(404, "NAME_UNKNOWN"))))
            .login()
            .fails("image-missing"),
        fault("404 to nobody, and nodes have credentials", but(MANIFEST, |_| says(404, "NAME_UNKNOWN")))
            .scene(|scene| scene.entry["node_credentials"] = "assumed".into())
            .unknown("image-missing"),
        fault("a redirect to nowhere", but(MANIFEST, |_| plain(307, ""))).unknown("server-error"),
        fault(
            "a redirect to itself",
            but(MANIFEST, |_| with_header(307, &format!("location: {MANIFEST}"), "")),
        )
        .unknown("server-error"),
        fault("a redirect within the registry", move |asked| match below_digest(asked) {
            true => healthy(asked),
            false if asked.path == MANIFEST => {
                let place = format!("location: /v2/shop/web/manifests/{}", digest_of(&manifest()));
                with_header(307, &place, "")
            }
            false => healthy(asked),
        })
        .is(Decision::Go, &[]),
    ])
    .await;
    assert_eq!(digest.len(), 71);
}

fn index(entries: &[(&str, &str, &str)]) -> String {
    let entry = |(os, architecture, digest): &(&str, &str, &str)| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let manifests: Vec<Value> = entries.iter().map(entry).collect();
    let kind = "application/vnd.oci.image.index.v1+json";
    json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).to_string()
}

fn manifest_of(kind: &str, config: &str) -> String {
    let config = json!({"mediaType": kind, "digest": digest_of(config)});
    json!({"schemaVersion": 2, "config": config, "layers": []}).to_string()
}

#[tokio::test]
async fn images() {
    let image = "application/vnd.oci.image.config.v1+json";
    let of = |os: &str, architecture: &str, user: &str| {
        json!({"os": os, "architecture": architecture, "config": {"User": user}}).to_string()
    };
    let (arm, root) = (of("linux", "arm64", "1000"), of("linux", "amd64", ""));
    let (of_arm, of_root) = (manifest_of(image, &arm), manifest_of(image, &root));
    let digest = digest_of(&manifest());
    let whole = index(&[("linux", "amd64", &digest), ("linux", "arm64", &digest_of(&of_arm))]);
    let without = index(&[("linux", "arm64", &digest_of(&of_arm)), ("unknown", "unknown", &digest)]);
    let lacking = index(&[("linux", "amd64", &digest_of("gone"))]);
    let nested = index(&[("linux", "amd64", &digest_of(&without))]);
    let chart = manifest_of("application/vnd.cncf.helm.config.v1+json", "{}");
    let schema_1 = json!({"schemaVersion": 1, "name": "shop/web", "fsLayers": []}).to_string();
    let old = |name, runtime| fault(name, holding(&[&schema_1])).scene(move |scene| scene.runtime = runtime);
    expect_all(vec![
        fault("an index", holding(&[&whole])).is(Decision::Go, &[]),
        fault("an index without the node's platform", holding(&[&without])).fails("platform"),
        fault("an index of nothing", holding(&[&index(&[])])).fails("platform"),
        fault("an index that names what is not there", holding(&[&lacking])).fails("image-missing"),
        fault("an index of an index", holding(&[&nested, &without]))
            .is(Decision::Unknown, &[("platform", "unknown"), ("run-as-non-root", "unknown")]),
        fault("an image for another platform", holding(&[&of_arm, &arm])).fails("platform"),
        fault("an image that runs as root", holding(&[&of_root, &root])).fails("run-as-non-root"),
        fault("another artefact", holding(&[&chart])).unknown("not-an-image"),
        old("schema 1, on containerd 2.1", "containerd://2.1.0").fails("schema-1"),
        old("schema 1, on containerd 1.7", "containerd://1.7.27")
            .is(Decision::Unknown, &[("run-as-non-root", "unknown"), ("schema-1", "warning")]),
        old("schema 1, on who knows what", "").is(Decision::Unknown, &[("schema-1", "unknown")]),
    ])
    .await;
}

/// Commands that mend are to be pasted: they reach the registry as Preflight does.
#[tokio::test]
async fn commands_reach_a_registry_without_tls() {
    let root = json!({"os": "linux", "architecture": "amd64", "config": {"User": ""}}).to_string();
    let image = manifest_of("application/vnd.oci.image.config.v1+json", &root);
    for (handler, command) in [
        (
            Arc::new(holding(&[&image, &root])) as Handler,
            "skopeo inspect --config --format '{{.Config.User}}' --tls-verify=false docker://HOST/shop/web:1",
        ),
        (
            Arc::new(|_: &Asked| says(404, "NAME_UNKNOWN")),
            "skopeo list-tags --tls-verify=false docker://HOST/shop/web",
        ),
        (Arc::new(|_: &Asked| plain(500, "")), "curl -sSi http://HOST/v2/"),
    ] {
        let server = Server::start(handler).await;
        let host = server.address.to_string();
        let report = serde_json::to_string(&ask(&host, &Scene::default()).await).unwrap();
        assert!(report.contains(&command.replace("HOST", &host)), "{command} is not in {report}");
    }
}

/// Whether an image is there is a question of its own: who accepts not to know whether a pod may pull it has
/// not accepted that it may be missing.
#[tokio::test]
async fn accepted_unknowns() {
    let refuses = |name, accepted| {
        let basic = r#"www-authenticate: Basic realm="shop""#;
        fault(name, move |_: &Asked| with_header(401, basic, ""))
            .scene(move |scene| scene.accepted = accepted)
    };
    let unknown = [("pull-permission", "unknown")];
    expect_all(vec![
        refuses("refused, and nothing accepted", &[]).is(Decision::Unknown, &unknown),
        refuses("refused, and the permission accepted", &["pull-permission"]).is(Decision::Unknown, &unknown),
        refuses("refused, and the image accepted", &["image-missing"]).is(Decision::Unknown, &unknown),
        refuses("refused, and both accepted", &["pull-permission", "image-missing"])
            .is(Decision::Go, &unknown),
    ])
    .await;
}

#[tokio::test]
async fn configurations() {
    let unknown = [("platform", "unknown"), ("run-as-non-root", "unknown")];
    let at = |name, answer: fn(&Asked) -> _| fault(name, but(config_path(), answer));
    expect_all(vec![
        at("a configuration that is not there", |_| says(404, "BLOB_UNKNOWN")).fails("image-missing"),
        at("a configuration with another digest", |_| plain(200, &manifest()))
            .is(Decision::Unknown, &unknown),
        at("a configuration that is cut short", |_| with_header(200, "content-length: 900", "{\"os\""))
            .is(Decision::Unknown, &unknown),
        at("a configuration: 500", |_| plain(500, "")).is(Decision::Unknown, &unknown),
        at("a configuration: 403", |_| says(403, "DENIED")).is(Decision::Unknown, &unknown),
        at("a configuration: 429", |_| with_header(429, "retry-after: 600", ""))
            .is(Decision::Unknown, &unknown),
        at("a configuration: redirect to itself", |asked| {
            with_header(307, &format!("location: {}", asked.path), "")
        })
        .is(Decision::Unknown, &unknown),
    ])
    .await;
}

/// The store of a registry's blobs often is another host, which has its own leave in the URL.
#[tokio::test]
async fn another_host_is_sent_no_credentials() {
    let (store, host) = elsewhere(plain(200, &config())).await;
    let sends_away = move |asked: &Asked| match asked.path == config_path() {
        true => with_header(307, &format!("location: http://{host}/blob?signature=canary"), ""),
        false => healthy(asked),
    };
    let sends_away = Arc::new(sends_away);
    let (for_tokens, for_passwords) = (Arc::clone(&sends_away), sends_away);
    let tokens = Server::start(Arc::new(with_tokens(move |asked| for_tokens(asked)))).await;
    let passwords = Server::start(Arc::new(move |asked: &Asked| match asked.authorization.as_deref() {
        Some(shown) if shown.starts_with("Basic ") => for_passwords(asked),
        _ => challenge(asked, "Basic realm=\"r\""),
    }))
    .await;
    let scene = Scene { login: true, ..Scene::default() };
    for registry in [&tokens, &passwords] {
        let report = ask(&registry.address.to_string(), &scene).await;
        assert_eq!((report.verdict.decision, told(&report)), (Decision::Go, [].into()));
        assert!(!serde_json::to_string(&report).unwrap().contains("canary"));
        assert!(registry.log().iter().any(|asked| asked.authorization.is_some()));
    }
    let shown: Vec<_> = store.log().into_iter().map(|asked| asked.authorization).collect();
    assert_eq!(shown, [None, None]);
}
