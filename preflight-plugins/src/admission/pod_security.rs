//! The Pod Security Standards, as the API server's PodSecurity admission evaluates them (`policy/`, `api/` and
//! `admission/admission.go` of `k8s.io/pod-security-admission`, v0.36.3, which is what Kubernetes v1.36.3 has).
//!
//! The labels of a namespace say what is asked there. What is then looked at:
//!
//! - A Pod that is created is refused where it breaks `enforce`, and warned of where it breaks `warn`.
//! - A Pod that is updated is looked at in the same way, but only if the update [`is_significant`]. So are the
//!   subresources of pods, but for [`IGNORED_SUBRESOURCES`]. In which state a pod is does not matter.
//! - Objects that have a pod template ([`template_of`]) are held against `warn` and `audit`, whenever they are created
//!   or updated, and never refused. The pods that their controllers then create are.
//! - A Namespace with labels that say nothing valid is refused when it is created, and when it is updated unless the
//!   same labels were invalid before. Who makes `enforce` stricter, or gives it another version, is warned of the pods
//!   that break it; they stay. Where invalid labels got in nevertheless, [`Policy::of`] tells what holds.
//!
//! Namespaces, users and runtime classes are exempt only where the server's own configuration says so. The built-in
//! configuration exempts nothing, not even `kube-system`, and nothing that the API shows tells of another one. With
//! `--emulation-version` below 1.35 the newest version of the standards would be that one.
//!
//! What is evaluated is the pod after defaults (`pkg/apis/core/v1/defaults.go`) and after `applyAppArmorVersionSkew`
//! (`pkg/registry/core/pod/strategy.go`, both Kubernetes v1.36.3): see [`Policy::enforced`]. The feature gates that could
//! drop fields before that (`UserNamespacesSupport`, `ProcMountType`, `ImageVolume`) are locked to true in v1.36. A pod
//! that is invalid is refused for that, before PodSecurity is asked.

mod checks;
mod pod;
mod registry;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::labels::Labels;
use pod::{Pod, items, text};
use registry::NEWEST;

/// What the labels of a namespace begin with (`api/constants.go`, v0.36.3).
pub const LABELS: &str = "pod-security.kubernetes.io/";

/// Subresources of pods that are never looked at; `ephemeralcontainers` and `resize` are (`ignoredPodSubresources` of
/// `admission/admission.go`, v0.36.3).
pub const IGNORED_SUBRESOURCES: [&str; 8] =
    ["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"];

/// How much pods may do; from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Privileged,
    /// What gives no known way to the node.
    Baseline,
    /// What is needed least, said explicitly.
    Restricted,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(Invalid::Level),
        }
    }
}

/// The version of Kubernetes whose standards are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The newest that the server knows.
    Latest,
    /// That of Kubernetes 1 with this minor version. A newer one than the server knows is the newest that it knows.
    Minor(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

impl FromStr for Version {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix("v1.").filter(|digits| is_number(digits));
        // The server's numbers are of 64 bits, with a sign.
        let minor = digits.and_then(|digits| digits.parse::<i64>().ok());
        minor.and_then(|minor| u64::try_from(minor).ok()).map(Self::Minor).ok_or(Invalid::Version)
    }
}

/// Whether a text is a number without needless zeros.
fn is_number(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// What is wrong with a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It is no level.
    Level,
    /// It is no version.
    Version,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Level => "must be one of privileged, baseline, restricted",
            Self::Version => "must be \"latest\" or \"v1.x\"",
        })
    }
}

impl std::error::Error for Invalid {}

/// A label of a namespace that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLabel {
    /// The label.
    pub label: String,
    /// Its value.
    pub value: String,
    /// What is wrong with it.
    pub problem: Invalid,
}

impl fmt::Display for InvalidLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, value, problem } = self;
        write!(f, "metadata.labels[{label}]: Invalid value: {value:?}: {problem}")
    }
}

