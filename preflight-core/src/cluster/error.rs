//! What can go wrong between asking the cluster and having its answer.

use std::fmt;

use super::causes;
use super::connect::ConnectFailure;
use crate::rule::Rule;

/// Why the cluster gave no answer that can be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClusterErrorKind {
    /// It cannot be reached, or the credentials cannot be had.
    Connect(ConnectFailure),
    /// Contact had been made, and was lost.
    Lost(ConnectFailure),
    /// It answers, but not as a Kubernetes API server.
    NotKubernetes,
    /// It is another cluster than the one that the environment means.
    WrongCluster,
    /// 401: it does not accept the credentials; `expired` if they say so themselves.
    Unauthorized {
        /// The credentials' own time is over.
        expired: bool,
    },
    /// Admission control refuses every write.
    AdmissionDeniesAll,
    /// 403: the identity may not.
    Forbidden,
    /// 404.
    NotFound,
    /// Any other HTTP status.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// The answer could not be read, or was cut short.
    Decode,
    /// The answer is larger than any honest one.
    TooLarge,
    /// The snapshot does not hold it.
    NotRecorded,
    /// The plugin did not declare that it reads this.
    Undeclared,
    /// The run was cut short.
    Cancelled,
}

/// Why the cluster gave no answer that can be used, and to which question.
#[derive(Debug, Clone)]
pub struct ClusterError {
    kind: ClusterErrorKind,
    question: String,
    message: String,
}

impl ClusterError {
    pub(crate) fn new(
        kind: ClusterErrorKind,
        question: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, question: question.into(), message: message.into() }
    }

    /// The same, once contact had been made: then it is no cause that was there from the start.
    pub(crate) fn after_contact(mut self) -> Self {
        if let ClusterErrorKind::Connect(failure) = self.kind {
            self.kind = ClusterErrorKind::Lost(failure);
        }
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> &ClusterErrorKind {
        &self.kind
    }

    /// What was asked, for example `get /api/v1/namespaces/shop`.
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// The failed cause that makes every question impossible, if that is what it is.
    #[must_use]
    pub fn cause(&self) -> Option<&'static Rule> {
        match &self.kind {
            ClusterErrorKind::Connect(failure) => Some(causes::of(&failure.kind)),
            ClusterErrorKind::NotKubernetes => Some(&causes::HTTP_ERROR),
            ClusterErrorKind::WrongCluster => Some(&causes::WRONG_CLUSTER),
            ClusterErrorKind::Unauthorized { expired: true } => Some(&causes::CREDENTIALS_EXPIRED),
            ClusterErrorKind::Unauthorized { expired: false } => Some(&causes::CREDENTIALS_REJECTED),
            ClusterErrorKind::AdmissionDeniesAll => Some(&causes::ADMISSION_DENIES_ALL),
            _ => None,
        }
    }

    /// Whether the same question may be answered if it is asked again soon.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            ClusterErrorKind::Connect(failure) | ClusterErrorKind::Lost(failure) => failure.transient,
            ClusterErrorKind::Status(code) => matches!(code, 429 | 500 | 502 | 503 | 504),
            ClusterErrorKind::Timeout | ClusterErrorKind::Decode => true,
            _ => false,
        }
    }

    /// What would make the answer known.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        Some(match &self.kind {
            ClusterErrorKind::Forbidden => {
                "grant the read (`preflight rbac` prints the least that is needed), or accept not knowing it with \
                 `on_unknown` in the environment"
                    .to_owned()
            }
            ClusterErrorKind::NotRecorded => {
                "record a snapshot of this release with `preflight snapshot`, or ask the cluster itself".to_owned()
            }
            ClusterErrorKind::Lost(_) => "ask again: the connection was lost on the way".to_owned(),
            ClusterErrorKind::Timeout => "give it more time with `--timeout`, or ask again".to_owned(),
            ClusterErrorKind::Status(429 | 503 | 504) => "the API server is overloaded: ask again".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cause().is_some() || self.question.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.question, self.message)
    }
}

impl std::error::Error for ClusterError {}
