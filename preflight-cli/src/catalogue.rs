//! `preflight list`, `explain` and `schema`: what is built in, told offline.

use std::io::Write;

use preflight_core::{Descriptor, Environment, Report, Rule, Stability};
use serde::Serialize;

use crate::args::{List, SchemaOf};
use crate::problem::Problem;

pub(crate) fn descriptors() -> Vec<Descriptor> {
    preflight_plugins::builtin().iter().map(|plugin| plugin.descriptor()).collect()
}

#[derive(Serialize)]
struct CheckEntry {
    name: &'static str,
    phase: &'static str,
    summary: &'static str,
    stability: Stability,
    rules: Vec<RuleEntry>,
}

#[derive(Serialize)]
struct RuleEntry {
    id: &'static str,
    consequence: preflight_core::Consequence,
    summary: String,
    runbook: String,
}

pub(crate) fn list(options: &List, out: &mut impl Write) -> Result<u8, Problem> {
    let all = descriptors();
    if options.json {
        let entries: Vec<_> = all.iter().map(entry).collect();
        serde_json::to_writer_pretty(&mut *out, &entries).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(0);
    }
    for check in &all {
        let life = match check.life() {
            Stability::Beta => " (beta: runs only with --check)".to_owned(),
            Stability::Deprecated { ends, instead } => format!(" (deprecated until {ends}: use {instead})"),
            _ => String::new(),
        };
        writeln!(out, "{:<22} {:<15} {}{life}", check.name(), check.phase().name(), check.about())?;
        for rule in check.all_rules().iter().filter(|_| options.rules) {
            writeln!(out, "  {:<45} {}", rule.id(), rule.summary())?;
        }
    }
    Ok(0)
}

fn entry(check: &Descriptor) -> CheckEntry {
    let rule = |rule: &&'static Rule| RuleEntry {
        id: rule.id(),
        consequence: rule.consequence(),
        summary: rule.summary(),
        runbook: rule.url(),
    };
    CheckEntry {
        name: check.name(),
        phase: check.phase().name(),
        summary: check.about(),
        stability: check.life(),
        rules: check.all_rules().iter().map(rule).collect(),
    }
}

pub(crate) fn explain(name: &str, out: &mut impl Write) -> Result<u8, Problem> {
    let all = descriptors();
    let wanted = name.replace('_', "-");
    if let Some(check) = all.iter().find(|check| check.name() == wanted) {
        writeln!(out, "# {}\n\n{}. Phase: {}.\n", check.name(), check.about(), check.phase().name())?;
        for rule in check.all_rules() {
            writeln!(out, "- `{}`: {}", rule.id(), rule.summary())?;
        }
        return Ok(0);
    }
    let rules = || all.iter().flat_map(|check| check.all_rules().iter().copied());
    let matches =
        |rule: &&Rule| rule.id() == wanted || rule.id().split_once('/').is_some_and(|(_, id)| id == wanted);
    let found: Vec<&Rule> = rules().filter(matches).collect();
    if found.is_empty() {
        let problem = Problem::input(format!("there is no rule or check named `{name}`"));
        return Err(problem.help("`preflight list --rules` shows them all"));
    }
    for rule in found {
        writeln!(out, "# {}\n\n{}\n\n{}", rule.id(), rule.runbook(), rule.url())?;
    }
    Ok(0)
}

pub(crate) fn schema(of: SchemaOf, out: &mut impl Write) -> Result<u8, Problem> {
    let schema = match of {
        SchemaOf::Environments => {
            let mut settings = preflight_plugins::known_settings();
            settings.extend(descriptors().iter().flat_map(|check| check.all_settings().to_vec()));
            Environment::schema(&settings)
        }
        SchemaOf::Report => Report::schema(),
    };
    serde_json::to_writer_pretty(&mut *out, &schema).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(0)
}
