//! Credentials of registries: from pull secrets as the kubelet reads them, and from this machine's own files.
//!
//! Sources: `pkg/credentialprovider/{config,keyring}.go` and `pkg/credentialprovider/secrets/secrets.go` of Kubernetes
//! v1.36; the file format of `docker login` and `podman login`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use preflight_core::cluster::SecretContents;
use preflight_core::net::Secret;
use serde::Deserialize;

/// The type of Secrets that hold a file of `docker login`.
pub const DOCKER_CONFIG_JSON: &str = "kubernetes.io/dockerconfigjson";
/// The type of Secrets that hold a file of its older form.
pub const DOCKER_CFG: &str = "kubernetes.io/dockercfg";
/// The registry under whose name Docker keeps credentials of Docker Hub.
const DOCKER_HUB_KEY: &str = "index.docker.io";

/// Something that a registry may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Where it comes from, for people: `Secret shop/pull`.
    pub source: String,
    /// What is shown.
    pub proof: Proof,
}

/// What a registry is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// User name and password.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A refresh token, which the token service takes for access tokens (`identitytoken`).
    Refresh(Secret),
    /// An access token (`registrytoken`).
    Access(Secret),
}

/// Credentials by the registry, or the part of one, that they are for.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// Keys without scheme, for example `registry.example.com/team`. Sorted, so that the more specific come last.
    entries: BTreeMap<String, Vec<Arc<Credential>>>,
}

/// Why credentials cannot be read. Never holds their contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Keyring {
    /// Adds what the kubelet would take from a pull secret. `false` if it would pass the Secret over: its type is
    /// another, or it holds nothing under the key of its type.
    ///
    /// # Errors
    /// The kubelet could not read it, and would refuse to pull with any.
    pub fn add_pull_secret(&mut self, source: &str, secret: &SecretContents) -> Result<bool, Unreadable> {
        let (key, wrapped) = match secret.kind.as_str() {
            DOCKER_CONFIG_JSON => (".dockerconfigjson", true),
            DOCKER_CFG => (".dockercfg", false),
            _ => return Ok(false),
        };
        let Some(text) = secret.data.get(key).map(Secret::expose).filter(|text| !text.is_empty()) else {
            return Ok(false);
        };
        let not_read = |_| Unreadable(format!("its {key} is not the JSON that it should be"));
        let entries: BTreeMap<String, Entry> = if wrapped {
            serde_json::from_str::<ConfigJson>(text).map_err(not_read)?.auths.unwrap_or_default()
        } else {
            serde_json::from_str(text).map_err(not_read)?
        };
        for (registry, entry) in entries {
            let proof =
                entry.password().map_err(|why| Unreadable(format!("its entry {registry:?} {why}")))?;
            self.add(&registry, Credential { source: source.to_owned(), proof });
        }
        Ok(true)
    }

    fn add(&mut self, registry: &str, credential: Credential) {
        let place = registry
            .strip_prefix("https://")
            .or_else(|| registry.strip_prefix("http://"))
            .unwrap_or(registry);
        let (host, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        // `/v1/` and `/v2/` mean the whole registry.
        let path = if path.starts_with("/v1/") || path.starts_with("/v2/") { &path[3..] } else { path };
        let path = if path == "/" { "" } else { path };
        self.entries.entry(format!("{host}{path}")).or_default().push(Arc::new(credential));
    }

    /// The credentials that the kubelet would try for an image (`docker.io/library/nginx`), in its order: the more
    /// specific ones first.
    #[must_use]
    pub fn lookup(&self, image: &str) -> Vec<Arc<Credential>> {
        let matching = self.entries.iter().rev().filter(|(key, _)| matches(key, image));
        let found: Vec<_> = matching.flat_map(|(_, credentials)| credentials.iter().cloned()).collect();
        if found.is_empty() && image.starts_with("docker.io/") {
            return self.entries.get(DOCKER_HUB_KEY).cloned().unwrap_or_default();
        }
        found
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Whether a key is for an image: same number of labels, each matching (with `*`, `?` and `[…]`), same port, and the
/// key's path the beginning of the image's (`URLsMatch` in `keyring.go`).
fn matches(key: &str, image: &str) -> bool {
    let parts = |text: &str| {
        let (authority, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let (host, port) = match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
            Some(at) => (&authority[..at], &authority[at + 1..]),
            None => (authority, ""),
        };
        (host.to_owned(), port.to_owned(), path.to_owned())
    };
    let ((key_host, key_port, key_path), (host, port, path)) = (parts(key), parts(image));
    let (globs, labels): (Vec<_>, Vec<_>) = (key_host.split('.').collect(), host.split('.').collect());
    key_port == port
        && globs.len() == labels.len()
        && path.starts_with(&key_path)
        && globs.iter().zip(&labels).all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
}

/// The patterns of Go's `path/filepath.Match`, within one label.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| glob_matches(rest, &text[at..])),
        ([b'?', rest @ ..], [_, tail @ ..]) => glob_matches(rest, tail),
        ([b'[', rest @ ..], [byte, tail @ ..]) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (set, rest) = (&rest[..end], &rest[end + 1..]);
            let (negated, set) = match set {
                [b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            in_set(set, *byte) != negated && glob_matches(rest, tail)
        }
        ([b'\\', literal, rest @ ..], [byte, tail @ ..]) | ([literal, rest @ ..], [byte, tail @ ..]) => {
            literal == byte && glob_matches(rest, tail)
        }
        _ => false,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    while let [low, rest @ ..] = set {
        match rest {
            [b'-', high, after @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return true;
                }
                set = after;
            }
            _ => {
                if *low == byte {
                    return true;
                }
                set = rest;
            }
        }
    }
    false
}

#[derive(Deserialize)]
struct ConfigJson {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
}

/// An entry of a file of `docker login`. Further keys are left alone.
#[derive(Debug, Default, Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<Secret>,
    auth: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl Entry {
    /// User name and password, all that the kubelet takes from an entry.
    fn password(&self) -> Result<Proof, &'static str> {
        let Some(auth) = self.auth.as_ref().map(Secret::expose).filter(|auth| !auth.is_empty()) else {
            return Ok(Proof::Password {
                user: self.username.clone().unwrap_or_default(),
                password: self.password.clone().unwrap_or_else(|| Secret::new("")),
            });
        };
        // Padded and unpadded base64 are both in use, and told apart by the last character; line breaks do not count.
        let auth: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let decoded =
            if auth.trim().ends_with('=') { STANDARD.decode(&auth) } else { STANDARD_NO_PAD.decode(&auth) };
        let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or("has an `auth` that is not base64")?;
        let (user, password) =
            decoded.split_once(':').ok_or("has an `auth` that is not `user:password` in base64")?;
        Ok(Proof::Password { user: user.to_owned(), password: Secret::new(password) })
    }
}

