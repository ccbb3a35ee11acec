//! CAs of webhooks, and the certificates that webhooks serve with.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::certificates;

const DAY: Duration = Duration::from_secs(86_400);

/// Which certificate a webhook serves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    /// One for its name that is valid.
    Right,
    /// One for the name of another.
    WrongName,
    /// One whose time is over.
    Expired,
}

/// A key, and the certificates that it signs.
///
/// `CA`, `EXPIRED_CA` and `EXPIRING_CA` are certificates of the same key and name, as a CA has whose certificate was
/// renewed. So what is served fits to each of them, and only their validity differs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Names of certificates, and their PEM.
    certificates: [(&'static str, String); 4],
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Authority {
    pub(super) fn create() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(other)?;
        let pem = |params: &CertificateParams, key: &KeyPair| {
            params.self_signed(key).map(|certificate| certificate.pem()).map_err(other)
        };
        let params = certificates::authority("harness-webhook-ca");
        let mut expired = params.clone();
        (expired.not_before, expired.not_after) = validity(Serving::Expired);
        let mut expiring = params.clone();
        expiring.not_after = (SystemTime::now() + 3 * DAY).into();
        let unrelated =
            pem(&certificates::authority("harness-other-ca"), &KeyPair::generate().map_err(other)?)?;
        let certificates = [
            ("CA", pem(&params, &key)?),
            ("EXPIRED_CA", pem(&expired, &key)?),
            ("EXPIRING_CA", pem(&expiring, &key)?),
            ("OTHER_CA", unrelated),
        ];
        Ok(Self { issuer: Issuer::new(params, key), certificates })
    }

    /// What goes into `caBundle` for names that are joined with `+`; nothing where a name is unknown.
    pub(super) fn bundle(&self, names: &str) -> Option<String> {
        let pem = |name: &str| self.certificates.iter().find(|(own, _)| *own == name).map(|(_, pem)| &**pem);
        names.split('+').map(pem).collect::<Option<String>>().map(|bundle| STANDARD.encode(bundle))
    }

    /// A server's settings, with a fresh certificate.
    pub(super) fn serving(&self, name: &str, how: Serving) -> io::Result<Arc<ServerConfig>> {
        let name = if how == Serving::WrongName { "someone-else.example.svc" } else { name };
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(other)?;
        params.distinguished_name.push(DnType::CommonName, "harness-webhook");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = validity(how);
        let (certificate, key) = certificates::sign(&params, &self.issuer)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(other)?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).map_err(other)?,
            )
            .map_err(other)?;
        Ok(Arc::new(config))
    }
}

/// From when and until when a certificate is valid.
fn validity<T: From<SystemTime>>(how: Serving) -> (T, T) {
    let now = SystemTime::now();
    let end = if how == Serving::Expired { now - DAY } else { now + 90 * DAY };
    ((now - 30 * DAY).into(), end.into())
}
