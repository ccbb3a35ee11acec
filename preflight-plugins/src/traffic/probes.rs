//! Named ports that probes ask.

use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, Subject};
use serde_json::Value;

use super::PROBE_PORT;
use crate::changes::rollout;

/// Probes, and ways of asking a port.
const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];
const WAYS: [&str; 2] = ["httpGet", "tcpSocket"];

pub(super) fn examine(check: &Examination, release: &Release) {
    let mut rule = check.rule(&PROBE_PORT);
    for planned in release.objects() {
        let Some(template) = planned.object.pod_template() else { continue };
        let pods = rollout(planned, release.method()).pods;
        let spec = template.spec_json();
        for list in ["initContainers", "containers"] {
            for (at, container) in spec[list].as_array().into_iter().flatten().enumerate() {
                for (probe, way, port) in named_ports(container) {
                    rule.examined();
                    let mut ports = container["ports"].as_array().into_iter().flatten();
                    if ports.any(|own| own["name"] == port) {
                        continue;
                    }
                    let name = container["name"].as_str().unwrap_or_default();
                    let message = format!(
                        "{}: the {probe} of the container {name} asks the port {port:?}, which the container does not have",
                        planned.object.id()
                    );
                    let path = template.spec_path(list).index(at).key(probe).key(way).key("port");
                    let remedy = Remediation::new("Name a port of that container, or give the number")
                        .command(format!("kubectl explain pod.spec.containers.{probe}.{way}.port"));
                    let subject = Subject::at(&planned.object, &path);
                    pods.predict(&mut rule, subject, &message, "its pods start", remedy);
                }
            }
        }
    }
    rule.conclude("named ports of probes");
}

/// The ports that probes ask by name: probe, way and name.
fn named_ports(container: &Value) -> Vec<(&'static str, &'static str, &str)> {
    let mut found = Vec::new();
    for probe in PROBES {
        for way in WAYS {
            let port = container[probe][way]["port"].as_str();
            // A number in quotes is a number.
            if let Some(port) = port.filter(|port| port.parse::<u16>().is_err()) {
                found.push((probe, way, port));
            }
        }
    }
    found
}