/// This machine's own credentials: what `docker login` and its like have left.
#[derive(Debug, Clone, Default)]
pub struct OwnCredentials {
    keyring: Keyring,
    /// Programs that keep credentials, by registry; the empty name stands for all others.
    helpers: BTreeMap<String, String>,
    /// The file that they are from.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

impl OwnCredentials {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// It is not the JSON that it should be.
    pub fn parse(source: &str, text: &str) -> Result<Self, Unreadable> {
        let file: OwnFile = serde_json::from_str(text)
            .map_err(|error| Unreadable(format!("{source} cannot be read (line {})", error.line())))?;
        let mut keyring = Keyring::default();
        for (registry, entry) in file.auths {
            let filled = |token: &Option<Secret>| token.clone().filter(|token| !token.expose().is_empty());
            let proof = match (filled(&entry.registrytoken), filled(&entry.identitytoken)) {
                (Some(token), _) => Proof::Access(token),
                (None, Some(token)) => Proof::Refresh(token),
                // Entries that a helper stands behind are empty.
                (None, None) => match entry.password() {
                    Ok(Proof::Password { user, .. }) if user.is_empty() => continue,
                    Ok(proof) => proof,
                    Err(why) => return Err(Unreadable(format!("{source}: the entry {registry:?} {why}"))),
                },
            };
            keyring.add(&registry, Credential { source: source.to_owned(), proof });
        }
        let mut helpers = file.cred_helpers;
        if !file.creds_store.is_empty() {
            helpers.insert(String::new(), file.creds_store);
        }
        Ok(Self { keyring, helpers, source: source.to_owned() })
    }

    /// The credential for an image that the file itself holds.
    #[must_use]
    pub fn lookup(&self, image: &str) -> Option<Arc<Credential>> {
        self.keyring.lookup(image).into_iter().next()
    }

