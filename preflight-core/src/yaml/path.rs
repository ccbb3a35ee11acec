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

    /// As [`Display`](fmt::Display) writes it, and as API servers do: `spec.containers[0].image`,
    /// `metadata.annotations[example.com/a]`. What follows a bracket that is not closed is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (mut segments, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let Some((inner, after)) = inner.split_once(']') else { break };
                let key = inner.trim_matches('"');
                segments.push(key.parse().map_or_else(|_| Segment::Key(key.to_owned()), Segment::Index));
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if !key.is_empty() {
                    segments.push(Segment::Key(key.to_owned()));
                }
                rest = after;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        Self { segments }
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
        for written in [path, annotation.clone()] {
            assert_eq!(FieldPath::parse(&written.to_string()), written);
        }
        assert_eq!(FieldPath::parse("metadata.annotations[a.b/c]"), annotation);
        assert_eq!(FieldPath::parse("spec.a[").to_string(), "spec.a");
    }
}
