//! What the release's new claims are filled from.

use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::Resource;
use preflight_core::{Examination, FieldPath, Remediation, Subject, Undecided};
use serde_json::Value;

use super::wanted::Wanted;
use super::world::World;
use super::{DATA_SOURCE_MISSING, tell};
use crate::storage::DataSource;

/// The API group of snapshots (<https://github.com/kubernetes-csi/external-snapshotter>).
const SNAPSHOTS: &str = "snapshot.storage.k8s.io";

/// What is found of a source.
enum Found {
    /// It is there.
    There(Arc<Value>),
    /// It comes with the release.
    Coming,
    /// It is not there.
    Absent,
    /// Nothing serves its kind.
    NotServed,
}

pub(super) async fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>]) {
    let mut rule = check.rule(&DATA_SOURCE_MISSING);
    let new = wanted.iter().filter(|claim| !claim.there);
    let filled: Vec<_> = new.filter_map(|claim| Some((claim, claim.claim.claim.spec.source()?))).collect();
    let looking = filled.iter().map(|(claim, source)| find(world, &claim.claim.namespace, source));
    for ((claim, source), found) in filled.iter().zip(join_all(looking).await) {
        let Some(found) = check.need(&[&DATA_SOURCE_MISSING], found) else { continue };
        rule.examined();
        let namespace = source.namespace.as_deref().unwrap_or(&claim.claim.namespace);
        let (kind, name) = (&source.kind, &source.name);
        let key =
            if claim.claim.claim.spec.data_source_ref.is_some() { "dataSourceRef" } else { "dataSource" };
        let at = || {
            let path = claim.claim.path.clone().join(&FieldPath::of(key)).key("name");
            Subject::at(&claim.claim.planned.object, &path)
        };
        let remedy = Remediation::new("Name one that is there, or make it first")
            .command(format!("kubectl get {} -n {namespace}", plural(source)));
        match found {
            Found::There(object) if is_snapshot(source) && object["status"]["readyToUse"] != true => rule
                .warn(
                    at(),
                    format!(
                        "{} is filled from the snapshot {namespace}/{name}, which is not ready yet",
                        claim.told()
                    ),
                    Remediation::new("Wait until it is ready")
                        .command(format!("kubectl describe volumesnapshot {name} -n {namespace}")),
                ),
            Found::There(_) | Found::Coming => {}
            Found::Absent => {
                if let Some(by) = world.expected(kind, Some(namespace), name) {
                    rule.warn(
                        at(),
                        format!("The {kind} {namespace}/{name} does not exist yet; the environment expects {by} to make it"),
                        remedy,
                    );
                    continue;
                }
                let message = format!(
                    "{} is filled from the {kind} {namespace}/{name}, which does not exist",
                    claim.told()
                );
                tell(&mut rule, claim.due, at(), &message, remedy);
            }
            Found::NotServed => {
                let message = format!(
                    "{} is filled from the {kind} {namespace}/{name}, and nothing serves that kind",
                    claim.told()
                );
                let remedy = Remediation::new(
                    "Install what makes such objects, or fill the claim from something else",
                )
                .command("kubectl api-resources");
                tell(&mut rule, claim.due, at(), &message, remedy);
            }
        }
    }
    rule.conclude("claims that are filled from something");
}

fn group_of(source: &DataSource) -> &str {
    source.api_group.as_deref().unwrap_or_default()
}

fn is_snapshot(source: &DataSource) -> bool {
    group_of(source) == SNAPSHOTS && source.kind == "VolumeSnapshot"
}

fn plural(source: &DataSource) -> String {
    let plural = format!("{}s", source.kind.to_lowercase());
    match group_of(source) {
        "" => plural,
        group => format!("{plural}.{group}"),
    }
}

async fn find(world: &World<'_>, namespace: &str, source: &DataSource) -> Result<Found, Undecided> {
    let namespace = source.namespace.as_deref().unwrap_or(namespace);
    let comes = world.release.objects().iter().any(|planned| {
        planned.object.group() == group_of(source)
            && planned.object.kind() == source.kind
            && planned.object.name() == Some(&source.name)
            && planned.namespace.as_deref().is_none_or(|own| own == namespace)
    });
    if comes {
        return Ok(Found::Coming);
    }
    let resource = if group_of(source).is_empty() && source.kind == "PersistentVolumeClaim" {
        Resource::namespaced("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
    } else {
        let discovery = world.cluster.discovery().await?;
        let served = discovery
            .served()
            .find(|served| served.resource.group == group_of(source) && served.resource.kind == source.kind);
        match served {
            Some(served) => served.resource.clone(),
            // What does not answer may serve it.
            None if discovery
                .unavailable()
                .iter()
                .any(|gone| gone.starts_with(&format!("{}/", group_of(source)))) =>
            {
                return Err(Undecided::unknown(format!(
                    "what serves the API group {} does not answer",
                    group_of(source)
                ))
                .advice("kubectl get apiservices"));
            }
            None => return Ok(Found::NotServed),
        }
    };
    let scope = resource.namespaced.then_some(namespace);
    Ok(match world.cluster.get(&resource, scope, &source.name).await? {
        Some(object) => Found::There(object),
        None => Found::Absent,
    })
}
