//! The default class, and the names of provisioners.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::StorageClass;

/// Annotations that make a class the default (`IsDefaultAnnotation`, `pkg/volume/util/storageclass.go`, v1.36).
const DEFAULTS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Provisioners that were built in, and the drivers that have taken their place
/// (`k8s.io/csi-translation-lib/plugins`, v0.36).
const MIGRATED: &[(&str, &str)] = &[
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// Drivers whose names do not say that they are CSI drivers
/// (<https://kubernetes-csi.github.io/docs/drivers.html>).
const DRIVERS: [&str; 6] = [
    "driver.longhorn.io",
    "io.openebs.csi-mayastor",
    "pxd.portworx.com",
    "topolvm.io",
    "topolvm.cybozu.com",
    "zfs.csi.openebs.io",
];

pub(super) fn is_default(annotations: &BTreeMap<String, String>) -> bool {
    DEFAULTS.iter().any(|key| annotations.get(*key).is_some_and(|value| value == "true"))
}

/// The classes that are marked as the default, the one that counts first: the newest, and of those made in the same
/// second the first by name (`GetDefaultClass`, `pkg/volume/util/storageclass.go`, v1.36). One that is not there yet is
/// the newest.
pub fn defaults<'a>(
    classes: impl IntoIterator<Item = (&'a str, &'a StorageClass)>,
) -> Vec<(&'a str, &'a StorageClass)> {
    let mut marked: Vec<_> = classes.into_iter().filter(|(_, class)| class.is_default()).collect();
    marked.sort_by(|(a_name, a), (b_name, b)| newest(a, b).then_with(|| a_name.cmp(b_name)));
    marked
}

fn newest(a: &StorageClass, b: &StorageClass) -> Ordering {
    match (&a.metadata.creation_timestamp, &b.metadata.creation_timestamp) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        // All in UTC and to the second, so the order of the texts is that of the times.
        (Some(a), Some(b)) => b.cmp(a),
    }
}

/// The class that claims get which name none: when they are made, or afterwards while they have no volume.
pub fn default_class<'a>(
    classes: impl IntoIterator<Item = (&'a str, &'a StorageClass)>,
) -> Option<(&'a str, &'a StorageClass)> {
    defaults(classes).into_iter().next()
}

/// The CSI driver that has taken over from a provisioner that was built in, or the same name.
#[must_use]
pub fn migrated(provisioner: &str) -> &str {
    MIGRATED.iter().find(|(old, _)| *old == provisioner).map_or(provisioner, |(_, driver)| driver)
}

/// Whether a provisioner of this name is a CSI driver, going by the name alone: none of them has a slash, and most have
/// `csi` for a part.
#[must_use]
pub fn is_csi_name(provisioner: &str) -> bool {
    !provisioner.contains('/')
        && (DRIVERS.contains(&provisioner) || provisioner.split(['.', '-']).any(|part| part == "csi"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(created: Option<&str>, annotation: &str, value: &str) -> StorageClass {
        let metadata = json!({"creationTimestamp": created, "annotations": {annotation: value}});
        serde_json::from_value(json!({"metadata": metadata, "provisioner": "a"})).unwrap()
    }

    #[test]
    fn of_several_defaults_the_newest_counts() {
        let marked = |created| class(created, DEFAULTS[0], "true");
        let (old, new, coming) =
            (marked(Some("2024-01-01T00:00:00Z")), marked(Some("2025-01-01T00:00:00Z")), marked(None));
        let beta = class(Some("2023-01-01T00:00:00Z"), DEFAULTS[1], "true");
        let not = class(Some("2026-01-01T00:00:00Z"), DEFAULTS[0], "false");
        let first = |classes: &[(&'static str, &StorageClass)]| {
            default_class(classes.iter().map(|(name, class)| (*name, *class)))
                .map(|(name, _)| name.to_owned())
        };
        assert_eq!(first(&[("old", &old), ("new", &new), ("not", &not)]).as_deref(), Some("new"));
        assert_eq!(first(&[("b", &old), ("a", &old)]).as_deref(), Some("a"));
        assert_eq!(first(&[("new", &new), ("coming", &coming)]).as_deref(), Some("coming"));
        assert_eq!(first(&[("beta", &beta)]).as_deref(), Some("beta"));
        assert_eq!(first(&[("not", &not)]), None);
    }

    #[test]
    fn names_of_drivers() {
        for (name, csi) in [
            ("ebs.csi.aws.com", true),
            ("csi.hetzner.cloud", true),
            ("driver.longhorn.io", true),
            ("rancher.io/local-path", false),
            ("harness.example/csi", false),
            ("example.com", false),
        ] {
            assert_eq!(is_csi_name(name), csi, "{name}");
        }
        assert_eq!(migrated("kubernetes.io/gce-pd"), "pd.csi.storage.gke.io");
    }
}
