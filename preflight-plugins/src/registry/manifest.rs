//! Manifests, indexes and configurations of images, as far as checks look at them.
//!
//! OCI image specification v1.1; Docker's image manifest version 2, schemas 1 and 2.

use std::fmt;

use serde::Deserialize;

/// What is accepted for a manifest, in the order of preference.
pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json";

/// An operating system and a processor architecture, in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Platform {
    /// For example `linux`.
    #[serde(default)]
    pub os: String,
    /// For example `amd64`.
    #[serde(default)]
    pub architecture: String,
}

impl Platform {
    /// Whether neither is said; attestations stand under such a platform.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || (self.os.is_empty() && self.architecture.is_empty())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// Manifests of several platforms, with the digest of each.
    Index(Vec<(Platform, String)>),
    /// One image, with the digest and size of its configuration.
    Image {
        /// Digest of the configuration.
        config: String,
        /// Whether its media type is that of an image's configuration; other artefacts have others.
        is_image: bool,
    },
    /// Docker's schema 1, which runtimes no longer run.
    Schema1,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<Platform>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// It is none; the message says in which way.
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let raw: Raw = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "the manifest is cut short",
            _ => "it is not the JSON of a manifest",
        })?;
        let media_type = raw.media_type.unwrap_or_default();
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
            return Ok(Self::Schema1);
        }
        match (raw.manifests, raw.config) {
            (Some(manifests), None) => {
                let known = manifests.into_iter().map(|entry| {
                    let nowhere = Platform { os: String::new(), architecture: String::new() };
                    (entry.platform.unwrap_or(nowhere), entry.digest)
                });
                Ok(Self::Index(known.collect()))
            }
            (None, Some(config)) => Ok(Self::Image {
                is_image: matches!(
                    config.media_type.as_str(),
                    "application/vnd.oci.image.config.v1+json"
                        | "application/vnd.docker.container.image.v1+json"
                ),
                config: config.digest,
            }),
            _ if media_type.contains("manifest.v1") => Ok(Self::Schema1),
            _ => Err("it is neither an image's manifest nor an index of some"),
        }
    }
}

/// An image's configuration, as far as checks look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What it runs on.
    pub platform: Platform,
    /// `USER`: a name or number, with or without a group; empty for root.
    pub user: String,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not the JSON that it should be.
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(flatten)]
            platform: Platform,
            #[serde(default)]
            config: Option<Inner>,
        }
        #[derive(Default, Deserialize)]
        struct Inner {
            #[serde(default, rename = "User")]
            user: String,
        }
        let raw: Raw = serde_json::from_slice(body).map_err(|_| "the configuration cannot be read")?;
        Ok(Self { platform: raw.platform, user: raw.config.unwrap_or_default().user })
    }

    /// Who the image's processes run as, as container runtimes tell the kubelet: a number, or a name that it cannot
    /// judge (`getUserFromImage` in containerd's CRI plugin).
    ///
    /// # Errors
    /// The name.
    pub fn uid(&self) -> Result<i64, &str> {
        let name = self.user.split(':').next().unwrap_or_default();
        if name.is_empty() { Ok(0) } else { name.parse().map_err(|_| name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_apart() {
        let index =
            br#"{"schemaVersion": 2, "manifests": [{"mediaType": "m", "digest": "sha256:a", "size": 1,
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]}"#;
        let arm = Platform { os: "linux".to_owned(), architecture: "arm64".to_owned() };
        assert_eq!(Manifest::parse(index), Ok(Manifest::Index(vec![(arm, "sha256:a".to_owned())])));
        let image = br#"{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:c", "size": 2}, "layers": []}"#;
        assert_eq!(
            Manifest::parse(image),
            Ok(Manifest::Image { config: "sha256:c".to_owned(), is_image: true })
        );
        let chart = br#"{"schemaVersion": 2, "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:c"}}"#;
        assert!(matches!(Manifest::parse(chart), Ok(Manifest::Image { is_image: false, .. })));
        assert_eq!(Manifest::parse(br#"{"schemaVersion": 1, "fsLayers": []}"#), Ok(Manifest::Schema1));
        for broken in [&b"{\"schemaVersion\": 2, \"conf"[..], b"{}", b"[]", b"<html>"] {
            assert!(Manifest::parse(broken).is_err());
        }
    }

    #[test]
    fn users_are_numbers_or_names() {
        let config = |user: &str| {
            let body = serde_json::json!({"os": "linux", "architecture": "amd64", "config": {"User": user}});
            Config::parse(body.to_string().as_bytes()).unwrap()
        };
        for (user, uid) in [
            ("", Ok(0)),
            ("0", Ok(0)),
            ("1000", Ok(1000)),
            ("1000:0", Ok(1000)),
            ("app", Err("app")),
            ("app:x", Err("app")),
        ] {
            assert_eq!(config(user).uid(), uid, "{user}");
        }
        assert_eq!(
            Config::parse(br#"{"os": "linux", "architecture": "s390x", "config": null}"#).unwrap().uid(),
            Ok(0)
        );
    }
}
