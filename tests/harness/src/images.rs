//! Where scenarios' images are, and how a node pulls them.
//!
//! Two real registries hold them. In scenarios `private.example.com` stands for the one that wants a password, since
//! credentials are shown to no other host than the image's own. Every other host leads to the open one, by way of a
//! `registries.conf`, as on clusters with mirrors; `registry.invalid` is always empty.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;

use crate::assets::Unavailable;
use crate::registry::{Auth, Image, PlatformImage, Registry, RegistryOptions};

/// What stands for the host that wants a password.
pub const PRIVATE: &str = "private.example.com";
/// Who may pull from it.
pub const PULLER: (&str, &str) = ("puller", "pull-canary");

/// The registries of scenarios' images.
pub struct Images {
    open: Registry,
    private: Registry,
    put: Mutex<BTreeMap<String, Published>>,
    folder: tempfile::TempDir,
}

/// An image that a node has pulled.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// `USER`.
    pub user: String,
    /// Digest of what the reference led to.
    pub digest: String,
}

/// An image, as `images.yaml` of a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its name, with a tag.
    image: String,
    /// Operating systems and architectures; several make an index.
    #[serde(default = "linux_amd64")]
    platforms: Vec<String>,
    /// `USER`.
    #[serde(default = "somebody")]
    user: String,
    /// It is not in the registry.
    #[serde(default)]
    absent: bool,
    /// `USER` of the image that takes its place under the same tag, once what is live before the release is there.
    #[serde(default)]
    then_user: Option<String>,
}

fn linux_amd64() -> Vec<String> {
    vec!["linux/amd64".to_owned()]
}

fn somebody() -> String {
    "1000".to_owned()
}

impl Images {
    /// Starts the registries.
    ///
    /// # Errors
    /// They cannot be had, or do not start.
    pub fn start() -> Result<Self, Unavailable> {
        let (user, password) = PULLER;
        let basic = Auth::Basic(vec![(user.to_owned(), password.to_owned())]);
        let folder = tempfile::Builder::new().prefix("preflight-images").tempdir();
        Ok(Self {
            open: Registry::start(&RegistryOptions::default())?,
            private: Registry::start(&RegistryOptions { auth: basic, ..RegistryOptions::default() })?,
            put: Mutex::default(),
            folder: folder.map_err(|error| Unavailable::new(error.to_string()))?,
        })
    }

    /// Puts the images of a folder's objects where they belong: as its `images.yaml` says, or else plain ones.
    ///
    /// # Errors
    /// A file cannot be read, or an image cannot be put.
    pub fn publish(&self, folder: &Path, objects: &[Value]) -> io::Result<()> {
        let list = folder.join("images.yaml");
        let mut told: Vec<Published> = Vec::new();
        if list.is_file() {
            told = serde_saphyr::from_str(&std::fs::read_to_string(&list)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", list.display())))?;
        }
        for image in images_of(objects) {
            let known = told.iter().any(|published| published.image == image);
            if !known && !image.contains(['$', '{', ' ', '@']) {
                told.push(Published {
                    image,
                    platforms: linux_amd64(),
                    user: somebody(),
                    absent: false,
                    then_user: None,
                });
            }
        }
        for published in told.iter().filter(|published| !published.absent) {
            self.put(published)?;
        }
        Ok(())
    }

    /// Puts other images in the place of those that move.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn move_tags(&self, folder: &Path) -> io::Result<()> {
        let list = folder.join("images.yaml");
        if !list.is_file() {
            return Ok(());
        }
        let told: Vec<Published> = serde_saphyr::from_str(&std::fs::read_to_string(&list)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", list.display())))?;
        for published in told {
            if let Some(user) = &published.then_user {
                self.put(&Published { user: user.clone(), ..published.clone() })?;
            }
        }
        Ok(())
    }

    fn put(&self, published: &Published) -> io::Result<()> {
        let Some(place) = Place::of(&published.image) else {
            return Ok(());
        };
        let mut put = self.put.lock().unwrap_or_else(PoisonError::into_inner);
        if place.host == "registry.invalid" || put.get(&published.image) == Some(published) {
            return Ok(());
        }
        let one = |platform: &String| {
            let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
            PlatformImage::new(os, architecture).user(&published.user)
        };
        let image = match published.platforms.as_slice() {
            [platform] => Image::single(one(platform)),
            platforms => Image::index(platforms.iter().map(one)),
        };
        let (registry, path) = self.place(&place);
        registry.put(&path, &place.wanted, &image)?;
        put.insert(published.image.clone(), published.clone());
        Ok(())
    }

    /// The registry that holds an image, and the repository there.
    fn place(&self, place: &Place) -> (&Registry, String) {
        if place.host == self.private.host() {
            return (&self.private, place.repository.clone());
        }
        (&self.open, format!("{}/{}", place.host.replace(':', "-"), place.repository))
    }

    /// The host that wants a password, without TLS.
    #[must_use]
    pub fn private_host(&self) -> &str {
        self.private.host()
    }

    /// A `registries.conf` that leads to every host of the objects' images.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn registries_conf(&self, objects: &[Value]) -> io::Result<PathBuf> {
        let mut hosts: BTreeSet<String> =
            images_of(objects).iter().filter_map(|image| Some(Place::of(image)?.host)).collect();
        hosts.insert("docker.io".to_owned());
        hosts.remove(self.private.host());
        let entry = |host: &String| {
            let at = self.open.host();
            let below = host.replace(':', "-");
            format!("[[registry]]\nprefix = \"{host}\"\nlocation = \"{at}/{below}\"\ninsecure = true\n")
        };
        let path = self.folder.path().join("registries.conf");
        std::fs::write(&path, hosts.iter().map(entry).collect::<String>())?;
        Ok(path)
    }

