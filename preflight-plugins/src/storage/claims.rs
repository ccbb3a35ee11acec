//! The claims that a release makes, and those that its pods use.

use preflight_core::release::{Live, Planned, Release};
use preflight_core::{FieldPath, Method, Quantity};
use serde::Deserialize;
use serde_json::Value;

use super::{Claim, StorageClass, default_class};
use crate::changes::{Happens, merged, rollout};

/// Where a claim of the release comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is an object of the release.
    Object,
    /// A StatefulSet makes it for its pod of this ordinal.
    Template(u64),
    /// It is made with each pod, and goes with it.
    Ephemeral,
}

/// A claim that there will be once the release is applied, whether or not it is there already.
#[derive(Debug, Clone)]
pub struct ReleaseClaim<'a> {
    /// The object in which it is written.
    pub planned: &'a Planned,
    /// Where its `spec` is written.
    pub path: FieldPath,
    /// Its namespace.
    pub namespace: String,
    /// Its name; where that is made up with the pod's, a `*` stands for what is not known.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The claim, as written.
    pub claim: Claim,
    /// How many of them there are; `None` for one on each node.
    pub count: Option<u64>,
    /// Whether it is made when the release is applied.
    pub(crate) made: Happens,
}

/// A claim, or the like, that a pod template uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedClaim {
    /// Where that is written.
    pub path: FieldPath,
    /// The claim's name, as in [`ReleaseClaim`].
    pub name: String,
    /// How it is used.
    pub by: Use,
}

/// How a pod template uses a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// All its pods use it, by its name.
    Named,
    /// The pod of this ordinal uses it, which its StatefulSet makes.
    Template(u64),
    /// Each pod has its own, which is made with it.
    Ephemeral,
}

/// The claims of a release: its own, those of the StatefulSets' templates, and those that are made with pods. And what
/// cannot be read of them: the object's place in the release, and why.
#[must_use]
pub fn claims_of(release: &Release) -> (Vec<ReleaseClaim<'_>>, Vec<(&Planned, String)>) {
    let (mut claims, mut unread) = (Vec::new(), Vec::new());
    for planned in release.objects() {
        let found = of_object(planned, release.method());
        match found {
            Ok(found) => claims.extend(found),
            Err(why) => unread.push((planned, why)),
        }
    }
    // A StatefulSet takes a claim of that name that is there.
    let own: Vec<(String, String)> = claims
        .iter()
        .filter(|claim| claim.origin == Origin::Object)
        .map(|claim| (claim.namespace.clone(), claim.name.clone()))
        .collect();
    claims.retain(|claim| {
        claim.origin == Origin::Object
            || !own.iter().any(|(namespace, name)| *namespace == claim.namespace && *name == claim.name)
    });
    (claims, unread)
}

/// A claim that applying the release makes.
#[derive(Debug, Clone)]
pub struct NewClaim<'a> {
    /// The claim.
    pub of: ReleaseClaim<'a>,
    /// The class that it gets: the one that is written, or the default. `None` and empty for none.
    pub class: Option<String>,
}

impl NewClaim<'_> {
    /// How much each of them asks for.
    #[must_use]
    pub const fn size(&self) -> Option<Quantity> {
        self.of.claim.spec.size()
    }
}

/// The claims that applying the release makes. `exists` says of a namespace and a name whether there is such a claim,
/// for those that StatefulSets and pods make; `classes` are those that will be there.
pub fn new_claims<'a, 'c>(
    release: &'a Release,
    exists: impl Fn(&str, &str) -> bool,
    classes: impl IntoIterator<Item = (&'c str, &'c StorageClass)>,
) -> Vec<NewClaim<'a>> {
    let default = default_class(classes).map(|(name, _)| name.to_owned());
    let is_new = |claim: &ReleaseClaim<'_>| match claim.origin {
        Origin::Object => matches!(claim.planned.live, Live::Absent),
        Origin::Template(_) => !exists(&claim.namespace, &claim.name),
        Origin::Ephemeral => !matches!(claim.made, Happens::No(_)),
    };
    let new = claims_of(release).0.into_iter().filter(is_new);
    new.map(|of| {
        let class = of.claim.class().map(str::to_owned).or_else(|| default.clone());
        NewClaim { of, class }
    })
    .collect()
}

