//! Will the volumes be there that the release asks for?

mod classes;
mod drivers;
mod health;
mod modes;
mod plugins;
mod room;
mod settings;
mod sources;
mod updates;
mod uses;
mod wanted;
mod world;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{
    CheckResult, Context, Descriptor, Phase, Plugin, Remediation, Rule, RuleCheck, Subject, Undecided,
    async_trait, rules,
};

use crate::changes::Happens;
use crate::nodes::Node;
use crate::storage;

pub use settings::Storage;

rules! { plugin "storage-validation";
    /// A StorageClass that is named does not exist.
    ///
    /// Claims of it stay Pending for ever, and with them the pods that use them, unless a PersistentVolume of that class
    /// was made by hand. Create the class, or name one that the cluster has.
    ///
    /// ```sh
    /// kubectl get storageclasses
    /// ```
    CLASS_MISSING = "class-missing", wont_land;
    /// A claim names no class, and it is not clear which one it gets.
    ///
    /// Such claims get the class that is marked as the default. Where there is none, and no PersistentVolume without a
    /// class fits, they stay Pending. Of several defaults the newest counts, which is a warning: the next one that is
    /// made changes where the data goes. Name the class in the claim, or mark one.
    ///
    /// ```sh
    /// kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true
    /// ```
    DEFAULT_CLASS = "default-class", wont_land;
    /// What makes the volumes of a class is not there.
    ///
    /// The class names a CSI driver that is registered on no node where the pods may run (or none at all), so their
    /// volumes are not made or not mounted. Where only some nodes lack it, that is a warning. Provisioners that are no
    /// CSI drivers leave no trace: they are known by volumes that they have made, by their pods, or by the environment's
    /// `storage.provisioners`; without any of that the rule is unknown.
    ///
    /// ```sh
    /// kubectl get csinodes -o custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name
    /// ```
    DRIVER_MISSING = "driver-missing", wont_land;
    /// What makes or mounts the volumes of a class is there, and not well.
    ///
    /// None of the pods of the CSI driver's controller, or of its node plugin, is ready. The controller is found by its
    /// `csi-provisioner` container or by its Lease, the node plugin by its folder below `/var/lib/kubelet/plugins`. What
    /// cannot be seen, as a managed cloud's controller, is not decided.
    ///
    /// ```sh
    /// kubectl get pods -A -o wide | grep csi
    /// ```
    DRIVER_UNHEALTHY = "driver-unhealthy", wont_land;
    /// A claim asks for a way of access that the driver does not have.
    ///
    /// The disks of clouds and the like cannot be mounted by several nodes at once: the driver refuses to make such a
    /// volume, and the claim stays Pending. Ask for `ReadWriteOnce`, or use a class of a shared file system.
    ///
    /// ```sh
    /// kubectl describe persistentvolumeclaim NAME -n NAMESPACE
    /// ```
    ACCESS_MODE = "access-mode", wont_land;
    /// There is no room for a volume where the pods may run.
    ///
    /// The driver tells how much room it has (CSIStorageCapacity), the scheduler goes by that, and nowhere is enough:
    /// the pods stay Pending. Make room, or ask for less.
    ///
    /// ```sh
    /// kubectl get csistoragecapacities -A
    /// ```
    CAPACITY_SHORT = "capacity-short", wont_land;
    /// No volume fits a claim, and nobody makes one.
    ///
    /// The claim has no class, or one without a provisioner, so it waits for a PersistentVolume that was made by hand:
    /// large enough, of that class, with the access modes, free, and within reach of the pods. Each volume serves one
    /// claim. The same goes for a class whose `allowedTopologies` no node meets on which the pods may run.
    ///
    /// ```sh
    /// kubectl get persistentvolumes
    /// ```
    NO_VOLUME = "no-volume", wont_land;
    /// A pod uses a claim that does not exist.
    ///
    /// The pods stay Pending until it is made. Put it into the release, or name one that is there.
    ///
    /// ```sh
    /// kubectl get persistentvolumeclaims -n NAMESPACE
    /// ```
    CLAIM_MISSING = "claim-missing", wont_land;
    /// A claim that the release's pods use will not get its volume.
    ///
    /// It has lost its volume, is being deleted, or waits for one that nothing can make. New pods that use it stay Pending.
    ///
    /// ```sh
    /// kubectl describe persistentvolumeclaim NAME -n NAMESPACE
    /// ```
    CLAIM_STUCK = "claim-stuck", wont_land;
    /// An existing claim cannot be made the size that the release asks for.
    ///
    /// The API server refuses to make a claim smaller, to change one that has no volume yet, and to make one larger whose
    /// class does not say `allowVolumeExpansion: true`.
    ///
    /// ```sh
    /// kubectl get persistentvolumeclaim NAME -n NAMESPACE -o jsonpath='{.spec.resources.requests.storage}'
    /// ```
    CLAIM_RESIZE = "claim-resize", wont_land;
    /// The release changes what cannot be changed in an existing claim.
    ///
    /// Class, access modes, volume mode, selector, volume and data source stay as they were made; the API server refuses
    /// another one. Leave the claim as it is, or make another one under a new name and move the data.
    ///
    /// ```sh
    /// kubectl get persistentvolumeclaim NAME -n NAMESPACE -o yaml
    /// ```
    CLAIM_IMMUTABLE = "claim-immutable", wont_land;
    /// The release changes what cannot be changed in an existing StatefulSet.
    ///
    /// Its selector, its Service, its `volumeClaimTemplates` and its `podManagementPolicy` stay as they were made; the API
    /// server refuses others. Delete the StatefulSet without its pods and apply it anew: the pods and their claims stay.
    ///
    /// ```sh
    /// kubectl delete statefulset NAME -n NAMESPACE --cascade=orphan
    /// ```
    STATEFUL_SET_IMMUTABLE = "stateful-set-immutable", wont_land;
    /// What a claim is to be filled from does not exist.
    ///
    /// The snapshot or claim that it names is not there, or its kind is not served: the volume is not made, and the claim
    /// stays Pending. A snapshot that is not ready yet is a warning.
    ///
    /// ```sh
    /// kubectl get volumesnapshots,persistentvolumeclaims -n NAMESPACE
    /// ```
    DATA_SOURCE_MISSING = "data-source-missing", wont_land;
}

