//! What an environment says of registries and images.

use std::collections::BTreeMap;
use std::path::Path;

use preflight_core::{Environment, FieldPath, Settings, SettingsProblem};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::layout::{Layout, Location};
use crate::registry::mirrors::RegistriesConf;
use crate::registry::reference::Reference;

/// Registries, by their host as image references name it: `docker.io`, `registry.example.com:5000`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Registries(pub BTreeMap<String, RegistryEntry>);

/// What is known of a registry and wanted of it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RegistryEntry {
    /// It must answer to Preflight, even if no image of the release comes from it.
    pub required: bool,
    /// Whether nodes have credentials of their own for it, or reach it through a mirror.
    pub node_credentials: Option<NodeCredentials>,
    /// A file of certificates (PEM) of authorities that are trusted besides those of this machine.
    pub ca: Option<String>,
    /// It is reached without TLS.
    pub plain_http: bool,
    /// Repositories to which pushing is tried: an upload is started and given up. This writes.
    pub push: Vec<String>,
    /// Its images lie in an OCI image layout, `oci:FOLDER` or `oci-archive:FILE`, and the registry is not asked.
    pub layout: Option<String>,
}

/// Whether nodes have credentials of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NodeCredentials {
    /// They do: a pull that is refused to the pod's own credentials, or to nobody's, may still work.
    Assumed,
    /// They do not: what is refused to the pod is refused.
    None,
}

impl Registries {
    /// The entry of a registry.
    #[must_use]
    pub fn of(&self, registry: &str) -> Option<&RegistryEntry> {
        self.0.get(registry)
    }

    /// Whether nodes are said to have credentials of their own for a registry, or to have none.
    #[must_use]
    pub fn node_credentials(&self, registry: &str) -> Option<NodeCredentials> {
        self.of(registry)?.node_credentials
    }
}

impl Settings for Registries {
    const SECTION: &'static str = "registries";

    fn validate(&self, environment: &Environment) -> Result<(), SettingsProblem> {
        for (host, entry) in &self.0 {
            let at = |key: &str| FieldPath::root().key(host.clone()).key(key);
            if host.contains("://") || host.contains('/') {
                return Err(SettingsProblem::new(
                    FieldPath::root().key(host.clone()),
                    format!("{host:?} is not the host of a registry"),
                    "name it as image references do: registry.example.com, or with a port",
                ));
            }
            if let Some(file) = &entry.ca {
                read_authorities(&environment.path(file)).map_err(|why| {
                    SettingsProblem::new(
                        at("ca"),
                        why,
                        "name a file of certificates in PEM, relative to this file",
                    )
                })?;
            }
            for (index, repository) in entry.push.iter().enumerate() {
                let parsed = Reference::parse(&format!("{host}/{repository}"));
                let plain = parsed.is_ok_and(|image| {
                    image.digest.is_none()
                        && image.tag.as_deref() == Some("latest")
                        && image.repository == *repository
                });
                if !plain || repository.contains(':') {
                    return Err(SettingsProblem::new(
                        at("push").index(index),
                        format!("{repository:?} is no repository of {host}"),
                        "write it without host, tag and digest, in lower case: shop/web",
                    ));
                }
            }
            if let Some(text) = &entry.layout {
                open_layout(text, environment).map_err(|why| {
                    let help = "write oci:FOLDER or oci-archive:FILE, relative to this file";
                    SettingsProblem::new(at("layout"), why, help)
                })?;
            }
        }
        Ok(())
    }
}

/// How images are looked at.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Images {
    /// Warn of images that are not pinned to a digest.
    pub require_digests: bool,
    /// Read the Secrets that pods pull with (`get secrets`, by name). Without it, whether such pods may pull is not
    /// known.
    pub read_pull_secrets: bool,
    /// Do not use this machine's own credentials (those of `docker login` and the like).
    pub no_own_credentials: bool,
    /// Run the programs that keep this machine's own credentials (`docker-credential-…`).
    pub credential_helpers: bool,
    /// The `registries.conf` (version 2) of the nodes, with their mirrors.
    pub registries_conf: Option<String>,
}

impl Settings for Images {
    const SECTION: &'static str = "images";

    fn validate(&self, environment: &Environment) -> Result<(), SettingsProblem> {
        self.mirrors(environment).map(drop).map_err(|why| {
            let help = "name a file as containers-registries.conf(5) describes it, relative to this file";
            SettingsProblem::new(FieldPath::root().key("registries_conf"), why, help)
        })
    }
}

impl Images {
    /// The mirrors that nodes use.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mirrors(&self, environment: &Environment) -> Result<RegistriesConf, String> {
        let Some(file) = &self.registries_conf else {
            return Ok(RegistriesConf::default());
        };
        let path = environment.path(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        RegistriesConf::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }
}

/// The certificates of a file, in DER.
pub(super) fn read_authorities(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    let text = std::fs::read(file).map_err(told)?;
    let mut authorities = Vec::new();
    for pem in x509_parser::pem::Pem::iter_from_buffer(&text) {
        let pem = pem.map_err(|_| format!("{} is not PEM", file.display()))?;
        if pem.label == "CERTIFICATE" {
            authorities.push(pem.contents);
        }
    }
    if authorities.is_empty() {
        return Err(format!("{} holds no certificate", file.display()));
    }
    Ok(authorities)
}

/// Opens the layout that a setting names.
pub(super) fn open_layout(text: &str, environment: &Environment) -> Result<Layout, String> {
    let location = Location::parse(text, |path| environment.path(path))
        .ok_or_else(|| format!("{text:?} is neither oci:FOLDER nor oci-archive:FILE"))?;
    Layout::open(&location)
}