impl std::error::Error for InvalidLabel {}

/// A level, and whose.
pub type Standard = (Level, Version);

/// What a namespace asks of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What pods are refused for.
    pub enforce: Standard,
    /// What users are warned of.
    pub warn: Standard,
    /// What is written to the audit log.
    pub audit: Standard,
    /// The newest minor version that the server knows.
    newest: u64,
}

impl Default for Policy {
    /// What the built-in configuration of the plugin asks (`SetDefaults_PodSecurityDefaults` of
    /// `admission/api/v1/defaults.go`, v0.36.3).
    fn default() -> Self {
        let anything = (Level::Privileged, Version::Latest);
        Self { enforce: anything, warn: anything, audit: anything, newest: NEWEST }
    }
}

impl Policy {
    /// What the labels of a namespace ask, and those of them that say nothing valid (`PolicyToEvaluate` of
    /// `api/helpers.go`, v0.36.3).
    ///
    /// An invalid level is `restricted` for `enforce`, but `privileged` for `warn` and `audit`. An invalid version is
    /// `latest`. Without a `warn` label, users are warned of what a valid `enforce` asks.
    #[must_use]
    pub fn of(labels: &Labels) -> (Self, Vec<InvalidLabel>) {
        let mut invalid = Vec::new();
        let enforce = Mode::of(labels, "enforce", Level::Restricted, &mut invalid);
        let audit = Mode::of(labels, "audit", Level::Privileged, &mut invalid);
        let mut warn = Mode::of(labels, "warn", Level::Privileged, &mut invalid);
        if warn.level.is_none() && enforce.level == Some(true) && enforce.standard.0 > warn.standard.0 {
            warn.standard.0 = enforce.standard.0;
            if !warn.has_version {
                warn.standard.1 = enforce.standard.1;
            }
        }
        (
            Self { enforce: enforce.standard, warn: warn.standard, audit: audit.standard, newest: NEWEST },
            invalid,
        )
    }

    /// The same on a server of this minor version, to which newer standards are not known.
    #[must_use]
    pub fn on(mut self, minor: Option<u16>) -> Self {
        self.newest = minor.map_or(NEWEST, |minor| NEWEST.min(minor.into()));
        self
    }

    /// What a Pod breaks of what is enforced, in the server's order.
    #[must_use]
    pub fn enforced(&self, metadata: &Value, spec: &Value) -> Vec<Violation> {
        evaluate(self.enforce, self.newest, metadata, spec, false)
    }

    /// With which words the server refuses such a Pod; `None` if it does not. They follow `pods "NAME" is forbidden: `.
    #[must_use]
    pub fn refusal(&self, metadata: &Value, spec: &Value) -> Option<String> {
        told("violates", self.enforce, &self.enforced(metadata, spec))
    }

    /// With which words the server warns of a Pod that it takes; `None` if it does not.
    #[must_use]
    pub fn warning(&self, metadata: &Value, spec: &Value) -> Option<String> {
        if self.refusal(metadata, spec).is_some() {
            return None;
        }
        told("would violate", self.warn, &evaluate(self.warn, self.newest, metadata, spec, false))
    }

    /// With which words the server warns of an object with such a pod template; `None` if it does not.
    #[must_use]
    pub fn template_warning(&self, metadata: &Value, spec: &Value) -> Option<String> {
        told("would violate", self.warn, &evaluate(self.warn, self.newest, metadata, spec, true))
    }
}

/// What the server says of violations; `None` if there are none.
fn told(verb: &str, (level, version): Standard, violations: &[Violation]) -> Option<String> {
    let all: Vec<_> = violations.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| format!("{verb} PodSecurity \"{level}:{version}\": {}", all.join(", ")))
}

/// What the labels say of one of enforcing, warning and auditing.
struct Mode {
    standard: Standard,
    /// Whether the level is valid; `None` where there is none.
    level: Option<bool>,
    has_version: bool,
}