    /// Pulls as a node of that architecture: gives what was pulled, or why it cannot be pulled.
    ///
    /// # Errors
    /// The registry does not give it, or not for that architecture.
    pub async fn pull(
        &self,
        image: &str,
        architecture: &str,
        logins: &[(String, String)],
    ) -> Result<Pulled, String> {
        let place = Place::of(image).ok_or_else(|| format!("couldn't parse image name {image:?}"))?;
        let (registry, path) = self.place(&place);
        let repository = format!("http://{}/v2/{path}", registry.host());
        let mut last = String::new();
        let anonymous = [None];
        let logins: Vec<_> = logins.iter().map(Some).collect();
        for login in if logins.is_empty() { &anonymous[..] } else { &logins } {
            match read(&repository, &place.wanted, architecture, *login).await {
                Ok(pulled) => return Ok(pulled),
                Err(why) => last = why,
            }
        }
        Err(format!("failed to pull {image:?}: {last}"))
    }

    /// The name without tag and digest.
    pub(crate) fn name_of(image: &str) -> String {
        Place::of(image).map(|place| format!("{}/{}", place.host, place.repository)).unwrap_or_default()
    }

    /// The name by which credentials of an image are looked up.
    pub(crate) fn host_of(image: &str) -> Option<String> {
        Some(Place::of(image)?.host)
    }
}

async fn read(
    repository: &str,
    wanted: &str,
    architecture: &str,
    login: Option<&(String, String)>,
) -> Result<Pulled, String> {
    let (mut manifest, digest) = fetch(&format!("{repository}/manifests/{wanted}"), login).await?;
    if let Some(entries) = manifest["manifests"].as_array() {
        let fits = |entry: &&Value| entry["platform"]["architecture"] == architecture;
        let digest = entries.iter().find(fits).and_then(|entry| entry["digest"].as_str());
        let digest = digest.ok_or("no match for platform in manifest")?;
        manifest = fetch(&format!("{repository}/manifests/{digest}"), login).await?.0;
    }
    let config = manifest["config"]["digest"].as_str().ok_or("no configuration")?;
    let (config, _) = fetch(&format!("{repository}/blobs/{config}"), login).await?;
    if config["architecture"] != architecture {
        return Err("exec format error".to_owned());
    }
    Ok(Pulled { user: config["config"]["User"].as_str().unwrap_or_default().to_owned(), digest })
}

/// What is at a URL, and its digest.
async fn fetch(url: &str, login: Option<&(String, String)>) -> Result<(Value, String), String> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::get(url).header(
        "accept",
        "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.list.v2+json, \
         application/vnd.docker.distribution.manifest.v2+json",
    );
    if let Some((user, password)) = login {
        request = request
            .header("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    }
    let request = request.body(Full::default()).map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| error.to_string())?;
    if answer.status() != 200 {
        return Err(format!("HTTP {}", answer.status().as_u16()));
    }
    let digest = answer.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
    let digest = digest.unwrap_or_default().to_owned();
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((serde_json::from_slice(&body).map_err(|error| error.to_string())?, digest))
}

/// Where an image is.
struct Place {
    host: String,
    repository: String,
    /// Tag or digest.
    wanted: String,
}

impl Place {
    fn of(image: &str) -> Option<Self> {
        let (name, digest) =
            image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, "latest"),
        };
        let (host, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) => (host, rest.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let lower = repository.chars().all(|c| !c.is_ascii_uppercase() && !c.is_whitespace());
        (lower && !repository.is_empty()).then(|| Self {
            host: host.to_owned(),
            repository,
            wanted: digest.unwrap_or(tag).to_owned(),
        })
    }
}

/// The images that objects name, wherever they do.
fn images_of(objects: &[Value]) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(image) if key == "image" => {
                            found.insert(image.clone());
                        }
                        _ => collect(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    objects.iter().for_each(|object| collect(object, &mut found));
    found
}
