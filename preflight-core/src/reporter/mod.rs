//! How results are told. Reporters know events and reports, and nothing else.

mod diagnostic;
mod short;
mod terminal;

use std::io::{self, Write};
use std::str::FromStr;

pub use diagnostic::{Style, write_place};
pub use terminal::Terminal;

use crate::report::Report;

/// A form in which a report can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// For people: every finding with its line, remedy and runbook.
    #[default]
    Terminal,
    /// For people in a hurry: a line for each finding.
    Short,
    /// The report as JSON.
    Json,
    /// The report as YAML.
    Yaml,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Terminal, Self::Short, Self::Json, Self::Yaml];

    /// The name that users type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Short => "short",
            Self::Json => "json",
            Self::Yaml => "yaml",
        }
    }

    /// Writes a report in this form. Colour and width matter to `terminal` alone.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(self, report: &Report, style: Style, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Terminal => Terminal::new(style).write(report, to),
            Self::Short => short::write(report, to),
            Self::Json => {
                serde_json::to_writer_pretty(&mut *to, report)?;
                writeln!(to)
            }
            Self::Yaml => {
                // Through JSON's data model, so that both forms hold the same keys in the same types.
                let value = serde_json::to_value(report)?;
                to.write_all(crate::snapshot::to_yaml(&value).as_bytes())
            }
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            format!("there is no format `{text}`; the formats are: {}", names.join(", "))
        })
    }
}
