//! Where images are really pulled from: `registries.conf` in version 2 (containers-registries.conf(5)).

use serde::Deserialize;

use super::reference::Reference;

/// What a `registries.conf` says.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RegistriesConf {
    #[serde(default, rename = "registry")]
    entries: Vec<Entry>,
    /// The table of version 1.
    #[serde(default)]
    registries: Option<toml::Table>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFrom,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

/// A place that an image may be pulled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host, with a port where one is written.
    pub authority: String,
    /// The repository there.
    pub repository: String,
    /// Whether TLS need not be verified, or used.
    pub insecure: bool,
    /// Whether it stands in for the registry.
    pub is_mirror: bool,
}

/// The file forbids to pull the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("registries.conf blocks {prefix}")]
pub struct Blocked {
    prefix: String,
}

impl RegistriesConf {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// It is not TOML, or of version 1; the message tells the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let conf: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            format!("line {line}: {}", error.message())
        })?;
        if conf.registries.is_some() {
            return Err("it is of version 1 (`[registries.…]`), and only version 2 is read".to_owned());
        }
        let named = |entry: &&Entry| entry.prefix.is_empty() && entry.location.is_empty();
        if conf.entries.iter().any(|entry| named(&entry)) {
            return Err("a `[[registry]]` has neither `prefix` nor `location`".to_owned());
        }
        Ok(conf)
    }

    /// The places that the image is pulled from, in the order in which they are tried.
    ///
    /// # Errors
    /// The file forbids it.
    pub fn places(&self, image: &Reference) -> Result<Vec<Place>, Blocked> {
        let name = image.name();
        let itself = |insecure| Place {
            authority: image.registry.clone(),
            repository: image.repository.clone(),
            insecure,
            is_mirror: false,
        };
        let best = self.entries.iter().filter_map(|entry| Some((entry.covers(&name)?, entry)));
        let Some((_, entry)) = best.max_by_key(|(length, _)| *length) else {
            return Ok(vec![itself(false)]);
        };
        if entry.blocked {
            return Err(Blocked { prefix: entry.prefix().to_owned() });
        }
        let pinned = image.digest.is_some();
        let used = entry.mirrors.iter().filter(|mirror| match mirror.pull_from_mirror {
            PullFrom::All => pinned || !entry.mirror_by_digest_only,
            PullFrom::DigestOnly => pinned,
            PullFrom::TagOnly => !pinned,
        });
        let mut places: Vec<_> =
            used.filter_map(|mirror| entry.moved(&name, &mirror.location, mirror.insecure, true)).collect();
        let own = match entry.location.as_str() {
            "" => Some(itself(entry.insecure)),
            location => entry.moved(&name, location, entry.insecure, false),
        };
        places.extend(own);
        Ok(places)
    }
}

impl Entry {
    fn prefix(&self) -> &str {
        if self.prefix.is_empty() { &self.location } else { &self.prefix }
    }

    /// How much of the name it covers, if it is for it: whole components only.
    fn covers(&self, name: &str) -> Option<usize> {
        let prefix = self.prefix();
        if let Some(domain) = prefix.strip_prefix("*.") {
            let host = name.split('/').next().unwrap_or_default();
            let host = host.split(':').next().unwrap_or_default();
            return host.strip_suffix(domain).filter(|head| head.ends_with('.')).map(|_| prefix.len());
        }
        let rest = name.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(prefix.len())
    }

    /// The name with the prefix replaced.
    fn moved(&self, name: &str, location: &str, insecure: bool, is_mirror: bool) -> Option<Place> {
        let rest = match self.prefix().starts_with("*.") {
            true => name.find('/').map_or("", |at| &name[at..]),
            false => name.strip_prefix(self.prefix())?,
        };
        let moved = format!("{location}{rest}");
        let (authority, repository) = moved.split_once('/')?;
        Some(Place {
            authority: authority.to_owned(),
            repository: repository.to_owned(),
            insecure,
            is_mirror,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.example.com/hub"
        [[registry.mirror]]
        location = "second.example.com"
        insecure = true
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "docker.io/library"
        location = "inner.example.com:5000/official"
        [[registry]]
        prefix = "*.blocked.example.com"
        blocked = true
    "#;

    fn places(image: &str) -> Result<Vec<String>, Blocked> {
        let reference = Reference::parse(image).unwrap();
        let show = |place: Place| {
            let mark = if place.is_mirror { "mirror " } else { "" };
            let insecure = if place.insecure { " insecure" } else { "" };
            format!("{mark}{}/{}{insecure}", place.authority, place.repository)
        };
        Ok(RegistriesConf::parse(CONF).unwrap().places(&reference)?.into_iter().map(show).collect())
    }

    #[test]
    fn mirrors_come_first_and_the_longest_prefix_counts() {
        let pinned = format!("team/a@sha256:{}", "a".repeat(64));
        for (image, expected) in [
            ("team/a:1", vec!["mirror mirror.example.com/hub/team/a", "docker.io/team/a"]),
            (
                &pinned,
                vec![
                    "mirror mirror.example.com/hub/team/a",
                    "mirror second.example.com/team/a insecure",
                    "docker.io/team/a",
                ],
            ),
            ("nginx", vec!["inner.example.com:5000/official/nginx"]),
            ("libraryx/a", vec!["mirror mirror.example.com/hub/libraryx/a", "docker.io/libraryx/a"]),
            ("r.example.com/a", vec!["r.example.com/a"]),
        ] {
            assert_eq!(places(image).unwrap(), expected, "{image}");
        }
        assert!(places("r.blocked.example.com/a").is_err());
        assert!(places("blocked.example.com/a").is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        assert!(
            RegistriesConf::parse("a = 1\n[[registry]]\nlocation = 3\n").unwrap_err().starts_with("line 3")
        );
        assert!(
            RegistriesConf::parse("[registries.search]\nregistries = []\n")
                .unwrap_err()
                .contains("version 1")
        );
        assert!(RegistriesConf::parse("[[registry]]\ninsecure = true\n").is_err());
    }
}
