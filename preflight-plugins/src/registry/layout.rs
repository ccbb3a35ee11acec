//! Images that lie in a folder or an archive, for places without a registry: OCI image layouts (OCI image
//! specification v1.1, "Image Layout").

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::client::{Resolved, verified};
use super::manifest::{Config, Manifest};
use super::reference::Reference;

/// The largest manifest, configuration or index that is read; layers are larger, and are not.
const BLOB_CAP: u64 = 4 << 20;
/// The most that is kept of an archive.
const ARCHIVE_CAP: u64 = 64 << 20;
/// The most entries of an archive that are looked at.
const ENTRIES_CAP: usize = 100_000;

/// Where a layout is: `oci:FOLDER` or `oci-archive:FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A tar archive of one.
    Archive(PathBuf),
}

impl Location {
    /// Reads `oci:FOLDER` or `oci-archive:FILE`; `None` if it is neither. Paths are found with `place`.
    #[must_use]
    pub fn parse(text: &str, place: impl FnOnce(&str) -> PathBuf) -> Option<Self> {
        if let Some(path) = text.strip_prefix("oci-archive:") {
            return Some(Self::Archive(place(path)));
        }
        text.strip_prefix("oci:").map(|path| Self::Folder(place(path)))
    }
}

/// The images of a layout.
#[derive(Debug)]
pub struct Layout {
    /// By name, complete: digest.
    names: HashMap<String, String>,
    blobs: Blobs,
}

#[derive(Debug)]
enum Blobs {
    Folder(PathBuf),
    Kept(HashMap<String, Vec<u8>>),
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// Annotations under which tools keep an image's name: skopeo and others, and containerd.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

impl Layout {
    /// Opens a layout. Blocks on the file system.
    ///
    /// # Errors
    /// It cannot be read, or is none; the message is in plain words.
    pub fn open(location: &Location) -> Result<Self, String> {
        let (blobs, index) = match location {
            Location::Folder(folder) => {
                let index = read_capped(&folder.join("index.json"))?;
                (Blobs::Folder(folder.clone()), index)
            }
            Location::Archive(file) => {
                let mut kept = keep_small(file)?;
                let index = kept.remove("index.json").ok_or_else(|| {
                    format!(
                        "{} holds no index.json, so it is no archive of an OCI image layout",
                        file.display()
                    )
                })?;
                (Blobs::Kept(kept), index)
            }
        };
        let index: Index = serde_json::from_slice(&index)
            .map_err(|error| format!("its index.json cannot be read: {error}"))?;
        let mut names = HashMap::new();
        for entry in index.manifests {
            for name in NAMES.iter().filter_map(|key| entry.annotations.get(*key)) {
                // A bare tag does not say of which image.
                if let (true, Ok(reference)) = (name.contains('/'), Reference::parse(name)) {
                    names.insert(reference.to_string(), entry.digest.clone());
                }
            }
        }
        Ok(Self { names, blobs })
    }

    /// How many names it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it holds no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What a reference leads to; `None` if the layout does not hold it.
    ///
    /// # Errors
    /// What it holds cannot be used.
    pub fn resolve(&self, image: &Reference) -> Result<Option<Resolved>, String> {
        let digest = match &image.digest {
            Some(digest) => digest.clone(),
            None => match self.names.get(&image.to_string()) {
                Some(digest) => digest.clone(),
                None => return Ok(None),
            },
        };
        self.manifest(&digest)
    }

    /// The manifest of that digest; `None` if the layout does not hold it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn manifest(&self, digest: &str) -> Result<Option<Resolved>, String> {
        let Some(body) = self.blob(digest)? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&body).map_err(str::to_owned)?;
        Ok(Some(Resolved { digest: digest.to_owned(), manifest }))
    }

    /// An image's configuration; `None` if the layout does not hold it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn config(&self, digest: &str) -> Result<Option<Config>, String> {
        let Some(body) = self.blob(digest)? else {
            return Ok(None);
        };
        Config::parse(&body).map(Some).map_err(str::to_owned)
    }

    fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>, String> {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        // It becomes part of a path.
        if !matches!(algorithm, "sha256" | "sha384" | "sha512") || !hex.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(format!("{digest:?} is no digest"));
        }
        let path = format!("blobs/{algorithm}/{hex}");
        let body = match &self.blobs {
            Blobs::Folder(folder) if !folder.join(&path).exists() => return Ok(None),
            Blobs::Folder(folder) => read_capped(&folder.join(&path))?,
            Blobs::Kept(kept) => match kept.get(&path) {
                Some(body) => body.clone(),
                None => return Ok(None),
            },
        };
        verified(digest, &body).map_err(|trouble| trouble.to_string())?;
        Ok(Some(body))
    }
}

