//! A cluster in which all is well, what is done to it, and what is expected of that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

pub use crate::support::cases::{Case, expect_all, list};
use crate::support::{Answer, ok};

pub const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
pub const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
pub const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
pub const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
pub const MUTATING_POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
pub const MUTATING_BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";
pub const APIS: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
pub const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
pub const NAMESPACE: &str = "/api/v1/namespaces/shop";
pub const SERVICE: &str = "/api/v1/namespaces/shop/services/guard";
pub const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
pub const SETTINGS: &str = "/api/v1/namespaces/shop/configmaps/settings";
pub const PODS: &str = "/api/v1/namespaces/shop/pods";

/// All is well, and the release is one ConfigMap, for which a webhook is called.
pub fn case(name: impl Into<String>) -> Case {
    Case::new("operator-health", name, healthy(), vec![config_map("settings", "shop")])
}

/// The environment requires an operator.
pub trait Requires {
    fn requires(self, operator: &Value) -> Self;
}

impl Requires for Case {
    fn requires(self, operator: &Value) -> Self {
        self.environment(&json!({"operators": {"keeper": operator}}))
    }
}

pub fn config_map(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}})
}

/// A cluster that serves what is needed here, with one webhook that is called for ConfigMaps and is well.
fn healthy() -> BTreeMap<String, Answer> {
    let kind = |resource: &str, kind: &str, scope: &str| json!({"resource": resource, "responseKind": {"kind": kind}, "scope": scope});
    let version = |version: &str, resources: &[Value]| json!({"version": version, "freshness": "Current", "resources": resources});
    let group = |name: &str, versions: &[Value]| json!({"metadata": {"name": name}, "versions": versions});
    let widgets = [kind("widgets", "Widget", "Namespaced")];
    let configurations = [
        kind("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "Cluster"),
        kind("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "Cluster"),
    ];
    let core = [
        kind("configmaps", "ConfigMap", "Namespaced"),
        kind("namespaces", "Namespace", "Cluster"),
        kind("pods", "Pod", "Namespaced"),
        kind("services", "Service", "Namespaced"),
    ];
    let groups = [
        group("apps", &[version("v1", &[kind("deployments", "Deployment", "Namespaced")])]),
        group("example.com", &[version("v1", &widgets), version("v1beta1", &widgets)]),
        group("admissionregistration.k8s.io", &[version("v1", &configurations)]),
        group(
            "apiextensions.k8s.io",
            &[version("v1", &[kind("customresourcedefinitions", "CustomResourceDefinition", "Cluster")])],
        ),
    ];
    let discovery = |groups: &[Value]| json!({"kind": "APIGroupDiscoveryList", "items": groups});
    let mut answers: BTreeMap<String, Answer> = [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        ("/api", discovery(&[group("", &[version("v1", &core)])])),
        ("/apis", discovery(&groups)),
        (NAMESPACE, namespace("shop")),
        (VALIDATING, list(&[configuration("guards", &[webhook(&json!({}))])])),
        (SERVICE, service()),
        (SLICES, list(&[slice("https", &json!(true))])),
        (DEFINITION, definition(&json!({}))),
    ]
    .into_iter()
    .map(|(path, object)| (path.to_owned(), ok(&object)))
    .collect();
    for path in [MUTATING, POLICIES, BINDINGS, MUTATING_POLICIES, MUTATING_BINDINGS, APIS] {
        answers.insert(path.to_owned(), ok(&list(&[])));
    }
    answers
}

pub fn namespace(name: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": name, "labels": {"team": "sales"}}, "status": {"phase": "Active"}})
}

pub fn service() -> Value {
    json!({
        "kind": "Service", "metadata": {"name": "guard", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.9", "ports": [{"name": "https", "port": 443, "targetPort": 8443}]},
    })
}

/// An EndpointSlice with one endpoint.
pub fn slice(port: &str, ready: &Value) -> Value {
    json!({
        "kind": "EndpointSlice", "metadata": {"name": "guard-1", "namespace": "shop"},
        "ports": [{"name": port, "port": 8443}],
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}],
    })
}

/// An authority that is valid.
pub fn ca_bundle() -> &'static str {
    static BUNDLE: LazyLock<String> = LazyLock::new(|| {
        let mut params = CertificateParams::new(vec!["guard.shop.svc".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(4000, 1, 1));
        STANDARD.encode(params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem())
    });
    &BUNDLE
}

pub fn configuration(name: &str, webhooks: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "webhooks": webhooks})
}

/// A webhook for ConfigMaps, with these fields instead.
pub fn webhook(fields: &Value) -> Value {
    let mut webhook = json!({
        "name": "guard.example.com",
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": client(ca_bundle()),
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
    });
    set(&mut webhook, fields);
    webhook
}

/// A `clientConfig` with the healthy Service.
pub fn client(bundle: &str) -> Value {
    json!({"service": {"namespace": "shop", "name": "guard"}, "caBundle": bundle})
}

/// Puts these fields into an object, in place of those of the same name. What is null is taken out.
pub fn set(object: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

/// The definition of Widgets, of which `v1` is stored, with these fields in its `spec` instead.
pub fn definition(fields: &Value) -> Value {
    let version = |name: &str, storage: bool| {
        let size = json!({"type": "integer", "minimum": 1});
        let spec = json!({"type": "object", "properties": {"size": size}});
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
    };
    let mut spec = json!({
        "group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [version("v1", true), version("v1beta1", false)],
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": spec,
        "status": {
            "conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}],
            "storedVersions": ["v1"],
        },
    })
}

pub fn widget(version: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("example.com/{version}"), "kind": "Widget",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"size": 3},
    })
}

/// How a definition says that a webhook converts.
pub fn converter(client: &Value) -> Value {
    json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client}})
}