/// Will the volumes be there that the release asks for?
#[derive(Debug, Clone, Copy)]
pub struct StorageValidation;

/// Rules about what becomes of a new claim, once its class is known.
static OF_VOLUMES: [&Rule; 5] =
    [&DRIVER_MISSING, &DRIVER_UNHEALTHY, &ACCESS_MODE, &CAPACITY_SHORT, &NO_VOLUME];

fn leases() -> Resource {
    Resource::namespaced("coordination.k8s.io", "v1", "leases", "Lease")
}

#[async_trait]
impl Plugin for StorageValidation {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("storage-validation", Phase::Resources, RULES)
            .summary("The volumes that the release asks for will be there")
            .reads(Read::list::<storage::StorageClass>())
            .reads(Read::list::<storage::Claim>())
            .reads(Read::list::<storage::Volume>())
            .reads(Read::list::<storage::CsiDriver>())
            .reads(Read::list::<storage::CsiNode>())
            .reads(Read::list::<storage::Capacity>())
            .reads(Read::list::<Node>())
            .reads(Read::list::<plugins::Pod>())
            .reads(Read::get(leases()))
            .reads(Read::dynamic("what the release's claims are filled from"))
            .settings::<Storage>()
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let settings = context.settings::<Storage>()?;
        let cluster = context.unconnected();
        let needs = world::Needs::of(context.manifests());
        // What the release needs can be told from the manifests, so the lists are asked for while it is worked out.
        let (release, ()) = futures::join!(context.release(), world::prefetch(&cluster, needs));
        let release = release?;
        let world = world::World::look(context, &cluster, &release, needs).await;
        let wanted = wanted::wanted(&check, &world);
        classes::examine(&check, &world, &wanted);
        drivers::examine(&check, &world, &wanted, &settings);
        room::examine(&check, &world, &wanted);
        modes::examine(&check, &wanted);
        uses::examine(&check, &world, &wanted);
        updates::examine(&check, &world);
        futures::join!(health::examine(&check, &world, &wanted), sources::examine(&check, &world, &wanted),);
        Ok(check.finish())
    }
}

/// Says that something will not be, as far as it is due.
fn tell(rule: &mut RuleCheck<'_>, due: Happens, subject: Subject, message: &str, remedy: Remediation) {
    due.predict(rule, subject, message, "that matters", remedy);
}
