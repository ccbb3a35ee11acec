//! The law: a pass needs evidence. A test for each clause, and for the ways in which others have said go without any.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use preflight_core::cluster::{Read, Resource};
use preflight_core::snapshot::Snapshot;
use preflight_core::{
    Advice, CheckResult, Cluster, Context, Decision, Descriptor, Environments, Manifests, Outcome, Phase,
    Plugin, Preflight, Remediation, Report, Stability, Status, Subject, Undecided, async_trait,
};

mod rules {
    preflight_core::rules! { plugin "demo";
        /// The first rule.
        ///
        /// Its runbook.
        A = "a", wont_land;
        /// The second rule.
        ///
        /// Its runbook.
        B = "b", harm;
    }
}
use rules::{A, B, RULES};

/// What the plugin under test does.
#[derive(Clone, Copy)]
enum Does {
    /// Concludes both rules with evidence.
    Pass,
    /// Says nothing.
    Nothing,
    /// Concludes with nothing examined.
    ExaminesNothing,
    /// Finds something, then fails with an error.
    FindsThenErr,
    /// Finds something, then panics.
    FindsThenPanics,
    /// Finds something, then never ends.
    FindsThenHangs,
    /// Needs a list for the second rule.
    Lists,
    /// Reads what it did not declare.
    ReadsUndeclared,
    /// Needs the cluster for everything.
    NeedsCluster,
    /// Fails the first rule.
    Fails,
    /// Warns of the first rule, and concludes nothing.
    WarnsOnly,
    /// Fails the first rule twice and warns of the second, in several lines.
    FailsTwiceAndWarns,
    /// Sets the second rule aside.
    SetsOneAside,
    /// Counts one thing that is there twice.
    CountsOnce,
}

struct Demo(Does, Phase, Stability);

#[derive(serde::Deserialize)]
struct Pod {}
preflight_core::view!(Pod: namespaced "" "v1" "pods" "Pod");

#[async_trait]
impl Plugin for Demo {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("demo", self.1, RULES).reads(Read::list::<Pod>()).stability(self.2)
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let (mut a, mut b) = (check.rule(&A), check.rule(&B));
        let mend = || Remediation::new("Mend it").command("true");
        match self.0 {
            Does::Nothing => return Ok(check.finish()),
            Does::ExaminesNothing => {}
            Does::NeedsCluster => {
                context.cluster().await?;
                unreachable!("there is no cluster");
            }
            Does::FindsThenErr | Does::FindsThenPanics | Does::FindsThenHangs => {
                a.fail(Subject::new("thing"), "found before the end", mend());
                match self.0 {
                    Does::FindsThenErr => {
                        std::fs::read("/does/not/exist").map(drop).advice("make the file")?
                    }
                    Does::FindsThenPanics => panic!("with a token eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl in it"),
                    _ => std::future::pending().await,
                }
            }
            Does::Lists => {
                a.examined();
                if let Some(pods) = check.need(&[&B], context.unconnected().list::<Pod>().await) {
                    pods.iter().for_each(|_| b.examined());
                }
            }
            Does::ReadsUndeclared => {
                a.examined();
                let secrets = Resource::namespaced("", "v1", "secrets", "Secret");
                check.need(&[&B], context.unconnected().get(&secrets, Some("default"), "x").await);
            }
            Does::Fails => {
                a.fail(Subject::new("thing"), "it is broken", mend());
                b.examined();
            }
            Does::WarnsOnly => {
                a.examined();
                a.warn(Subject::new("thing"), "it is old", mend());
                return Ok(check.finish());
            }
            Does::Pass => {
                a.examined();
                b.examined();
            }
            Does::FailsTwiceAndWarns => {
                a.fail(Subject::new("thing"), "it is broken:\n  * here\n  * there", mend());
                a.fail(Subject::new("other"), "it is broken, too", mend());
                b.warn(Subject::new("thing"), "it is old", mend());
            }
            Does::SetsOneAside => {
                a.examined();
                check.set_aside(&[&B], "nobody wants it");
            }
            Does::CountsOnce => {
                ["x", "y", "x"].iter().for_each(|thing| a.examined_once(*thing));
                b.examined();
            }
        }
        a.conclude("things");
        b.conclude("others");
        Ok(check.finish())
    }
}

