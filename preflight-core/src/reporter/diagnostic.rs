//! A place in a file with a caret under the value, as a compiler shows it.

use std::fmt::{self, Write as _};

use crate::yaml::Place;

/// Whether colour is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
}

impl Style {
    /// No colour.
    #[must_use]
    pub const fn plain() -> Self {
        Self { colour: false }
    }

    /// ANSI colours.
    #[must_use]
    pub const fn coloured() -> Self {
        Self { colour: true }
    }

    pub(super) fn paint(self, ink: Ink, text: impl fmt::Display) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()) } else { text.to_string() }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Good,
    Bad,
    Attention,
    Doubt,
    Strong,
    Faint,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31;1",
            Self::Attention => "33",
            Self::Doubt => "35",
            Self::Strong => "1",
            Self::Faint => "2",
        }
    }
}

/// The place with its line and a caret under the value:
///
/// ```text
///   --> deploy/web.yaml:12:16
///    |
/// 12 |         image: web:${TAG}
///    |                ^^^^^^^^^^
/// ```
#[must_use]
pub fn write_place(place: &Place, style: Style) -> String {
    let mut out = String::new();
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = style.paint(Ink::Faint, "|");
    let arrow = style.paint(Ink::Faint, "-->");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{margin}{arrow} {place}");
    if let Some(snippet) = &place.snippet {
        let before: String = snippet
            .chars()
            .take(place.column.saturating_sub(1) as usize)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let room = snippet.chars().count().saturating_sub(before.chars().count()).max(1);
        let carets = "^".repeat((place.length.max(1) as usize).min(room));
        let _ = writeln!(out, "{margin} {bar}");
        let _ = writeln!(out, "{} {bar} {snippet}", style.paint(Ink::Faint, number));
        let _ = writeln!(out, "{margin} {bar} {before}{}", style.paint(Ink::Bad, carets));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_value() {
        let mut place = Place::new("a.yaml", 12, 8, 3);
        place.snippet = Some("image: abc".into());
        assert_eq!(
            write_place(&place, Style::plain()),
            "  --> a.yaml:12:8\n   |\n12 | image: abc\n   |        ^^^\n"
        );
        place.snippet = None;
        assert_eq!(write_place(&place, Style::plain()), "  --> a.yaml:12:8\n");
    }
}
