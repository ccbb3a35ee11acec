//! What can keep a registry from answering, each told apart.

use std::fmt;
use std::time::Duration;

use preflight_core::net::{ConnectFailure, FailureKind};
use serde::Deserialize;

/// The longest part of a registry's own words that is told, in characters.
const WORDS_TOLD: usize = 160;

/// Why a registry did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no connection, or it broke.
    Connect(ConnectFailure),
    /// No answer in time.
    TimedOut {
        /// What did not answer, as a URL without a query.
        server: String,
    },
    /// What answers is not a registry.
    NotARegistry {
        /// In which way.
        why: String,
    },
    /// The registry wants credentials, and does not say how in a way that can be followed.
    Challenge {
        /// What is wrong with it.
        why: String,
    },
    /// The service that issues tokens does not issue any.
    TokenService {
        /// The service's URL, without its query.
        service: String,
        /// Why.
        why: String,
        /// Whether it may in a moment.
        transient: bool,
    },
    /// 401 or 403: these credentials, or none, do not suffice.
    Refused {
        /// HTTP status.
        code: u16,
        /// Who refused: the registry's or the token service's host.
        by: String,
        /// Its own words.
        words: String,
    },
    /// 404: there is no such repository, tag or digest.
    Missing {
        /// `NAME_UNKNOWN`: the whole repository.
        whole_repository: bool,
        /// The registry's own words.
        words: String,
    },
    /// 429: too many requests.
    Throttled {
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// Any other status.
    Status {
        /// HTTP status.
        code: u16,
        /// The registry's own words.
        words: String,
    },
    /// An answer that cannot be what was asked for: cut short, of another digest, not JSON.
    Malformed {
        /// In which way.
        why: String,
    },
}

impl Trouble {
    /// Whether the same question may be answered if it is asked again soon.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Connect(failure) => failure.transient,
            Self::TokenService { transient, .. } => *transient,
            Self::TimedOut { .. } | Self::Throttled { .. } => true,
            Self::Status { code, .. } => matches!(code, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether it is about the connection, and so about this machine's place in the network as much as about the
    /// registry.
    #[must_use]
    pub const fn is_contact(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::TimedOut { .. })
    }

    /// The way in which the connection failed, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&ConnectFailure> {
        match self {
            Self::Connect(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the server's certificate is what is wrong, in a way that every client sees.
    #[must_use]
    pub fn is_bad_certificate(&self) -> bool {
        let bad = [FailureKind::TlsExpired, FailureKind::TlsNotYetValid, FailureKind::TlsWrongName];
        self.failure().is_some_and(|failure| bad.contains(&failure.kind))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |words: &str| if words.is_empty() { String::new() } else { format!(": {words}") };
        match self {
            Self::Connect(failure) => f.write_str(&failure.message),
            Self::TimedOut { server } => write!(f, "{server} did not answer in time"),
            Self::NotARegistry { why } => write!(f, "what answers is no registry: {why}"),
            Self::Challenge { why } => write!(f, "it wants credentials, but {why}"),
            Self::TokenService { service, why, .. } => write!(f, "the token service {service} {why}"),
            Self::Refused { code, by, words } => write!(f, "{by} refuses (HTTP {code}){}", said(words)),
            Self::Missing { whole_repository: true, words } => {
                write!(f, "there is no such repository{}", said(words))
            }
            Self::Missing { words, .. } => write!(f, "there is no such image{}", said(words)),
            Self::Throttled { retry_after: Some(after) } => {
                write!(f, "it takes no more requests for {} s (HTTP 429)", after.as_secs())
            }
            Self::Throttled { retry_after: None } => {
                f.write_str("it takes no more requests for now (HTTP 429)")
            }
            Self::Status { code, words } => write!(f, "it answers HTTP {code}{}", said(words)),
            Self::Malformed { why } => write!(f, "its answer cannot be used: {why}"),
        }
    }
}

/// The errors in a registry's answer (OCI distribution specification v1.1, "Error Codes").
#[derive(Debug, Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Told>,
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry's own words: codes and messages, on one line, without what looks like a secret. Empty where the body
/// is nothing that registries say.
#[must_use]
pub fn words_of(body: &[u8]) -> String {
    let Ok(Errors { errors }) = serde_json::from_slice::<Errors>(body) else {
        return String::new();
    };
    let one = |told: &Told| match (told.code.is_empty(), told.message.is_empty()) {
        (false, false) => format!("{} {}", told.code, told.message),
        _ => format!("{}{}", told.code, told.message),
    };
    let words = errors.iter().map(one).collect::<Vec<_>>().join("; ");
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = preflight_core::redact(&words).into_owned();
    match words.char_indices().nth(WORDS_TOLD) {
        Some((cut, _)) => format!("{}…", &words[..cut]),
        None => words,
    }
}

/// Whether the body holds an error with this code.
#[must_use]
pub fn has_code(body: &[u8], code: &str) -> bool {
    serde_json::from_slice::<Errors>(body).is_ok_and(|all| all.errors.iter().any(|told| told.code == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_quoted_shortly_and_without_secrets() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "no\naccess for Bearer abc.def"}]}"#;
        assert_eq!(words_of(body), "DENIED no access for Bearer [redacted]");
        assert!(has_code(body, "DENIED") && !has_code(body, "UNAUTHORIZED"));
        assert_eq!(words_of(b"<html>login</html>"), "");
        let long = format!(r#"{{"errors": [{{"message": "{}"}}]}}"#, "ä".repeat(500));
        assert_eq!(words_of(long.as_bytes()).chars().count(), WORDS_TOLD + 1);
    }
}