const HEADER: &str = "
apiVersion: preflight.ameide.io/v1
kind: Snapshot
server: https://demo:6443
version: {major: '1', minor: '36', gitVersion: v1.36.3}
";

fn snapshot(more: &str) -> Cluster {
    Snapshot::parse("snapshot.yaml", &format!("{HEADER}{more}")).unwrap().into()
}

fn preflight(does: Does) -> Preflight {
    Preflight::new(snapshot("")).plugin(Demo(does, Phase::Infrastructure, Stability::Stable))
}

async fn report(preflight: Preflight) -> Report {
    preflight.start().unwrap().finish().await
}

fn outcome<'a>(report: &'a Report, rule: &str) -> &'a Outcome {
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    &rules.into_iter().find(|result| result.rule == rule).unwrap().outcome
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unknown { why, .. } => why,
        other => panic!("{other:?} is not unknown"),
    }
}

#[tokio::test]
async fn clause_1_a_pass_has_evidence() {
    let report = report(preflight(Does::Pass)).await;
    assert_eq!(report.verdict.decision, Decision::Go);
    assert_eq!(
        outcome(&report, "demo/a"),
        &serde_json::from_str("{\"outcome\":\"passed\",\"evidence\":\"1 things\"}").unwrap()
    );
}

#[tokio::test]
async fn clause_1_a_rule_of_which_nothing_is_said_is_unknown() {
    let report = report(preflight(Does::Nothing)).await;
    assert_eq!(report.verdict.decision, Decision::Unknown);
    assert!(why(outcome(&report, "demo/a")).contains("said nothing"));
}

#[tokio::test]
async fn clause_1_a_warning_is_no_conclusion() {
    let report = report(preflight(Does::WarnsOnly)).await;
    assert_eq!(report.verdict.decision, Decision::Unknown);
    assert!(why(outcome(&report, "demo/a")).contains("said nothing"));
    assert_eq!(report.checks[0].findings.len(), 1);
}

#[tokio::test]
async fn clause_1_nothing_examined_is_no_pass() {
    let report = report(preflight(Does::ExaminesNothing)).await;
    assert!(matches!(outcome(&report, "demo/a"), Outcome::NotApplicable { .. }));
    assert_eq!(report.checks[0].status, Status::Skipped);
    assert_eq!(report.verdict.decision, Decision::Unknown, "there is no evidence at all");
}

#[tokio::test]
async fn clause_2_an_error_makes_unknown_what_was_not_concluded_and_keeps_what_was_found() {
    let report = report(preflight(Does::FindsThenErr)).await;
    assert_eq!(outcome(&report, "demo/a"), &Outcome::Failed);
    assert!(why(outcome(&report, "demo/b")).contains("No such file"));
    assert!(
        matches!(outcome(&report, "demo/b"), Outcome::Unknown { advice: Some(advice), .. } if advice == "make the file")
    );
    assert_eq!(report.checks[0].findings.len(), 1);
}

