//! Ports of nodes and addresses that Services ask for.

use std::net::IpAddr;

use preflight_core::release::{Live, Planned};
use preflight_core::{Examination, FieldPath, Remediation, Rule, RuleCheck, Subject};
use serde_json::Value;

use super::world::{Found, World};
use super::{ADDRESSES_SHORT, CLUSTER_IP_TAKEN, IP_FAMILY, NODE_PORT_TAKEN};

pub(super) fn examine(check: &Examination, world: &World<'_>) {
    let mut ports = check.rule(&NODE_PORT_TAKEN);
    let mut addresses = check.rule(&CLUSTER_IP_TAKEN);
    let mut families = check.rule(&IP_FAMILY);
    let mut short = check.rule(&ADDRESSES_SHORT);
    let rules = [&NODE_PORT_TAKEN, &CLUSTER_IP_TAKEN, &ADDRESSES_SHORT];
    let services = check.need(&rules, world.services.as_ref().map_err(Clone::clone));
    let all = services.map(Vec::as_slice).unwrap_or_default();
    let of_ranges: [&'static Rule; 2] = [&IP_FAMILY, &ADDRESSES_SHORT];
    let needed = [
        all.iter().any(|service| service.planned.is_some() && wants_family(service)),
        !new_services(world).is_empty(),
    ];
    let needed: Vec<&'static Rule> =
        of_ranges.into_iter().zip(needed).filter(|(_, needed)| *needed).map(|(rule, _)| rule).collect();
    let ranges = check.need(&needed, world.ranges.as_ref().map_err(Clone::clone));
    let own = || all.iter().filter_map(|service| Some((service, service.planned?)));
    let mut asks = [false, false];
    for (service, (at, planned)) in own() {
        for (index, port) in list(&service.object, "ports").iter().enumerate() {
            let Some(number) = port["nodePort"].as_u64().filter(|number| *number > 0) else { continue };
            ports.examined();
            let has = |object: &Value| list(object, "ports").iter().any(|own| own["nodePort"] == number);
            asks[0] |= !keeps(service, &has);
            if let Some(other) = holder(all, service, at, &has) {
                let path = FieldPath::of("spec.ports").index(index).key("nodePort");
                let message = format!(
                    "{} asks for the port {number} of the nodes, which {other} has",
                    planned.object.id()
                );
                let remedy = Remediation::new("Leave `nodePort` out, or ask for another one")
                    .command("kubectl get services -A -o wide".to_owned());
                ports.predict(Subject::at(&planned.object, &path), message, remedy);
            }
        }
        if let Some(address) = asked_address(&service.object) {
            addresses.examined();
            let has = |object: &Value| asked_address(object) == Some(address);
            asks[1] |= !keeps(service, &has);
            if let Some(other) = holder(all, service, at, &has) {
                let message =
                    format!("{} asks for the address {address}, which {other} has", planned.object.id());
                let remedy = Remediation::new("Leave `clusterIP` out, or ask for another one")
                    .command("kubectl get services -A -o wide".to_owned());
                addresses.predict(
                    Subject::at(&planned.object, &FieldPath::of("spec.clusterIP")),
                    message,
                    remedy,
                );
            }
        }
        if let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) {
            family(&mut families, planned, service, ranges);
        }
    }
    // Who has the others is not seen from one namespace.
    if let Some(error) = &world.partial {
        let asked: [&'static Rule; 2] = [&NODE_PORT_TAKEN, &CLUSTER_IP_TAKEN];
        let asked: Vec<_> =
            asked.into_iter().zip(asks).filter(|(_, asks)| *asks).map(|(rule, _)| rule).collect();
        check.need::<()>(&asked, Err(error.clone()));
    }
    if let (Some(ranges), None) = (ranges, &world.partial) {
        room(&mut short, world, all, ranges);
    }
    ports.conclude("ports of nodes that are asked for");
    addresses.conclude("addresses that are asked for");
    families.conclude("Services with two families");
    short.conclude("new Services");
}

fn list<'a>(service: &'a Value, key: &str) -> &'a [Value] {
    service["spec"][key].as_array().map_or(&[], Vec::as_slice)
}

fn asked_address(service: &Value) -> Option<&str> {
    service["spec"]["clusterIP"].as_str().filter(|address| !matches!(*address, "" | "None"))
}

/// Whether a Service has already what it asks for: that it keeps.
fn keeps(own: &Found<'_>, has: &dyn Fn(&Value) -> bool) -> bool {
    own.before.as_ref().is_some_and(has)
}

