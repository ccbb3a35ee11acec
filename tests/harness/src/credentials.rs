//! Certificates, keys and tokens of a control plane, and kubeconfigs for its users.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use serde_json::json;

use crate::certificates;

/// Someone who talks to the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum User {
    /// May do everything (`system:masters`).
    Admin,
    /// May do nothing but what every user may.
    Nobody,
    /// May do what a scenario grants to the user `deployer`.
    Deployer,
    /// May do everything in the namespaces that a scenario gives it, and nothing elsewhere.
    Tenant,
    /// May read everything in the namespaces that a scenario gives it, and do nothing else.
    TenantReader,
    /// The ServiceAccount `default` of the namespace `default`, with a token whose time is over.
    ExpiredToken,
    /// The user `deployer`, with a certificate that holds for this many more seconds.
    Certificate {
        /// How long it holds, in seconds; negative for one whose time is over.
        seconds: i64,
    },
}

/// The issuer of ServiceAccount tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

/// Static tokens: token, user, UID, groups.
const TOKENS: &str = "\
admin-token-canary,admin,admin,system:masters
nobody-token-canary,nobody,nobody,
deployer-token-canary,deployer,deployer,
tenant-token-canary,tenant,tenant,
tenant-reader-token-canary,tenant-reader,tenant-reader,
";

pub(crate) struct Credentials {
    folder: PathBuf,
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    service_accounts: KeyPair,
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Credentials {
    /// Makes everything, and writes what the control plane reads.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let params = certificates::authority("harness-ca");
        let key = KeyPair::generate().map_err(other)?;
        let certificate = params.self_signed(&key).map_err(other)?;
        let ca_pem = certificate.pem();
        let ca = Issuer::new(params, key);
        let service_accounts = KeyPair::generate().map_err(other)?;

        let mut server = certificates::loopback_server();
        server.subject_alt_names.push(SanType::DnsName("localhost".try_into().map_err(other)?));
        let (server, server_key) = certificates::sign(&server, &ca)?;

        fs::write(folder.join("ca.crt"), &ca_pem)?;
        fs::write(folder.join("server.crt"), server.pem())?;
        fs::write(folder.join("server.key"), server_key.serialize_pem())?;
        fs::write(folder.join("service-accounts.key"), service_accounts.serialize_pem())?;
        fs::write(folder.join("service-accounts.pub"), service_accounts.public_key_pem())?;
        fs::write(folder.join("tokens.csv"), TOKENS)?;
        Ok(Self { folder: folder.to_owned(), ca, ca_pem, service_accounts })
    }

    /// Writes a kubeconfig. Its only context has the given name.
    pub(crate) fn kubeconfig(&self, server: &str, user: &User, context: &str) -> io::Result<PathBuf> {
        let who = match user {
            User::Admin => json!({"token": "admin-token-canary"}),
            User::Nobody => json!({"token": "nobody-token-canary"}),
            User::Deployer => json!({"token": "deployer-token-canary"}),
            User::Tenant => json!({"token": "tenant-token-canary"}),
            User::TenantReader => json!({"token": "tenant-reader-token-canary"}),
            User::ExpiredToken => json!({"token": self.expired_token()?}),
            User::Certificate { seconds } => self.certificate(*seconds)?,
        };
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca_pem);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "harness", "cluster": {"server": server, "certificate-authority-data": ca}}],
            "users": [{"name": "user", "user": who}],
            "contexts": [{"name": context, "context": {"cluster": "harness", "user": "user"}}],
            "current-context": context,
        });
        let name: String =
            format!("{user:?}-{context}").chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
        let path = self.folder.join(format!("kubeconfig-{name}"));
        fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        Ok(path)
    }

    /// A token of the ServiceAccount `default/default` whose time was over an hour ago.
    fn expired_token(&self) -> io::Result<String> {
        let now = jiff::Timestamp::now().as_second();
        let header = json!({"alg": "ES256", "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": "system:serviceaccount:default:default",
            "iat": now - 7200,
            "nbf": now - 7200,
            "exp": now - 3600,
            "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "default", "uid": "canary"}},
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let random = ring::rand::SystemRandom::new();
        let key = ring::signature::EcdsaKeyPair::from_pkcs8(
            &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            self.service_accounts.serialized_der(),
            &random,
        )
        .map_err(other)?;
        let signature = key.sign(&random, signed.as_bytes()).map_err(other)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    fn certificate(&self, seconds: i64) -> io::Result<serde_json::Value> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "deployer");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = std::time::SystemTime::now();
        let hour = std::time::Duration::from_secs(3600);
        let span = std::time::Duration::from_secs(seconds.unsigned_abs());
        params.not_before = (now - hour - span).into();
        params.not_after = if seconds < 0 { (now - span).into() } else { (now + span).into() };
        let key = KeyPair::generate().map_err(other)?;
        let certificate = params.signed_by(&key, &self.ca).map_err(other)?;
        let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        Ok(json!({
            "client-certificate-data": encode(certificate.pem()),
            "client-key-data": encode(key.serialize_pem()),
        }))
    }
}
