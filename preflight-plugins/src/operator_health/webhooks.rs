//! Admission webhooks that will be called for the release.

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::cluster::{Discovery, Reader};
use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, RuleCheck, Subject};
use serde::Deserialize;

use super::backend::{Authority, Backends, Health, authority};
use super::{OF_WEBHOOKS, WEBHOOK_AUTHORITY, WEBHOOK_DRY_RUN, WEBHOOK_TIMEOUTS, WEBHOOK_UNAVAILABLE};
use crate::intercept::{Matched, Mutating, Request, Requests, Validating, Webhook, Whose};

/// How long the API server works on a request that writes, in seconds (`requestTimeoutUpperBound`,
/// `staging/src/k8s.io/apiserver/pkg/endpoints/handlers/rest.go`, v1.36).
const REQUEST_SECONDS: i64 = 34;
/// How long a webhook may take that does not say so itself, in seconds.
const DEFAULT_SECONDS: i64 = 10;

impl Webhook {
    /// Whether what it cannot answer is refused. That is the default.
    fn fails(&self) -> bool {
        self.failure_policy.as_deref() != Some("Ignore")
    }

    fn seconds(&self) -> i64 {
        self.timeout_seconds.unwrap_or(DEFAULT_SECONDS)
    }

    fn allows_dry_run(&self) -> bool {
        matches!(self.side_effects.as_deref(), Some("None" | "NoneOnDryRun"))
    }
}

/// A webhook with where it is configured.
struct Configured {
    kind: &'static str,
    configuration: String,
    webhook: Webhook,
    /// From which place of the release on it is there, where the release brings it.
    from: Option<usize>,
    /// Up to which place of the release it is there, where the release changes it.
    until: Option<usize>,
}

impl Configured {
    fn mutates(&self) -> bool {
        self.kind == "MutatingWebhookConfiguration"
    }

    fn told(&self) -> String {
        format!("The webhook {} of {} {}", self.webhook.name, self.kind, self.configuration)
    }

    fn subject(&self) -> Subject {
        Subject::new(format!("{} {}", self.kind, self.configuration))
    }

    fn command(&self) -> String {
        format!("kubectl get {} {} -o yaml", self.kind.to_lowercase(), self.configuration)
    }
}

struct Rules<'a> {
    check: &'a Examination,
    unavailable: RuleCheck<'a>,
    authority: RuleCheck<'a>,
    timeouts: RuleCheck<'a>,
    dry_run: RuleCheck<'a>,
}

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    requests: &Requests<'_>,
    backends: &Backends<'_>,
) {
    let (validating, mutating, discovery) =
        futures::join!(cluster.list::<Validating>(), cluster.list::<Mutating>(), cluster.discovery());
    let Some(validating) = check.need(OF_WEBHOOKS, validating) else { return };
    let Some(mutating) = check.need(OF_WEBHOOKS, mutating) else { return };
    let Some(discovery) = check.need(OF_WEBHOOKS, discovery) else { return };
    let mut all = Vec::new();
    for (_, name, configuration) in mutating.iter() {
        add(&mut all, "MutatingWebhookConfiguration", name, &configuration.webhooks, release);
    }
    for (_, name, configuration) in validating.iter() {
        add(&mut all, "ValidatingWebhookConfiguration", name, &configuration.webhooks, release);
    }
    of_release(check, &mut all, release);
    let mut rules = Rules {
        check,
        unavailable: check.rule(&WEBHOOK_UNAVAILABLE),
        authority: check.rule(&WEBHOOK_AUTHORITY),
        timeouts: check.rule(&WEBHOOK_TIMEOUTS),
        dry_run: check.rule(&WEBHOOK_DRY_RUN),
    };
    let calls: Vec<Calls<'_>> =
        all.iter().map(|configured| calls(configured, requests, &discovery)).collect();
    // What they are called at is looked up for all of them at once; whoever needs one shares the answer.
    let matter = |(configured, calls): &(&Configured, &Calls<'_>)| {
        !calls.sure.is_empty() || (configured.webhook.fails() && !calls.unsure.is_empty())
    };
    let called = all.iter().zip(&calls).filter(matter);
    join_all(called.map(|(configured, _)| backends.health(&configured.webhook.client_config))).await;
    for (configured, calls) in all.iter().zip(&calls) {
        if !calls.sure.is_empty() {
            rules.webhook(configured, &calls.sure, backends).await;
        }
        if let Some((request, why)) = calls.unsure.first() {
            rules.perhaps(configured, request, why, backends).await;
        }
    }
    rules.time(&all, &calls, requests);
    rules.unavailable.conclude("webhooks that are called for the release");
    rules.authority.conclude("webhooks that are called for the release");
    rules.timeouts.conclude("requests that webhooks are called for");
    rules.dry_run.conclude("webhooks that are called for the release");
}

