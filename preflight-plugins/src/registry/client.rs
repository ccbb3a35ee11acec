//! A registry at one address: what is there, with which credentials (OCI distribution specification v1.1).
//!
//! Nothing is downloaded but manifests and configurations, each question is put once a run, and credentials go to
//! the registry and to the token service that it names, and nowhere else.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Response, Uri};
use preflight_core::net::{HttpClient, HttpOptions, port_of};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::challenge::Challenge;
use super::credentials::{Credential, Proof};
use super::manifest::{ACCEPTED, Config, Manifest};
use super::send::{header, is_html, request, told, trouble_of};
use super::token::{Actions, proof_of};
use super::trouble::Trouble;
use crate::memo::Memo;

/// The largest manifest that registries take (distribution specification, "Pushing Manifests": 4 MiB).
const MANIFEST_CAP: usize = 4 << 20;
/// The largest configuration that is read; they have a few KiB.
const CONFIG_CAP: usize = 4 << 20;
/// The largest answer of a token service that is read.
pub(super) const TOKEN_CAP: usize = 1 << 20;
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

type Answer<T> = Result<T, Trouble>;

/// A registry at one address.
pub struct RegistryClient {
    address: Address,
    pub(super) http: Result<HttpClient, Trouble>,
    pub(super) options: HttpOptions,
    pub(super) permits: Semaphore,
    pub(super) deadline: Instant,
    hello: OnceCell<Result<Hello, Trouble>>,
    /// Credentials that were used, so that equal ones are asked about once.
    proofs: Mutex<Vec<Proof>>,
    pub(super) authorizations: Memo<(String, Option<usize>, Actions), Answer<Option<String>>>,
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
    pub(super) fn interned(&self, credential: Option<&Arc<Credential>>) -> Option<usize> {
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
        if answer.status().as_u16() == 401 && authorization.is_none() {
            // It wants credentials here, and did not at `/v2/`.
            let challenge = match (challenge(answer.headers()), credential) {
                (challenge, Some(_)) => Some(challenge?),
                // Some give tokens to anyone who asks for one.
                (Ok(challenge @ Challenge::Bearer { .. }), None) => Some(challenge),
                (_, None) => None,
            };
            if let Some(challenge) = challenge {
                let authorization = self.authorize(&challenge, repository, credential, Actions::Pull).await?;
                answer = self.ask(Method::GET, path, authorization.as_deref(), accept, cap).await?;
            }
        }
        match answer.status().as_u16() {
            200 => Ok(answer),
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
            own.scheme() == target.scheme() && own.host() == target.host() && port_of(&own) == port_of(target)
        })
    }
}

fn challenge(headers: &HeaderMap) -> Result<Challenge, Trouble> {
    Challenge::read(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()))
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
