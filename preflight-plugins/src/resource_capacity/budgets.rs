//! PodDisruptionBudgets that allow no disruption.

use preflight_core::release::Projected;
use preflight_core::{Examination, Remediation, Subject, view};
use serde::Deserialize;
use serde_json::Value;

use super::DISRUPTION_BUDGET;
use super::placement::Placed;
use crate::capacity::rollout::share;
use crate::labels::selects;

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Budget {
    spec: Spec,
}

view!(Budget: namespaced "policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    selector: Option<Value>,
    min_available: Option<Value>,
    max_unavailable: Option<Value>,
}

/// Looks at the budgets that cover pods of the release.
pub(super) async fn examine(check: &Examination, projected: &Projected, placed: &Placed) {
    let mut rule = check.rule(&DISRUPTION_BUDGET);
    if placed.workloads.is_empty() {
        return rule.conclude("PodDisruptionBudgets of the release's pods");
    }
    let Some(budgets) = check.need(&[&DISRUPTION_BUDGET], projected.list_within::<Budget>().await) else {
        return;
    };
    for (namespace, name, budget) in budgets.iter() {
        let covered = placed.workloads.iter().filter(|(at, labels, _)| {
            at == namespace && budget.spec.selector.as_ref().is_some_and(|selector| selects(selector, labels))
        });
        let pods: usize = covered.map(|(_, _, replicas)| replicas).sum();
        if pods == 0 {
            continue;
        }
        rule.examined();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let allowed = match (&budget.spec.min_available, &budget.spec.max_unavailable) {
            (_, Some(most)) => share(&text(most), pods, true),
            (Some(least), _) => share(&text(least), pods, true).map(|least| pods.saturating_sub(least)),
            _ => None,
        };
        if allowed == Some(0) {
            let message = format!(
                "the PodDisruptionBudget {name} allows none of its {pods} pods to be disrupted: nodes that they are on cannot be drained"
            );
            let remedy = Remediation::new("Allow one pod to be away, or run one more")
                .command(format!("kubectl describe poddisruptionbudget {name} -n {namespace}"));
            rule.warn(Subject::new(format!("PodDisruptionBudget {namespace}/{name}")), message, remedy);
        }
    }
    rule.conclude("PodDisruptionBudgets of the release's pods");
}