fn add(all: &mut Vec<Configured>, kind: &'static str, name: &str, webhooks: &[Webhook], release: &Release) {
    let mut of_release = release.of_kind("admissionregistration.k8s.io", kind);
    let changed = of_release.find(|(_, planned)| planned.object.name() == Some(name));
    all.extend(webhooks.iter().map(|webhook| Configured {
        kind,
        configuration: name.to_owned(),
        webhook: webhook.clone(),
        from: None,
        until: changed.map(|(position, _)| position),
    }));
}

/// The webhooks that the release itself configures.
fn of_release(check: &Examination, all: &mut Vec<Configured>, release: &Release) {
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for (position, planned) in release.of_kind("admissionregistration.k8s.io", kind) {
            let name = planned.object.display_name().to_owned();
            let webhooks = Option::<Vec<Webhook>>::deserialize(&planned.effective["webhooks"]);
            let Ok(webhooks) = webhooks else {
                let why = format!("the webhooks of {} are not what they should be", planned.object.id());
                check.unknown(OF_WEBHOOKS, why, "kubectl apply --dry-run=server -f FILE");
                continue;
            };
            let before: Vec<_> = all
                .iter()
                .filter(|one| one.kind == kind && one.configuration == name)
                .map(|one| (one.webhook.name.clone(), one.webhook.client_config.ca_bundle.clone()))
                .collect();
            all.extend(webhooks.into_iter().flatten().map(|mut webhook| {
                // What the release says nothing of stays: an authority that was put in.
                if webhook.client_config.ca_bundle.as_ref().is_none_or(String::is_empty)
                    && let Some((_, bundle)) = before.iter().find(|(own, _)| *own == webhook.name)
                {
                    webhook.client_config.ca_bundle.clone_from(bundle);
                }
                Configured { kind, configuration: name.clone(), webhook, from: Some(position), until: None }
            }));
        }
    }
}

/// The requests that a webhook is called for, and those of which that cannot be told, with why.
#[derive(Default)]
struct Calls<'a> {
    sure: Vec<&'a Request<'a>>,
    unsure: Vec<(&'a Request<'a>, String)>,
}

fn calls<'a>(configured: &Configured, requests: &'a Requests<'_>, discovery: &Discovery) -> Calls<'a> {
    let mut calls = Calls::default();
    for request in &requests.all {
        // Controllers act when the release is there as a whole.
        let is_early = |place: usize| request.position <= place && !request.by_controller;
        if configured.from.is_some_and(is_early) || configured.until.is_some_and(|place| !is_early(place)) {
            continue;
        }
        match configured.webhook.criteria.matches(Whose::Webhook, request, &requests.namespaces, discovery) {
            Matched::No => {}
            Matched::Yes => calls.sure.push(request),
            Matched::Unsure(why) => calls.unsure.push((request, why)),
        }
    }
    calls
}

