//! Fields that are unknown or hold what they cannot, read from the schemas that the API server tells of its own kinds.
//!
//! Only what was not tried out is looked at, so that a release that is tried out costs nothing more. Custom resources are
//! decoded otherwise, and looked at by the check of operators.

mod faces;
mod formats;
mod types;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Reader, Resource, Schemas};
use preflight_core::release::{Planned, Release, Serving};
use preflight_core::{Examination, Remediation, Rule, RuleCheck, Segment, Subject};

pub use faces::Face;
pub(super) use faces::who_drops;
pub use walk::{Problem, What, problems};

use super::trials::Trials;
use super::{FIELD_TYPE, FIELD_UNKNOWN};
use crate::updates::patch::is_built_in;

static BOTH: [&Rule; 2] = [&FIELD_UNKNOWN, &FIELD_TYPE];
/// The first minor version whose API server refuses unknown fields when it is asked to, by default
/// (`ServerSideFieldValidation` in `pkg/features/kube_features.go`, v1.25).
const VALIDATES: u16 = 25;

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release, trials: &Trials) {
    let all: Vec<(&Planned, &Resource)> =
        release.objects().iter().filter_map(|planned| Some((planned, built_in(planned)?))).collect();
    let tried = all.iter().filter(|(planned, _)| trials.decoded(planned)).count();
    let open: Vec<(&Planned, &Resource, Face)> = all
        .iter()
        .filter(|(planned, _)| !trials.decoded(planned))
        .filter_map(|(planned, of)| Some((*planned, *of, Face::of(planned, release.method())?)))
        .collect();
    // What is tried out here cannot be tried out on a snapshot.
    let recorded = all.iter().filter(|_| cluster.is_recorded()).map(|(_, of)| *of);
    let wanted: BTreeSet<&Resource> = open.iter().map(|(_, of, _)| *of).chain(recorded).collect();
    let asking = join_all(wanted.iter().map(|of| cluster.schemas(of))).await;
    let schemas: BTreeMap<&Resource, _> = wanted.into_iter().zip(asking).collect();
    let mut telling =
        Telling { check, unknown: check.rule(&FIELD_UNKNOWN), mistyped: check.rule(&FIELD_TYPE) };
    let validates = open.is_empty() || telling.validates(cluster).await;
    let mut read = 0;
    for (planned, of, face) in open.into_iter().filter(|_| validates) {
        let Some(schemas) = schemas.get(of) else { continue };
        let Some(problems) = telling.problems(planned, face, schemas) else { continue };
        read += 1;
        let dropped = who_drops(planned, release.method());
        for problem in problems {
            telling.tell(planned, &problem, dropped);
        }
    }
    telling.conclude(tried, read);
}

/// The kind of an object, where it is one of Kubernetes' own.
fn built_in(planned: &Planned) -> Option<&Resource> {
    match &planned.serving {
        Serving::Cluster(resource) if is_built_in(&resource.group) => Some(resource),
        _ => None,
    }
}

struct Telling<'a> {
    check: &'a Examination,
    unknown: RuleCheck<'a>,
    mistyped: RuleCheck<'a>,
}

impl Telling<'_> {
    async fn validates(&self, cluster: &Reader) -> bool {
        let Some(version) = self.check.need(&BOTH, cluster.version().await) else { return false };
        let old = version.minor().is_some_and(|minor| minor < VALIDATES);
        if old {
            let told = format!("an API server {} does not validate fields", version.git_version);
            self.check.unknown(&BOTH, told, "kubectl apply --dry-run=server -f FILE");
        }
        !old
    }

    fn problems(
        &self,
        planned: &Planned,
        face: Face,
        schemas: &Result<Arc<Schemas>, ClusterError>,
    ) -> Option<Vec<Problem>> {
        let schemas = self.check.need(&BOTH, schemas.as_ref().map_err(Clone::clone))?;
        let object = &planned.object;
        let kind = (object.group(), object.version(), object.kind());
        let found = problems(schemas, kind, &planned.effective, face);
        if found.is_none() {
            let told =
                format!("the API server tells no schema of {} {}", object.api_version(), object.kind());
            self.check.unknown(&BOTH, told, explain(planned, &[]));
        }
        found
    }

    fn tell(&mut self, planned: &Planned, problem: &Problem, dropped: Option<&str>) {
        let Problem { path, trail, what } = problem;
        let id = planned.object.id();
        let subject = Subject::at(&planned.object, path);
        match what {
            What::Unknown { near } => {
                let name = match path.segments().last() {
                    Some(Segment::Key(name)) => name.as_str(),
                    _ => "it",
                };
                let meant = near.as_ref().map(|near| format!("; {near} may be meant")).unwrap_or_default();
                let remedy = match near {
                    Some(near) => {
                        Remediation::new(format!("Write {near} in place of {name}, or leave it out"))
                    }
                    None => Remediation::new(format!("Leave {name} out, or put it where it belongs")),
                };
                let remedy = remedy.command(explain(planned, trail));
                match dropped {
                    None => {
                        let message = format!("{id} is refused: it has no field {path}{meant}");
                        self.unknown.predict(subject, message, remedy);
                    }
                    Some(who) => {
                        let message = format!("{id} has no field {path}{meant}: {who}");
                        self.unknown.warn(subject, message, remedy);
                    }
                }
            }
            What::Type { found, expected } => {
                let message = format!("{id} is refused: {path} is {found}, and must be {expected}");
                let remedy = Remediation::new(format!("Make {path} {expected}"));
                self.mistyped.predict(subject, message, remedy.command(explain(planned, trail)));
            }
            What::Doubt(why) => {
                let told = format!("{id}: what the API server makes of {path} is not known: {why}");
                self.check.unknown(&BOTH, told, explain(planned, trail));
            }
        }
    }

    fn conclude(mut self, tried: usize, read: usize) {
        self.unknown.examined_many(tried + read);
        self.mistyped.examined_many(tried + read);
        let how = match (tried, read) {
            (_, 0) => "objects tried out by the API server".to_owned(),
            (0, _) => "objects read as the API server reads them".to_owned(),
            _ => format!("objects: {tried} tried out by the API server, {read} read as it reads them"),
        };
        self.unknown.conclude(&how);
        self.mistyped.conclude(&how);
    }
}

/// The command that tells what a field is.
fn explain(planned: &Planned, trail: &[String]) -> String {
    let object = &planned.object;
    let fields: String = trail.iter().map(|name| format!(".{name}")).collect();
    format!("kubectl explain {}{fields} --api-version={}", object.kind().to_lowercase(), object.api_version())
}

#[cfg(test)]
mod tests;
