//! What people read, as they read it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use preflight_core::Report;
use preflight_core::reporter::{Format, Style};
use serde_json::json;

/// A report with one of everything.
fn report() -> Report {
    serde_json::from_value(json!({
        "apiVersion": "preflight.ameide.io/v1",
        "kind": "PreflightReport",
        "verdict": {
            "decision": "no-go", "headline": "NO-GO: demo: The thing is broken, 1 warning, 1 check set aside",
            "failures": 1, "warnings": 1, "unknown": ["demo/c"], "expiresAt": "2026-01-01T00:10:00Z",
            "setAside": [{"name": "other", "why": "--skip"}], "worthARetry": true,
        },
        "preflightVersion": "0.1.0", "startedAt": "2026-01-01T00:00:00Z", "environment": "dev",
        "inputsDigest": "sha256:0", "objects": 2, "finishedAt": "2026-01-01T00:00:01Z", "duration_ms": 1000,
        "cluster": {"server": "https://host:6443", "source": "snapshot", "version": "v1.36.3", "user": "jane"},
        "interrupted": "interrupted (SIGINT)",
        "checks": [
            {"name": "demo", "phase": "infrastructure", "status": "failed", "message": "The thing is broken",
             "duration_ms": 10,
             "findings": [
                {"rule": "demo/a", "severity": "failed", "consequence": "wont-land", "basis": "observed",
                 "subject": {"name": "Pod shop/web", "field": "spec.containers[0].image", "place":
                    {"file": "deploy/web.yaml", "line": 12, "column": 12, "length": 7, "exact": true, "snippet": "    image: a:${X}"}},
                 "message": "The thing is broken", "remediation": {"summary": "Mend it", "commands": ["kubectl get things"]},
                 "transient": true, "fingerprint": "f", "runbook": "https://example.com/demo.md#a"},
                {"rule": "demo/b", "severity": "warning", "consequence": "harm", "basis": "predicted",
                 "subject": {"name": "https://host:6443"}, "message": "The thing is old:\n* it is rusty\n\n* it creaks",
                 "remediation": {"summary": "Renew it"}, "fingerprint": "g", "runbook": "https://example.com/demo.md#b"},
             ],
             "rules": [
                {"rule": "demo/a", "outcome": "failed"}, {"rule": "demo/b", "outcome": "warning"},
                {"rule": "demo/c", "outcome": "unknown", "why": "list pods:\nforbidden", "advice": "grant list on pods"},
                {"rule": "demo/d", "outcome": "unknown", "why": "no time", "accepted": true},
             ]},
            {"name": "fine", "phase": "compliance", "status": "passed", "message": "4 images", "duration_ms": 1,
             "findings": [], "rules": [{"rule": "fine/a", "outcome": "passed", "evidence": "4 images"}]},
            {"name": "blocked", "phase": "compliance", "status": "skipped", "message": "blocked by demo/a: The thing is broken",
             "duration_ms": 1, "findings": [],
             "rules": [{"rule": "blocked/a", "outcome": "skipped", "why": "The thing is broken", "blockedBy": "demo/a"}]},
        ],
    }))
    .unwrap()
}

fn written(format: Format, style: Style) -> String {
    let mut out = Vec::new();
    format.write(&report(), style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn terminal() {
    insta::assert_snapshot!(written(Format::Terminal, Style::plain()));
}

#[test]
fn short() {
    insta::assert_snapshot!(written(Format::Short, Style::plain()));
}

#[test]
fn colour_changes_no_text() {
    let coloured = written(Format::Terminal, Style::coloured());
    assert!(coloured.contains("\u{1b}[31;1mNO-GO"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, written(Format::Terminal, Style::plain()));
}

#[test]
fn json_and_yaml_hold_the_same_and_fit_back() {
    let json: Report = serde_json::from_str(&written(Format::Json, Style::plain())).unwrap();
    assert_eq!(json, report());
    let yaml = written(Format::Yaml, Style::plain());
    assert!(yaml.contains("decision: no-go") && yaml.contains("snippet: \"    image: a:${X}\""), "{yaml}");
}