impl Rules<'_> {
    /// A webhook of which it cannot be told whether it is called. What is well either way stays decided.
    async fn perhaps(
        &mut self,
        configured: &Configured,
        request: &Request<'_>,
        why: &str,
        backends: &Backends<'_>,
    ) {
        let Configured { webhook, .. } = configured;
        if !webhook.fails() {
            return;
        }
        let health = backends.health(&webhook.client_config).await;
        let authority = authority(&webhook.client_config);
        let all = [
            (&mut self.unavailable, &WEBHOOK_UNAVAILABLE, matches!(health, Health::Well)),
            (
                &mut self.authority,
                &WEBHOOK_AUTHORITY,
                matches!(authority, Authority::Valid | Authority::Expiring(_)),
            ),
            (&mut self.dry_run, &WEBHOOK_DRY_RUN, webhook.allows_dry_run()),
        ];
        for (rule, id, is_well) in all {
            rule.examined();
            if !is_well {
                let why = format!("{} may be called for {}: {why}", configured.told(), request.told());
                self.check.unknown(&[id], why, configured.command());
            }
        }
    }

    async fn webhook(&mut self, configured: &Configured, requests: &[&Request<'_>], backends: &Backends<'_>) {
        let Configured { webhook, .. } = configured;
        let config = &webhook.client_config;
        self.unavailable.examined();
        let healers = backends.healers(config).await;
        let stopped = stops(configured, requests, &healers);
        match backends.health(config).await {
            Health::Well => {
                if let Some((from, why)) = backends.breaks(config) {
                    let after = |request: &&&Request<'_>| request.by_controller || request.position > from;
                    let after: Vec<_> = requests.iter().filter(after).copied().collect();
                    if !after.is_empty() {
                        let message = format!(
                            "{} is called for {} and cannot answer then: {why}",
                            configured.told(),
                            called_for(&after)
                        );
                        let remedy =
                            Remediation::new("Keep the Service as the webhook's clientConfig names it")
                                .command(configured.command());
                        tell(
                            &mut self.unavailable,
                            configured,
                            &after,
                            &stops(configured, &after, &[]),
                            &message,
                            remedy,
                        );
                    }
                }
            }
            Health::Broken { why, remedy, command } => {
                let message = format!(
                    "{} is called for {} and cannot answer: {why}",
                    configured.told(),
                    called_for(requests)
                );
                let remedy = Remediation::new(remedy).command(command).command(configured.command());
                tell(&mut self.unavailable, configured, requests, &stopped, &message, remedy);
            }
            Health::Unseen { why, advice } if webhook.fails() => {
                let message = format!("{} is called for {}: {why}", configured.told(), called_for(requests));
                self.check.unknown(&[&WEBHOOK_UNAVAILABLE], message, advice);
            }
            Health::Unseen { .. } => {}
        }
        self.authority.examined();
        let message = |why: &str| format!("The caBundle of {} {why}", lower(&configured.told()));
        let remedy = || {
            Remediation::new("Renew the authority's certificate, and put it into caBundle")
                .command(configured.command())
        };
        match authority(config) {
            Authority::Valid => {}
            Authority::Expiring(hours) => {
                let message = message(&format!("expires in {hours} h"));
                self.authority.warn(configured.subject(), message, remedy());
            }
            Authority::Broken(why) => {
                let message = message(&format!("{why}, and it is called for {}", called_for(requests)));
                // No pod mends a caBundle.
                tell(
                    &mut self.authority,
                    configured,
                    requests,
                    &stops(configured, requests, &[]),
                    &message,
                    remedy(),
                );
            }
            Authority::Default if webhook.fails() => {
                let why =
                    message("is empty, so the API server's own authorities must have signed its certificate");
                self.check.unknown(&[&WEBHOOK_AUTHORITY], why, configured.command());
            }
            Authority::Default => {
                let message =
                    message("is empty, so the API server's own authorities must have signed its certificate");
                self.authority.warn(configured.subject(), message, remedy());
            }
        }
        self.dry_run.examined();
        if !webhook.allows_dry_run() {
            self.dry_run.warn(
                configured.subject(),
                format!(
                    "{} does not say that it has no side effects, so no dry-run passes it",
                    configured.told()
                ),
                Remediation::new("Set sideEffects to None or NoneOnDryRun, if that is true")
                    .command(configured.command()),
            );
        }
    }

    /// What all webhooks of one request may take together.
    fn time(&mut self, all: &[Configured], calls: &[Calls<'_>], requests: &Requests<'_>) {
        let mut told = BTreeSet::new();
        // The calls are in the order of the requests.
        let mut left: Vec<_> = all
            .iter()
            .zip(calls)
            .map(|(one, calls)| (one, calls.sure.iter().peekable(), calls.unsure.iter().peekable()))
            .collect();
        for request in &requests.all {
            let is_this = |other: &Request<'_>| std::ptr::eq(other, request);
            let (mut called, mut perhaps) = (Vec::new(), Vec::new());
            for (configured, sure, unsure) in &mut left {
                if sure.next_if(|other| is_this(other)).is_some() {
                    called.push(*configured);
                    perhaps.push(*configured);
                } else if unsure.next_if(|(other, _)| is_this(other)).is_some() {
                    perhaps.push(*configured);
                }
            }
            if perhaps.is_empty() {
                continue;
            }
            self.timeouts.examined();
            let (seconds, at_most) = (seconds(&called), seconds(&perhaps));
            if seconds < REQUEST_SECONDS && at_most >= REQUEST_SECONDS {
                let why = format!(
                    "whether all webhooks that may take {at_most} s are called for {} cannot be told",
                    request.told()
                );
                let command = "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations";
                self.check.unknown(&[&WEBHOOK_TIMEOUTS], why, command);
            }
            let names: Vec<_> = called.iter().map(|one| one.webhook.name.as_str()).collect();
            if seconds < REQUEST_SECONDS || !told.insert(names.clone()) {
                continue;
            }
            self.timeouts.warn(
                request.subject(),
                format!(
                    "If they do not answer, the webhooks for {} take {seconds} s, and a request has {REQUEST_SECONDS} s: {}",
                    request.told(),
                    names.join(", ")
                ),
                Remediation::new("Shorten timeoutSeconds, or narrow down what the webhooks match")
                    .command("kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations"),
            );
        }
    }
}

/// How long webhooks take together: mutating ones one after the other, then validating ones side by side.
fn seconds(called: &[&Configured]) -> i64 {
    let of = |mutates: bool| {
        called.iter().filter(move |one| one.mutates() == mutates).map(|one| one.webhook.seconds())
    };
    of(true).sum::<i64>() + of(false).max().unwrap_or(0)
}

/// Which of the requests would keep the release from landing.
struct Stops<'a>(Vec<&'a Request<'a>>);

fn stops<'a>(configured: &Configured, requests: &[&'a Request<'a>], healers: &[String]) -> Stops<'a> {
    // What a controller is refused it tries again. If the release brings the pods that the webhook is called at, it
    // will succeed, unless it is these very pods that are refused.
    let refuses_healers =
        requests.iter().any(|request| request.by_controller && healers.contains(&request.id));
    let heals = !healers.is_empty() && !refuses_healers;
    let stops = |request: &&&Request<'_>| {
        configured.webhook.fails() && request.lands_anyway.is_none() && !(request.by_controller && heals)
    };
    Stops(requests.iter().filter(stops).copied().collect())
}

fn tell(
    rule: &mut RuleCheck<'_>,
    configured: &Configured,
    requests: &[&Request<'_>],
    stops: &Stops<'_>,
    message: &str,
    remedy: Remediation,
) {
    if let Some(request) = stops.0.first() {
        return rule.predict(request.subject(), message, remedy);
    }
    let anyway = requests.iter().find_map(|request| request.lands_anyway);
    let why = match (configured.webhook.fails(), anyway) {
        (false, _) => "it is ignored then",
        (true, Some(why)) => why,
        (true, None) => "the release brings what it is called at, and controllers try again",
    };
    let subject = requests.first().map_or_else(|| configured.subject(), |request| request.subject());
    rule.warn(subject, format!("{message} ({why})"), remedy);
}

fn called_for(requests: &[&Request<'_>]) -> String {
    match requests {
        [] => String::new(),
        [one] => one.told(),
        [first, rest @ ..] => format!("{} and {} more", first.told(), rest.len()),
    }
}

fn lower(text: &str) -> String {
    text.strip_prefix("The ").map_or_else(|| text.to_owned(), |rest| format!("the {rest}"))
}
