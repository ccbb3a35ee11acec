//! What went wrong, told with its place and what to do.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};
use preflight_core::cluster::AccessError;
use preflight_core::{InputError, Place, redact};

/// What keeps Preflight from answering.
#[derive(Debug)]
pub(crate) struct Problem {
    message: String,
    help: Option<String>,
    source: Option<Box<(NamedSource<String>, SourceSpan)>>,
    code: u8,
}

impl Problem {
    /// Bad input: exit code 2.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, source: None, code: 2 }
    }

    /// Preflight itself failed: exit code 1.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: 1, ..Self::input(message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn told(message: &impl fmt::Display, place: Option<&Place>, help: Option<&str>) -> Self {
        let mut problem = Self::input(redact(&message.to_string()));
        problem.help = help.map(str::to_owned);
        match place {
            Some(place) if place.snippet.is_some() => problem.source = Some(Box::new(source_of(place))),
            // What may be secret is not shown, only where it is.
            Some(place) => problem.message.push_str(&format!(" ({place})")),
            None => {}
        }
        problem
    }

    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(1).with_links(false);
        if handler.render_report(&mut out, self).is_err() {
            out = format!("Error: {}\n", self.message);
        }
        out
    }
}

/// The line stands at its own number: what is before it is left blank.
fn source_of(place: &Place) -> (NamedSource<String>, SourceSpan) {
    let line = place.snippet.clone().unwrap_or_default();
    let mut text = "\n".repeat(place.line.saturating_sub(1) as usize);
    let column = place.column.saturating_sub(1) as usize;
    let bytes = |characters: usize| line.chars().take(characters).map(char::len_utf8).sum::<usize>();
    let start = text.len() + bytes(column);
    let length = bytes(column + place.length.max(1) as usize).saturating_sub(bytes(column));
    text.push_str(&line);
    (NamedSource::new(&place.file, text), (start, length).into())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| &source.0 as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.source.as_deref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".to_owned()), *span))))
    }
}

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        Self::told(&error, error.place(), error.advice())
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        Self::told(&error, None, error.help())
    }
}

/// A report that cannot be written is a failure of Preflight's own, unless nobody reads it any more.
impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::internal(format!("cannot write: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_its_line_number() {
        let mut place = Place::new("a.yaml", 7, 1, 5);
        place.snippet = Some("héllo: x".into());
        let problem = Problem::told(&"unknown key", Some(&place), Some("did you mean `hello`?"));
        let text = problem.render(false);
        assert!(
            text.contains("a.yaml:7:1") && text.contains("7 │ héllo: x") && text.contains("did you mean"),
            "{text}"
        );
    }
}
