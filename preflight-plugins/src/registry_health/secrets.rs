//! The credentials that pods pull with, as the kubelet finds them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use preflight_core::cluster::{Reader, SecretContents};
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Examination, Remediation, RuleCheck, Undecided};

use super::hub::Hub;
use super::uses::{Policy, Use};
use super::{PULL_SECRET, service_accounts};
use crate::changes::{Happens, merged};
use crate::registry::credentials::{DOCKER_CFG, DOCKER_CONFIG_JSON, Keyring};

/// What is known of the credentials that a pod pulls with.
#[derive(Clone)]
pub(super) enum Keys {
    /// All of them.
    Known(Arc<Keyring>),
    /// It has some that were not read.
    NotRead { why: String, advice: String },
    /// The kubelet cannot read them, and pulls nothing. That is told.
    Unusable,
}

/// Where the pod's pull secrets are named, and their names.
struct Named {
    secrets: Vec<String>,
    by: String,
}

type Secrets = HashMap<(String, String), Result<Option<Arc<SecretContents>>, Undecided>>;

/// The credentials of each use's pod; tells what is wrong with the Secrets.
pub(super) async fn gather(
    check: &Examination,
    hub: &Hub,
    cluster: &Reader,
    release: &Release,
    uses: &[Use<'_>],
) -> Vec<Keys> {
    let naming = futures::future::join_all(uses.iter().map(|used| named(cluster, release, used))).await;
    let mut wanted = BTreeSet::new();
    for (used, named) in uses.iter().zip(&naming) {
        for secret in named.iter().flat_map(|named| &named.secrets) {
            wanted.insert((used.namespace().to_owned(), secret.clone()));
        }
    }
    let reading = wanted.into_iter().map(|(namespace, name)| async move {
        let contents = contents(hub, cluster, release, &namespace, &name).await;
        ((namespace, name), contents)
    });
    let secrets: Secrets = futures::future::join_all(reading).await.into_iter().collect();
    let mut rule = check.rule(&PULL_SECRET);
    let mut told = HashMap::new();
    let mut all = Vec::new();
    for (used, named) in uses.iter().zip(naming) {
        // What lies in a layout is not pulled.
        if used.reference.as_ref().is_ok_and(|image| hub.layout(&image.registry).is_some()) {
            all.push(Keys::Known(Arc::default()));
            continue;
        }
        all.push(match named {
            Err(error) => {
                check.need::<()>(&[&PULL_SECRET], Err(error.clone()));
                Keys::NotRead {
                    why: error.message().to_owned(),
                    advice: "look at its ServiceAccount".to_owned(),
                }
            }
            Ok(named) => {
                let key = (std::ptr::from_ref(used.planned) as usize, named.secrets.clone());
                let keys = told.entry(key).or_insert_with(|| keys(check, &mut rule, used, &named, &secrets));
                keys.clone()
            }
        });
    }
    rule.conclude("pull secrets");
    all
}

/// The pull secrets of a pod: its own, or if it names none its ServiceAccount's
/// (`plugin/pkg/admission/serviceaccount/admission.go`, v1.36).
async fn named(cluster: &Reader, release: &Release, used: &Use<'_>) -> Result<Named, Undecided> {
    let names = |value: &serde_json::Value| -> Vec<String> {
        let items = value["imagePullSecrets"].as_array().into_iter().flatten();
        items
            .filter_map(|item| item["name"].as_str())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let own = names(&used.spec);
    // A pod that names one without a name still names one.
    if used.spec["imagePullSecrets"].as_array().is_some_and(|list| !list.is_empty()) {
        return Ok(Named { secrets: own, by: used.planned.object.id().to_string() });
    }
    let account = used.planned.object.pod_template().map_or("default", |template| template.service_account());
    let by = format!("ServiceAccount {}/{account}", used.namespace());
    let coming = in_release(release, "ServiceAccount", used.namespace(), account);
    let coming = coming.map(|planned| names(&merged(planned, release.method())));
    if let Some(secrets) = coming {
        return Ok(Named { secrets, by });
    }
    let live = cluster.get(&service_accounts(), Some(used.namespace()), account).await?;
    // Every namespace gets the one that is called `default`.
    if live.is_none() && account != "default" && used.starts == Happens::Yes {
        let why = format!("{by} does not exist, and no pod is made without it");
        return Err(Undecided::unknown(why)
            .advice(format!("kubectl create serviceaccount {account} -n {}", used.namespace())));
    }
    Ok(Named { secrets: live.map(|live| names(&live)).unwrap_or_default(), by })
}

fn in_release<'a>(release: &'a Release, kind: &'a str, namespace: &str, name: &str) -> Option<&'a Planned> {
    let mut found = release.of_kind("", kind).map(|(_, planned)| planned);
    found.find(|planned| {
        planned.namespace.as_deref() == Some(namespace) && planned.object.name() == Some(name)
    })
}

/// What a Secret will hold: as the release writes it, else as it is.
async fn contents(
    hub: &Hub,
    cluster: &Reader,
    release: &Release,
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<SecretContents>>, Undecided> {
    if let Some(planned) = in_release(release, "Secret", namespace, name) {
        let written = SecretContents::of(&planned.effective);
        // One that is written without contents keeps those that it has.
        if !written.data.is_empty() || !matches!(planned.live, Live::Present(_)) {
            return Ok(Some(Arc::new(written)));
        }
    }
    if !hub.images.read_pull_secrets {
        let why = format!("the Secret {namespace}/{name} is not read");
        return Err(Undecided::unknown(why).advice(
            "set `images: {read_pull_secrets: true}` in the environment and grant `get` on it, or accept not knowing",
        ));
    }
    Ok(cluster.secret(namespace, name).await?)
}

/// The command that makes a pull secret, or makes it anew.
pub(super) fn make_secret(name: &str, namespace: &str, registry: &str) -> String {
    format!(
        "kubectl create secret docker-registry {name} -n {namespace} --docker-server={registry} --docker-username=USER \
         --docker-password=PASSWORD --dry-run=client -o yaml | kubectl apply -f -"
    )
}

fn keys(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    used: &Use<'_>,
    named: &Named,
    secrets: &Secrets,
) -> Keys {
    let (mut keyring, mut not_read, mut unusable) = (Keyring::default(), None, false);
    let namespace = used.namespace();
    for name in &named.secrets {
        let source = format!("Secret {namespace}/{name}");
        let registry = used.reference.as_ref().map_or("REGISTRY", |image| image.registry.as_str());
        let create = make_secret(name, namespace, registry);
        let path = used.planned.object.pod_template().map(|template| template.spec_path("imagePullSecrets"));
        let subject = path
            .map_or_else(|| used.subject(), |path| preflight_core::Subject::at(&used.planned.object, &path));
        match secrets.get(&(namespace.to_owned(), name.clone())) {
            None => {}
            Some(Err(undecided)) => {
                check.need::<()>(&[&PULL_SECRET], Err(undecided.clone()));
                not_read.get_or_insert_with(|| undecided.clone());
            }
            Some(Ok(None)) => {
                rule.examined();
                rule.warn(
                    subject,
                    format!("{source}, which {} names to pull with, does not exist", named.by),
                    Remediation::new("Create it, or name one that exists").command(create),
                );
            }
            Some(Ok(Some(contents))) => {
                rule.examined();
                match keyring.add_pull_secret(&source, contents) {
                    Ok(true) => {}
                    Ok(false) if [DOCKER_CONFIG_JSON, DOCKER_CFG].contains(&contents.kind.as_str()) => rule.warn(
                        subject,
                        format!("{source} holds no credentials under the key that belongs to its type"),
                        Remediation::new("Put them in: `.dockerconfigjson`, or `.dockercfg` for the older type")
                            .command(format!("kubectl describe secret {name} -n {namespace}")),
                    ),
                    Ok(false) => rule.warn(
                        subject,
                        format!(
                            "{source} has the type {} and cannot be pulled with: it takes {DOCKER_CONFIG_JSON} or {DOCKER_CFG}",
                            contents.kind
                        ),
                        Remediation::new("Create it anew; the type of a Secret cannot be changed")
                            .command(format!("kubectl delete secret {name} -n {namespace}"))
                            .command(create),
                    ),
                    Err(why) => {
                        unusable = true;
                        let message = format!("{source} cannot be read, and the kubelet pulls nothing with it: {why}");
                        let remedy = Remediation::new("Create it anew")
                            .command(format!("kubectl delete secret {name} -n {namespace}"))
                            .command(create);
                        match used.starts {
                            Happens::No(why) => rule.warn(subject, format!("{message} ({why})"), remedy),
                            _ if used.policy == Policy::Never => rule.warn(subject, message, remedy),
                            Happens::Yes => rule.fail(subject, message, remedy),
                            Happens::Perhaps(why) => {
                                rule.unknown(format!("{message}; {why}"), remedy.on_one_line());
                            }
                        }
                    }
                }
            }
        }
    }
    match (unusable, not_read) {
        (true, _) => Keys::Unusable,
        (false, Some(undecided)) => Keys::NotRead {
            why: undecided.message().to_owned(),
            advice: "set `images: {read_pull_secrets: true}` in the environment and grant `get` on the pull secrets"
                .to_owned(),
        },
        (false, None) => Keys::Known(Arc::new(keyring)),
    }
}