impl Mode {
    /// Reads its labels. An invalid level counts as `fallback`.
    fn of(labels: &Labels, mode: &str, fallback: Level, invalid: &mut Vec<InvalidLabel>) -> Self {
        let level = read::<Level>(labels, mode, invalid);
        let version = read::<Version>(labels, &format!("{mode}-version"), invalid);
        let standard = (
            level.map_or(Level::Privileged, |level| level.unwrap_or(fallback)),
            version.and_then(Result::ok).unwrap_or(Version::Latest),
        );
        Self { standard, level: level.map(|level| level.is_ok()), has_version: version.is_some() }
    }
}

/// What a label says; `None` where there is none.
fn read<T: FromStr<Err = Invalid>>(
    labels: &Labels,
    name: &str,
    invalid: &mut Vec<InvalidLabel>,
) -> Option<Result<T, Invalid>> {
    let label = format!("{LABELS}{name}");
    let value = labels.get(&label)?;
    let said = value.parse::<T>();
    if let Err(problem) = &said {
        invalid.push(InvalidLabel { label, value: value.clone(), problem: *problem });
    }
    Some(said)
}

/// A check that a pod breaks. It reads as the server writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong with it, in few words.
    pub reason: &'static str,
    /// Who does what.
    pub detail: String,
    /// Where that is, below the pod's spec: `containers[0].securityContext.privileged`, or the container that lacks it.
    /// Annotations are beside the spec: `metadata.annotations["KEY"]`.
    pub fields: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, detail, .. } = self;
        if detail.is_empty() { f.write_str(reason) } else { write!(f, "{reason} ({detail})") }
    }
}

/// The pod template of an object that is evaluated for warnings and for the audit log (`DefaultPodSpecExtractor` of
/// `admission/admission.go`, v0.36.3). `None` for other objects, for custom resources also.
#[must_use]
pub fn template_of(object: &Value) -> Option<&Value> {
    let group = text(&object["apiVersion"]).split_once('/').map_or("", |(group, _)| group);
    let place = match (group, text(&object["kind"])) {
        ("", "PodTemplate") => "/template",
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job") => "/spec/template",
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    object.pointer(place).filter(|template| template.is_object())
}

/// Whether an update of a Pod's spec has it evaluated anew: containers that came or went, other images
/// (`isSignificantPodUpdate` of `admission/admission.go`, v0.36.3).
#[must_use]
pub fn is_significant(spec: &Value, before: &Value) -> bool {
    let changed = |list: &str| {
        let (now, before) = (items(&spec[list]), items(&before[list]));
        now.len() != before.len() || now.iter().zip(before).any(|(now, before)| image(now) != image(before))
    };
    changed("containers")
        || changed("initContainers")
        || items(&spec["ephemeralContainers"]).iter().any(|now| {
            let mut old = items(&before["ephemeralContainers"]).iter();
            let old = old.find(|old| text(&old["name"]) == text(&now["name"]));
            old.is_none_or(|old| image(old) != image(now))
        })
}

fn image(container: &Value) -> &str {
    text(&container["image"])
}

/// What a pod breaks, in the server's order.
///
/// A Pod is evaluated as it would be after defaults: on the node's network, ports are the node's; a volume that says
/// nothing is an `emptyDir`; an AppArmor annotation stands for the field. A template gets only the defaults of volumes:
/// the pods that are made of it can break more.
fn evaluate(
    (level, version): Standard,
    newest: u64,
    metadata: &Value,
    spec: &Value,
    template: bool,
) -> Vec<Violation> {
    let minor = match version {
        Version::Latest => newest,
        Version::Minor(minor) => minor.min(newest),
    };
    let pod = Pod::new(metadata, spec, template, minor);
    let asked = registry::asked(level, minor).filter(|(except, _)| !pod.is(*except));
    asked.filter_map(|(_, run)| run(&pod)).collect()
}
