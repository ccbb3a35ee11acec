//! One request and its answer: under a deadline, with a byte cap, and the only place that retries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::connect::{ConnectFailure, CredentialExpiry, FailureKind, classify};
use super::error::{ClusterError, ClusterErrorKind};
use crate::snapshot::{Asked, NotRecorded, Recorder};

/// How long one attempt may wait for its answer.
const ATTEMPT: Duration = Duration::from_secs(14);
/// How often a question is put, the first time included.
const ATTEMPTS: usize = 4;
/// How often, where an attempt ran out of time: more would not fit into the blocking phase's 45 seconds.
const ATTEMPTS_AFTER_TIMEOUT: usize = 2;
/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(8);
/// The largest answer that is read. A list of 150,000 pods in JSON, the most that Kubernetes supports, comes in
/// pages of far less.
const ANSWER_CAP: usize = 256 << 20;
/// Requests under way at once.
const CONCURRENCY: usize = 24;

/// An answer of the API server, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) date: Option<String>,
    /// `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Bytes,
}

/// Headers beside those that every request has.
type Headers = [(&'static str, String)];

/// A client, once it is had, and when its credentials expire.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: kube::Client,
    pub(crate) credentials: Vec<CredentialExpiry>,
}

pub(crate) type Dialed = Shared<BoxFuture<'static, Result<Line, ConnectFailure>>>;

/// The line to the API server.
pub(crate) struct Wire {
    dialed: Dialed,
    server: String,
    permits: Semaphore,
    deadline: Instant,
    recorder: Option<Recorder>,
}

impl Wire {
    pub(crate) fn new(
        dial: BoxFuture<'static, Result<Line, ConnectFailure>>,
        server: String,
        deadline: Instant,
        recorder: Option<Recorder>,
    ) -> Self {
        Self { dialed: dial.shared(), server, permits: Semaphore::new(CONCURRENCY), deadline, recorder }
    }

    /// URL of the API server, or words for it.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// What records the answers.
    pub(crate) const fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// The client, as soon as the credentials are had. No request is made.
    pub(crate) async fn line(&self) -> Result<Line, ClusterError> {
        self.dialed.clone().await.map_err(|failure| connect_error(failure, ""))
    }

    /// Asks, again if the failure is transient and the deadline allows.
    pub(crate) async fn ask(&self, asked: &Asked) -> Result<Reply, ClusterError> {
        let question = format!("{} {}", asked.method.to_lowercase(), asked.path);
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(4))
            .with_max_times(ATTEMPTS - 1)
            .with_jitter()
            .build();
        let mut timeouts = 0;
        loop {
            let (result, retry_after) = self.attempt(asked, &question).await;
            let transient = match &result {
                Ok(reply) => matches!(reply.code, 429 | 500 | 502 | 503 | 504),
                Err(error) => error.is_transient(),
            };
            if matches!(&result, Err(error) if timed_out(error)) {
                timeouts += 1;
            }
            let wait = waits.next().map(|wait| retry_after.map_or(wait, |after| after.min(RETRY_AFTER_CAP)));
            match wait {
                Some(wait)
                    if transient
                        && timeouts < ATTEMPTS_AFTER_TIMEOUT
                        && Instant::now() + wait < self.deadline =>
                {
                    tracing::debug!(%question, ?wait, "asking again");
                    tokio::time::sleep(wait).await;
                }
                _ => {
                    if let (Ok(reply), Some(recorder)) = (&result, &self.recorder) {
                        recorder.saw(asked, reply.code, &reply.body);
                    }
                    return result;
                }
            }
        }
    }

    /// Asks without asking again: for questions where an error status is itself the answer.
    pub(crate) async fn ask_once(&self, asked: &Asked) -> Result<Reply, ClusterError> {
        let question = format!("{} {}", asked.method.to_lowercase(), asked.path);
        let (result, _) = self.attempt(asked, &question).await;
        if let (Ok(reply), Some(recorder)) = (&result, &self.recorder) {
            recorder.saw(asked, reply.code, &reply.body);
        }
        result
    }

    /// Tries a write once, with these headers. Nothing of it is recorded: what comes back may hold contents of Secrets.
    pub(crate) async fn try_out(&self, asked: &Asked, headers: &Headers) -> Result<Reply, ClusterError> {
        let question = format!("{} {}", asked.method.to_lowercase(), asked.path);
        self.attempt_with(asked, headers, &question).await.0
    }

    async fn attempt(
        &self,
        asked: &Asked,
        question: &str,
    ) -> (Result<Reply, ClusterError>, Option<Duration>) {
        self.attempt_with(asked, &[], question).await
    }

    async fn attempt_with(
        &self,
        asked: &Asked,
        headers: &Headers,
        question: &str,
    ) -> (Result<Reply, ClusterError>, Option<Duration>) {
        let until = self.deadline.min(Instant::now() + ATTEMPT);
        let Ok(answer) = timeout_at(until, self.once(asked, headers, question)).await else {
            let message = format!("no answer from {} in time", self.server);
            return (Err(ClusterError::new(ClusterErrorKind::Timeout, question, message)), None);
        };
        match answer {
            Ok((reply, retry_after)) => (Ok(reply), retry_after),
            Err(error) => (Err(error), None),
        }
    }

    async fn once(
        &self,
        asked: &Asked,
        headers: &Headers,
        question: &str,
    ) -> Result<(Reply, Option<Duration>), ClusterError> {
        let line = self.dialed.clone().await.map_err(|failure| connect_error(failure, question))?;
        let cancelled = |_| ClusterError::new(ClusterErrorKind::Cancelled, question, "the run was cut short");
        let _permit = self.permits.acquire().await.map_err(cancelled)?;
        let started = Instant::now();
        let request = request(asked, headers).map_err(|error| {
            ClusterError::new(ClusterErrorKind::Decode, question, format!("cannot be asked: {error}"))
        })?;
        let response = line.client.send(request).await.map_err(|error| self.explain(error, question))?;
        let (head, body) = response.into_parts();
        let code = head.status.as_u16();
        let date = header(&head, "date").map(str::to_owned);
        let retry_after = header(&head, "retry-after").and_then(|value| value.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let body = read_capped(body, question).await?;
        // What reviews hold is the question; of what is tried nothing is told.
        let told = asked.body.as_ref().filter(|_| headers.is_empty());
        let posted = told.map(|body| tracing::field::display(&body["spec"]));
        let (query, elapsed) = (&asked.query, started.elapsed());
        tracing::debug!(question, ?query, posted, code, bytes = body.len(), ?elapsed, "answered");
        let warnings = head.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok());
        let warnings = warnings.map(str::to_owned).collect();
        Ok((Reply { code, date, warnings, body }, retry_after))
    }

    fn explain(&self, error: kube::Error, question: &str) -> ClusterError {
        let error = match error {
            kube::Error::Service(inner) => match inner.downcast::<NotRecorded>() {
                Ok(missing) => {
                    return ClusterError::new(ClusterErrorKind::NotRecorded, question, missing.to_string());
                }
                Err(inner) => kube::Error::Service(inner),
            },
            error => error,
        };
        connect_error(classify(&error, &self.server), question)
    }
}

