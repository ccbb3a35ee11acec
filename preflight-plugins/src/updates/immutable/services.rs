//! Services (`ValidateServiceUpdate`, and what is carried over from before in `pkg/registry/core/service/storage`, v1.36).

use serde_json::Value;

use super::{Change, at, same, text};

pub(super) fn refused(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let (was, is) = (text(before, "spec.type"), text(after, "spec.type"));
    let (old, new) = (address(before), address(after));
    // An ExternalName has no address, and may get one.
    let keeps = was != "ExternalName" && is != "ExternalName" && !old.is_empty();
    if keeps && !new.is_empty() && new != old {
        changes.push(Change::new("spec.clusterIP", format!("the address of a Service stays: it is {old}")));
    }
    let headless = keeps && old == "None" && (new.is_empty() || new == "None");
    if headless && matches!(is, "NodePort" | "LoadBalancer") {
        changes.push(Change::new("spec.type", format!("a headless Service cannot become a {is}")));
    }
    let family = |object: &Value| at(object, "spec.ipFamilies")[0].as_str().unwrap_or_default().to_owned();
    if keeps
        && old != "None"
        && !family(after).is_empty()
        && !family(before).is_empty()
        && family(before) != family(after)
    {
        changes.push(Change::new("spec.ipFamilies", "the first family of a Service stays"));
    }
    if was == "LoadBalancer" && is == "LoadBalancer" {
        if !same(at(before, "spec.loadBalancerClass"), at(after, "spec.loadBalancerClass")) {
            changes.push(Change::new("spec.loadBalancerClass", "it stays as it was made"));
        }
        let local = |object: &Value| text(object, "spec.externalTrafficPolicy") == "Local";
        let port = |object: &Value| at(object, "spec.healthCheckNodePort").as_u64().unwrap_or(0);
        if local(before)
            && local(after)
            && port(after) != 0
            && port(before) != 0
            && port(before) != port(after)
        {
            changes.push(Change::new("spec.healthCheckNodePort", "it stays as it was made"));
        }
    }
    changes
}

fn address(service: &Value) -> &str {
    let one = text(service, "spec.clusterIP");
    if one.is_empty() { at(service, "spec.clusterIPs")[0].as_str().unwrap_or_default() } else { one }
}
