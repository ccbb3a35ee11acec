//! What is about to be applied, as written: every value keeps its file, line and column.

mod load;
mod object;
mod references;
mod templates;
mod unresolved;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use object::{Object, ObjectId};
pub use references::Reference;
pub use templates::{Container, ImageUse, PodTemplate};
pub use unresolved::Unresolved;

/// The objects about to be applied, in the order in which they are written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Manifests {
    objects: Arc<[Arc<Object>]>,
}

impl Manifests {
    /// No objects: only the cluster itself is looked at.
    #[must_use]
    pub fn empty() -> Self {
        Self { objects: Arc::new([]) }
    }

    fn of(objects: Vec<Arc<Object>>) -> Self {
        Self { objects: objects.into() }
    }

    /// The objects, in order.
    #[must_use]
    pub fn objects(&self) -> &[Arc<Object>] {
        &self.objects
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Digest of what the objects say, in their order: `sha256:…`. File names, comments and layout do not count.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for object in self.objects.iter() {
            // serde_json keeps the keys of objects sorted.
            digest.update(object.json().to_string().as_bytes());
            digest.update([0]);
        }
        format!("sha256:{}", digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}
