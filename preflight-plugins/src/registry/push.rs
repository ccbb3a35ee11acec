//! May one push here, and is there room? Asked by starting an upload and giving it up: nothing stays.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, Method};

use super::client::RegistryClient;
use super::credentials::Credential;
use super::send::{header, trouble_of};
use super::token::Actions;
use super::trouble::Trouble;

/// What came of the attempt to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// An upload was started and given up; nothing stayed.
    Possible,
    /// An upload was started, and could not be shown to be gone.
    Left {
        /// Why.
        why: String,
    },
    /// The credentials, or none, may not push.
    Refused {
        /// The registry's own words.
        words: String,
    },
    /// There is no such repository, and the registry makes none by itself.
    NoRepository,
    /// The registry takes no writes for now.
    ReadOnly {
        /// The registry's own words.
        words: String,
    },
    /// The registry's disk is full.
    Full {
        /// The registry's own words.
        words: String,
    },
    /// A quota is used up.
    Quota {
        /// The registry's own words.
        words: String,
    },
}

/// The largest answer that is read.
const CAP: usize = 256 << 10;

impl RegistryClient {
    /// Starts an upload and gives it up.
    ///
    /// # Errors
    /// The registry could not be asked.
    pub async fn try_push(
        &self,
        repository: &str,
        credential: Option<&Arc<Credential>>,
    ) -> Result<Push, Trouble> {
        let authorization = match self.authorization(repository, credential, Actions::Push).await {
            Err(Trouble::Refused { words, by, .. }) => {
                return Ok(Push::Refused {
                    words: if words.is_empty() { format!("{by} refuses") } else { words },
                });
            }
            other => other?,
        };
        let authorization = authorization.as_deref();
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.ask(Method::POST, &path, authorization, None, CAP).await?;
        if answer.status().as_u16() != 202 {
            let full_text = String::from_utf8_lossy(answer.body()).to_lowercase();
            return refusal(
                answer.status().as_u16(),
                &full_text,
                trouble_of(&answer, &self.address().authority),
            );
        }
        Ok(self.give_up(&path, answer.headers(), authorization).await)
    }

    /// Cancels the upload, and looks whether it is gone.
    async fn give_up(&self, path: &str, headers: &HeaderMap, authorization: Option<&str>) -> Push {
        let left = |why: &str| Push::Left { why: why.to_owned() };
        if header(headers, LOCATION.as_str()).is_none() {
            return left("the registry does not say where the upload is");
        }
        let Ok(target) = self.redirect(&format!("{}{path}", self.address().url()), headers) else {
            return left("the registry's address for the upload cannot be used");
        };
        if !self.is_own(&target) {
            // Another host is never shown these credentials, so the upload ends there by itself.
            return left("the upload is on another host, which is not shown the credentials");
        }
        let upload = target.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let deleted = self.ask(Method::DELETE, &upload, authorization, None, CAP).await;
        let Ok(deleted) = deleted.map(|answer| answer.status().as_u16()) else {
            return left("cancelling it got no answer");
        };
        match self.ask(Method::GET, &upload, authorization, None, CAP).await {
            Ok(answer) if answer.status().as_u16() == 404 => Push::Possible,
            Ok(_) if deleted == 404 || deleted == 405 => left("the registry cannot cancel uploads"),
            Ok(answer) if matches!(deleted, 200..=204) => match answer.status().as_u16() {
                // It says that it is cancelled, and does not tell of uploads.
                400 | 405 | 410 | 416 => Push::Possible,
                code => left(&format!("it was cancelled, and is still there (HTTP {code})")),
            },
            Ok(_) => left(&format!("cancelling it was answered with HTTP {deleted}")),
            Err(_) => left("whether it is gone got no answer"),
        }
    }
}

/// What a registry means that does not start an upload.
fn refusal(code: u16, text: &str, trouble: Trouble) -> Result<Push, Trouble> {
    let words = match &trouble {
        Trouble::Refused { words, .. } | Trouble::Missing { words, .. } | Trouble::Status { words, .. } => {
            words.clone()
        }
        _ => return Err(trouble),
    };
    let words = if words.is_empty() { format!("HTTP {code}") } else { words };
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    // Errors of the file system come through as text (`syscall/zerrors_linux_amd64.go` in Go).
    if code == 507 || says(&["no space left on device", "insufficient storage", "disk is full"]) {
        return Ok(Push::Full { words });
    }
    if says(&["quota", "configured upper limit", "storage limit"]) {
        return Ok(Push::Quota { words });
    }
    if code == 405 || says(&["read-only", "readonly", "read only", "maintenance mode"]) {
        return Ok(Push::ReadOnly { words });
    }
    match code {
        401 | 403 => Ok(Push::Refused { words }),
        404 => Ok(Push::NoRepository),
        _ => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let status = |code| Trouble::Status { code, words: String::new() };
        let words = |code: u16| format!("HTTP {code}");
        for (code, text, meant) in [
            (405, "", Push::ReadOnly { words: words(405) }),
            (503, "registry is in read-only mode", Push::ReadOnly { words: words(503) }),
            (507, "", Push::Full { words: words(507) }),
            (500, "write /var: no space left on device", Push::Full { words: words(500) }),
            (500, "disk quota exceeded", Push::Quota { words: words(500) }),
            (
                403,
                "adding 1 mib, which exceeds the configured upper limit",
                Push::Quota { words: words(403) },
            ),
            (403, "denied", Push::Refused { words: words(403) }),
            (404, "name_unknown", Push::NoRepository),
        ] {
            assert_eq!(refusal(code, text, status(code)), Ok(meant), "{code} {text}");
        }
        assert_eq!(refusal(500, "oops", status(500)), Err(status(500)));
        assert!(refusal(429, "", Trouble::Throttled { retry_after: None }).is_err());
    }
}
