//! What a webhook is called at: is its Service there, with that port and a ready endpoint, and is its authority valid?
//!
//! As the API server finds it: `staging/src/k8s.io/apiserver/pkg/util/webhook/client.go` and
//! `staging/src/k8s.io/kube-aggregator/pkg/apiserver/resolvers.go`, v1.36.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use preflight_core::cluster::{ClusterError, Reader};
use preflight_core::release::{Planned, Release};
use serde_json::{Value, json};

use super::{endpoint_slices, services};
use crate::changes::{Happens, merged, rollout};
use crate::intercept::{ClientConfig, ServiceReference};
use crate::labels::{self, selects};
use crate::memo::Memo;
use crate::told::some;

/// A certificate that expires within this time is told, in seconds: a week.
const SOON: i64 = 7 * 24 * 3600;

/// How many workloads are told.
const TOLD: usize = 3;

/// What is known of what a webhook is called at.
#[derive(Debug, Clone)]
pub(super) enum Health {
    /// It can be called, as far as can be seen.
    Well,
    /// It cannot.
    Broken { why: String, remedy: String, command: String },
    /// That cannot be seen from here.
    Unseen { why: String, advice: String },
}

/// What is known of the authority that vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authority {
    /// Valid for longer than a week.
    Valid,
    /// Valid, and not for long: hours left.
    Expiring(i64),
    /// The API server cannot use it.
    Broken(String),
    /// None is given: the API server's own authorities count.
    Default,
}

/// Looks each Service up once.
pub(super) struct Backends<'a> {
    cluster: &'a Reader,
    release: &'a Release,
    known: Memo<(String, String, i64), Health>,
}

impl<'a> Backends<'a> {
    pub(super) fn new(cluster: &'a Reader, release: &'a Release) -> Self {
        Self { cluster, release, known: Memo::default() }
    }

    pub(super) async fn health(&self, config: &ClientConfig) -> Health {
        let Some(service) = &config.service else {
            let url = config.url.as_deref().unwrap_or_default();
            let host = url.split('/').nth(2).unwrap_or(url);
            return Health::Unseen {
                why: format!("it is called at {host}, by the API server and not from here"),
                advice: "call it from the control plane, or accept not knowing it with `on_unknown`"
                    .to_owned(),
            };
        };
        let port = service.port.unwrap_or(443);
        let key = (service.namespace.clone(), service.name.clone(), port);
        let look = || async {
            self.look(service, port).await.unwrap_or_else(|error| Health::Unseen {
                advice: error.advice().unwrap_or_else(|| "ask again".to_owned()),
                why: error.to_string(),
            })
        };
        self.known.get(key, look).await
    }

    /// The workloads of the release whose pods will be what a webhook is called at, as people call them.
    pub(super) async fn healers(&self, config: &ClientConfig) -> Vec<String> {
        match &config.service {
            Some(reference) => self.pods_of(reference).await,
            None => Vec::new(),
        }
    }

