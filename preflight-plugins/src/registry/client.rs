//! A registry at one address: what is there, with which credentials (OCI distribution specification v1.1).
//!
//! Nothing is downloaded but manifests and configurations, each question is put once a run, and credentials go to
//! the registry and to the token service that it names, and nowhere else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, Uri};
use preflight_core::net::{HttpClient, HttpOptions};
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::challenge::Challenge;
use super::credentials::{Credential, Proof};
use super::manifest::{ACCEPTED, Config, Manifest};
use super::memo::Memo;
use super::trouble::{Trouble, has_code, words_of};

/// The largest manifest that registries take (distribution specification, "Pushing Manifests": 4 MiB).
const MANIFEST_CAP: usize = 4 << 20;
/// The largest configuration that is read; they have a few KiB.
const CONFIG_CAP: usize = 4 << 20;
/// The largest answer of a token service that is read.
const TOKEN_CAP: usize = 1 << 20;
/// How long one attempt may wait for its answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often a question is put, the first time included.
const ATTEMPTS: u32 = 3;
/// The first wait between two attempts; each further one is twice as long. Jitter is added.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(10);
/// Requests under way at once to one registry.
const CONCURRENCY: usize = 6;
/// Redirects that are followed for one question.
const REDIRECTS: usize = 4;

/// Where a registry is, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Host, with a port where one is written.
    pub authority: String,
    /// Whether it is reached without TLS.
    pub plain_http: bool,
    /// Authorities that are trusted besides those of this machine, in DER.
    pub authorities: Vec<Vec<u8>>,
}

impl Address {
    /// The URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        // Docker Hub's registry has a name of its own.
        let authority = if self.authority == "docker.io" { "registry-1.docker.io" } else { &self.authority };
        format!("{scheme}://{authority}")
    }
}

/// What a registry says when it is greeted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What it wants to be shown.
    pub challenge: Challenge,
    /// Whether it could only be a registry that says this.
    pub proven: bool,
}

/// What is at a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of what was read.
    pub digest: String,
    /// What it is.
    pub manifest: Manifest,
}

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Actions {
    Pull,
    Push,
}

type Answer<T> = Result<T, Trouble>;

/// A registry at one address.
pub struct RegistryClient {
    address: Address,
    http: Result<HttpClient, Trouble>,
    options: HttpOptions,
    permits: Semaphore,
    deadline: Instant,
    hello: OnceCell<Result<Hello, Trouble>>,
    /// Credentials that were used, so that equal ones are asked about once.
    proofs: Mutex<Vec<Proof>>,
    authorizations: Memo<(String, Option<usize>, Actions), Answer<Option<String>>>,
    manifests: Memo<(String, String, Option<usize>), Answer<Resolved>>,
    configs: Memo<(String, String, Option<usize>), Answer<Config>>,
}

