//! Faults of TLS, with certificates made for them.

use std::sync::Arc;

use futures::future::join_all;
use preflight_core::Decision;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::Server;
use crate::world::{Scene, ask, healthy, told};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// What a server shows.
    fn acceptor(&self, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

type Expected = (Decision, Option<(&'static str, &'static str)>);

#[tokio::test]
async fn certificates() {
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let good = || Some(known.acceptor(|_| {}));
    let expired = || {
        Some(known.acceptor(|params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }))
    };
    let not_yet = known.acceptor(|params| params.not_before = date_time_ymd(2090, 1, 1));
    let elsewhere = known.acceptor(|params| {
        params.subject_alt_names = vec![SanType::DnsName("registry.example.com".try_into().unwrap())];
    });
    let failed = (Decision::NoGo, Some(("tls", "failed")));
    let unknown = (Decision::Unknown, Some(("tls", "unknown")));
    let go = (Decision::Go, None);
    let trust = |authority: &Authority| json!({"ca": authority.file.path().display().to_string()});
    let assumed = |authority: &Authority| {
        let mut entry = trust(authority);
        entry["node_credentials"] = "assumed".into();
        entry
    };
    let nothing = json!({});
    let table: Vec<(&str, Option<TlsAcceptor>, _, Expected)> = vec![
        ("tls: known issuer", good(), trust(&known), go),
        ("tls: unknown issuer", good(), nothing.clone(), unknown),
        ("tls: another issuer than the nodes trust", good(), trust(&other), failed),
        ("tls: expired", expired(), trust(&known), failed),
        ("tls: expired, and nodes reach it otherwise", expired(), assumed(&known), unknown),
        ("tls: expired, of an unknown issuer", expired(), nothing.clone(), failed),
        ("tls: not valid yet", Some(not_yet), trust(&known), failed),
        ("tls: for another name", Some(elsewhere), trust(&known), failed),
        ("tls: plain http where TLS is expected", None, nothing.clone(), unknown),
        (
            "tls: TLS where plain http is expected",
            good(),
            json!({"plain_http": true}),
            (Decision::Unknown, Some(("not-a-registry", "unknown"))),
        ),
    ];
    let tried = table.into_iter().map(|(name, tls, entry, expected)| async move {
        let server = Server::start_with(tls, Arc::new(healthy)).await;
        let scene = Scene { entry, ..Scene::default() };
        (name, ask(&server.address.to_string(), &scene).await, expected)
    });
    for (name, report, (decision, outcome)) in join_all(tried).await {
        let seen = told(&report);
        println!("{name:<66} {:<8} {seen:?}", format!("{:?}", report.verdict.decision));
        let expected = outcome.map(|(rule, outcome)| (rule.to_owned(), outcome)).into_iter().collect();
        assert_eq!(
            (report.verdict.decision, seen),
            (decision, expected),
            "{name}: {}",
            report.verdict.headline
        );
    }
}