fn header<'a>(head: &'a http::response::Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn timed_out(error: &ClusterError) -> bool {
    match error.kind() {
        ClusterErrorKind::Timeout => true,
        ClusterErrorKind::Connect(failure) => {
            matches!(failure.kind, FailureKind::ConnectTimeout | FailureKind::Timeout)
        }
        _ => false,
    }
}

fn connect_error(failure: ConnectFailure, question: &str) -> ClusterError {
    let message = failure.message.clone();
    ClusterError::new(ClusterErrorKind::Connect(failure), question, message)
}

fn request(asked: &Asked, headers: &Headers) -> Result<http::Request<Body>, http::Error> {
    let mut uri = asked.path.clone();
    for (index, (key, value)) in asked.query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(key);
        uri.push('=');
        percent_encode(value, &mut uri);
    }
    let mut builder =
        http::Request::builder().method(asked.method.as_str()).uri(uri).header("accept", &asked.accept);
    let Some(body) = &asked.body else { return builder.body(Body::empty()) };
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    if headers.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Body::from(body.to_string().into_bytes()))
}

/// Percent-encoding of a query's value (RFC 3986, section 2.3: everything but the unreserved characters).
fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

async fn read_capped(mut body: Body, question: &str) -> Result<Bytes, ClusterError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ClusterError::new(
                ClusterErrorKind::Decode,
                question,
                format!("the answer was cut short: {error}"),
            )
        })?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > ANSWER_CAP {
                let message = format!("the answer is larger than {} MiB", ANSWER_CAP >> 20);
                return Err(ClusterError::new(ClusterErrorKind::TooLarge, question, message));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}
