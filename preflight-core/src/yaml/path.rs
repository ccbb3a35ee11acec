//! Paths to fields, as Kubernetes writes them.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// An index of a sequence.
    Index(usize),
}

/// A path to a field, for example `spec.template.spec.containers[0].image`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldPath {
    segments: Vec<Segment>,
}

impl FieldPath {
    /// The path of the whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self { segments: Vec::new() }
    }

    /// Keys joined by dots: `metadata.name`. Keys that hold dots are added with [`Self::key`].
    #[must_use]
    pub fn of(dotted: &str) -> Self {
        let segments =
            dotted.split('.').filter(|key| !key.is_empty()).map(|key| Segment::Key(key.to_owned()));
        Self { segments: segments.collect() }
    }

    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.segments.push(Segment::Key(key.into()));
        self
    }

    /// Adds an index.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.segments.push(Segment::Index(index));
        self
    }

    /// Adds a path below this one.
    #[must_use]
    pub fn join(mut self, below: &Self) -> Self {
        self.segments.extend_from_slice(&below.segments);
        self
    }

    /// The path of what this one's field is in; the root's is the root.
    #[must_use]
    pub fn parent(mut self) -> Self {
        self.segments.pop();
        self
    }

    /// Its steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => write!(f, "{}{key}", if at == 0 { "" } else { "." })?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_kubernetes_writes_them() {
        let path = FieldPath::of("spec.containers").index(0).key("image");
        assert_eq!(path.to_string(), "spec.containers[0].image");
        let annotation = FieldPath::of("metadata.annotations").key("a.b/c");
        assert_eq!(annotation.to_string(), "metadata.annotations[\"a.b/c\"]");
    }
}