    /// The workloads of the release whose pods a Service leads to.
    async fn pods_of(&self, reference: &ServiceReference) -> Vec<String> {
        let selector = match self.coming(reference) {
            Some((_, planned)) => merged(planned, self.release.method())["spec"]["selector"].clone(),
            None => {
                let live = self.cluster.get(&services(), Some(&reference.namespace), &reference.name).await;
                live.ok().flatten().map(|live| live["spec"]["selector"].clone()).unwrap_or_default()
            }
        };
        let selector = json!({"matchLabels": selector});
        if selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty) {
            return Vec::new();
        }
        let heals = |planned: &&Planned| {
            let pods = planned.effective["spec"].get("template");
            planned.namespace.as_deref() == Some(&reference.namespace)
                && planned.object.pod_template().is_some()
                && pods.is_some_and(|pods| selects(&selector, &labels::of(pods)))
                && rollout(planned, self.release.method()).pods == Happens::Yes
        };
        self.release.objects().iter().filter(heals).map(|planned| planned.object.id().to_string()).collect()
    }

    /// From which place of the release on its Service can no longer be called, though it can now, and why.
    pub(super) fn breaks(&self, config: &ClientConfig) -> Option<(usize, String)> {
        let reference = config.service.as_ref()?;
        let (position, planned) = self.coming(reference)?;
        let port = reference.port.unwrap_or(443);
        let spec = &merged(planned, self.release.method())["spec"];
        let has_port = |served: &Value| served["port"].as_i64() == Some(port);
        let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ServiceReference { namespace, name, .. } = reference;
        if !ports.iter().any(has_port) {
            return Some((
                position,
                format!("the release leaves the Service {namespace}/{name} without the port {port}"),
            ));
        }
        (spec["clusterIP"] == "None")
            .then(|| (position, format!("the release makes the Service {namespace}/{name} headless")))
    }

    /// The Service as the release has it.
    fn coming(&self, reference: &ServiceReference) -> Option<(usize, &Planned)> {
        self.release.of_kind("", "Service").find(|(_, planned)| {
            planned.object.name() == Some(&reference.name)
                && planned.namespace.as_deref() == Some(&reference.namespace)
        })
    }

    async fn look(&self, reference: &ServiceReference, port: i64) -> Result<Health, ClusterError> {
        let ServiceReference { namespace, name, .. } = reference;
        let broken = |why: String, remedy: &str, command: String| {
            Ok(Health::Broken { why, remedy: remedy.to_owned(), command })
        };
        let describe = format!("kubectl describe service {name} -n {namespace}");
        let Some(service) = self.cluster.get(&services(), Some(namespace), name).await? else {
            if self.coming(reference).is_some() {
                let pods = self.pods_of(reference).await;
                let get =
                    format!("kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}");
                return broken(
                    comes(namespace, name, &pods),
                    "Apply first what serves the webhook, and wait until it is ready",
                    get,
                );
            }
            let why = format!("the Service {namespace}/{name} does not exist");
            let get = format!("kubectl get services -n {namespace}");
            return broken(why, "Install what serves the webhook, or remove its configuration", get);
        };
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" {
            return Ok(Health::Unseen {
                why: format!("the Service {namespace}/{name} leads outside of the cluster"),
                advice: "call it from the control plane, or accept not knowing it with `on_unknown`"
                    .to_owned(),
            });
        }
        if spec["clusterIP"] == "None" {
            let why =
                format!("the Service {namespace}/{name} is headless, and the API server calls none of those");
            return broken(why, "Give the Service a cluster IP", describe);
        }
        let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(served) = ports.iter().find(|served| served["port"].as_i64() == Some(port)) else {
            let why = format!("the Service {namespace}/{name} has no port {port}");
            return broken(
                why,
                "Correct the port of the webhook's clientConfig, or of the Service",
                describe,
            );
        };
        let selector = format!("kubernetes.io/service-name={name}");
        let slices = self.cluster.select(&endpoint_slices(), Some(namespace), &selector).await?;
        let port_name = served["name"].as_str().unwrap_or_default();
        if slices.iter().any(|slice| has_ready_endpoint(slice, port_name)) {
            return Ok(Health::Well);
        }
        let why = format!("the Service {namespace}/{name} has no ready endpoint");
        let get = format!("kubectl get endpointslices -n {namespace} -l {selector}");
        broken(why, "Mend the pods behind it", get)
    }
}

/// Why a Service that comes with the release does not help.
fn comes(namespace: &str, name: &str, pods: &[String]) -> String {
    let lacks = match pods {
        [] => "brings no pods for it".to_owned(),
        pods => format!("its pods, of {}, are not ready when it is called", some(pods, TOLD)),
    };
    let and = if pods.is_empty() { ", which" } else { ", and" };
    format!("the Service {namespace}/{name} comes only with the release{and} {lacks}")
}

