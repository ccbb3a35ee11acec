//! What proves who one is: tokens, passwords, client certificates; and when they expire.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use super::exec::ExecPlugin;
use crate::net::{FailureKind, Fault, Secret};

/// Which credential expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiryOf {
    /// The client certificate (its `notAfter`).
    ClientCertificate,
    /// A bearer token that is a JSON Web Token (its claim `exp`, RFC 7519).
    Token,
    /// What an exec plugin gave (its `expirationTimestamp`).
    ExecCredential,
}

impl fmt::Display for ExpiryOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ClientCertificate => "client certificate",
            Self::Token => "token",
            Self::ExecCredential => "exec credential",
        })
    }
}

/// When a credential in use expires, as it says itself. It is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialExpiry {
    /// Which credential.
    pub what: ExpiryOf,
    /// The last moment at which it holds.
    pub expires: SystemTime,
}

impl CredentialExpiry {
    pub(super) fn at_unix(what: ExpiryOf, seconds: i64) -> Option<Self> {
        let seconds = u64::try_from(seconds).ok()?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Some(Self { what, expires })
    }
}

/// A client certificate with its key, both PEM, known to belong together.
#[derive(Clone)]
pub(super) struct Identity {
    certificate: Vec<u8>,
    key: Secret,
    not_after: Option<i64>,
}

impl Identity {
    /// Says in words what is wrong; the words never hold the data.
    pub(super) fn new(certificate: Vec<u8>, key: &[u8]) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "the client certificate is not valid PEM".to_owned())?;
        let Some(first) = chain.first() else {
            return Err("the client certificate holds no PEM block CERTIFICATE".to_owned());
        };
        let not_after = x509_parser::parse_x509_certificate(first)
            .map(|(_, certificate)| certificate.validity().not_after.timestamp())
            .map_err(|_| "the client certificate is not a valid X.509 certificate".to_owned())?;
        let text = std::str::from_utf8(key).map_err(|_| "the client key is not PEM".to_owned())?;
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err("the client key is encrypted with a passphrase".to_owned());
        }
        let der = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the client key holds no PEM private key (PKCS#8, PKCS#1 or SEC1)".to_owned())?;
        let provider = rustls::crypto::ring::default_provider();
        match rustls::sign::CertifiedKey::from_der(chain.clone(), der, &provider) {
            Ok(_) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err("the client key does not belong to the client certificate".to_owned());
            }
            Err(_) => return Err("the client key is of a kind that is not supported".to_owned()),
        }
        Ok(Self { certificate, key: Secret::new(text), not_after: Some(not_after) })
    }

    /// Certificate and key as kubeconfigs carry them: PEM, in base64.
    pub(super) fn as_kubeconfig_data(&self) -> (String, String) {
        (STANDARD.encode(&self.certificate), STANDARD.encode(self.key.expose()))
    }

    pub(super) fn expiry(&self) -> Option<CredentialExpiry> {
        CredentialExpiry::at_unix(ExpiryOf::ClientCertificate, self.not_after?)
    }
}

/// Where the proof comes from that is sent with each request.
#[derive(Clone)]
pub(super) enum Proof {
    None,
    Basic {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// Read when connecting, since tokens in files are rotated. The file counts before the token, as in kubectl.
    TokenFile {
        path: PathBuf,
        otherwise: Option<Secret>,
    },
    Exec(ExecPlugin),
}

/// What [`Proof::obtain`] got hold of.
#[derive(Default)]
pub(super) struct Obtained {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) identity: Option<Identity>,
    pub(super) expiries: Vec<CredentialExpiry>,
}

impl Proof {
    /// Reads the token file or runs the exec plugin.
    pub(super) async fn obtain(&self, deadline: tokio::time::Instant) -> Result<Obtained, Fault> {
        match self {
            Self::None => Ok(Obtained::default()),
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                Ok(Obtained { authorization: header("Basic", &pair), ..Obtained::default() })
            }
            Self::Token(token) => with_token(token.expose(), None).ok_or_else(|| {
                Fault::new(
                    FailureKind::CredentialFile,
                    "the kubeconfig's token holds characters that no token may hold",
                )
            }),
            Self::TokenFile { path, otherwise } => match (read_token(path), otherwise) {
                (Ok(obtained), _) => Ok(obtained),
                (Err(fault), Some(token)) => with_token(token.expose(), None).ok_or(fault),
                (Err(fault), None) => Err(fault),
            },
            Self::Exec(plugin) => plugin.run(deadline).await,
        }
    }
}

/// `None` if the token cannot be sent in a header.
pub(super) fn with_token(token: &str, expires: Option<CredentialExpiry>) -> Option<Obtained> {
    let expiries = expires.or_else(|| jwt_expiry(token)).into_iter().collect();
    Some(Obtained { authorization: Some(header("Bearer", token)?), identity: None, expiries })
}

fn header(scheme: &str, value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {value}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read_token(path: &Path) -> Result<Obtained, Fault> {
    let fault = |why: &str| {
        Fault::new(FailureKind::CredentialFile, format!("the token file {} {why}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fault("does not exist"),
        std::io::ErrorKind::PermissionDenied => fault("may not be read by this user"),
        std::io::ErrorKind::InvalidData => fault("does not hold text"),
        _ => fault(&format!("cannot be read: {error}")),
    })?;
    match text.trim() {
        "" => Err(fault("is empty")),
        token => with_token(token, None).ok_or_else(|| fault("does not hold a token alone")),
    }
}

fn jwt_expiry(token: &str) -> Option<CredentialExpiry> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    // NumericDate may have a fraction (RFC 7519, section 2); the cast saturates.
    CredentialExpiry::at_unix(ExpiryOf::Token, claims.exp as i64)
}

/// Base64 as kubeconfigs hold it: line breaks do not count.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_tells_its_expiry_and_other_tokens_do_not() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"jane","exp":1700000000.5}"#);
        let expiry = jwt_expiry(&format!("e30.{payload}.c2ln")).unwrap();
        assert_eq!(expiry.what, ExpiryOf::Token);
        assert_eq!(expiry.expires, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        for token in ["abc", "a.b.c", "", "e30.e30.c2ln"] {
            assert_eq!(jwt_expiry(token), None, "{token}");
        }
    }

    #[test]
    fn a_token_file_is_trimmed_and_an_empty_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(read_token(&path).ok().unwrap().authorization.unwrap(), "Bearer s3cret");
        for (text, why) in [(" \n", "is empty"), ("two\nlines", "does not hold a token alone")] {
            std::fs::write(&path, text).unwrap();
            let fault = read_token(&path).err().unwrap();
            assert!(fault.words.ends_with(why), "{}", fault.words);
        }
        assert!(read_token(&directory.path().join("none")).err().unwrap().words.ends_with("does not exist"));
    }

    #[test]
    fn a_key_of_another_certificate_is_told_apart_from_garbage() {
        let one = rcgen::generate_simple_self_signed(vec!["one".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
        let pem = || one.cert.pem().into_bytes();
        assert!(Identity::new(pem(), one.signing_key.serialize_pem().as_bytes()).is_ok());
        for (certificate, key, why) in [
            (pem(), other.signing_key.serialize_pem(), "does not belong"),
            (pem(), "nothing".to_owned(), "holds no PEM private key"),
            (pem(), "-----BEGIN ENCRYPTED PRIVATE KEY-----".to_owned(), "passphrase"),
            (b"nothing".to_vec(), one.signing_key.serialize_pem(), "holds no PEM block"),
        ] {
            let error = Identity::new(certificate, key.as_bytes()).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "[redacted]");
    }
}
