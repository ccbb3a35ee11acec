//! Images, and how they get into a registry.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// The only layer: an empty tar, zipped.
const LAYER: [u8; 29] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 24, 5, 163, 96, 20, 140, 84, 0, 0, 46, 175, 181, 239, 0, 4, 0, 0,
];

/// The layer before it was zipped.
const TAR: [u8; 1024] = [0; 1024];

/// An image, or an index of images.
#[derive(Debug, Clone)]
pub struct Image {
    platforms: Vec<PlatformImage>,
    is_index: bool,
    media: &'static Media,
}

impl Image {
    /// An image for one platform, with the media types of OCI.
    #[must_use]
    pub fn single(image: PlatformImage) -> Self {
        Self { platforms: vec![image], is_index: false, media: &OCI }
    }

    /// An index of images for some platforms, with the media types of OCI.
    #[must_use]
    pub fn index(images: impl IntoIterator<Item = PlatformImage>) -> Self {
        Self { platforms: images.into_iter().collect(), is_index: true, media: &OCI }
    }

    /// The same with Docker's media types.
    #[must_use]
    pub fn docker(self) -> Self {
        Self { media: &DOCKER, ..self }
    }
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub struct PlatformImage {
    os: String,
    architecture: String,
    variant: Option<String>,
    user: String,
}

impl PlatformImage {
    /// One for an operating system and an architecture (`linux`, `amd64`) that names no user.
    #[must_use]
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: None, user: String::new() }
    }

    /// With a variant of the architecture (`v8`).
    #[must_use]
    pub fn variant(self, variant: &str) -> Self {
        Self { variant: Some(variant.to_owned()), ..self }
    }

    /// With the user that it runs as (`1000:1000`).
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self }
    }

    fn platform(&self) -> Value {
        let mut platform = json!({"os": self.os, "architecture": self.architecture});
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }

    fn config(&self) -> Value {
        let mut config = self.platform();
        config["config"] = json!({"User": self.user});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [digest_of(&TAR)]});
        config
    }
}

/// Media types.
#[derive(Debug)]
struct Media {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

static OCI: Media = Media {
    index: "application/vnd.oci.image.index.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
};

static DOCKER: Media = Media {
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
};

fn digest_of(content: &[u8]) -> String {
    let hex: String = digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn descriptor(media: &str, content: &[u8]) -> Value {
    json!({"mediaType": media, "digest": digest_of(content), "size": content.len()})
}

/// Puts an image into a repository of the registry at a URL, and tells its digest.
pub(super) async fn push(url: &str, repository: &str, tag: &str, image: &Image) -> io::Result<String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let repository = Repository { client, url: format!("{url}/v2/{repository}") };
    let media = image.media;
    repository.put_blob(&LAYER).await?;
    let mut manifests = Vec::new();
    for of_platform in &image.platforms {
        let config = of_platform.config().to_string();
        repository.put_blob(config.as_bytes()).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media.manifest,
            "config": descriptor(media.config, config.as_bytes()),
            "layers": [descriptor(media.layer, &LAYER)],
        })
        .to_string();
        if !image.is_index {
            return repository.put_manifest(tag, media.manifest, &manifest).await;
        }
        repository.put_manifest(&digest_of(manifest.as_bytes()), media.manifest, &manifest).await?;
        let mut descriptor = descriptor(media.manifest, manifest.as_bytes());
        descriptor["platform"] = of_platform.platform();
        manifests.push(descriptor);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media.index, "manifests": manifests});
    repository.put_manifest(tag, media.index, &index.to_string()).await
}

struct Repository {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Where its API is.
    url: String,
}

impl Repository {
    async fn put_blob(&self, content: &[u8]) -> io::Result<()> {
        let begun = self.send(Method::POST, &format!("{}/blobs/uploads/", self.url), "", &[]).await?;
        let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| io::Error::other("no location for the upload"))?;
        let upload = format!("{location}&digest={}", digest_of(content));
        self.send(Method::PUT, &upload, "application/octet-stream", content).await?;
        Ok(())
    }

    async fn put_manifest(&self, reference: &str, media: &str, content: &str) -> io::Result<String> {
        let url = format!("{}/manifests/{reference}", self.url);
        self.send(Method::PUT, &url, media, content.as_bytes()).await?;
        Ok(digest_of(content.as_bytes()))
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        media: &str,
        content: &[u8],
    ) -> io::Result<http::Response<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(CONTENT_TYPE, media)
            .body(Full::new(Bytes::copy_from_slice(content)))
            .map_err(io::Error::other)?;
        let (head, body) = self.client.request(request).await.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if !matches!(head.status, StatusCode::ACCEPTED | StatusCode::CREATED) {
            let text = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("{url}: {} {text}", head.status)));
        }
        Ok(http::Response::from_parts(head, body))
    }
}