fn of_object(planned: &Planned, method: Method) -> Result<Vec<ReleaseClaim<'_>>, String> {
    let object = &planned.object;
    let namespace = planned.namespace.clone().unwrap_or_default();
    if object.group().is_empty() && object.kind() == "PersistentVolumeClaim" {
        return Ok(vec![ReleaseClaim {
            planned,
            path: FieldPath::of("spec"),
            namespace,
            name: object.display_name().to_owned(),
            origin: Origin::Object,
            claim: read(&merged(planned, method))?,
            count: Some(1),
            made: Happens::Yes,
        }]);
    }
    let Some(template) = object.pod_template() else {
        return Ok(Vec::new());
    };
    let mut claims = Vec::new();
    let made = rollout(planned, method).pods;
    let whole = merged(planned, method);
    for (at, written) in templates(planned, &whole).into_iter().enumerate() {
        let claim = read(written)?;
        let path = FieldPath::of("spec.volumeClaimTemplates").index(at).key("spec");
        for ordinal in ordinals(&whole) {
            claims.push(ReleaseClaim {
                planned,
                path: path.clone(),
                namespace: namespace.clone(),
                name: format!("{}-{}-{ordinal}", claim.metadata.name, object.display_name()),
                origin: Origin::Template(ordinal),
                claim: claim.clone(),
                count: Some(1),
                // One that is not there is made whenever the controller looks, whether or not anything changes.
                made: Happens::Yes,
            });
        }
    }
    let spec = template.spec_json();
    let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, volume) in volumes.iter().enumerate() {
        let written = &volume["ephemeral"]["volumeClaimTemplate"];
        let count = pod_count(planned, &whole);
        if !written.is_object() || count == Some(0) {
            continue;
        }
        claims.push(ReleaseClaim {
            planned,
            path: template
                .spec_path("volumes")
                .index(at)
                .join(&FieldPath::of("ephemeral.volumeClaimTemplate.spec")),
            namespace: namespace.clone(),
            name: ephemeral_name(planned, volume),
            origin: Origin::Ephemeral,
            claim: read(written)?,
            count,
            made,
        });
    }
    Ok(claims)
}

fn read(written: &Value) -> Result<Claim, String> {
    Claim::deserialize(written).map_err(|error| error.to_string())
}

fn ephemeral_name(planned: &Planned, volume: &Value) -> String {
    let volume = volume["name"].as_str().unwrap_or_default();
    let own = planned.object.display_name();
    match planned.object.kind() {
        "Pod" => format!("{own}-{volume}"),
        _ => format!("{own}-*-{volume}"),
    }
}

fn templates<'a>(planned: &Planned, whole: &'a Value) -> Vec<&'a Value> {
    if planned.object.kind() != "StatefulSet" {
        return Vec::new();
    }
    whole["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten().collect()
}

/// The ordinals of a StatefulSet's pods.
fn ordinals(whole: &Value) -> std::ops::Range<u64> {
    let first = whole["spec"]["ordinals"]["start"].as_u64().unwrap_or(0);
    first..first.saturating_add(whole["spec"]["replicas"].as_u64().unwrap_or(1))
}

/// How many pods a workload has side by side, with what is there already; `None` for one on each node.
#[must_use]
pub fn pod_count(planned: &Planned, whole: &Value) -> Option<u64> {
    let number = |pointer: &str| whole.pointer(pointer).and_then(Value::as_u64).unwrap_or(1);
    match planned.object.kind() {
        "DaemonSet" => None,
        "Pod" => Some(1),
        "Job" => Some(number("/spec/parallelism")),
        "CronJob" => Some(number("/spec/jobTemplate/spec/parallelism")),
        _ => Some(number("/spec/replicas")),
    }
}

/// The claims that the pods of a workload use. Nothing of a StatefulSet's own for ordinals that it does not have.
#[must_use]
pub fn used_claims(planned: &Planned, method: Method) -> Vec<UsedClaim> {
    let Some(template) = planned.object.pod_template() else {
        return Vec::new();
    };
    let whole = merged(planned, method);
    let mut used = Vec::new();
    let mut own = Vec::new();
    for (at, written) in templates(planned, &whole).into_iter().enumerate() {
        let name = written["metadata"]["name"].as_str().unwrap_or_default();
        own.push(name);
        used.extend(ordinals(&whole).map(|ordinal| UsedClaim {
            path: FieldPath::of("spec.volumeClaimTemplates").index(at),
            name: format!("{name}-{}-{ordinal}", planned.object.display_name()),
            by: Use::Template(ordinal),
        }));
    }
    let spec = template.spec_json();
    let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, volume) in volumes.iter().enumerate() {
        // The StatefulSet's own stands in the place of a volume of the same name (`updateStorage`,
        // `pkg/controller/statefulset/stateful_set_utils.go`, v1.36).
        if own.contains(&volume["name"].as_str().unwrap_or_default()) {
            continue;
        }
        let path = template.spec_path("volumes").index(at);
        if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            let path = path.join(&FieldPath::of("persistentVolumeClaim.claimName"));
            used.push(UsedClaim { path, name: name.to_owned(), by: Use::Named });
        } else if volume["ephemeral"].is_object() {
            used.push(UsedClaim { path, name: ephemeral_name(planned, volume), by: Use::Ephemeral });
        }
    }
    used
}
