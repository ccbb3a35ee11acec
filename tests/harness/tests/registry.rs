//! The real registry, as the tests of checks on images use it: it asks for the credentials that it was told to ask
//! for, and gives what was put there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use libtest_mimic::{Arguments, Completion, Trial};
use preflight_harness::{Auth, Grant, Image, PlatformImage, Registry, RegistryOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

type Test = fn(&Registry);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let options = |auth: Auth| RegistryOptions { auth, ..RegistryOptions::default() };
    let basic = Auth::Basic(vec![account("puller"), account("other")]);
    let tests: [(&str, RegistryOptions, Test); 6] = [
        ("without_auth_everyone_is_served", options(Auth::None), everyone),
        (
            "over_tls_its_authority_vouches_for_it",
            RegistryOptions { tls: true, ..options(basic.clone()) },
            tls,
        ),
        ("with_basic_auth_a_password_is_asked_for", options(basic), password),
        ("with_token_auth_what_is_granted_may_be_done", options(Auth::Token(grants())), token),
        (
            "read_only_nothing_is_pushed",
            RegistryOptions { read_only: true, ..options(Auth::None) },
            read_only,
        ),
        ("an_async_test_may_have_one", options(Auth::None), |_| of_async_test()),
    ];
    let trials = tests.into_iter().map(|(name, options, test)| {
        Trial::ignorable_test(name, move || match Registry::start(&options) {
            Err(unavailable) => unavailable.completion(),
            Ok(registry) => {
                test(&registry);
                Ok(Completion::Completed)
            }
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn account(user: &str) -> (String, String) {
    (user.to_owned(), format!("{user}-password"))
}

fn grants() -> Vec<Grant> {
    let grant = |user: &str, repositories: &[&str], push: bool| Grant {
        user: user.to_owned(),
        password: if user.is_empty() { String::new() } else { account(user).1 },
        repositories: repositories.iter().map(|&name| name.to_owned()).collect(),
        push,
    };
    vec![
        grant("", &["open/app"], false),
        grant("puller", &["team/app"], false),
        grant("pusher", &["*"], true),
    ]
}

fn image() -> PlatformImage {
    PlatformImage::new("linux", "amd64").user("1000")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::main(flavor = "current_thread")]
async fn send(ca: Option<&std::path::Path>, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = ca {
        roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let (head, body) = client.request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

fn ask(registry: &Registry, method: Method, path: &str, authorization: Option<&str>) -> Response<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}/v2/{path}", registry.url()))
        .header("accept", "application/vnd.oci.image.index.v1+json")
        .header("accept", "application/vnd.oci.image.manifest.v1+json")
        .header("accept", "application/vnd.docker.distribution.manifest.list.v2+json")
        .header("accept", "application/vnd.docker.distribution.manifest.v2+json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    send(registry.ca_pem(), request.body(Full::default()).unwrap())
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn everyone(registry: &Registry) {
    let (arm, windows) =
        (PlatformImage::new("linux", "arm64").variant("v8"), PlatformImage::new("windows", "amd64"));
    let cases = [
        ("single", Image::single(image()), "application/vnd.oci.image.manifest.v1+json"),
        (
            "single-docker",
            Image::single(image()).docker(),
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        (
            "index",
            Image::index([image(), arm.clone(), windows.clone()]),
            "application/vnd.oci.image.index.v1+json",
        ),
        (
            "index-docker",
            Image::index([image(), arm, windows]).docker(),
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
    ];
    for (tag, image, media) in cases {
        let digest = registry.put("team/app", tag, &image).unwrap();
        let mut response = ask(registry, Method::GET, &format!("team/app/manifests/{tag}"), None);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], media);
        assert_eq!(response.headers()["docker-content-digest"], digest.as_str());
        if tag.starts_with("index") {
            let index = json(&response);
            assert_eq!(index["manifests"][1]["platform"]["variant"], "v8");
            let of_first = index["manifests"][0]["digest"].as_str().unwrap();
            response = ask(registry, Method::GET, &format!("team/app/manifests/{of_first}"), None);
        }
        let of_config = json(&response)["config"]["digest"].as_str().unwrap().to_owned();
        let config = json(&ask(registry, Method::GET, &format!("team/app/blobs/{of_config}"), None));
        assert_eq!((&config["architecture"], &config["config"]["User"]), (&"amd64".into(), &"1000".into()));
    }
    let response = ask(registry, Method::GET, "team/app/manifests/other", None);
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(registry.put("team/App", "latest", &Image::single(image())).is_err());
}

fn tls(registry: &Registry) {
    assert_eq!(registry.url(), format!("https://{}", registry.host()));
    password(registry);
}

fn password(registry: &Registry) {
    registry.put("team/app", "1", &Image::single(image())).unwrap();
    let path = "team/app/manifests/1";
    for (user, password, expected) in [
        ("puller", "puller-password", StatusCode::OK),
        ("other", "other-password", StatusCode::OK),
        ("puller", "other-password", StatusCode::UNAUTHORIZED),
    ] {
        let response = ask(registry, Method::HEAD, path, Some(&basic(user, password)));
        assert_eq!(response.status(), expected, "{user} {password}");
    }
    let response = ask(registry, Method::GET, path, None);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"harness\"");
}

/// The realm and the service that a registry sends its clients to.
fn challenge(registry: &Registry) -> (String, String) {
    let response = ask(registry, Method::GET, "", None);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let text = response.headers()["www-authenticate"].to_str().unwrap();
    let part = |name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert!(text.starts_with("Bearer "), "{text}");
    (part("realm"), part("service"))
}

/// What comes with a token for pulling and pushing: of the manifest, and of an upload.
fn with_token(registry: &Registry, repository: &str, answer: &Response<Bytes>) -> (u16, u16) {
    let bearer = format!("Bearer {}", json(answer)["access_token"].as_str().unwrap());
    let pull = ask(registry, Method::GET, &format!("{repository}/manifests/1"), Some(&bearer));
    let push = ask(registry, Method::POST, &format!("{repository}/blobs/uploads/"), Some(&bearer));
    (pull.status().as_u16(), push.status().as_u16())
}

fn token(registry: &Registry) {
    for repository in ["open/app", "team/app"] {
        registry.put(repository, "1", &Image::single(image())).unwrap();
    }
    let (realm, service) = challenge(registry);
    let get = |repository: &str, authorization: Option<String>| {
        let uri = format!("{realm}?service={service}&scope=repository%3A{repository}%3Apull%2Cpush");
        let mut request = Request::get(uri);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        send(None, request.body(Full::default()).unwrap())
    };
    let refresh = |user: &str, repository: &str| {
        let body = format!(
            "grant_type=refresh_token&refresh_token=refresh-{user}&service={service}&client_id=test\
             &scope=repository:{repository}:pull,push"
        );
        send(None, Request::post(&realm).body(Full::from(body)).unwrap())
    };
    let own = |user: &str| Some(basic(user, &account(user).1));
    for (repository, authorization, expected) in [
        ("open/app", None, (200, 401)),
        ("team/app", None, (401, 401)),
        ("team/app", own("puller"), (200, 401)),
        ("open/app", own("puller"), (200, 401)),
        ("other/app", own("puller"), (401, 401)),
        ("team/app", own("pusher"), (200, 202)),
        ("other/app", own("pusher"), (404, 202)),
    ] {
        let answer = get(repository, authorization.clone());
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(with_token(registry, repository, &answer), expected, "{repository} {authorization:?}");
    }
    assert_eq!(get("open/app", Some(basic("puller", "other"))).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(with_token(registry, "team/app", &refresh("puller", "team/app")), (200, 401));
    assert_eq!(refresh("nobody", "team/app").status(), StatusCode::UNAUTHORIZED);
}

fn read_only(registry: &Registry) {
    registry.put("team/app", "1", &Image::single(image())).unwrap();
    assert_eq!(ask(registry, Method::GET, "team/app/manifests/1", None).status(), StatusCode::OK);
    let response = ask(registry, Method::POST, "team/app/blobs/uploads/", None);
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::main(flavor = "current_thread")]
async fn of_async_test() {
    let registry = Registry::start(&RegistryOptions::default()).unwrap();
    registry.put("team/app", "1", &Image::single(image())).unwrap();
}
