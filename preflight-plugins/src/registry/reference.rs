//! References to images, read as the kubelet and the container runtimes read them: the grammar and the defaults are
//! those of `github.com/distribution/reference` v0.6 (`reference.go`, `normalize.go`).

use std::fmt;

/// The registry of names that name none.
pub const DOCKER_HUB: &str = "docker.io";
/// The longest name of a repository, its registry included.
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// A reference to an image, complete: names without a registry are in Docker Hub, names without a tag and a digest
/// have the tag `latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's host, with a port where one is written: `docker.io`, `registry.example.com:5000`.
    pub registry: String,
    /// The repository within it: `library/nginx`.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest: `sha256:…`.
    pub digest: Option<String>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAReference(String);

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// It does not have the form `[registry/]repository[:tag][@digest]`.
    pub fn parse(text: &str) -> Result<Self, NotAReference> {
        let wrong = |why: String| Err(NotAReference(why));
        if text.is_empty() {
            return wrong("it is empty".to_owned());
        }
        if is_hex(text, 64) {
            return wrong("it is a bare identifier of 64 hexadecimal digits, not a name".to_owned());
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            // A colon before a slash belongs to the registry's port.
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return wrong(format!("{tag:?} is no tag"));
        }
        if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
            return wrong(format!("{digest:?} is no digest"));
        }
        let (registry, repository) = split(name);
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return wrong(format!("the repository {repository:?} is not in lower case"));
        }
        if !is_registry(&registry) || !repository.split('/').all(is_component) {
            return wrong(format!("{name:?} is no name of a repository"));
        }
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return wrong(format!("its name is longer than {NAME_MAX} characters"));
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry, repository, tag, digest: digest.map(str::to_owned) })
    }

    /// Registry and repository, as credentials are looked up by: `docker.io/library/nginx`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What is asked for at the registry: the digest where there is one, else the tag.
    #[must_use]
    pub fn wanted(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// What comes before the first slash is a registry if it looks like a host, or is not in lower case.
fn split(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, name),
    };
    let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
    let official = registry == DOCKER_HUB && !repository.contains('/');
    let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
    (registry.to_owned(), repository)
}

fn is_registry(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let in_address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        let port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
        return !address.is_empty() && address.bytes().all(in_address) && port;
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(is_label) && port.is_none_or(is_number)
}

/// Lower-case letters and digits, with separators between them: one dot, one or two underscores, or any number of
/// dashes.
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| alphanumeric(*byte));
    if !ends(bytes.first()) || !ends(bytes.last()) {
        return false;
    }
    text.split(|c: char| c.is_ascii() && alphanumeric(c as u8)).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// A digest of an algorithm that runtimes know (`github.com/opencontainers/go-digest`, `algorithm.go`).
fn is_digest(text: &str) -> bool {
    match text.split_once(':') {
        Some(("sha256", hex)) => is_hex(hex, 64),
        Some(("sha384", hex)) => is_hex(hex, 96),
        Some(("sha512", hex)) => is_hex(hex, 128),
        _ => false,
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed_as_runtimes_complete_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1.25", "docker.io/library/nginx:1.25".to_owned()),
            ("team/app", "docker.io/team/app:latest".to_owned()),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("host:5000/app", "host:5000/app:latest".to_owned()),
            ("Host/app:v1", "Host/app:v1".to_owned()),
            ("[fd00::1]:5000/a/b:t", "[fd00::1]:5000/a/b:t".to_owned()),
            ("r.example.com/a__b/c---d.e:V_1.2-x", "r.example.com/a__b/c---d.e:V_1.2-x".to_owned()),
            (&format!("a@{digest}"), format!("docker.io/library/a@{digest}")),
            (&format!("a:t@{digest}"), format!("docker.io/library/a:t@{digest}")),
        ] {
            assert_eq!(Reference::parse(text).map(|reference| reference.to_string()), Ok(whole), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = format!("r.example.com/{}", "a/".repeat(130) + "a");
        for text in [
            "",
            ":tag",
            "a b",
            "App",
            "a:",
            "a:-x",
            "a//b",
            "/a",
            "a/",
            "a._b",
            "a@sha256:abc",
            "a@md5:ab",
            "-a.example.com/b",
            "host:port/a",
            "${IMAGE}",
            "a:{{ .Values.tag }}",
            "ä",
            "a:ä",
            "http://r/a",
            &long,
            &"a".repeat(64),
            &format!("a@sha256:{}", "A".repeat(64)),
            "[::1/a",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_complete_reference_reads_as_itself(text in "[a-zA-Z0-9.:/@_\\-\\[\\]]{0,60}") {
            if let Ok(reference) = Reference::parse(&text) {
                proptest::prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
            }
        }
    }
}
