//! One request to a registry and its answer: under a deadline, and the only place that asks again.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, Uri};
use preflight_core::net::HttpClient;
use tokio::time::{Instant, timeout_at};

use super::client::RegistryClient;
use super::trouble::{Trouble, has_code, words_of};

/// How long one attempt may wait for its answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often a question is put, the first time included.
const ATTEMPTS: u32 = 3;
/// The first wait between two attempts; each further one is twice as long. Jitter is added.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(10);

impl RegistryClient {
    /// Puts a question to the registry itself.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        accept: Option<&str>,
        cap: usize,
    ) -> Result<Response<Bytes>, Trouble> {
        let http = self.http.clone()?;
        let url = format!("{}{path}", self.address().url());
        let build = || {
            let request = request(method.clone(), &url, accept);
            match authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization),
                None => request,
            }
            .body(Bytes::new())
        };
        self.send(&http, &self.address().url(), build, cap).await
    }

    /// Sends a request, again if the trouble is transient and the deadline allows. What writes is sent once.
    pub(super) async fn send(
        &self,
        http: &HttpClient,
        name: &str,
        build: impl Fn() -> Result<Request<Bytes>, http::Error>,
        cap: usize,
    ) -> Result<Response<Bytes>, Trouble> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let request = build().map_err(|_| Trouble::Malformed {
                why: "the request would hold what no header may".to_owned(),
            })?;
            let repeatable = request.method() != Method::POST;
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let started = Instant::now();
            let until = self.deadline.min(started + ATTEMPT);
            let timed_out = || Trouble::TimedOut { server: name.to_owned() };
            let result = match timeout_at(until, async {
                let _permit = self.permits.acquire().await;
                http.send(request, cap).await
            })
            .await
            {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(failure)) => Err(Trouble::Connect(failure)),
                Err(_) => Err(timed_out()),
            };
            let code = result.as_ref().map_or(0, |answer| answer.status().as_u16());
            tracing::debug!(server = name, %method, path, code, elapsed = ?started.elapsed(), "asked a registry");
            let (transient, after) = match &result {
                Ok(answer) => (matches!(code, 429 | 500 | 502 | 503 | 504), retry_after(answer.headers())),
                // A second wait of the same length would leave nothing for other questions.
                Err(trouble) => {
                    (trouble.is_transient() && !matches!(trouble, Trouble::TimedOut { .. }), None)
                }
            };
            let jitter = Duration::from_millis(fastrand::u64(0..100));
            let pause = after.unwrap_or(wait + jitter);
            let worth_it = transient
                && repeatable
                && attempt < ATTEMPTS
                && pause <= RETRY_AFTER_CAP
                && Instant::now() + pause < self.deadline;
            if !worth_it {
                return result;
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            wait *= 2;
        }
    }
}

pub(super) fn request(method: Method, url: &str, accept: Option<&str>) -> http::request::Builder {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(USER_AGENT, concat!("preflight/", env!("CARGO_PKG_VERSION")));
    match accept {
        Some(accept) => request.header(ACCEPT, accept),
        None => request,
    }
}

/// What a status but success means.
pub(super) fn trouble_of(answer: &Response<Bytes>, by: &str) -> Trouble {
    let (body, headers) = (answer.body(), answer.headers());
    let words = words_of(body);
    match answer.status().as_u16() {
        code @ (401 | 403) => Trouble::Refused { code, by: by.to_owned(), words },
        404 if is_html(answer) && words.is_empty() => {
            Trouble::NotARegistry { why: "it answers with a web page".to_owned() }
        }
        404 => Trouble::Missing { whole_repository: has_code(body, "NAME_UNKNOWN"), words },
        429 => Trouble::Throttled { retry_after: retry_after(headers) },
        code => Trouble::Status { code, words },
    }
}

pub(super) fn is_html(answer: &Response<Bytes>) -> bool {
    header(answer.headers(), "content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let wait = date.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// A URL without what may be secret.
pub(super) fn told(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", url.host().unwrap_or_default(), url.path().trim_end_matches('/'))
}
