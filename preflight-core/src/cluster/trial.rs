//! Writes that are only tried: the API server decides about them as about any other, and keeps nothing (`dryRun=All`).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::access::Identity;
use super::error::{ClusterError, ClusterErrorKind};
use super::session::{JSON, Session};
use crate::snapshot::Asked;

/// How a write is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteKind {
    /// `POST`: it is made.
    Create,
    /// `PATCH`: lists are merged by the keys of their items, as kubectl does for built-in kinds.
    StrategicMerge,
    /// `PATCH` (RFC 7396): as kubectl does for custom resources.
    Merge,
    /// `PATCH`: server-side apply. `force` takes fields from other managers.
    Apply {
        /// Whether fields of other managers are taken.
        force: bool,
    },
}

impl WriteKind {
    const fn method(self) -> &'static str {
        match self {
            Self::Create => "POST",
            _ => "PATCH",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Create => "application/json",
            Self::StrategicMerge => "application/strategic-merge-patch+json",
            Self::Merge => "application/merge-patch+json",
            // JSON is YAML too.
            Self::Apply { .. } => "application/apply-patch+yaml",
        }
    }
}

/// A write that is only tried.
#[derive(Debug, Clone)]
pub struct Write {
    kind: WriteKind,
    path: String,
    manager: String,
    /// Whether unknown fields are refused, and not dropped with a warning.
    strict: bool,
    body: Value,
}

impl Write {
    /// A write to a path: of a list for [`WriteKind::Create`], of the object itself for the others. The manager is the
    /// one whose fields it will be said to be.
    pub fn new(kind: WriteKind, path: impl Into<String>, manager: impl Into<String>, body: Value) -> Self {
        Self { kind, path: path.into(), manager: manager.into(), strict: true, body }
    }

    /// The same, sent by one who does not ask for unknown fields to be refused: they are dropped, with a warning.
    pub const fn drop_unknown_fields(&mut self) {
        self.strict = false;
    }

    fn asked(self) -> Asked {
        let mut query = vec![
            ("dryRun".to_owned(), "All".to_owned()),
            ("fieldValidation".to_owned(), if self.strict { "Strict" } else { "Warn" }.to_owned()),
            ("fieldManager".to_owned(), self.manager),
        ];
        if let WriteKind::Apply { force: true } = self.kind {
            query.push(("force".to_owned(), "true".to_owned()));
        }
        Asked {
            method: self.kind.method().to_owned(),
            path: self.path,
            query,
            accept: JSON.to_owned(),
            body: Some(self.body),
        }
    }
}

/// What the API server made of a write that was tried.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Tried {
    /// It would be accepted.
    Accepted {
        /// The object as it would be, with defaults and with what admission changes.
        object: Box<Value>,
        /// `Warning` headers, without their code and agent.
        warnings: Vec<String>,
    },
    /// It would be refused.
    Refused(Refusal),
}

/// Why a write would be refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// For example `Invalid`, `Forbidden`, `AlreadyExists`, `Conflict`.
    pub reason: String,
    /// In the server's words.
    pub message: String,
    /// Each field that is to blame, where the server tells them.
    pub causes: Vec<RefusalCause>,
}

/// A field that is to blame for a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RefusalCause {
    /// For example `FieldValueInvalid`.
    pub reason: String,
    /// In the server's words.
    pub message: String,
    /// The field's path, as the server writes it.
    pub field: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    kind: String,
    reason: String,
    message: String,
    details: Details,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    causes: Vec<RefusalCause>,
}

impl Session {
    /// Tries a write, as another identity if one is given. It is asked once more where the server was too busy.
    pub(super) async fn try_out(
        self: &std::sync::Arc<Self>,
        write: Write,
        identity: Option<&Identity>,
    ) -> Result<Tried, ClusterError> {
        self.version().await?;
        let kind = write.kind;
        let asked = write.asked();
        let headers = headers(kind, identity);
        let mut reply = self.wire.try_out(&asked, &headers).await.map_err(ClusterError::after_contact)?;
        if matches!(reply.code, 429 | 503 | 504) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            reply = self.wire.try_out(&asked, &headers).await.map_err(ClusterError::after_contact)?;
        }
        if (200..300).contains(&reply.code) {
            let object = serde_json::from_slice(&reply.body).map_err(|_| {
                ClusterError::new(ClusterErrorKind::Decode, question(&asked), "the answer cannot be read")
            })?;
            let warnings = reply.warnings.iter().filter_map(|header| warning(header)).collect();
            return Ok(Tried::Accepted { object: Box::new(object), warnings });
        }
        let status: Status = serde_json::from_slice(&reply.body).unwrap_or_default();
        // What is not told by the API server itself says nothing about the object.
        if status.kind != "Status" || matches!(reply.code, 401 | 429 | 502..=504) {
            return Err(self.judge(&asked, reply).await.err().unwrap_or_else(|| {
                ClusterError::new(ClusterErrorKind::Decode, question(&asked), "the answer cannot be read")
            }));
        }
        let Status { reason, message, details, .. } = status;
        Ok(Tried::Refused(Refusal { code: reply.code, reason, message, causes: details.causes }))
    }
}

fn question(asked: &Asked) -> String {
    format!("{} {}", asked.method.to_lowercase(), asked.path)
}

fn headers(kind: WriteKind, identity: Option<&Identity>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("content-type", kind.content_type().to_owned())];
    if let Some(identity) = identity {
        headers.push(("impersonate-user", identity.user.clone()));
        headers.extend(identity.groups.iter().map(|group| ("impersonate-group", group.clone())));
    }
    headers
}

/// The text of a `Warning` header (RFC 9110, section 5.6.4, and RFC 7234, section 5.5): `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let text = header.split_once('"')?.1.rsplit_once('"')?.0;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_write_is_only_tried() {
        for kind in
            [WriteKind::Create, WriteKind::StrategicMerge, WriteKind::Merge, WriteKind::Apply { force: true }]
        {
            let asked = Write::new(kind, "/api/v1/pods", "kubectl", json!({})).asked();
            assert!(asked.query.contains(&("dryRun".to_owned(), "All".to_owned())), "{kind:?}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_unless_they_are_to_be_dropped() {
        let validation = |write: Write| write.asked().parameter("fieldValidation").map(str::to_owned);
        let mut write = Write::new(WriteKind::Create, "/api/v1/pods", "helm", json!({}));
        assert_eq!(validation(write.clone()).as_deref(), Some("Strict"));
        write.drop_unknown_fields();
        assert_eq!(validation(write).as_deref(), Some("Warn"));
    }

    #[test]
    fn warnings_are_read() {
        assert_eq!(
            warning(r#"299 - "unknown field \"spec.a\"""#).as_deref(),
            Some(r#"unknown field "spec.a""#)
        );
        assert_eq!(warning("299 - nothing"), None);
    }
}