impl RegistryClient {
    /// A client that asks nothing before it is asked, and nothing after the deadline.
    #[must_use]
    pub fn new(address: Address, deadline: std::time::Instant) -> Self {
        let options = HttpOptions { authorities: address.authorities.clone(), ..HttpOptions::default() };
        let malformed = |_| Trouble::NotARegistry { why: "its address is malformed".to_owned() };
        let http = address
            .url()
            .parse::<Uri>()
            .map_err(malformed)
            .and_then(|url| HttpClient::new(&url, &options).map_err(Trouble::Connect));
        Self {
            address,
            http,
            options,
            permits: Semaphore::new(CONCURRENCY),
            deadline: Instant::from_std(deadline),
            hello: OnceCell::new(),
            proofs: Mutex::default(),
            authorizations: Memo::default(),
            manifests: Memo::default(),
            configs: Memo::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether a registry answers (`GET /v2/`), and what it wants to be shown.
    ///
    /// # Errors
    /// None does.
    pub async fn hello(&self) -> Result<Hello, Trouble> {
        self.hello
            .get_or_init(|| async {
                let answer = self.ask(Method::GET, "/v2/", None, None, TOKEN_CAP).await?;
                let says_so = answer.headers().contains_key("docker-distribution-api-version");
                let hello = |challenge, proven| Ok(Hello { challenge, proven: says_so || proven });
                match answer.status().as_u16() {
                    200 if says_so || !is_html(&answer) => {
                        let json = serde_json::from_slice::<serde::de::IgnoredAny>(answer.body()).is_ok();
                        hello(Challenge::Open, json)
                    }
                    200 => Err(Trouble::NotARegistry { why: "/v2/ is a web page".to_owned() }),
                    401 => {
                        let challenge = challenge(answer.headers())?;
                        let proven = matches!(challenge, Challenge::Bearer { .. });
                        hello(challenge, proven)
                    }
                    // Some only answer to what lies below. What is asked for there will tell.
                    403..=405 if !is_html(&answer) => hello(Challenge::Open, false),
                    code @ (301..=308 | 403..=405) => {
                        Err(Trouble::NotARegistry { why: format!("/v2/ answers HTTP {code}") })
                    }
                    _ => Err(trouble_of(&answer, &self.address.authority)),
                }
            })
            .await
            .clone()
    }

    /// Whether it was greeted, and a registry answered.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.hello.get().is_some_and(Result::is_ok)
    }

    /// What a tag or digest leads to, with these credentials or none.
    ///
    /// # Errors
    /// It is not there, may not be read, or could not be looked at.
    pub async fn resolve(
        &self,
        repository: &str,
        wanted: &str,
        credential: Option<&Arc<Credential>>,
    ) -> Result<Resolved, Trouble> {
        let key = (repository.to_owned(), wanted.to_owned(), self.interned(credential));
        let ask = || async {
            let path = format!("/v2/{repository}/manifests/{wanted}");
            let answer = self.get(repository, &path, credential, Some(ACCEPTED), MANIFEST_CAP).await;
            let answer = match answer {
                // Whatever has no such page says so; only a registry means that there is no such image.
                Err(Trouble::Missing { words, .. }) if words.is_empty() && !self.hello().await?.proven => {
                    let why = "it answers HTTP 404 in no registry's words".to_owned();
                    return Err(Trouble::NotARegistry { why });
                }
                answer => answer?,
            };
            let body = answer.body();
            let declared = header(answer.headers(), "docker-content-digest");
            let digest = match wanted.split_once(':') {
                Some(_) => verified(wanted, body)?,
                None => match declared {
                    Some(declared) => verified(declared, body)?,
                    None => format!("sha256:{}", hex(&Sha256::digest(body))),
                },
            };
            let manifest = Manifest::parse(body).map_err(|why| Trouble::Malformed { why: why.to_owned() })?;
            Ok(Resolved { digest, manifest })
        };
        self.manifests.get(key, ask).await
    }

    /// An image's configuration, by its digest.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub async fn config(
        &self,
        repository: &str,
        digest: &str,
        credential: Option<&Arc<Credential>>,
    ) -> Result<Config, Trouble> {
        let key = (repository.to_owned(), digest.to_owned(), self.interned(credential));
        let ask = || async {
            let path = format!("/v2/{repository}/blobs/{digest}");
            let answer = self.get(repository, &path, credential, None, CONFIG_CAP).await?;
            verified(digest, answer.body())?;
            Config::parse(answer.body()).map_err(|why| Trouble::Malformed { why: why.to_owned() })
        };
        self.configs.get(key, ask).await
    }

    /// A number for each credential; equal ones have the same.
    fn interned(&self, credential: Option<&Arc<Credential>>) -> Option<usize> {
        let proof = proof_of(credential)?;
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let at = proofs.iter().position(|known| known == proof);
        Some(at.unwrap_or_else(|| {
            proofs.push(proof.clone());
            proofs.len() - 1
        }))
    }

    /// Gets a path of a repository, following redirects. `Err` for every status but 200.
    async fn get(
        &self,
        repository: &str,
        path: &str,
        credential: Option<&Arc<Credential>>,
        accept: Option<&str>,
        cap: usize,
    ) -> Result<Response<Bytes>, Trouble> {
        let authorization = self.authorization(repository, credential, Actions::Pull).await?;
        let mut answer = self.ask(Method::GET, path, authorization.as_deref(), accept, cap).await?;
        let mut at = format!("{}{path}", self.address.url());
        for _ in 0..REDIRECTS {
            if !answer.status().is_redirection() {
                break;
            }
            let target = self.redirect(&at, answer.headers())?;
            answer = self.follow(&target, authorization.as_deref(), accept, cap).await?;
            at = target.to_string();
        }
        match answer.status().as_u16() {
            200 => Ok(answer),
            401 if authorization.is_none() && credential.is_some() => {
                // It wants credentials here, and did not at `/v2/`.
                let challenge = challenge(answer.headers())?;
                let authorization = self.authorize(&challenge, repository, credential, Actions::Pull).await?;
                let answer = self.ask(Method::GET, path, authorization.as_deref(), accept, cap).await?;
                match answer.status().as_u16() {
                    200 => Ok(answer),
                    _ => Err(trouble_of(&answer, &self.address.authority)),
                }
            }
            401 if authorization.is_none() => match challenge(answer.headers()) {
                // Some give tokens to anyone who asks for one.
                Ok(challenge @ Challenge::Bearer { .. }) => {
                    let authorization = self.authorize(&challenge, repository, None, Actions::Pull).await?;
                    let answer = self.ask(Method::GET, path, authorization.as_deref(), accept, cap).await?;
                    match answer.status().as_u16() {
                        200 => Ok(answer),
                        _ => Err(trouble_of(&answer, &self.address.authority)),
                    }
                }
                _ => Err(trouble_of(&answer, &self.address.authority)),
            },
            _ => Err(trouble_of(&answer, &self.address.authority)),
        }
    }

