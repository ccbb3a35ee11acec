//! The labels that controllers add to the pods that they make
//! (`pkg/controller/statefulset/stateful_set_utils.go`, `pkg/controller/job/job_controller.go`,
//! `pkg/controller/daemon/util/daemonset_util.go` and `pkg/controller/deployment/sync.go`, v1.36).

use serde_json::Value;

use crate::labels::{Labels, selects};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Under which names a Job tells its own.
const JOB_NAMES: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// What a Job adds whose values are not known before.
const OF_JOBS: [&str; 3] =
    ["batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-completion-index"];
const OF_CRON_JOBS: [&str; 5] = [
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "job-name",
];

/// Labels that a workload's pods get besides those of its template.
#[derive(Debug, Clone, Default)]
pub(super) struct Added {
    /// Labels whose values are not known before.
    unknown: &'static [&'static str],
    /// Those of each pod; none where all are alike.
    each: Vec<Labels>,
}

impl Added {
    /// What the controller of a workload adds, as the workload will be.
    pub(super) fn of(kind: &str, name: &str, object: &Value) -> Self {
        let labels = |pairs: &[(&str, String)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
        };
        match kind {
            "StatefulSet" => {
                let number = |value: &Value, or: u64| value.as_u64().unwrap_or(or);
                let start = number(&object["spec"]["ordinals"]["start"], 0);
                let ordinals = start..start.saturating_add(number(&object["spec"]["replicas"], 1));
                let of = |ordinal: u64| {
                    labels(&[(POD_NAME, format!("{name}-{ordinal}")), (POD_INDEX, ordinal.to_string())])
                };
                Self { unknown: &["controller-revision-hash"], each: ordinals.map(of).collect() }
            }
            "Job" => {
                let each = labels(&JOB_NAMES.map(|key| (key, name.to_owned())));
                Self { unknown: &OF_JOBS, each: vec![each] }
            }
            "CronJob" => Self { unknown: &OF_CRON_JOBS, each: Vec::new() },
            "DaemonSet" => {
                Self { unknown: &["controller-revision-hash", "pod-template-generation"], each: Vec::new() }
            }
            "Deployment" => Self { unknown: &["pod-template-hash"], each: Vec::new() },
            _ => Self::default(),
        }
    }

    /// Whether a selector selects a pod with the labels of the template and these; what is not known before may be
    /// what is asked for.
    pub(super) fn fits(&self, selector: &Value, template: &Labels) -> bool {
        let mut labels = template.clone();
        for key in self.unknown {
            if let Some(value) = selector["matchLabels"][*key].as_str() {
                labels.insert((*key).to_owned(), value.to_owned());
            }
        }
        if selects(selector, &labels) {
            return true;
        }
        self.each.iter().any(|own| {
            let mut labels = labels.clone();
            labels.extend(own.clone());
            selects(selector, &labels)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_may_ask_for_what_controllers_add() {
        let template = Labels::from([("app".to_owned(), "db".to_owned())]);
        let set = json!({"spec": {"replicas": 2, "ordinals": {"start": 1}}});
        for (kind, object, selector, expected) in [
            ("StatefulSet", &set, json!({"app": "db", POD_NAME: "db-1"}), true),
            ("StatefulSet", &set, json!({POD_NAME: "db-2", POD_INDEX: "2"}), true),
            ("StatefulSet", &set, json!({POD_NAME: "db-1", POD_INDEX: "2"}), false),
            ("StatefulSet", &set, json!({POD_NAME: "db-0"}), false),
            ("StatefulSet", &set, json!({"app": "web", POD_NAME: "db-1"}), false),
            ("StatefulSet", &Value::Null, json!({POD_INDEX: "0"}), true),
            ("Job", &Value::Null, json!({"job-name": "db"}), true),
            ("Job", &Value::Null, json!({"batch.kubernetes.io/job-name": "other"}), false),
            ("CronJob", &Value::Null, json!({"job-name": "db-29000000"}), true),
            ("Deployment", &Value::Null, json!({"app": "db", "pod-template-hash": "7d9c"}), true),
            ("Deployment", &Value::Null, json!({POD_INDEX: "0"}), false),
            ("DaemonSet", &Value::Null, json!({"controller-revision-hash": "x"}), true),
            ("Pod", &Value::Null, json!({"pod-template-hash": "x"}), false),
        ] {
            let added = Added::of(kind, "db", object);
            assert_eq!(
                added.fits(&json!({"matchLabels": selector}), &template),
                expected,
                "{kind} {selector}"
            );
        }
    }
}
