//! Configurations of webhooks, as far as they are looked at.

use preflight_core::view;
use serde::Deserialize;

use super::matching::Criteria;

/// A ValidatingWebhookConfiguration, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Validating {
    pub(crate) webhooks: Vec<Webhook>,
}

view!(Validating: cluster "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" "ValidatingWebhookConfiguration");

/// A MutatingWebhookConfiguration, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mutating {
    pub(crate) webhooks: Vec<Webhook>,
}

view!(Mutating: cluster "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" "MutatingWebhookConfiguration");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) client_config: ClientConfig,
    pub(crate) failure_policy: Option<String>,
    pub(crate) side_effects: Option<String>,
    pub(crate) timeout_seconds: Option<i64>,
    #[serde(flatten)]
    pub(crate) criteria: Criteria,
}

/// `clientConfig` of a webhook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ClientConfig {
    pub(crate) service: Option<ServiceReference>,
    pub(crate) url: Option<String>,
    pub(crate) ca_bundle: Option<String>,
}

/// The Service that a webhook is called at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceReference {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) port: Option<i64>,
}