    /// The program that keeps the credential for a registry, where one does, and the registry's name for it.
    #[must_use]
    pub fn helper(&self, registry: &str) -> Option<(&str, String)> {
        let program = self.helpers.get(registry).or_else(|| self.helpers.get(""))?;
        let asked = if registry == "docker.io" {
            "https://index.docker.io/v1/".to_owned()
        } else {
            registry.to_owned()
        };
        Some((program, asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(kind: &str, key: &str, text: &str) -> SecretContents {
        SecretContents::of(&serde_json::json!({"type": kind, "stringData": {key: text}}))
    }

    fn users(keyring: &Keyring, image: &str) -> Vec<String> {
        let user = |credential: &Arc<Credential>| match &credential.proof {
            Proof::Password { user, .. } => user.clone(),
            other => format!("{other:?}"),
        };
        keyring.lookup(image).iter().map(user).collect()
    }

    fn keyring(keys: &[&str]) -> Keyring {
        let auths: serde_json::Map<_, _> = keys
            .iter()
            .map(|key| ((*key).to_owned(), serde_json::json!({"username": *key, "password": "p"})))
            .collect();
        let text = serde_json::json!({"auths": auths}).to_string();
        let mut keyring = Keyring::default();
        assert_eq!(
            keyring.add_pull_secret("s", &secret(DOCKER_CONFIG_JSON, ".dockerconfigjson", &text)),
            Ok(true)
        );
        keyring
    }

    #[test]
    fn keys_match_as_the_kubelet_matches_them() {
        for (key, image, fits) in [
            ("r.example.com", "r.example.com/a/b", true),
            ("r.example.com", "q.example.com/a", false),
            ("*.example.com", "r.example.com/a", true),
            ("*.example.com", "a.r.example.com/a", false),
            ("r?.example.com", "r1.example.com/a", true),
            ("r[0-9].example.com", "r7.example.com/a", true),
            ("r[^0-9].example.com", "r7.example.com/a", false),
            ("r.example.com:5000", "r.example.com/a", false),
            ("r.example.com:5000", "r.example.com:5000/a", true),
            ("r.example.com/team", "r.example.com/team/a", true),
            ("r.example.com/team", "r.example.com/team-b/a", true),
            ("r.example.com/team", "r.example.com/other", false),
            ("https://r.example.com/v2/", "r.example.com/a", true),
            ("http://r.example.com/v1/team", "r.example.com/team/a", true),
            ("https://index.docker.io/v1/", "docker.io/library/nginx", true),
            ("docker.io", "docker.io/library/nginx", true),
            ("index.docker.io", "r.example.com/nginx", false),
        ] {
            assert_eq!(!users(&keyring(&[key]), image).is_empty(), fits, "{key} for {image}");
        }
    }

    #[test]
    fn the_more_specific_come_first_and_all_are_tried() {
        let keyring = keyring(&["r.example.com", "r.example.com/a", "r.example.com/a/b"]);
        assert_eq!(
            users(&keyring, "r.example.com/a/b/c"),
            ["r.example.com/a/b", "r.example.com/a", "r.example.com"]
        );
    }

    #[test]
    fn what_the_kubelet_passes_over_or_cannot_read() {
        let add = |kind: &str, key: &str, text: &str| {
            Keyring::default().add_pull_secret("Secret a/b", &secret(kind, key, text))
        };
        assert_eq!(add("Opaque", ".dockerconfigjson", r#"{"auths": {}}"#), Ok(false));
        assert_eq!(add(DOCKER_CONFIG_JSON, "config.json", r#"{"auths": {}}"#), Ok(false));
        assert_eq!(add(DOCKER_CONFIG_JSON, ".dockerconfigjson", r#"{"auths": {}}"#), Ok(true));
        assert_eq!(add(DOCKER_CFG, ".dockercfg", r#"{"r": {"auth": "YTpi"}}"#), Ok(true));
        for text in [
            "canary",
            r#"{"auths": ["canary"]}"#,
            r#"{"auths": {"r": {"auth": "canary!"}}}"#,
            r#"{"auths": {"r": {"auth": "Y2FuYXJ5"}}}"#,
        ] {
            let error = add(DOCKER_CONFIG_JSON, ".dockerconfigjson", text).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn own_files_hold_tokens_and_name_helpers() {
        let own = OwnCredentials::parse(
            "config.json",
            r#"{"auths": {"a.example.com": {"identitytoken": "t"}, "b.example.com": {}, "c.example.com": {"auth": "dTpw"}},
                "credHelpers": {"d.example.com": "ecr-login"}, "credsStore": "desktop"}"#,
        )
        .unwrap();
        let proof = |image: &str| own.lookup(image).map(|credential| credential.proof.clone());
        assert_eq!(proof("a.example.com/x"), Some(Proof::Refresh(Secret::new("t"))));
        assert_eq!(proof("b.example.com/x"), None);
        assert!(matches!(proof("c.example.com/x"), Some(Proof::Password { user, .. }) if user == "u"));
        assert_eq!(own.helper("d.example.com"), Some(("ecr-login", "d.example.com".to_owned())));
        assert_eq!(own.helper("docker.io"), Some(("desktop", "https://index.docker.io/v1/".to_owned())));
    }
}