    /// Where a redirect leads. Never from TLS to plain http.
    pub(super) fn redirect(&self, from: &str, headers: &HeaderMap) -> Result<Uri, Trouble> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let malformed = || Trouble::Malformed { why: "it redirects to nowhere".to_owned() };
        let base = url::Url::parse(from).map_err(|_| malformed())?;
        let target = base.join(location).map_err(|_| malformed())?;
        if location.is_empty() || !matches!(target.scheme(), "http" | "https") {
            return Err(malformed());
        }
        if target.scheme() == "http" && !self.address.plain_http {
            return Err(Trouble::Malformed { why: "it redirects from TLS to plain http".to_owned() });
        }
        target.as_str().parse().map_err(|_| malformed())
    }

    async fn follow(
        &self,
        target: &Uri,
        authorization: Option<&str>,
        accept: Option<&str>,
        cap: usize,
    ) -> Result<Response<Bytes>, Trouble> {
        let own = self.is_own(target);
        let http = if own {
            self.http.clone()?
        } else {
            HttpClient::new(target, &self.options).map_err(Trouble::Connect)?
        };
        let build = || {
            let request = request(Method::GET, &target.to_string(), accept);
            // The other host has its own leave in the URL; it is not shown ours.
            match authorization.filter(|_| own) {
                Some(authorization) => request.header(AUTHORIZATION, authorization),
                None => request,
            }
            .body(Bytes::new())
        };
        self.send(&http, &told(target), build, cap).await
    }

    /// Whether a URL leads to this very registry.
    pub(super) fn is_own(&self, target: &Uri) -> bool {
        self.address.url().parse::<Uri>().is_ok_and(|own| {
            own.scheme() == target.scheme() && own.host() == target.host() && port(&own) == port(target)
        })
    }

    /// What is sent as `Authorization`, if anything is.
    pub(super) async fn authorization(
        &self,
        repository: &str,
        credential: Option<&Arc<Credential>>,
        actions: Actions,
    ) -> Result<Option<String>, Trouble> {
        let hello = self.hello().await?;
        self.authorize(&hello.challenge, repository, credential, actions).await
    }

    async fn authorize(
        &self,
        challenge: &Challenge,
        repository: &str,
        credential: Option<&Arc<Credential>>,
        actions: Actions,
    ) -> Result<Option<String>, Trouble> {
        let proof = proof_of(credential);
        match (challenge, proof) {
            (Challenge::Open, _) | (Challenge::Basic, None) => Ok(None),
            (Challenge::Basic, Some(Proof::Password { user, password })) => {
                Ok(Some(basic(user, password.expose())))
            }
            (Challenge::Basic, Some(_)) => Err(Trouble::Challenge {
                why: "asks for a user name and password, and there is only a token".to_owned(),
            }),
            (Challenge::Bearer { .. }, Some(Proof::Access(token))) => {
                Ok(Some(format!("Bearer {}", token.expose())))
            }
            (Challenge::Bearer { realm, service }, proof) => {
                let key = (repository.to_owned(), self.interned(credential), actions);
                let ask = || self.token(realm, service.as_deref(), repository, proof, actions);
                self.authorizations.get(key, ask).await
            }
        }
    }

    /// Asks the token service for a token (the distribution project's token and OAuth 2 specifications).
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        repository: &str,
        proof: Option<&Proof>,
        actions: Actions,
    ) -> Result<Option<String>, Trouble> {
        let challenge = |why: &str| Trouble::Challenge { why: why.to_owned() };
        let mut url =
            url::Url::parse(realm).map_err(|_| challenge("names a token service whose URL is malformed"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(challenge("names a token service that is not reached over HTTP"));
        }
        if url.scheme() == "http" && !self.address.plain_http {
            return Err(challenge("names a token service without TLS, to which no credentials are sent"));
        }
        let actions = match actions {
            Actions::Pull => "pull",
            Actions::Push => "pull,push",
        };
        let scope = format!("repository:{repository}:{actions}");
        let target: Uri =
            url.as_str().parse().map_err(|_| challenge("names a token service that is no URL"))?;
        let name = told(&target);
        let http = match self.is_own(&target) {
            true => self.http.clone()?,
            false => HttpClient::new(&target, &self.options)
                .map_err(|failure| of_token_service(&name, Trouble::Connect(failure)))?,
        };
        let answer = if let Some(Proof::Refresh(token)) = proof {
            let form = Bytes::from(refresh_form(service.unwrap_or_default(), &scope, token.expose()));
            let build = || {
                request(Method::POST, url.as_str(), None)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone())
            };
            self.send(&http, &name, build, TOKEN_CAP).await
        } else {
            if let Some(service) = service {
                url.query_pairs_mut().append_pair("service", service);
            }
            url.query_pairs_mut().append_pair("scope", &scope);
            let build = || {
                let request = request(Method::GET, url.as_str(), None);
                match proof {
                    Some(Proof::Password { user, password }) => {
                        request.header(AUTHORIZATION, basic(user, password.expose()))
                    }
                    _ => request,
                }
                .body(Bytes::new())
            };
            self.send(&http, &name, build, TOKEN_CAP).await
        };
        let answer = answer.map_err(|trouble| of_token_service(&name, trouble))?;
        match answer.status().as_u16() {
            200 => {}
            // OAuth 2 answers 400 `invalid_grant` to a refresh token that is no longer good (RFC 6749, section 5.2).
            code @ (400 | 401 | 403) => {
                let by = format!("the token service {name}");
                return Err(Trouble::Refused { code, by, words: words_of(answer.body()) });
            }
            _ => return Err(of_token_service(&name, trouble_of(&answer, &name))),
        }
        #[derive(Deserialize)]
        struct Issued {
            token: Option<String>,
            access_token: Option<String>,
        }
        let issued: Option<Issued> = serde_json::from_slice(answer.body()).ok();
        let token = issued.and_then(|issued| issued.token.or(issued.access_token));
        let token =
            token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        let token = token.ok_or_else(|| {
            let why = "answers without a token".to_owned();
            Trouble::TokenService { service: name.clone(), why, transient: false }
        })?;
        Ok(Some(format!("Bearer {token}")))
    }

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
        let url = format!("{}{path}", self.address.url());
        let build = || {
            let request = request(method.clone(), &url, accept);
            match authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization),
                None => request,
            }
            .body(Bytes::new())
        };
        self.send(&http, &self.address.url(), build, cap).await
    }

    /// Sends a request, again if the trouble is transient and the deadline allows. What writes is sent once.
    async fn send(
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

/// What is shown. Runtimes take a credential without a user for none (`ParseAuth` in containerd's CRI plugin).
fn proof_of(credential: Option<&Arc<Credential>>) -> Option<&Proof> {
    let nobody = |proof: &&Proof| matches!(proof, Proof::Password { user, .. } if user.is_empty());
    credential.map(|credential| &credential.proof).filter(|proof| !nobody(proof))
}

/// OAuth 2's form for a refresh token (RFC 6749, section 6).
fn refresh_form(service: &str, scope: &str, token: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service)
        .append_pair("client_id", "preflight")
        .append_pair("scope", scope)
        .append_pair("refresh_token", token)
        .finish()
}

