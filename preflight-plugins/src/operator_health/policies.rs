//! Admission policies in CEL that match the release, validating and mutating ones: can they be evaluated at all?

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::cluster::{Discovery, Reader};
use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, RuleCheck};

use super::ADMISSION_POLICY;
use crate::intercept::{Matched, Pair, Parameters, Policies, Request, Requests, parameters};

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    requests: &Requests<'_>,
) {
    let (policies, discovery) = futures::join!(Policies::of(cluster, release), cluster.discovery());
    let Some(discovery) = check.need(&[&ADMISSION_POLICY], discovery) else { return };
    let Some(policies) = check.need(&[&ADMISSION_POLICY], policies) else { return };
    let mut rule = check.rule(&ADMISSION_POLICY);
    // What the release brings is judged by the API server when it is made.
    let live = policies.pairs.iter().filter(|pair| pair.from.is_none());
    let matching = live.flat_map(|pair| matching(pair, requests, &discovery));
    let bound = matching.map(|(pair, request, unsure)| {
        let discovery = &discovery;
        async move {
            let problem = problem(pair, request, discovery, cluster, release).await;
            let problem = match (problem, unsure) {
                (Problem::Refuses(why) | Problem::Passes(why), Some(unsure)) => {
                    Problem::Unknown(format!("{why}; whether it matches is not known: {unsure}"))
                }
                (problem, _) => problem,
            };
            Bound { pair, request, problem }
        }
    });
    for bound in join_all(bound).await {
        bound.tell(check, &mut rule);
    }
    rule.conclude("bindings of admission policies that match the release");
}

/// A binding that matches something of the release.
struct Bound<'a> {
    pair: &'a Pair,
    request: &'a Request<'a>,
    problem: Problem,
}

enum Problem {
    None,
    /// The policy cannot be evaluated, and what it matches is refused.
    Refuses(String),
    /// It cannot be evaluated, and that changes nothing.
    Passes(String),
    Unknown(String),
}

/// The requests that a binding matches, and why that is not sure, if it is not: of each namespace the first one, and
/// the first one that is sure, for what is wrong with the parameters is wrong for all of them.
fn matching<'a>(
    pair: &'a Pair,
    requests: &'a Requests<'_>,
    discovery: &Discovery,
) -> Vec<(&'a Pair, &'a Request<'a>, Option<String>)> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for request in requests.all.iter().filter(|request| request.lands_anyway.is_none()) {
        let unsure = match pair.matches(request, requests, discovery) {
            Matched::No => continue,
            Matched::Unsure(why) => Some(why),
            Matched::Yes => None,
        };
        if seen.insert((request.namespace, unsure.is_some())) {
            all.push((pair, request, unsure));
        }
    }
    all
}

impl Bound<'_> {
    fn tell(self, check: &Examination, rule: &mut RuleCheck<'_>) {
        rule.examined();
        let Pair { kind, name, bound_by, .. } = self.pair;
        let told = |why: &str| {
            format!(
                "The policy {name} (binding {bound_by}) matches {} and cannot be evaluated: {why}",
                self.request.told()
            )
        };
        let remedy = Remediation::new("Bring its parameters, or mend the policy and its binding")
            .command(format!("kubectl get {}binding {bound_by} -o yaml", kind.name()))
            .command(format!("kubectl get {} {name} -o yaml", kind.name()));
        match &self.problem {
            Problem::None => {}
            Problem::Refuses(why) => rule.predict(self.request.subject(), told(why), remedy),
            Problem::Passes(why) => rule.warn(self.request.subject(), told(why), remedy),
            Problem::Unknown(why) => check.unknown(&[&ADMISSION_POLICY], told(why), remedy.on_one_line()),
        }
    }
}

/// What keeps the policy from being evaluated.
async fn problem(
    pair: &Pair,
    request: &Request<'_>,
    discovery: &Discovery,
    cluster: &Reader,
    release: &Release,
) -> Problem {
    match parameters(pair, request, discovery, cluster, release).await {
        Parameters::These(_) | Parameters::Absent => Problem::None,
        Parameters::Broken(why) if pair.policy.ignores_failures() => Problem::Passes(why),
        Parameters::Broken(why) => Problem::Refuses(why),
        Parameters::Unknown(why) => Problem::Unknown(why),
    }
}
