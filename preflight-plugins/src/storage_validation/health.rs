//! The CSI drivers are well, as far as their pods and Leases can be seen.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::Timestamp;
use preflight_core::cluster::{Listed, Reader};
use preflight_core::{Examination, Remediation, Subject, Undecided};

use super::plugins::Pod;
use super::wanted::{ByHand, Wanted};
use super::world::World;
use super::{DRIVER_UNHEALTHY, drivers, leases, tell};

/// Where the controllers of managed clouds keep their Leases.
const SYSTEM: &str = "kube-system";
/// Seconds that a Lease may be renewed too late by a clock that is not this one.
const LENIENCE: i64 = 30;

/// What can be seen of a part of a driver.
enum Seen {
    /// So many of so many pods are ready; namespaces and names of those that are not.
    Pods(usize, usize, Vec<String>),
    /// Its leader renews its Lease.
    Leads(String),
    /// Nothing.
    Nothing,
}

pub(super) async fn examine(check: &Examination, world: &World<'_>, wanted: &[Wanted<'_>]) {
    let mut rule = check.rule(&DRIVER_UNHEALTHY);
    let mut of_drivers: BTreeMap<&str, Vec<&Wanted<'_>>> = BTreeMap::new();
    for claim in wanted {
        let Some((_, _, driver)) = claim.made_by() else { continue };
        match &claim.by_hand {
            ByHand::Given => continue,
            ByHand::Unknown(error) => {
                check.need::<()>(&[&DRIVER_UNHEALTHY], Err(error.clone()));
                continue;
            }
            ByHand::Perhaps | ByHand::Lacking => {}
        }
        match drivers::is_csi(world, driver) {
            Ok(true) => of_drivers.entry(driver).or_default().push(claim),
            Ok(false) => {}
            Err(error) => {
                check.need::<()>(&[&DRIVER_UNHEALTHY], Err(error));
            }
        }
    }
    let mut evidence = Vec::new();
    for (driver, claims) in of_drivers {
        let Some(pods) = check.need(&[&DRIVER_UNHEALTHY], world.pods.as_ref().map_err(Clone::clone)) else {
            continue;
        };
        let looked = look(world.cluster, pods, driver).await;
        let Some((controller, node_plugin)) = check.need(&[&DRIVER_UNHEALTHY], looked) else { continue };
        for (part, seen) in [("controller", controller), ("node plugin", node_plugin)] {
            match seen {
                Seen::Leads(lease) => {
                    rule.examined();
                    evidence.push(format!("the {part} of {driver} renews its Lease {lease}"));
                }
                Seen::Nothing => evidence.push(format!("the {part} of {driver} could not be told")),
                Seen::Pods(0, all, unready) => {
                    rule.examined();
                    for claim in &claims {
                        let message = format!(
                            "{} needs the CSI driver {driver}, and none of {all} pods of its {part} is ready ({})",
                            claim.told(),
                            unready.first().map(String::as_str).unwrap_or_default()
                        );
                        tell(
                            &mut rule,
                            claim.due,
                            claim.subject("storageClassName"),
                            &message,
                            remedy(&unready),
                        );
                    }
                }
                Seen::Pods(ready, all, unready) => {
                    rule.examined();
                    evidence.push(format!("{ready} of {all} pods of the {part} of {driver} are ready"));
                    if part == "node plugin" && !unready.is_empty() {
                        let message = format!(
                            "Of {all} pods of the {part} of {driver} {} are not ready: volumes are not mounted on their nodes",
                            unready.len()
                        );
                        rule.warn(Subject::new(format!("CSIDriver {driver}")), message, remedy(&unready));
                    }
                }
            }
        }
    }
    let seen = evidence.iter().any(|text| !text.ends_with("could not be told"));
    match (evidence.is_empty(), seen) {
        (true, _) => rule.conclude("CSI drivers of the release's claims"),
        (false, true) => rule.conclude_with(evidence.join("; ")),
        // No pass: nothing was seen.
        (false, false) => {
            rule.conclude(&format!("pods of CSI drivers that can be seen: {}", evidence.join("; ")))
        }
    }
}

fn remedy(unready: &[String]) -> Remediation {
    let remedy = Remediation::new("Look at why its pods are not ready");
    match unready.first().and_then(|name| name.split_once('/')) {
        Some((namespace, name)) => remedy.command(format!("kubectl describe pod {name} -n {namespace}")),
        None => remedy,
    }
}

/// What can be seen of a driver's controller and node plugin.
async fn look(cluster: &Reader, pods: &Listed<Pod>, driver: &str) -> Result<(Seen, Seen), Undecided> {
    let named = |wanted: &dyn Fn(&str, &Pod) -> bool| -> Vec<(bool, String)> {
        let found = pods.iter().filter(|(namespace, _, pod)| wanted(namespace, pod));
        found.map(|(namespace, name, pod)| (pod.ready, format!("{namespace}/{name}"))).collect()
    };
    let owns = |pod: &Pod| pod.folders.iter().any(|folder| folder == driver);
    let homes: BTreeSet<&str> =
        pods.iter().filter(|(_, _, pod)| owns(pod)).map(|(namespace, _, _)| namespace).collect();
    // Where several drivers live together, whose controller it is cannot be told from outside.
    let alone = |home: &str| {
        pods.iter()
            .filter(|(namespace, _, _)| *namespace == home)
            .all(|(_, _, pod)| pod.folders.iter().all(|folder| folder == driver))
    };
    let controller = named(&|namespace, pod| {
        pod.provisions && (owns(pod) || (homes.contains(namespace) && alone(namespace)))
    });
    let node_plugin = named(&|_, pod| !pod.provisions && owns(pod));
    let controller = match count(controller) {
        Seen::Nothing => leader(cluster, &homes, driver).await?,
        seen => seen,
    };
    Ok((controller, count(node_plugin)))
}

fn count(pods: Vec<(bool, String)>) -> Seen {
    if pods.is_empty() {
        return Seen::Nothing;
    }
    let all = pods.len();
    let unready: Vec<String> = pods.into_iter().filter(|(ready, _)| !ready).map(|(_, name)| name).collect();
    Seen::Pods(all - unready.len(), all, unready)
}

/// The Lease by which the replicas of an external provisioner choose their leader is called as the driver
/// (`cmd/csi-provisioner/csi-provisioner.go` of <https://github.com/kubernetes-csi/external-provisioner>). One that is not
/// renewed says nothing: it may be of long ago.
async fn leader(cluster: &Reader, homes: &BTreeSet<&str>, driver: &str) -> Result<Seen, Undecided> {
    let name = driver.replace('/', "-");
    let places: BTreeSet<&str> = homes.iter().copied().chain([SYSTEM]).collect();
    let resource = leases();
    let asking = places.iter().map(|place| cluster.get(&resource, Some(place), &name));
    for (place, lease) in places.iter().zip(join_all(asking).await) {
        let Some(lease) = lease? else { continue };
        let spec = &lease["spec"];
        let renewed = spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let holds = spec["leaseDurationSeconds"].as_i64().unwrap_or(15);
        let held = spec["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty());
        let fresh = renewed
            .is_some_and(|renewed| Timestamp::now().duration_since(renewed).as_secs() <= holds + LENIENCE);
        if held && fresh {
            return Ok(Seen::Leads(format!("{place}/{name}")));
        }
    }
    Ok(Seen::Nothing)
}
