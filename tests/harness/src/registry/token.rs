//! The token service of a registry: tells who asks, and gives out tokens for what they may do.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use rcgen::{CertificateParams, DnType};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::Grant;
use super::authority::Authority;

/// The registry, as its tokens name it.
pub(super) const SERVICE: &str = "harness-registry";

/// The token service, as its tokens name it.
pub(super) const ISSUER: &str = "harness-tokens";

/// How long a token holds, in seconds.
const HOLDS_FOR: i64 = 300;

pub(super) struct TokenService {
    grants: Vec<Grant>,
    key: EcdsaKeyPair,
    /// The certificate of the key, as tokens carry it.
    certificate: String,
}

/// An answer: the status, and what it says.
type Answer = (StatusCode, Value);

fn refused(status: StatusCode, why: &str) -> Answer {
    (status, json!({"error": why, "errors": [{"code": status.as_str(), "message": why}]}))
}

/// The errors of `ring` are not of the usual kind.
fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl TokenService {
    pub(super) fn new(authority: &Authority, grants: Vec<Grant>) -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, ISSUER);
        let (certificate, key) = authority.sign(&params)?;
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            key.serialized_der(),
            &SystemRandom::new(),
        )
        .map_err(other)?;
        Ok(Self { grants, key, certificate: STANDARD.encode(certificate.der()) })
    }

    fn respond(&self, request: &Request) -> io::Result<Answer> {
        let of_query = request.target.split_once('?').map_or("", |(_, query)| query);
        match (request.method.as_str(), request.target.split('?').next()) {
            ("GET", Some("/token")) => {
                let parameters = Parameters::parse(of_query.as_bytes());
                match self.user_of_password(request.headers.get("authorization")) {
                    Some(user) => self.token(&user, &parameters),
                    None => Ok(refused(StatusCode::UNAUTHORIZED, "no such user, or another password")),
                }
            }
            ("POST", Some("/token")) => {
                let parameters = Parameters::parse(&request.body);
                if parameters.first("grant_type") != "refresh_token" {
                    return Ok(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"));
                }
                match self.user_of_refresh_token(parameters.first("refresh_token")) {
                    Some(user) => self.token(&user, &parameters),
                    None => Ok(refused(StatusCode::UNAUTHORIZED, "invalid_grant")),
                }
            }
            _ => Ok(refused(StatusCode::NOT_FOUND, "the token service is at /token")),
        }
    }

    /// The user whose name and password are right; the empty name where none is told.
    fn user_of_password(&self, authorization: Option<&String>) -> Option<String> {
        let Some(authorization) = authorization else {
            return Some(String::new());
        };
        let (scheme, credentials) = authorization.split_once(' ')?;
        let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
        let (user, password) = credentials.split_once(':')?;
        let is_right = |grant: &Grant| grant.user == user && grant.password == password;
        (scheme.eq_ignore_ascii_case("basic") && !user.is_empty() && self.grants.iter().any(is_right))
            .then(|| user.to_owned())
    }

    fn user_of_refresh_token(&self, token: &str) -> Option<String> {
        let user = token.strip_prefix("refresh-").filter(|user| !user.is_empty())?;
        self.grants.iter().any(|grant| grant.user == user).then(|| user.to_owned())
    }

    /// A token for what is asked for as far as it is granted, be it nothing.
    fn token(&self, user: &str, parameters: &Parameters) -> io::Result<Answer> {
        let scopes = parameters.all("scope").flat_map(str::split_whitespace);
        let access: Vec<Value> = scopes.filter_map(|scope| self.granted(user, scope)).collect();
        let now = jiff::Timestamp::now();
        let header = json!({"alg": "ES256", "typ": "JWT", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER,
            "sub": user,
            "aud": parameters.first("service"),
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "exp": now.as_second() + HOLDS_FOR,
            "access": access,
        });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(other)?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut answer = json!({
            "token": token,
            "access_token": token,
            "expires_in": HOLDS_FOR,
            "issued_at": now.to_string(),
        });
        if !user.is_empty() && parameters.first("offline_token") == "true" {
            answer["refresh_token"] = json!(format!("refresh-{user}"));
        }
        Ok((StatusCode::OK, answer))
    }

    /// What is granted of a scope (`repository:NAME:pull,push`).
    fn granted(&self, user: &str, scope: &str) -> Option<Value> {
        let (name, asked) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
        let may = |action: &str| {
            let reaches = |grant: &Grant| grant.repositories.iter().any(|own| own == "*" || own == name);
            // What everyone may, a user may too.
            let of_user = self.grants.iter().filter(|grant| grant.user.is_empty() || grant.user == user);
            of_user.filter(|grant| reaches(grant)).any(|grant| match action {
                "pull" => true,
                "push" => grant.push,
                _ => false,
            })
        };
        let actions: Vec<&str> = asked.split(',').filter(|action| may(action)).collect();
        (!actions.is_empty()).then(|| json!({"type": "repository", "name": name, "actions": actions}))
    }
}

/// What is told in a query or a form.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn first<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }
}

struct Request {
    method: String,
    target: String,
    /// By their names in lower case.
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Answers at a listener that does not block, until it is dropped.
pub(super) async fn serve(listener: std::net::TcpListener, service: Arc<TokenService>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = Arc::clone(&service);
        tokio::spawn(async move { answer(stream, &service).await });
    }
}

/// Answers one request, and hangs up.
async fn answer(stream: TcpStream, service: &TokenService) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream).await?;
    let (status, body) = service.respond(&request)?;
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut words = lines.first().map_or("", String::as_str).split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: HashMap<_, _> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).await?;
    Ok(Request { method, target, headers, body })
}