fn read_capped(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut body = Vec::new();
    File::open(path).map_err(told)?.take(BLOB_CAP + 1).read_to_end(&mut body).map_err(told)?;
    if body.len() as u64 > BLOB_CAP {
        return Err(format!("{} is larger than {} MiB", path.display(), BLOB_CAP >> 20));
    }
    Ok(body)
}

/// Everything in an archive that may be a manifest, a configuration or the index. Nothing is written to disk.
fn keep_small(file: &Path) -> Result<HashMap<String, Vec<u8>>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    let mut archive = tar::Archive::new(File::open(file).map_err(told)?);
    let (mut kept, mut total) = (HashMap::new(), 0);
    for (at, entry) in archive.entries().map_err(told)?.enumerate() {
        let mut entry = entry.map_err(told)?;
        if at > ENTRIES_CAP {
            return Err(format!("{} holds more than {ENTRIES_CAP} entries", file.display()));
        }
        let size = entry.header().size().map_err(told)?;
        if !entry.header().entry_type().is_file() || size > BLOB_CAP {
            continue;
        }
        total += size;
        if total > ARCHIVE_CAP {
            return Err(format!("{} holds too many small blobs", file.display()));
        }
        let path = entry.path().map_err(told)?;
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let name = parts.collect::<Vec<_>>().join("/");
        let mut body = Vec::new();
        entry.by_ref().take(BLOB_CAP).read_to_end(&mut body).map_err(told)?;
        kept.insert(name, body);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn digest(body: &[u8]) -> String {
        format!(
            "sha256:{}",
            Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        )
    }

    fn write(folder: &Path, body: &[u8]) -> String {
        let digest = digest(body);
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(&digest[7..]), body).unwrap();
        digest
    }

    fn layout() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let config =
            write(folder.path(), br#"{"os": "linux", "architecture": "amd64", "config": {"User": "7"}}"#);
        let manifest = serde_json::json!({"schemaVersion": 2, "config": {"mediaType": "m", "digest": config, "size": 1}});
        let manifest = write(folder.path(), manifest.to_string().as_bytes());
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [
            {"digest": manifest, "annotations": {"org.opencontainers.image.ref.name": "r.example.com/a:1"}},
            {"digest": manifest, "annotations": {"org.opencontainers.image.ref.name": "2"}},
        ]});
        std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
        (folder, manifest)
    }

    #[test]
    fn images_are_found_by_whole_name_and_by_digest() {
        let (folder, digest) = layout();
        let archive = folder.path().join("all.tar");
        let mut builder = tar::Builder::new(File::create(&archive).unwrap());
        for name in ["index.json", "blobs"] {
            let path = folder.path().join(name);
            if path.is_dir() {
                builder.append_dir_all(name, path)
            } else {
                builder.append_path_with_name(path, name)
            }
            .unwrap();
        }
        builder.finish().unwrap();
        for location in [Location::Folder(folder.path().to_owned()), Location::Archive(archive)] {
            let layout = Layout::open(&location).unwrap();
            let found = |text: &str| layout.resolve(&Reference::parse(text).unwrap()).unwrap();
            let image = found("r.example.com/a:1").unwrap();
            assert_eq!(image.digest, digest);
            let Manifest::Image { config, .. } = image.manifest else { panic!("it is an image") };
            assert_eq!(layout.config(&config).unwrap().unwrap().uid(), Ok(7));
            assert!(found(&format!("other/name@{digest}")).is_some());
            // A bare tag says nothing of whose it is.
            assert!(found("r.example.com/a:2").is_none() && found("r.example.com/b:1").is_none());
        }
    }

    #[test]
    fn what_was_tampered_with_is_told() {
        let (folder, digest) = layout();
        std::fs::write(folder.path().join("blobs/sha256").join(&digest[7..]), "{}").unwrap();
        let layout = Layout::open(&Location::Folder(folder.path().to_owned())).unwrap();
        assert!(layout.resolve(&Reference::parse("r.example.com/a:1").unwrap()).is_err());
        assert!(layout.manifest("sha256:../../../etc/passwd").is_err());
        assert!(Layout::open(&Location::Archive(folder.path().join("index.json"))).is_err());
    }
}