/// Another Service that has something when this one is applied: it is there and keeps it, or comes before.
fn holder(all: &[Found<'_>], own: &Found<'_>, at: usize, has: &dyn Fn(&Value) -> bool) -> Option<String> {
    if keeps(own, has) {
        return None;
    }
    let other = all.iter().find(|other| {
        let same = other.namespace == own.namespace && other.name == own.name;
        let comes_before = other.planned.is_none_or(|(place, _)| place < at);
        let held = if comes_before { has(&other.object) } else { other.before.as_ref().is_some_and(has) };
        !same && held
    })?;
    Some(format!("the Service {}/{}", other.namespace, other.name))
}

fn is_v6(range: &str) -> bool {
    range.contains(':')
}

/// Whether a Service says which families of addresses it wants, and does not have them already.
fn wants_family(service: &Found<'_>) -> bool {
    let spec = &service.object["spec"];
    let has = |key: &str| service.before.as_ref().is_some_and(|before| before["spec"][key] == spec[key]);
    // Somebody else says where one without address and selector leads, and may do so in either family.
    let is_free =
        spec["clusterIP"] == "None" && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let both = spec["ipFamilyPolicy"] == "RequireDualStack" && !has("ipFamilyPolicy");
    !is_free && (both || (!list(&service.object, "ipFamilies").is_empty() && !has("ipFamilies")))
}

/// Services of the release that need an address.
fn new_services<'a>(world: &World<'a>) -> Vec<&'a Planned> {
    let services = world.release.of_kind("", "Service").map(|(_, planned)| planned);
    let new = services.filter(|planned| {
        let spec = &planned.effective["spec"];
        matches!(planned.live, Live::Absent) && spec["clusterIP"] != "None" && spec["type"] != "ExternalName"
    });
    new.collect()
}

fn family(rule: &mut RuleCheck<'_>, planned: &Planned, service: &Found<'_>, ranges: &[String]) {
    if !wants_family(service) {
        return;
    }
    let two = service.object["spec"]["ipFamilyPolicy"] == "RequireDualStack";
    let wanted: Vec<&str> = list(&service.object, "ipFamilies").iter().filter_map(Value::as_str).collect();
    rule.examined();
    let has = |family: &str| ranges.iter().any(|range| is_v6(range) == (family == "IPv6"));
    let missing = wanted.iter().find(|family| !has(family)).copied();
    let missing = missing.or_else(|| ["IPv4", "IPv6"].into_iter().find(|family| two && !has(family)));
    if let Some(missing) = missing {
        let key = if two { "ipFamilyPolicy" } else { "ipFamilies" };
        let message = format!(
            "{} wants an address of the family {missing}, and the cluster has none",
            planned.object.id()
        );
        let remedy = Remediation::new("Ask for `PreferDualStack`, or for the family that the cluster has")
            .command("kubectl get servicecidrs".to_owned());
        rule.predict(Subject::at(&planned.object, &FieldPath::of("spec").key(key)), message, remedy);
    }
}

/// Whether the new Services find addresses. Of an IPv4 range the first and the last are not given away
/// (`pkg/registry/core/service/ipallocator/cidrallocator.go`, v1.36).
fn room(rule: &mut RuleCheck<'_>, world: &World<'_>, all: &[Found<'_>], ranges: &[String]) {
    let new = new_services(world);
    rule.examined_many(new.len());
    let Some(first) = new.first() else { return };
    let v4: Vec<(u32, u32)> = ranges.iter().filter_map(|range| parse_v4(range)).collect();
    // Ranges of IPv6 are not used up.
    if v4.is_empty() || v4.len() < ranges.len() {
        return;
    }
    let size: u64 = v4.iter().map(|(_, bits)| (1_u64 << (32 - bits)).saturating_sub(2)).sum();
    let inside = |address: IpAddr| match address {
        IpAddr::V4(address) => v4.iter().any(|(base, bits)| {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(address) & mask == base & mask
        }),
        IpAddr::V6(_) => false,
    };
    let used = all.iter().filter_map(|service| service.before.as_ref()).filter_map(asked_address);
    let used =
        used.filter_map(|address| address.parse().ok()).filter(|address| inside(*address)).count() as u64;
    let free = size.saturating_sub(used);
    if free < new.len() as u64 {
        let message = format!(
            "the release makes {} new Services, and {free} addresses are free ({used} of {size} are used)",
            new.len()
        );
        let remedy = Remediation::new("Remove Services that nobody needs, or add a range of addresses")
            .command("kubectl get servicecidrs".to_owned())
            .command("kubectl get services -A".to_owned());
        rule.predict(Subject::object(&first.object), message, remedy);
    }
}

fn parse_v4(range: &str) -> Option<(u32, u32)> {
    let (base, bits) = range.split_once('/')?;
    let base: std::net::Ipv4Addr = base.parse().ok()?;
    Some((base.into(), bits.parse().ok().filter(|bits| *bits <= 32)?))
}