#[tokio::test]
async fn clause_2_a_panic_is_unknown_and_tells_no_secret() {
    let report = report(preflight(Does::FindsThenPanics)).await;
    assert_eq!(report.checks[0].findings.len(), 1);
    let why = why(outcome(&report, "demo/b"));
    assert!(why.contains("panicked") && !why.contains("eyJ"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn clause_2_a_check_that_does_not_end_is_unknown_at_its_deadline() {
    let report = report(preflight(Does::FindsThenHangs)).await;
    assert_eq!(report.checks[0].findings.len(), 1);
    assert!(why(outcome(&report, "demo/b")).contains("out of time after 45 s"));
}

#[tokio::test(start_paused = true)]
async fn clause_2_the_time_out_that_is_asked_for_is_kept() {
    let report = report(preflight(Does::FindsThenHangs).timeout(Duration::from_secs(3))).await;
    assert!(why(outcome(&report, "demo/b")).contains("out of time after 3 s"));
}

#[tokio::test]
async fn clause_2_a_refused_list_is_unknown() {
    let refused =
        "refused:\n- {path: /api/v1/pods, code: 403, reason: Forbidden, message: 'pods is forbidden'}\n";
    let cluster = snapshot(refused);
    let report =
        report(Preflight::new(cluster).plugin(Demo(Does::Lists, Phase::Resources, Stability::Stable))).await;
    assert_eq!(report.verdict.decision, Decision::Unknown);
    assert!(why(outcome(&report, "demo/b")).contains("pods is forbidden"));
    assert!(
        matches!(outcome(&report, "demo/a"), Outcome::Passed { .. }),
        "the other rule is decided all the same"
    );
}

#[tokio::test]
async fn clause_2_what_a_snapshot_does_not_hold_is_unknown_and_not_empty() {
    let report = report(preflight(Does::Lists)).await;
    assert!(why(outcome(&report, "demo/b")).contains("does not hold"));
}

#[tokio::test]
async fn clause_2_an_empty_list_that_was_recorded_is_empty() {
    let cluster = snapshot("lists: [/api/v1/pods]\n");
    let report =
        report(Preflight::new(cluster).plugin(Demo(Does::Lists, Phase::Resources, Stability::Stable))).await;
    assert!(matches!(outcome(&report, "demo/b"), Outcome::NotApplicable { .. }));
    assert_eq!(report.verdict.decision, Decision::Go);
}

#[tokio::test]
async fn clause_2_a_list_is_read_to_its_last_page() {
    let pods: String =
        (0..1001).map(|i| format!("- {{metadata: {{name: p{i}, namespace: shop}}}}\n")).collect();
    let cluster =
        snapshot(&format!("lists: [/api/v1/pods]\n---\napiVersion: v1\nkind: PodList\nitems:\n{pods}"));
    let report =
        report(Preflight::new(cluster).plugin(Demo(Does::Lists, Phase::Resources, Stability::Stable))).await;
    assert!(matches!(outcome(&report, "demo/b"), Outcome::Passed { evidence } if evidence == "1001 others"));
}

#[tokio::test]
async fn clause_2_a_read_that_is_not_declared_is_unknown() {
    let report = report(preflight(Does::ReadsUndeclared)).await;
    assert!(why(outcome(&report, "demo/b")).contains("did not declare"));
}

fn environment(text: &str) -> preflight_core::Environment {
    Environments::parse("environments.yaml", &format!("environments:\n  e:\n{text}"))
        .unwrap()
        .get("e")
        .unwrap()
}

#[tokio::test]
async fn clause_3_unknown_may_be_accepted_rule_by_rule_and_is_then_told() {
    let accepting = environment("    on_unknown: {demo/a: warn, demo/b: warn}\n");
    let report = report(preflight(Does::Lists).environment(accepting)).await;
    assert_eq!(report.verdict.decision, Decision::Go);
    assert_eq!(report.verdict.accepted_unknown, ["demo/b"]);
    assert!(report.verdict.headline.contains("1 rule not known"));
}

#[tokio::test]
async fn clause_3_accepting_one_rule_accepts_no_other() {
    let accepting = environment("    on_unknown: {demo/a: warn}\n");
    let report = report(preflight(Does::Lists).environment(accepting)).await;
    assert_eq!(report.verdict.decision, Decision::Unknown);
    assert_eq!(report.exit_code(false), 5);
}

#[tokio::test]
async fn clause_4_no_checks_no_go() {
    let report = report(Preflight::new(snapshot(""))).await;
    assert_eq!(report.verdict.decision, Decision::Unknown);
    assert!(report.verdict.headline.contains("no check was run"));
}

struct Other;

#[async_trait]
impl Plugin for Other {
    fn descriptor(&self) -> Descriptor {
        preflight_core::rules! { plugin "other";
            /// A rule.
            ///
            /// Its runbook.
            ONLY = "only", policy;
        }
        Descriptor::new("other", Phase::Infrastructure, RULES)
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        Ok(context.examine().finish())
    }
}

#[tokio::test]
async fn clause_4_a_check_that_is_skipped_is_told() {
    let run = preflight(Does::Pass).plugin(Other).skip(["other".to_owned()]);
    let report = report(run).await;
    assert_eq!(report.verdict.headline, "GO, 1 check set aside");
    assert_eq!(report.verdict.set_aside[0].name, "other");
}

#[tokio::test]
async fn clause_4_rules_that_are_set_aside_are_counted_as_rules() {
    let report = report(preflight(Does::SetsOneAside)).await;
    assert_eq!(report.verdict.headline, "GO, 1 rule set aside");
    assert_eq!((report.verdict.set_aside[0].rules, &*report.verdict.set_aside[0].name), (Some(1), "demo"));
}

#[tokio::test]
async fn the_headline_is_one_line_and_counts_each_finding_once() {
    let report = report(preflight(Does::FailsTwiceAndWarns)).await;
    let headline = "NO-GO: demo: it is broken: * here * there (and 1 more), 1 warning";
    assert_eq!(report.verdict.headline, headline);
}

#[tokio::test]
async fn what_is_there_twice_is_counted_once() {
    let report = report(preflight(Does::CountsOnce)).await;
    assert_eq!(outcome(&report, "demo/a"), &Outcome::Passed { evidence: "2 things".to_owned() });
}

#[tokio::test]
async fn clause_4_only_one_check_sets_the_others_aside() {
    let report = report(preflight(Does::Pass).plugin(Other).only(["demo".to_owned()])).await;
    assert_eq!(report.verdict.headline, "GO, 1 check set aside");
}

#[tokio::test]
async fn clause_4_a_required_check_that_is_not_built_in_is_told() {
    let requiring = environment("    governance: {required_checks: [image_security]}\n");
    let report = report(preflight(Does::Pass).environment(requiring)).await;
    assert_eq!(report.verdict.set_aside[0].name, "image-security");
}

#[tokio::test(start_paused = true)]
async fn clause_4_what_fail_fast_cuts_short_is_told() {
    struct Slow;
    #[async_trait]
    impl Plugin for Slow {
        fn descriptor(&self) -> Descriptor {
            Descriptor::new("other", Phase::Compliance, &[]).rules(&[])
        }
        async fn check(&self, _: &Context) -> Result<CheckResult, Undecided> {
            std::future::pending().await
        }
    }
    let report = report(preflight(Does::Fails).plugin(Slow).fail_fast(true)).await;
    assert_eq!(report.verdict.decision, Decision::NoGo);
    assert_eq!(report.interrupted.as_deref(), Some("fail-fast: demo failed"));
}

// Clause 5: `RuleCheck::fail` takes a `Remediation`; there is no way to build a finding without one. Reports from
// elsewhere must have one too.
#[test]
fn clause_5_a_finding_without_remediation_is_not_one() {
    let finding = serde_json::json!({
        "rule": "demo/a", "severity": "failed", "consequence": "harm", "basis": "observed",
        "subject": {"name": "x"}, "message": "m", "fingerprint": "f", "runbook": "r",
    });
    let error = serde_json::from_value::<preflight_core::Finding>(finding).unwrap_err();
    assert!(error.to_string().contains("remediation"));
}

#[tokio::test]
async fn clause_6_one_cause_one_failure() {
    let gone =
        Snapshot::parse("s.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}}").unwrap();
    // A snapshot without a version is not known; a cluster that cannot be reached is a failed cause.
    let report_of_gap =
        report(Preflight::new(gone).plugin(Demo(Does::NeedsCluster, Phase::Resources, Stability::Stable)))
            .await;
    assert_eq!(report_of_gap.verdict.decision, Decision::Unknown);

    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    std::fs::write(&kubeconfig, UNREACHABLE).unwrap();
    let options =
        preflight_core::cluster::AccessOptions { kubeconfig: Some(kubeconfig), ..Default::default() };
    let cluster = Cluster::resolve(&options).unwrap();
    let report =
        report(Preflight::new(cluster).plugin(Demo(Does::NeedsCluster, Phase::Resources, Stability::Stable)))
            .await;
    for rule in ["demo/a", "demo/b"] {
        assert!(
            matches!(outcome(&report, rule), Outcome::Skipped { blocked_by: Some(by), .. } if by == "cluster-connectivity/unreachable"),
            "{:?}",
            outcome(&report, rule)
        );
    }
    assert_eq!(
        report.verdict.decision,
        Decision::NoGo,
        "although the check that tells the cause was not selected"
    );
    assert!(report.verdict.headline.contains("Cannot connect to"), "{}", report.verdict.headline);
}

const UNREACHABLE: &str = "
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: canary}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
";

#[tokio::test]
async fn a_beta_check_runs_only_when_it_is_named() {
    let beta =
        || Preflight::new(snapshot("")).plugin(Demo(Does::Pass, Phase::Infrastructure, Stability::Beta));
    assert_eq!(report(beta()).await.checks.len(), 0);
    assert_eq!(report(beta().only(["demo".to_owned()])).await.verdict.decision, Decision::Go);
}

#[tokio::test]
async fn a_deprecated_check_says_when_it_ends() {
    let life = Stability::Deprecated { ends: "2027-01-01", instead: "other" };
    let report =
        report(Preflight::new(snapshot("")).plugin(Demo(Does::Pass, Phase::Infrastructure, life))).await;
    assert!(
        report.notes.iter().any(|note| note.contains("2027-01-01") && note.contains("other")),
        "{:?}",
        report.notes
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_tells_what_it_knows() {
    let run = preflight(Does::FindsThenHangs).start().unwrap();
    run.stopper().stop("interrupted");
    let report = run.finish().await;
    assert!(why(outcome(&report, "demo/b")).contains("cut short: interrupted"));
    assert_eq!(report.interrupted.as_deref(), Some("interrupted"));
}

#[tokio::test]
async fn the_gate_opens_for_go_alone_and_binds_the_inputs() {
    let manifests =
        Manifests::parse("a.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}").unwrap();
    let mut run = preflight(Does::Pass).manifests(manifests).start().unwrap();
    let clearance = run.blocking().await.gate().unwrap();
    assert!(clearance.is_valid() && clearance.inputs_digest().starts_with("sha256:"));
    for does in [Does::Fails, Does::Nothing] {
        assert!(preflight(does).start().unwrap().blocking().await.gate().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_does_not_wait_for_compliance() {
    let hanging = Demo(Does::FindsThenHangs, Phase::Compliance, Stability::Stable);
    struct Quick;
    #[async_trait]
    impl Plugin for Quick {
        fn descriptor(&self) -> Descriptor {
            preflight_core::rules! { plugin "quick";
                /// A rule.
                ///
                /// Its runbook.
                ONLY = "only", policy;
            }
            Descriptor::new("quick", Phase::Infrastructure, RULES)
        }
        async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
            let check = context.examine();
            for rule in self.descriptor().all_rules() {
                check.rule(rule).conclude_with("looked");
            }
            Ok(check.finish())
        }
    }
    let mut run = Preflight::new(snapshot("")).plugin(hanging).plugin(Quick).start().unwrap();
    assert!(run.blocking().await.gate().is_ok());
    assert_eq!(run.finish().await.verdict.decision, Decision::NoGo);
}

#[tokio::test]
async fn bad_configuration_is_told_before_anything_is_asked() {
    let message = |preflight: Preflight| match preflight.start() {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error} / {}", error.advice().unwrap_or_default()),
    };
    let unknown = message(preflight(Does::Pass).only(["dmeo".to_owned()]));
    assert!(unknown.contains("`dmeo`") && unknown.contains("did you mean `demo`?"), "{unknown}");
    assert!(
        message(preflight(Does::Pass).plugin(Demo(Does::Pass, Phase::Resources, Stability::Stable)))
            .contains("two checks")
    );
    let rule = message(preflight(Does::Pass).environment(environment("    on_unknown: {demo/x: warn}\n")));
    assert!(rule.contains("no rule `demo/x`"), "{rule}");
    let key = message(preflight(Does::Pass).environment(environment("    secruity: {}\n")));
    assert!(key.contains("unknown key `secruity`"), "{key}");
}