fn request(method: Method, url: &str, accept: Option<&str>) -> http::request::Builder {
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

fn of_token_service(name: &str, trouble: Trouble) -> Trouble {
    let transient = trouble.is_transient();
    let why = match &trouble {
        Trouble::Connect(failure) => format!("cannot be reached: {}", failure.message),
        Trouble::TimedOut { .. } => "did not answer in time".to_owned(),
        Trouble::Status { code, words } if words.is_empty() => format!("answers HTTP {code}"),
        Trouble::Status { code, words } => format!("answers HTTP {code}: {words}"),
        other => format!("cannot be used: {other}"),
    };
    Trouble::TokenService { service: name.to_owned(), why, transient }
}

fn challenge(headers: &HeaderMap) -> Result<Challenge, Trouble> {
    Challenge::read(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()))
}

fn is_html(answer: &Response<Bytes>) -> bool {
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

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A URL without what may be secret.
fn told(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", url.host().unwrap_or_default(), url.path().trim_end_matches('/'))
}

fn port(url: &Uri) -> u16 {
    url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 })
}

/// The digest, if the body has it.
pub(super) fn verified(digest: &str, body: &[u8]) -> Result<String, Trouble> {
    let actual = match digest.split_once(':') {
        Some(("sha256", _)) => hex(&Sha256::digest(body)),
        Some(("sha384", _)) => hex(&Sha384::digest(body)),
        Some(("sha512", _)) => hex(&Sha512::digest(body)),
        _ => return Err(Trouble::Malformed { why: "its digest is of an unknown kind".to_owned() }),
    };
    let wanted = digest.split_once(':').map_or("", |(_, hex)| hex);
    if actual == wanted {
        return Ok(digest.to_owned());
    }
    Err(Trouble::Malformed { why: "the content does not have the digest that it should have".to_owned() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
