//! How a registry is shown credentials: a password, or a token that its token service issues for it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Uri};
use preflight_core::net::HttpClient;
use serde::Deserialize;

use super::challenge::Challenge;
use super::client::{RegistryClient, TOKEN_CAP};
use super::credentials::{Credential, Proof};
use super::send::{request, told, trouble_of};
use super::trouble::{Trouble, words_of};

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Actions {
    Pull,
    Push,
}

impl RegistryClient {
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

    pub(super) async fn authorize(
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
        if url.scheme() == "http" && !self.address().plain_http {
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
}

/// What is shown. Runtimes take a credential without a user for none (`ParseAuth` in containerd's CRI plugin).
pub(super) fn proof_of(credential: Option<&Arc<Credential>>) -> Option<&Proof> {
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

fn of_token_service(name: &str, trouble: Trouble) -> Trouble {
    let transient = trouble.is_transient();
    let answers = |code: u16, words: &str| match words {
        "" => format!("answers HTTP {code}"),
        _ => format!("answers HTTP {code}: {words}"),
    };
    let why = match &trouble {
        Trouble::Connect(failure) => format!("cannot be reached: {}", failure.message),
        Trouble::TimedOut { .. } => "did not answer in time".to_owned(),
        Trouble::Status { code, words } => answers(*code, words),
        // It issues tokens: there are no images that it could miss.
        Trouble::Missing { words, .. } => answers(404, words),
        other => format!("cannot be used: {other}"),
    };
    Trouble::TokenService { service: name.to_owned(), why, transient }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_service_that_is_not_there_is_no_missing_image() {
        let missing = Trouble::Missing { whole_repository: false, words: String::new() };
        let told = of_token_service("https://auth.example.com", missing).to_string();
        assert_eq!(told, "the token service https://auth.example.com answers HTTP 404");
    }
}
