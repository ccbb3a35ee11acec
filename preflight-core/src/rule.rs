//! Rules: the things that a plugin decides, each with its runbook.

use std::fmt;

/// What happens if a violated rule is ignored.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Consequence {
    /// The cluster will refuse the release, or never finish it.
    WontLand,
    /// The release lands and breaks something.
    Harm,
    /// Someone decided that it may not be so.
    Policy,
}

/// How far a plugin has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stability {
    /// Runs by default; its findings count.
    Stable,
    /// Runs only when it is named with `--check` or enabled by the embedder.
    Beta,
    /// Still runs, and warns that it will go.
    Deprecated {
        /// The day from which it may be removed, as `YYYY-MM-DD`.
        ends: &'static str,
        /// What takes its place.
        instead: &'static str,
    },
}

/// One thing that a plugin decides. Made by [`rules!`](crate::rules), so that its doc comment is its runbook.
pub struct Rule {
    id: &'static str,
    doc: &'static str,
    consequence: Consequence,
}

impl Rule {
    /// Used by [`rules!`](crate::rules). Checks at compile time that the id is `plugin/rule` in kebab-case
    /// and that the doc comment has a summary, a blank line and a body.
    #[doc(hidden)]
    #[must_use]
    pub const fn __new(id: &'static str, doc: &'static str, consequence: Consequence) -> Self {
        assert!(is_rule_id(id), "a rule id is `plugin/rule` in kebab-case");
        assert!(
            has_summary_and_body(doc),
            "a rule's doc comment is its runbook: a summary line, a blank line, a body"
        );
        Self { id, doc, consequence }
    }

    /// `plugin/rule`, in kebab-case.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// The plugin's part of the id.
    #[must_use]
    pub fn plugin(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(plugin, _)| plugin)
    }

    /// What ignoring a violation would lead to.
    #[must_use]
    pub const fn consequence(&self) -> Consequence {
        self.consequence
    }

    /// The runbook's first paragraph, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let runbook = self.runbook();
        let first = runbook.split("\n\n").next().unwrap_or_default();
        first.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The whole runbook, in Markdown.
    #[must_use]
    pub fn runbook(&self) -> String {
        let lines: Vec<_> = self.doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        lines.join("\n").trim().to_owned()
    }

    /// Where the runbook is published.
    #[must_use]
    pub fn url(&self) -> String {
        let (plugin, rule) = self.id.split_once('/').unwrap_or((self.id, ""));
        format!("{DOCUMENTATION}/checks/{plugin}.md#{rule}")
    }
}

/// The root of the published documentation.
const DOCUMENTATION: &str = "https://github.com/ameide/preflight/blob/main/docs";

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.id).finish()
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Rule {}

const fn is_rule_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    let (mut at, mut slashes) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'/' {
            slashes += 1;
        } else if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return false;
        }
        at += 1;
    }
    slashes == 1 && !bytes.is_empty() && bytes[0] != b'/' && bytes[bytes.len() - 1] != b'/'
}

const fn has_summary_and_body(doc: &str) -> bool {
    let bytes = doc.as_bytes();
    let mut at = 0;
    while at + 2 < bytes.len() {
        if bytes[at] == b'\n' && bytes[at + 1] == b'\n' {
            return true;
        }
        at += 1;
    }
    false
}

/// Declares the rules of a plugin, and `RULES`, the slice of all of them.
///
/// Each rule is a doc comment (its runbook), a name, an id, what ignoring it leads to (`wont_land`, `harm`
/// or `policy`):
///
/// ```
/// preflight_core::rules! { plugin "priority-classes";
///     /// A pod template names a PriorityClass that the cluster does not have.
///     ///
///     /// The API server rejects such pods when the controller creates them. Create the class, or name an
///     /// existing one.
///     MISSING = "missing", wont_land;
/// }
/// assert_eq!(MISSING.id(), "priority-classes/missing");
/// assert_eq!(RULES.len(), 1);
/// ```
///
/// A rule without a doc comment does not compile:
///
/// ```compile_fail
/// preflight_core::rules! { plugin "x"; MISSING = "missing", wont_land; }
/// ```
///
/// Nor one whose doc comment has only a summary:
///
/// ```compile_fail
/// preflight_core::rules! { plugin "x";
///     /// Only a summary.
///     MISSING = "missing", wont_land;
/// }
/// ```
///
/// Nor one whose id is not in kebab-case:
///
/// ```compile_fail
/// preflight_core::rules! { plugin "x";
///     /// A summary.
///     ///
///     /// A body.
///     MISSING = "Is_Missing", wont_land;
/// }
/// ```
#[macro_export]
macro_rules! rules {
    (plugin $plugin:literal; $($rest:tt)+) => { $crate::rules!(@munch $plugin [] $($rest)+); };
    (@munch $plugin:literal [$($done:ident)*]) => {
        /// Every rule that is declared here.
        pub static RULES: &[&$crate::Rule] = &[$(&$done),*];
    };
    (@munch $plugin:literal [$($done:ident)*]
        $(#[doc = $doc:expr])+ $name:ident = $id:literal, $consequence:ident; $($rest:tt)*) => {
        $(#[doc = $doc])+
        pub static $name: $crate::Rule = const {
            $crate::Rule::__new(
                concat!($plugin, "/", $id),
                concat!($($doc, "\n"),+),
                $crate::rules!(@consequence $consequence),
            )
        };
        $crate::rules!(@munch $plugin [$($done)* $name] $($rest)*);
    };
    (@munch $plugin:literal [$($done:ident)*] $name:ident = $($rest:tt)*) => {
        compile_error!(concat!("rule `", stringify!($name), "` needs a doc comment: it is its runbook"));
    };
    (@consequence wont_land) => { $crate::Consequence::WontLand };
    (@consequence harm) => { $crate::Consequence::Harm };
    (@consequence policy) => { $crate::Consequence::Policy };
}

#[cfg(test)]
mod tests {
    crate::rules! { plugin "demo";
        /// A summary that runs
        /// over two lines.
        ///
        /// The body.
        FIRST = "first", wont_land;
        /// Another.
        ///
        /// Body.
        SECOND = "second", policy;
    }

    #[test]
    fn the_macro_keeps_order_text_and_kind() {
        assert_eq!(RULES.iter().map(|rule| rule.id()).collect::<Vec<_>>(), ["demo/first", "demo/second"]);
        assert_eq!(FIRST.summary(), "A summary that runs over two lines.");
        assert!(FIRST.runbook().ends_with("The body."));
        assert_eq!(SECOND.consequence(), crate::Consequence::Policy);
        assert_eq!(SECOND.plugin(), "demo");
    }

    #[test]
    fn ids_are_plugin_slash_rule() {
        for (id, fine) in
            [("a/b", true), ("a-1/b-2", true), ("ab", false), ("a/b/c", false), ("a/B", false), ("/a", false)]
        {
            assert_eq!(super::is_rule_id(id), fine, "{id}");
        }
    }
}
