//! The rules, all of them: their pages in `docs/checks` are current, and their ids and texts hold together.
//!
//! `PREFLIGHT_BLESS=1` writes the pages anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use preflight_core::{Consequence, Descriptor};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks")
}

fn descriptors() -> Vec<Descriptor> {
    preflight_plugins::builtin().iter().map(|plugin| plugin.descriptor()).collect()
}

fn page(check: &Descriptor) -> String {
    let mut page = format!("# {}\n\n{}. Phase: {}.\n", check.name(), check.about(), check.phase().name());
    page.push_str("\nMade from the rules' doc comments; `preflight explain` prints the same.\n");
    for rule in check.all_rules() {
        let id = rule.id().split_once('/').map_or(rule.id(), |(_, id)| id);
        let consequence = match rule.consequence() {
            Consequence::WontLand => "the release will not land",
            Consequence::Harm => "the release lands and may do harm",
            _ => "stands in the way where the environment or a policy wants it so",
        };
        write!(page, "\n## {id}\n\n*{consequence}*\n\n{}\n", rule.runbook()).unwrap();
    }
    page
}

#[test]
fn every_check_has_its_page_and_it_is_current() {
    for check in descriptors() {
        let path = folder().join(format!("{}.md", check.name()));
        let page = page(&check);
        if std::env::var_os("PREFLIGHT_BLESS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, page, "{} is not current: run this with PREFLIGHT_BLESS=1", path.display());
    }
}

#[test]
fn no_page_is_left_of_a_check_that_has_gone() {
    let names: BTreeSet<String> = descriptors().iter().map(|check| format!("{}.md", check.name())).collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn every_rule_has_a_summary_that_is_a_sentence_and_a_runbook_that_says_more() {
    for check in descriptors() {
        assert!(!check.about().is_empty() && !check.all_rules().is_empty(), "{}", check.name());
        for rule in check.all_rules() {
            let summary = rule.summary();
            assert!(summary.ends_with('.') && summary.len() < 120, "{}: {summary}", rule.id());
            assert!(rule.runbook().len() > summary.len() + 80, "{}: the runbook says too little", rule.id());
        }
    }
}

/// Every rule that is about the release has a scenario that breaks it.
#[test]
fn every_rule_is_broken_by_a_scenario_or_a_test_says_why_not() {
    // Faults of the network, of certificates and clocks, registries that misbehave, this machine's own credentials, and
    // what a control plane makes right by itself or does not admit, are shown by tests of their own: `transport` and
    // `faults`, `registry_faults`, `own_credentials`, `operators`, `references`, `release`.
    const ELSEWHERE: &[&str] = &[
        "cluster-connectivity/name-resolution",
        "cluster-connectivity/proxy-refused",
        "cluster-connectivity/tls-expired",
        "cluster-connectivity/tls-wrong-name",
        "cluster-connectivity/tls-unknown-issuer",
        "cluster-connectivity/tls-handshake",
        "cluster-connectivity/http-error",
        "cluster-connectivity/wrong-cluster",
        "cluster-connectivity/credentials-unavailable",
        "cluster-connectivity/credentials-rejected",
        "cluster-connectivity/not-ready",
        "cluster-connectivity/clock-skew",
        "cluster-connectivity/version-unsupported",
        "registry-health/name-resolution",
        "registry-health/unreachable",
        "registry-health/tls",
        "registry-health/not-a-registry",
        "registry-health/auth-challenge",
        "registry-health/token-service",
        "registry-health/throttled",
        "registry-health/server-error",
        "registry-health/schema-1",
        "registry-health/not-an-image",
        "registry-health/own-credentials",
        "registry-health/push-permission",
        "registry-health/push-storage",
        "registry-health/upload-left",
        "operator-health/operator-not-observed",
        "operator-health/webhook-dry-run",
        "references/owner-missing",
        "traffic/cluster-ip-taken",
    ];
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let expectations: String = fs::read_dir(scenarios)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path().join("expect.yaml")).unwrap())
        .collect();
    for rule in descriptors().iter().flat_map(|check| check.all_rules().to_vec()) {
        let shown = expectations.contains(rule.id());
        assert_ne!(shown, ELSEWHERE.contains(&rule.id()), "{}", rule.id());
    }
}
