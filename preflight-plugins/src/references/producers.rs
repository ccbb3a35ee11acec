//! Who makes a ConfigMap or Secret that is not there yet: an operator, asked to by another object.

use std::borrow::Cow;

use preflight_core::Undecided;
use preflight_core::cluster::{Read, Resource};
use serde_json::Value;

use super::find::{Finder, Target};

/// Objects that have an operator make a ConfigMap or a Secret.
struct Producer {
    group: &'static str,
    kind: &'static str,
    /// The kind that is made.
    makes: &'static str,
    /// The names that are made: a path in braces stands for what is there, `|` for the path after it if there is
    /// nothing, and `[]` for every item of a list.
    names: &'static [&'static str],
}

const fn secret(group: &'static str, kind: &'static str, names: &'static [&'static str]) -> Producer {
    Producer { group, kind, makes: "Secret", names }
}

const fn config_map(group: &'static str, kind: &'static str, names: &'static [&'static str]) -> Producer {
    Producer { group, kind, makes: "ConfigMap", names }
}

/// By the documentation of each operator.
static PRODUCERS: [Producer; 24] = [
    secret("external-secrets.io", "ExternalSecret", &["{spec.target.name|metadata.name}"]),
    secret("bitnami.com", "SealedSecret", &["{spec.template.metadata.name|metadata.name}"]),
    secret("cert-manager.io", "Certificate", &["{spec.secretName}"]),
    secret("secrets.hashicorp.com", "VaultStaticSecret", &["{spec.destination.name}"]),
    secret("secrets.hashicorp.com", "VaultDynamicSecret", &["{spec.destination.name}"]),
    secret("secrets.hashicorp.com", "VaultPKISecret", &["{spec.destination.name}"]),
    secret("onepassword.com", "OnePasswordItem", &["{metadata.name}"]),
    secret("secrets.infisical.com", "InfisicalSecret", &["{spec.managedSecretReference.secretName}"]),
    secret("secrets.doppler.com", "DopplerSecret", &["{spec.managedSecret.name}"]),
    secret("isindir.github.com", "SopsSecret", &["{spec.secretTemplates[].name}"]),
    secret("ricoberger.de", "VaultSecret", &["{metadata.name}"]),
    secret("spv.no", "AzureKeyVaultSecret", &["{spec.output.secret.name}"]),
    secret("secretgenerator.mittwald.de", "StringSecret", &["{metadata.name}"]),
    secret("secretgenerator.mittwald.de", "BasicAuth", &["{metadata.name}"]),
    secret(
        "postgresql.cnpg.io",
        "Cluster",
        &["{metadata.name}-app", "{metadata.name}-superuser", "{metadata.name}-ca", "{metadata.name}-server"],
    ),
    secret(
        "postgres-operator.crunchydata.com",
        "PostgresCluster",
        &["{metadata.name}-pguser-{spec.users[].name|metadata.name}"],
    ),
    secret("kafka.strimzi.io", "KafkaUser", &["{metadata.name}"]),
    secret(
        "kafka.strimzi.io",
        "Kafka",
        &["{metadata.name}-cluster-ca-cert", "{metadata.name}-clients-ca-cert"],
    ),
    secret(
        "elasticsearch.k8s.elastic.co",
        "Elasticsearch",
        &["{metadata.name}-es-elastic-user", "{metadata.name}-es-http-certs-public"],
    ),
    secret("rabbitmq.com", "RabbitmqCluster", &["{metadata.name}-default-user"]),
    secret("k8s.keycloak.org", "Keycloak", &["{metadata.name}-initial-admin"]),
    secret("objectbucket.io", "ObjectBucketClaim", &["{metadata.name}"]),
    config_map("objectbucket.io", "ObjectBucketClaim", &["{metadata.name}"]),
    config_map("trust.cert-manager.io", "Bundle", &["{metadata.name}"]),
];

/// Annotations that have a Secret or ConfigMap copied into other namespaces under its name.
const COPIED: [&str; 4] = [
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "replicator.v1.mittwald.de/replicate-to",
    "replicator.v1.mittwald.de/replicate-to-matching",
    "kubed.appscode.com/sync",
];

/// Annotations of an Ingress or Gateway that have cert-manager make its TLS Secrets.
const ISSUERS: [&str; 3] =
    ["cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme"];

/// The annotation of a Service that has OpenShift make a Secret with its certificate.
const SERVING: &str = "service.beta.openshift.io/serving-cert-secret-name";

/// What is asked to make an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maker {
    /// What: `the ExternalSecret shop/db`.
    pub(super) what: String,
    /// What it says of itself where it is not well.
    pub(super) trouble: Option<String>,
}

/// What is listed to see who makes an object that is not there. The server's own version is asked for.
pub(super) fn reads() -> impl Iterator<Item = Read> {
    let mut kinds: Vec<(&str, &str)> =
        PRODUCERS.iter().map(|producer| (producer.group, producer.kind)).collect();
    kinds.dedup();
    kinds.into_iter().map(|(group, kind)| {
        // The plural of each is its name with an `s`, but for one.
        let plural = format!("{}s", kind.to_lowercase());
        let plural = plural.replace("elasticsearchs", "elasticsearches");
        Read::select(Resource {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed("v1"),
            plural: Cow::Owned(plural),
            kind: Cow::Borrowed(kind),
            namespaced: true,
        })
    })
}

