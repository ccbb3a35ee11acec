//! YAML and JSON whose every value knows where it stands.

mod node;
mod parse;
mod path;
mod typed;

use std::fmt;
use std::sync::Arc;

pub(crate) use node::{Key, Node, Value};
pub(crate) use parse::parse_documents;
pub use path::{FieldPath, Segment};

pub(crate) use parse::{TEXT_CAP, text_of};
pub(crate) use typed::Located;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A line of a source is shown up to this many characters.
const SNIPPET: usize = 200;

/// A text and the name that users know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A text under a name: a path, or `<stdin>`.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// The name that users know it by.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place of a span, with its line as a snippet.
    #[must_use]
    pub(crate) fn place(&self, span: Span, exact: bool) -> Place {
        let line = self.text.lines().nth(span.line.saturating_sub(1) as usize);
        Place {
            snippet: line.map(|line| line.trim_end_matches('\r').chars().take(SNIPPET).collect()),
            ..self.place_without_snippet(span, exact)
        }
    }

    /// The place of a span without its text, for what may be secret.
    #[must_use]
    pub(crate) fn place_without_snippet(&self, span: Span, exact: bool) -> Place {
        Place {
            file: self.name.clone(),
            line: span.line,
            column: span.column,
            length: span.len,
            exact,
            snippet: None,
        }
    }
}

/// Where a value stands in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// Length in characters of the scalar or key; 0 where it has none.
    pub(crate) len: u32,
}

/// A place in a file of the user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Place {
    /// The file's name as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters; 0 where the value has none.
    #[serde(default)]
    pub length: u32,
    /// Whether it is the place of the value itself, or of what is nearest to where it is missing.
    #[serde(default)]
    pub exact: bool,
    /// The line's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

impl Place {
    /// A place without a snippet.
    pub fn new(file: impl Into<String>, line: u32, column: u32, length: u32) -> Self {
        Self { file: file.into(), line, column, length, exact: true, snippet: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
