//! Which checks there are, and since when.

use super::pod::{Except, Pod};
use super::{Level, Violation, checks};

/// The newest version in which a check changed. Those after it are the same as it.
pub(super) const NEWEST: u64 = 35;

/// What is asked on a level, in the server's order: the baseline, without what a restricted check stands for, then what
/// is restricted (`populate` of `policy/registry.go`, v0.36.3).
pub(super) fn asked(level: Level, minor: u64) -> impl Iterator<Item = (Except, Run)> {
    let (baseline, restricted): (&'static [Check], &'static [Check]) = match level {
        Level::Privileged => (&[], &[]),
        Level::Baseline => (BASELINE, &[]),
        Level::Restricted => (BASELINE, RESTRICTED),
    };
    let there = restricted.iter().filter(move |check| check.of(minor).is_some());
    let replaced: Vec<&str> = there.filter_map(|check| check.replaces).collect();
    let kept = baseline.iter().filter(move |check| !replaced.contains(&check.id));
    kept.chain(restricted).filter_map(move |check| check.of(minor))
}

/// A check: what is evaluated since which minor version, and for whom it is not.
pub(super) struct Check {
    pub(super) id: &'static str,
    /// The check of the baseline that it stands for.
    replaces: Option<&'static str>,
    pub(super) since: &'static [(u64, Except, Run)],
}

pub(super) type Run = fn(&Pod<'_>) -> Option<Violation>;

impl Check {
    /// What it is in a version; `None` before its first.
    fn of(&self, minor: u64) -> Option<(Except, Run)> {
        let newest = self.since.iter().rev().find(|(since, ..)| *since <= minor);
        newest.map(|(_, except, run)| (*except, *run))
    }
}

/// What both levels ask (`policy/check_*.go`, v0.36.3). Sorted by their identifiers, as the server runs them.
pub(super) static BASELINE: &[Check] = &[
    Check { id: "appArmorProfile", replaces: None, since: &[(0, Except::None, checks::app_armor)] },
    Check {
        id: "capabilities_baseline",
        replaces: None,
        since: &[(0, Except::None, checks::capabilities_baseline)],
    },
    Check { id: "hostNamespaces", replaces: None, since: &[(0, Except::None, checks::host_namespaces)] },
    Check { id: "hostPathVolumes", replaces: None, since: &[(0, Except::None, checks::host_paths)] },
    Check { id: "hostPorts", replaces: None, since: &[(0, Except::None, checks::host_ports)] },
    Check {
        id: "hostProbesAndHostLifecycle",
        replaces: None,
        since: &[(34, Except::None, checks::probed_hosts)],
    },
    Check { id: "privileged", replaces: None, since: &[(0, Except::None, checks::privileged)] },
    Check {
        id: "procMount",
        replaces: None,
        since: &[(0, Except::None, checks::proc_mount), (35, Except::UserNamespaces, checks::proc_mount)],
    },
    Check { id: "seLinuxOptions", replaces: None, since: &[(0, Except::None, checks::se_linux)] },
    Check {
        id: "seccompProfile_baseline",
        replaces: None,
        since: &[
            (0, Except::None, checks::seccomp_annotations),
            (19, Except::None, checks::seccomp_baseline),
        ],
    },
    Check { id: "sysctls", replaces: None, since: &[(0, Except::None, checks::sysctls)] },
    Check { id: "windowsHostProcess", replaces: None, since: &[(0, Except::None, checks::host_process)] },
];

/// What only `restricted` asks (`policy/check_*.go`, v0.36.3). Sorted by their identifiers.
pub(super) static RESTRICTED: &[Check] = &[
    Check {
        id: "allowPrivilegeEscalation",
        replaces: None,
        since: &[
            (8, Except::None, checks::privilege_escalation),
            (25, Except::Windows, checks::privilege_escalation),
        ],
    },
    Check {
        id: "capabilities_restricted",
        replaces: Some("capabilities_baseline"),
        since: &[
            (22, Except::None, checks::capabilities_restricted),
            (25, Except::Windows, checks::capabilities_restricted),
        ],
    },
    Check {
        id: "procMount_restricted",
        replaces: Some("procMount"),
        since: &[(35, Except::None, checks::proc_mount)],
    },
    Check {
        id: "restrictedVolumes",
        replaces: Some("hostPathVolumes"),
        since: &[(0, Except::None, checks::restricted_volumes)],
    },
    Check {
        id: "runAsNonRoot",
        replaces: None,
        since: &[
            (0, Except::None, checks::run_as_non_root),
            (35, Except::UserNamespaces, checks::run_as_non_root),
        ],
    },
    Check {
        id: "runAsUser",
        replaces: None,
        since: &[(23, Except::None, checks::run_as_user), (35, Except::UserNamespaces, checks::run_as_user)],
    },
    Check {
        id: "seccompProfile_restricted",
        replaces: Some("seccompProfile_baseline"),
        since: &[
            (19, Except::None, checks::seccomp_restricted),
            (25, Except::Windows, checks::seccomp_restricted),
        ],
    },
];
