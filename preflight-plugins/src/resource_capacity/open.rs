//! Which rules a release leaves open until the whole cluster has been looked at.

use preflight_core::cluster::ClusterError;
use preflight_core::release::Release;
use preflight_core::{Examination, Rule};

use super::reading::Read;
use super::settings::ResourceThresholds;
use super::workloads::Scalers;
use super::{
    AUTOSCALING_MAXIMUM, CLASS_MISSING, LIMIT_RANGE, PREEMPTION, QUOTA_EXCEEDED, REQUESTED_OVER_THRESHOLD,
    UNSCHEDULABLE,
};
use crate::capacity::admit::Rules;

pub(super) static ALL: &[&Rule] = &[
    &UNSCHEDULABLE,
    &PREEMPTION,
    &AUTOSCALING_MAXIMUM,
    &REQUESTED_OVER_THRESHOLD,
    &QUOTA_EXCEEDED,
    &LIMIT_RANGE,
    &CLASS_MISSING,
];
/// Those that depend on where pods go, and what is looked at for them. Whether quotas have room for objects does not.
static OTHERS: [(&Rule, &str); 4] = [
    (&UNSCHEDULABLE, "workloads"),
    (&PREEMPTION, "workloads"),
    (&AUTOSCALING_MAXIMUM, "workloads with an autoscaler"),
    (&REQUESTED_OVER_THRESHOLD, "thresholds of what is requested"),
];

/// The rules that depend on where the release's pods go.
pub(super) struct Open {
    rules: Vec<&'static Rule>,
    /// Whether it is known which PriorityClass pods get that name none.
    pub(super) classes_known: bool,
}

impl Open {
    pub(super) fn of(
        release: &Release,
        read: &Read,
        scalers: &Result<Scalers, ClusterError>,
        thresholds: &ResourceThresholds,
    ) -> Self {
        let here = release.namespaces();
        let has_pods = release.pod_templates().next().is_some();
        let scaled = scalers.as_ref().map_or(true, |scalers| scalers.are_in(&here));
        let limited = thresholds.percents().iter().any(|(_, percent)| percent.is_some());
        let counted = release.of_kind("", "ResourceQuota").next().is_some()
            || read
                .quotas
                .as_ref()
                .map_or(true, |quotas| quotas.iter().any(|(namespace, ..)| here.contains(namespace)));
        let rules: [(&'static Rule, bool); 5] = [
            (&UNSCHEDULABLE, has_pods),
            (&PREEMPTION, has_pods),
            (&AUTOSCALING_MAXIMUM, has_pods && scaled),
            (&REQUESTED_OVER_THRESHOLD, limited),
            (&QUOTA_EXCEEDED, has_pods && counted),
        ];
        let rules = rules.into_iter().filter(|(_, is_open)| *is_open).map(|(rule, _)| rule).collect();
        Self { rules, classes_known: read.priorities.is_ok() }
    }

    pub(super) fn rules(&self) -> &[&'static Rule] {
        &self.rules
    }

    pub(super) fn has(&self, rule: &Rule) -> bool {
        self.rules.iter().any(|open| open.id() == rule.id())
    }

    /// Concludes the rules that have nothing to examine, whatever the cluster is like.
    pub(super) fn conclude_others(&self, check: &Examination) {
        for (rule, what) in OTHERS.into_iter().filter(|(rule, _)| !self.has(rule)) {
            check.rule(rule).conclude(what);
        }
    }

    /// What pods are let in by. Classes that no pod names need not be known for that.
    pub(super) fn admission_rules(
        &self,
        check: &Examination,
        read: &Read,
        release: &Release,
    ) -> Option<Rules> {
        let names = |key: &str| {
            let mut specs = release.pod_templates().map(|template| template.spec_json());
            specs.any(|spec| spec[key].as_str().is_some_and(|name| !name.is_empty()))
        };
        let mut rules = Rules::default();
        let limits = check.need(ALL, read.limits.as_ref().map_err(Clone::clone))?;
        for (namespace, name, range) in limits.iter() {
            rules.limits.entry(namespace.to_owned()).or_default().push((name.to_owned(), range.clone()));
        }
        match &read.priorities {
            Ok(classes) => {
                rules
                    .priorities
                    .extend(classes.iter().map(|(_, name, class)| (name.to_owned(), class.clone())));
            }
            Err(error) if names("priorityClassName") => check.need(ALL, Err(error.clone()))?,
            // One may be the default.
            Err(error) => drop(check.need::<()>(&self.rules, Err(error.clone()))),
        }
        match &read.runtimes {
            Ok(classes) => {
                rules
                    .runtimes
                    .extend(classes.iter().map(|(_, name, class)| (name.to_owned(), class.clone())));
            }
            Err(error) if names("runtimeClassName") => check.need(ALL, Err(error.clone()))?,
            Err(_) => {}
        }
        Some(rules)
    }
}
