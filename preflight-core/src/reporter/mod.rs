//! How results are told. Reporters know events and reports, and nothing else.

mod diagnostic;
mod short;
mod terminal;

use std::io::{self, Write};
use std::str::FromStr;

pub use diagnostic::{Style, write_place};
pub use terminal::Terminal;

use crate::report::{Report, ReportList};

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

    /// Writes a report in this form. Colour matters to `terminal` alone.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(self, report: &Report, style: Style, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Terminal => Terminal::new(style).write(report, to),
            Self::Short => short::write(report, to),
            Self::Json | Self::Yaml => self.write_value(report, to),
        }
    }

    /// Writes the reports of several clusters in this form.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_list(self, list: &ReportList, style: Style, to: &mut dyn Write) -> io::Result<()> {
        if matches!(self, Self::Json | Self::Yaml) {
            return self.write_value(list, to);
        }
        for (at, report) in list.items.iter().enumerate() {
            let cluster = &report.facts.cluster;
            let name = cluster.context.as_ref().or(cluster.server.as_ref()).map_or("", String::as_str);
            writeln!(to, "{}== {name}", if at > 0 { "\n" } else { "" })?;
            self.write(report, style, to)?;
        }
        Ok(())
    }

    fn write_value(self, value: &impl serde::Serialize, to: &mut dyn Write) -> io::Result<()> {
        if self == Self::Yaml {
            // Through JSON's data model, so that both forms hold the same keys in the same types.
            return to.write_all(crate::snapshot::to_yaml(&serde_json::to_value(value)?).as_bytes());
        }
        serde_json::to_writer_pretty(&mut *to, value)?;
        writeln!(to)
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
