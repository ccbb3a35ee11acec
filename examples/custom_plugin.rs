//! A check of one's own: every PriorityClass that the release names exists.

use preflight_core::cluster::Read;
use preflight_core::{
    Advice, CheckResult, Cluster, Context, Descriptor, Manifests, Phase, Plugin, Preflight, Remediation,
    Subject, Undecided, async_trait, rules, view,
};

#[derive(serde::Deserialize)]
struct PriorityClass {}
view!(PriorityClass: cluster "scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass");

rules! { plugin "priority-classes";
    /// A pod template names a PriorityClass that the cluster does not have.
    ///
    /// The API server rejects such pods when the controller creates them, so the rollout stalls with no pod to look
    /// at. Create the class, or name an existing one.
    MISSING = "missing", wont_land;
}

struct PriorityClasses;

#[async_trait]
impl Plugin for PriorityClasses {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("priority-classes", Phase::Resources, RULES).reads(Read::list::<PriorityClass>())
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let mut missing = check.rule(&MISSING);
        let known = context
            .projected()
            .await?
            .list::<PriorityClass>()
            .await
            .advice("grant list on priorityclasses")?;
        for pod in context.release().await?.pod_templates() {
            let Some(class) = pod.priority_class() else {
                continue;
            };
            missing.examined();
            if !known.contains(class) {
                missing.fail(
                    Subject::at(pod.object(), &pod.spec_path("priorityClassName")),
                    format!("The PriorityClass {class} does not exist"),
                    Remediation::new("Create it, or name one of those there are")
                        .command("kubectl get priorityclasses"),
                );
            }
        }
        missing.conclude("pod templates with a PriorityClass");
        Ok(check.finish())
    }
}

// The check ends here; a test counts its lines.

#[tokio::main]
async fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    let cluster = Cluster::resolve(&Default::default())?;
    let manifests =
        Manifests::from_path(std::env::args().nth(1).ok_or("name a file or folder of manifests")?)?;
    let run = Preflight::new(cluster).manifests(manifests).plugin(PriorityClasses).start()?;
    let report = run.finish().await;
    preflight_core::reporter::Format::Terminal.write(&report, Default::default(), &mut std::io::stdout())?;
    Ok(report.exit_code(false).into())
}

#[cfg(test)]
mod tests {
    use preflight_core::snapshot::Snapshot;
    use preflight_core::{Decision, Report};

    use super::*;

    const CLUSTER: &str = "
{apiVersion: preflight.ameide.io/v1, kind: Snapshot, server: 'https://demo', version: {gitVersion: v1.36.3}, lists: [/apis/scheduling.k8s.io/v1/priorityclasses], absent: [/api/v1/namespaces/default/pods/a]}
---
{apiVersion: apidiscovery.k8s.io/v2, kind: APIGroupDiscoveryList, items: [{metadata: {}, versions: [{version: v1, resources: [{resource: pods, scope: Namespaced, responseKind: {kind: Pod}}]}]}]}
---
{apiVersion: apidiscovery.k8s.io/v2, kind: APIGroupDiscoveryList, items: [{metadata: {name: scheduling.k8s.io}, versions: [{version: v1, resources: [{resource: priorityclasses, scope: Cluster, responseKind: {kind: PriorityClass}}]}]}]}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1}
";

    async fn verdict(manifests: &str) -> Report {
        let cluster = Cluster::from_snapshot(Snapshot::parse("s.yaml", CLUSTER).unwrap());
        let manifests = Manifests::parse("a.yaml", manifests).unwrap();
        Preflight::new(cluster).manifests(manifests).plugin(PriorityClasses).start().unwrap().finish().await
    }

    fn pod(class: &str) -> String {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  priorityClassName: {class}\n")
    }

    #[tokio::test]
    async fn classes_of_the_cluster_and_of_the_release_are_known_and_others_are_not() {
        assert_eq!(verdict(&pod("high")).await.verdict.decision, Decision::Go);
        let coming =
            "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: new}\nvalue: 1\n";
        assert_eq!(verdict(&(pod("new") + coming)).await.verdict.decision, Decision::Go);
        let report = verdict(&pod("low")).await;
        assert_eq!(report.verdict.decision, Decision::NoGo);
        let place = report.checks[0].findings[0].subject.place.as_ref().unwrap();
        assert_eq!((place.line, place.column), (5, 22));
    }

    #[test]
    fn a_check_takes_fewer_than_fifty_lines() {
        let lines = include_str!("custom_plugin.rs")
            .lines()
            .take_while(|line| !line.starts_with("// The check ends"));
        let code = lines.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"));
        assert!(code.count() < 50);
    }
}
