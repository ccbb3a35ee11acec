//! The table of scenarios, and the two figures that matter most.

use std::io::{self, Write};

/// A scenario, what was expected of it and what came.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub scenario: String,
    /// The verdict that was expected.
    pub expected: String,
    /// The verdict that was given.
    pub verdict: String,
    /// Whether the release landed; `None` where that was not tried.
    pub landed: Option<bool>,
    /// What was not as expected.
    pub wrong: Vec<String>,
    /// `go`, and it did not land.
    pub false_go: bool,
    /// `no-go` because it will not land, and it did.
    pub false_no_go: bool,
}

/// Prints the table and the figures.
///
/// # Errors
/// It cannot be written.
pub fn print_table(rows: &[Row], to: &mut impl Write) -> io::Result<()> {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    writeln!(to, "{:<42} {:<8} {:<8} {:<7} ok", "scenario", "expected", "verdict", "landed")?;
    for row in &rows {
        let landed = row.landed.map_or("-", |landed| if landed { "yes" } else { "no" });
        let ok = if row.wrong.is_empty() { "yes".to_owned() } else { row.wrong.join("; ") };
        writeln!(to, "{:<42} {:<8} {:<8} {landed:<7} {ok}", row.scenario, row.expected, row.verdict)?;
    }
    let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    writeln!(
        to,
        "false go: {}, false no-go: {}, scenarios: {}",
        count(|r| r.false_go),
        count(|r| r.false_no_go),
        rows.len()
    )
}