/// Who makes an object that is not there.
pub(super) async fn of(finder: &Finder<'_>, target: &Target) -> Result<Option<Maker>, Undecided> {
    if let Some(maker) = of_release(finder, target) {
        return Ok(Some(maker));
    }
    let mut unseen = None;
    for producer in PRODUCERS.iter().filter(|producer| producer.makes == target.kind) {
        let Ok(Some(resource)) = finder.resource(producer.group, producer.kind) else { continue };
        let found = match finder.cluster.select(&resource, target.namespace.as_deref(), "").await {
            Ok(found) => found,
            // Another one may be seen.
            Err(error) => {
                unseen.get_or_insert(error);
                continue;
            }
        };
        for object in found {
            if names(producer, &object).contains(&target.name) {
                return Ok(Some(maker(&object, producer.kind)));
            }
        }
    }
    unseen.map_or(Ok(None), |error| Err(error.into()))
}

fn of_release(finder: &Finder<'_>, target: &Target) -> Option<Maker> {
    finder.release.objects().iter().find_map(|planned| {
        let object = &*planned.effective;
        let here = planned.namespace.is_none() || planned.namespace == target.namespace;
        let (group, kind) = (planned.object.group(), planned.object.kind());
        let annotated =
            |keys: &[&str]| keys.iter().any(|key| object["metadata"]["annotations"][*key].is_string());
        let named = |template: &str| fill(template, object).contains(&target.name);
        let secret = target.kind == "Secret" && here;
        let made = PRODUCERS
            .iter()
            .filter(|producer| {
                (producer.group, producer.kind, producer.makes) == (group, kind, &*target.kind)
            })
            .any(|producer| here && names(producer, object).contains(&target.name))
            || (kind == target.kind && planned.object.name() == Some(&target.name) && annotated(&COPIED))
            || (secret
                && annotated(&ISSUERS)
                && (named("{spec.tls[].secretName}")
                    || named("{spec.listeners[].tls.certificateRefs[].name}")))
            || (secret && object["metadata"]["annotations"][SERVING] == target.name.as_str())
            || (target.kind == "Secret"
                && secret_of_crossplane(object) == Some((target.name.as_str(), target.namespace.as_deref())));
        made.then(|| maker(object, kind))
    })
}

/// Crossplane and what follows it write the credentials of what they made into a Secret.
fn secret_of_crossplane(object: &Value) -> Option<(&str, Option<&str>)> {
    let named = &object["spec"]["writeConnectionSecretToRef"];
    let own = object["metadata"]["namespace"].as_str();
    Some((named["name"].as_str()?, named["namespace"].as_str().or(own)))
}

fn maker(object: &Value, kind: &str) -> Maker {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let place = metadata["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut ill = conditions.filter(|condition| {
        condition["status"] == "False" && matches!(condition["type"].as_str(), Some("Ready" | "Synced"))
    });
    let trouble = ill.next().map(|condition| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        [text("reason"), text("message")]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    });
    Maker { what: format!("the {kind} {place}{name}"), trouble }
}

fn names(producer: &Producer, object: &Value) -> Vec<String> {
    producer.names.iter().flat_map(|template| fill(template, object)).collect()
}

/// What a template of a name stands for; nothing where a path of it leads nowhere.
fn fill(template: &str, object: &Value) -> Vec<String> {
    let Some((before, rest)) = template.split_once('{') else { return vec![template.to_owned()] };
    let Some((paths, after)) = rest.split_once('}') else { return Vec::new() };
    let found = paths.split('|').map(|path| texts(object, path)).find(|found| !found.is_empty());
    let after = fill(after, object);
    found
        .into_iter()
        .flatten()
        .flat_map(|text| after.iter().map(move |after| format!("{before}{text}{after}")))
        .collect()
}

/// The texts at a path, `[]` going through lists.
pub(super) fn texts<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    let Some((list, rest)) = path.split_once("[].") else {
        return at(value, path).as_str().filter(|text| !text.is_empty()).into_iter().collect();
    };
    at(value, list).as_array().into_iter().flatten().flat_map(|item| texts(item, rest)).collect()
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_filled_in() {
        let object = json!({"metadata": {"name": "db"}, "spec": {"users": [{"name": "a"}, {"name": "b"}], "target": {}}});
        for (template, expected) in [
            ("{metadata.name}", vec!["db"]),
            ("{spec.target.name|metadata.name}", vec!["db"]),
            ("{metadata.name}-pguser-{spec.users[].name|metadata.name}", vec!["db-pguser-a", "db-pguser-b"]),
            ("{spec.secretName}", vec![]),
            ("fixed", vec!["fixed"]),
        ] {
            assert_eq!(fill(template, &object), expected, "{template}");
        }
    }

    #[test]
    fn what_makes_it_says_how_it_is() {
        let object = json!({"metadata": {"name": "db", "namespace": "shop"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "no such key"}]}});
        let found = maker(&object, "ExternalSecret");
        assert_eq!(found.what, "the ExternalSecret shop/db");
        assert_eq!(found.trouble.as_deref(), Some("SecretSyncedError: no such key"));
        assert_eq!(maker(&json!({"metadata": {"name": "b"}}), "Bundle").trouble, None);
    }
}