/// An endpoint that does not say whether it is ready, is.
fn has_ready_endpoint(slice: &Value, port: &str) -> bool {
    let named = |ports: &Vec<Value>| ports.iter().any(|has| has["name"].as_str().unwrap_or_default() == port);
    let ready = |endpoint: &Value| endpoint["conditions"]["ready"] != false;
    slice["ports"].as_array().is_some_and(named)
        && slice["endpoints"].as_array().is_some_and(|endpoints| endpoints.iter().any(ready))
}

/// Judges a `caBundle`. One certificate that is valid is enough; a leaf whose authority has expired is refused.
pub(super) fn authority(config: &ClientConfig) -> Authority {
    let Some(bundle) = config.ca_bundle.as_deref().filter(|bundle| !bundle.is_empty()) else {
        return Authority::Default;
    };
    let pem = STANDARD.decode(bundle).unwrap_or_default();
    let blocks = x509_parser::pem::Pem::iter_from_buffer(&pem).filter_map(Result::ok);
    let mut ends = Vec::new();
    for block in blocks.filter(|block| block.label == "CERTIFICATE") {
        if let Ok(certificate) = block.parse_x509() {
            let validity = certificate.validity();
            ends.push((validity.not_before.timestamp(), validity.not_after.timestamp()));
        }
    }
    if ends.is_empty() {
        return Authority::Broken("holds no certificate".to_owned());
    }
    let now = Timestamp::now().as_second();
    let last = ends.iter().filter(|(from, _)| *from <= now).map(|(_, to)| *to).max();
    let date = |at: i64| Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
    match last {
        None => Authority::Broken("is not valid yet".to_owned()),
        Some(end) if end < now => Authority::Broken(format!("expired on {}", date(end))),
        Some(end) if end < now + SOON => Authority::Expiring((end - now) / 3600),
        Some(_) => Authority::Valid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn bundle(from: i32, to: i32) -> String {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn judged(pem: &str) -> Authority {
        authority(&ClientConfig { ca_bundle: Some(STANDARD.encode(pem)), ..ClientConfig::default() })
    }

    #[test]
    fn one_valid_certificate_is_enough() {
        let (old, good) = (bundle(2001, 2002), bundle(2001, 4000));
        assert_eq!(judged(&good), Authority::Valid);
        assert_eq!(judged(&format!("{old}{good}")), Authority::Valid);
        assert_eq!(judged(&old), Authority::Broken("expired on 2002-01-01T00:00:00Z".to_owned()));
        assert_eq!(judged(&bundle(3000, 3001)), Authority::Broken("is not valid yet".to_owned()));
        assert!(matches!(judged("rubbish"), Authority::Broken(_)));
        assert_eq!(authority(&ClientConfig::default()), Authority::Default);
    }

    #[test]
    fn a_service_of_the_release_is_not_said_to_be_missing() {
        assert_eq!(
            comes("shop", "guard", &[]),
            "the Service shop/guard comes only with the release, which brings no pods for it"
        );
        assert_eq!(
            comes("shop", "guard", &["Deployment shop/guard".to_owned()]),
            "the Service shop/guard comes only with the release, and its pods, of Deployment shop/guard, are not ready \
             when it is called"
        );
    }

    #[test]
    fn endpoints_count_if_they_are_ready_and_have_the_port() {
        let slice = |ready: Value| json!({"ports": [{"name": "https", "port": 8443}], "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]});
        assert!(has_ready_endpoint(&slice(json!(true)), "https"));
        assert!(has_ready_endpoint(&slice(json!(null)), "https"));
        assert!(!has_ready_endpoint(&slice(json!(false)), "https"));
        assert!(!has_ready_endpoint(&slice(json!(true)), "other"));
        assert!(!has_ready_endpoint(&json!({"ports": [{"name": "https"}], "endpoints": null}), "https"));
    }
}
