//! The cluster as it will be once the release is applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Release;
use crate::cluster::{ClusterError, Listed, Reader, View};

/// The cluster as it will be once the release is applied: what is there, plus the release. It lists as the
/// cluster does.
#[derive(Clone)]
pub struct Projected {
    reader: Reader,
    release: Arc<Release>,
}

impl Projected {
    pub(crate) const fn new(reader: Reader, release: Arc<Release>) -> Self {
        Self { reader, release }
    }

    /// All objects of a kind, as they will be.
    ///
    /// # Errors
    /// They cannot be listed, the plugin did not declare that it lists them, or an object of the release does
    /// not fit the view.
    pub async fn list<V: View>(&self) -> Result<ProjectedList<V>, ClusterError> {
        self.laid_over(self.reader.list::<V>().await?)
    }

    /// The same; where one may not look at all that are there, those in the namespaces of the release.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_within<V: View + Clone>(&self) -> Result<ProjectedList<V>, ClusterError> {
        self.laid_over(self.reader.list_within::<V>(&self.release.namespaces()).await?)
    }

    fn laid_over<V: View>(&self, live: Arc<Listed<V>>) -> Result<ProjectedList<V>, ClusterError> {
        let resource = V::resource();
        let mut coming = Listed::new();
        for planned in self.release.objects() {
            let Some(kind) = planned.serving.resource() else {
                continue;
            };
            if kind.group != resource.group || kind.plural != resource.plural {
                continue;
            }
            let Some(name) = planned.object.name() else {
                continue;
            };
            let view = crate::cluster::view_of(&planned.effective, &format!("read {}", planned.object.id()))?;
            coming.put(planned.namespace.as_deref().unwrap_or_default(), name, view);
        }
        let going =
            self.release.pruning()?.deletions.iter().filter(|gone| {
                gone.resource.group == resource.group && gone.resource.plural == resource.plural
            });
        let going =
            going.map(|gone| (gone.namespace.clone().unwrap_or_default(), gone.name.clone())).collect();
        Ok(ProjectedList { live, coming, going })
    }
}

/// Objects of one kind, as they will be.
#[derive(Debug)]
pub struct ProjectedList<V> {
    live: Arc<Listed<V>>,
    coming: Listed<V>,
    going: BTreeSet<(String, String)>,
}

impl<V> ProjectedList<V> {
    /// The cluster-wide object of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.get_in("", name)
    }

    /// The object of that name in that namespace.
    #[must_use]
    pub fn get_in(&self, namespace: &str, name: &str) -> Option<&V> {
        self.coming.get_in(namespace, name).or_else(|| {
            let stays = !self.going.contains(&(namespace.to_owned(), name.to_owned()));
            self.live.get_in(namespace, name).filter(|_| stays)
        })
    }

    /// Whether there will be a cluster-wide object of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every object, with its namespace (empty if it has none) and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &V)> {
        let stays = |(namespace, name, _): &(&str, &str, &V)| {
            self.coming.get_in(namespace, name).is_none()
                && !self.going.contains(&((*namespace).to_owned(), (*name).to_owned()))
        };
        self.live.iter().filter(stays).chain(self.coming.iter())
    }
}
