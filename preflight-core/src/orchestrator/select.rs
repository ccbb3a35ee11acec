//! Which checks run, and what is thereby set aside.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::InputError;
use crate::environment::{Environment, SettingsSpec};
use crate::plugin::{Descriptor, Plugin};
use crate::report::SetAside;
use crate::rule::Stability;

/// What the user asked for.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) only: Vec<String>,
    pub(super) skip: Vec<String>,
    /// Only what a deploy must wait for.
    pub(super) blocking: bool,
}

/// A plugin that takes part, with what it says of itself.
pub(super) struct Selected {
    pub(super) plugin: Arc<dyn Plugin>,
    pub(super) descriptor: Descriptor,
}

pub(super) struct Choice {
    pub(super) checks: Vec<Selected>,
    pub(super) set_aside: Vec<SetAside>,
    /// Checks that take part and will go.
    pub(super) notes: Vec<String>,
    /// Settings of all plugins, whether they take part or not.
    pub(super) known_settings: Vec<SettingsSpec>,
}

pub(super) fn select(
    plugins: Vec<Arc<dyn Plugin>>,
    selection: &Selection,
    environment: &Environment,
) -> Result<Choice, InputError> {
    let all: Vec<Selected> =
        plugins.into_iter().map(|plugin| Selected { descriptor: plugin.descriptor(), plugin }).collect();
    check_catalogue(&all)?;
    let names: BTreeSet<&str> = all.iter().map(|check| check.descriptor.name).collect();
    let only = known(&selection.only, "--check", &names)?;
    let skip = known(&selection.skip, "--skip", &names)?;
    check_rules_of(environment, &all)?;

    let mut choice =
        Choice { checks: Vec::new(), set_aside: Vec::new(), notes: Vec::new(), known_settings: Vec::new() };
    for check in all {
        let Descriptor { name, stability, phase, .. } = check.descriptor;
        choice.known_settings.extend(check.descriptor.settings.iter().cloned());
        let named = only.contains(name);
        if skip.contains(name) {
            choice.set_aside.push(SetAside::new(name, "--skip"));
        } else if !only.is_empty() && !named {
            if stability != Stability::Beta {
                choice.set_aside.push(SetAside::new(name, "not named with --check"));
            }
        } else if selection.blocking && !phase.is_blocking() {
            choice.set_aside.push(SetAside::new(name, "not waited for"));
        } else if stability == Stability::Beta && !named {
            tracing::debug!(name, "beta: runs only when it is named");
        } else {
            if let Stability::Deprecated { ends, instead } = stability {
                choice.notes.push(format!("the check {name} may be removed from {ends} on: use {instead}"));
            }
            choice.checks.push(check);
        }
    }
    for required in environment.required_checks() {
        if !names.contains(required.as_str()) {
            if let Some(near) = crate::environment::nearest(&required, names.iter().copied()) {
                let message = format!("`required_checks`: there is no check named `{required}`");
                return Err(InputError::new(message).help(format!("did you mean `{near}`?")));
            }
            choice
                .set_aside
                .push(SetAside::new(required.as_str(), "required by the environment, not built in"));
        }
    }
    Ok(choice)
}

/// `_` is accepted wherever a user types a name.
fn known(given: &[String], flag: &str, names: &BTreeSet<&str>) -> Result<BTreeSet<String>, InputError> {
    let mut found = BTreeSet::new();
    for name in given {
        let kebab = name.replace('_', "-");
        if !names.contains(kebab.as_str()) {
            let error = InputError::new(format!("{flag}: there is no check named `{name}`"));
            let list = names.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(match crate::environment::nearest(&kebab, names.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`? The checks are: {list}")),
                None => error.help(format!("the checks are: {list}")),
            });
        }
        found.insert(kebab);
    }
    Ok(found)
}

/// What a plugin's author must get right.
fn check_catalogue(all: &[Selected]) -> Result<(), InputError> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for Selected { descriptor, .. } in all {
        if !names.insert(descriptor.name) {
            return Err(InputError::new(format!("two checks are named `{}`", descriptor.name)));
        }
        for rule in &descriptor.rules {
            if rule.plugin() != descriptor.name {
                let message =
                    format!("the check `{}` declares the rule `{}` of another", descriptor.name, rule.id());
                return Err(InputError::new(message));
            }
            if !ids.insert(rule.id()) {
                return Err(InputError::new(format!("the rule `{}` is declared twice", rule.id())));
            }
        }
    }
    Ok(())
}

/// Rules that the environment speaks of must exist, where their plugin is known.
fn check_rules_of(environment: &Environment, all: &[Selected]) -> Result<(), InputError> {
    for (rule, place) in environment.rules_accepted_unknown() {
        let plugin = rule.split_once('/').map_or("", |(plugin, _)| plugin);
        let Some(check) = all.iter().find(|check| check.descriptor.name == plugin) else {
            continue;
        };
        let ids: Vec<&str> = check.descriptor.rules.iter().map(|rule| rule.id()).collect();
        if ids.contains(&rule) {
            continue;
        }
        let mut error = InputError::new(format!("`on_unknown`: there is no rule `{rule}`")).at(place.clone());
        error = match crate::environment::nearest(rule, ids.iter().copied()) {
            Some(near) => {
                error.help(format!("did you mean `{near}`? `preflight list --rules` shows them all"))
            }
            None => error.help("`preflight list --rules` shows them all"),
        };
        return Err(error);
    }
    Ok(())
}
