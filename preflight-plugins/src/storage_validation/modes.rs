//! Ways of access that drivers are known not to have.

use preflight_core::{Examination, Remediation};

use super::wanted::{ByHand, Wanted};
use super::{ACCESS_MODE, tell};
use crate::storage::ClaimSpec;

/// What a driver refuses.
enum Refuses {
    /// A file system that several nodes write to.
    SharedFileSystem,
    /// Anything that more than one node has.
    Sharing,
}

/// Drivers of disks, what they refuse, and where that is written.
const DRIVERS: &[(&str, Refuses)] = &[
    // pkg/driver/controller.go (`isValidVolumeCapabilities`): several nodes only for block devices.
    ("ebs.csi.aws.com", Refuses::SharedFileSystem),
    // pkg/azuredisk/azure_controller_common.go; "mountVolume is not supported for access mode: MULTI_NODE_MULTI_WRITER"
    // (https://github.com/kubernetes-sigs/azuredisk-csi-driver/issues/2122).
    ("disk.csi.azure.com", Refuses::SharedFileSystem),
    // "multi node access modes are only supported on rbd `block` type volumes"
    // (https://github.com/ceph/ceph-csi/pull/427).
    ("rbd.csi.ceph.com", Refuses::SharedFileSystem),
    // driver/controller.go (`supportedAccessMode`): SINGLE_NODE_WRITER alone.
    ("dobs.csi.digitalocean.com", Refuses::Sharing),
    // https://github.com/cloudscale-ch/csi-cloudscale/issues/14: ReadWriteOnce is the only supported value.
    ("csi.cloudscale.ch", Refuses::Sharing),
];

pub(super) fn examine(check: &Examination, wanted: &[Wanted<'_>]) {
    let mut rule = check.rule(&ACCESS_MODE);
    for claim in wanted.iter().filter(|claim| !claim.there) {
        let Some((class, _, driver)) = claim.made_by() else { continue };
        // Operators put their own name before the driver's: rook-ceph.rbd.csi.ceph.com.
        let known =
            |name: &str| driver == name || driver.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        let Some((_, refuses)) = DRIVERS.iter().find(|(name, _)| known(name)) else { continue };
        match &claim.by_hand {
            ByHand::Given => continue,
            ByHand::Unknown(error) => {
                check.need::<()>(&[&ACCESS_MODE], Err(error.clone()));
                continue;
            }
            ByHand::Perhaps | ByHand::Lacking => {}
        }
        rule.examined();
        if let Some(mode) = refused(refuses, &claim.claim.claim.spec) {
            let message = format!(
                "{} asks for {mode} of the StorageClass {class}, and its driver {driver} does not make such volumes",
                claim.told()
            );
            let remedy = Remediation::new("Ask for ReadWriteOnce, or name a class of a shared file system")
                .command("kubectl get storageclasses");
            tell(&mut rule, claim.due, claim.subject("accessModes"), &message, remedy);
        }
    }
    rule.conclude("claims of drivers whose ways of access are known");
}

fn refused(refuses: &Refuses, spec: &ClaimSpec) -> Option<String> {
    let asks = |mode: &&str| spec.access_modes.iter().any(|asked| asked == mode);
    match refuses {
        Refuses::SharedFileSystem if !spec.is_block() => {
            ["ReadWriteMany"].iter().find(|mode| asks(mode)).map(|mode| format!("{mode} with a file system"))
        }
        Refuses::SharedFileSystem => None,
        Refuses::Sharing => {
            ["ReadWriteMany", "ReadOnlyMany"].iter().find(|mode| asks(mode)).map(|mode| (*mode).to_owned())
        }
    }
}
