//! What plugins ask of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::{Act, Identity, Permission};
use super::discovery::Discovery;
use super::error::{ClusterError, ClusterErrorKind};
use super::openapi::{INDEX as OPENAPI, Schemas};
use super::resource::{Listed, Read, ReadOf, Resource, View, view_name};
use super::session::{JSON, METADATA_LIST, METADATA_ONLY, Session, get, undeclared};
use super::trial::{Tried, Write};
use crate::net::Secret;

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerVersion {
    /// For example `v1.36.3`.
    pub git_version: String,
}

impl ServerVersion {
    /// The minor version: 36 of `v1.36.3-gke.1`.
    #[must_use]
    pub fn minor(&self) -> Option<u16> {
        let digits = self.git_version.strip_prefix("v1.")?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// What `/readyz?verbose` says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the API server calls itself ready.
    pub ready: bool,
    /// Names of the parts that are well.
    pub passed: Vec<String>,
    /// Names of the parts that are not.
    pub failed: Vec<String>,
}

/// As whom the API server knows one (SelfSubjectReview).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A Secret's type and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretContents {
    /// For example `kubernetes.io/dockerconfigjson`.
    pub kind: String,
    /// By key. What is not text is left out.
    pub data: BTreeMap<String, Secret>,
    /// All keys, of what is not text too.
    pub keys: BTreeSet<String>,
}

impl SecretContents {
    /// From an object: `data` in base64, and `stringData`, which counts before it.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let entries = |field: &str| object.get(field).and_then(Value::as_object).into_iter().flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let decoded = entries("data").filter_map(|(key, value)| {
            let bytes = STANDARD.decode(text(value)?).ok()?;
            Some((key.clone(), Secret::new(String::from_utf8(bytes).ok()?)))
        });
        let plain =
            entries("stringData").filter_map(|(key, value)| Some((key.clone(), Secret::new(text(value)?))));
        Self {
            kind: object.get("type").and_then(text).unwrap_or_else(|| "Opaque".to_owned()),
            data: decoded.chain(plain).collect(),
            keys: entries("data").chain(entries("stringData")).map(|(key, _)| key.clone()).collect(),
        }
    }
}

/// A credential in use and when it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// What it is: `client certificate`, `token`, …
    pub what: String,
    /// When it expires.
    pub expires: SystemTime,
}

/// The cluster, as far as one plugin declared that it reads it. Made by
/// [`Context::cluster`](crate::Context::cluster).
#[derive(Clone)]
pub struct Reader {
    session: Arc<Session>,
    reads: Arc<[Read]>,
    plugin: &'static str,
}

impl Reader {
    pub(crate) const fn new(session: Arc<Session>, reads: Arc<[Read]>, plugin: &'static str) -> Self {
        Self { session, reads, plugin }
    }

    /// URL of the API server, or words for it.
    #[must_use]
    pub fn server(&self) -> &str {
        self.session.server()
    }

    /// Whether the kubeconfig says not to verify the API server's certificate.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.session.unverified
    }

    /// When the credentials in use expire, where they say so.
    ///
    /// # Errors
    /// The credentials cannot be had.
    pub async fn credentials(&self) -> Result<Vec<Credential>, ClusterError> {
        let credentials = self.session.credentials().await?;
        Ok(credentials.iter().map(|c| Credential { what: c.what.to_string(), expires: c.expires }).collect())
    }

    /// Makes contact, if it has not been made yet, and tells the server's version.
    ///
    /// # Errors
    /// The cluster cannot be reached, does not accept the credentials, or is no Kubernetes.
    pub async fn version(&self) -> Result<ServerVersion, ClusterError> {
        Ok(self.session.version().await?.0)
    }

    /// The `Date` header of the first answer (RFC 9110), and this machine's time when it came.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn date(&self) -> Result<Option<(String, SystemTime)>, ClusterError> {
        Ok(self.session.version().await?.1)
    }

    /// What `/readyz?verbose` says.
    ///
    /// # Errors
    /// It cannot be asked, or may not be.
    pub async fn readiness(&self) -> Result<Readiness, ClusterError> {
        self.declared("/readyz", |read| matches!(read.of(), ReadOf::Path("/readyz")))?;
        let session = Arc::clone(&self.session);
        let ask = move || {
            async move {
                session.version().await?;
                let mut asked = get("/readyz", "*/*");
                asked.query.push(("verbose".to_owned(), String::new()));
                let reply = session.wire.ask_once(&asked).await.map_err(ClusterError::after_contact)?;
                let text = String::from_utf8_lossy(&reply.body);
                let readiness = parse_readiness(&text);
                let told = !readiness.passed.is_empty() || !readiness.failed.is_empty();
                match reply.code {
                    200 => Ok(Readiness { ready: true, ..readiness }),
                    500..=599 if told => Ok(readiness),
                    _ => Err(session.judge(&asked, reply).await.err().unwrap_or_else(|| {
                        ClusterError::new(ClusterErrorKind::Decode, "get /readyz", "no readiness is told")
                    })),
                }
            }
            .boxed()
        };
        self.session.readiness.join("/readyz".to_owned(), ask).await
    }

    /// As whom the API server knows one.
    ///
    /// # Errors
    /// The review cannot be made.
    pub async fn user(&self) -> Result<User, ClusterError> {
        self.declared("selfsubjectreviews", |read| *read.of() == ReadOf::AccessReviews)?;
        let session = Arc::clone(&self.session);
        let ask = move || {
            async move {
                let body = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
                let review = session.review("selfsubjectreviews", "authentication.k8s.io", body).await?;
                Ok(serde_json::from_value(review["status"]["userInfo"].clone()).unwrap_or_default())
            }
            .boxed()
        };
        self.session.users.join("user".to_owned(), ask).await
    }

    /// Whether one, or another identity, may do something.
    ///
    /// # Errors
    /// The review cannot be made.
    pub async fn may(&self, identity: Option<&Identity>, act: &Act) -> Result<Permission, ClusterError> {
        self.declared("access reviews", |read| *read.of() == ReadOf::AccessReviews)?;
        let (plural, body) = act.review(identity);
        let local = identity.and_then(|_| act.local_review(&body));
        let session = Arc::clone(&self.session);
        let key = body.to_string();
        let ask = move || {
            async move {
                let group = "authorization.k8s.io";
                let review = match (session.review(plural, group, body).await, local) {
                    (Err(refused), Some((plural, body)))
                        if matches!(refused.kind(), ClusterErrorKind::Forbidden) =>
                    {
                        // Who may not ask about the whole cluster may be allowed to ask about a namespace.
                        session.review(&plural, group, body).await.map_err(|_| refused)?
                    }
                    (review, _) => review?,
                };
                serde_json::from_value(review["status"].clone()).map_err(|_| {
                    ClusterError::new(ClusterErrorKind::Decode, plural, "the review has no status")
                })
            }
            .boxed()
        };
        self.session.permissions.join(key, ask).await
    }

    /// Tries a write, as another identity if one is given: the API server decides about it and keeps nothing.
    ///
    /// # Errors
    /// It cannot be tried, or the plugin did not declare that it tries writes. That it would be refused is no error.
    pub async fn try_out(&self, write: Write, identity: Option<&Identity>) -> Result<Tried, ClusterError> {
        self.declared("dry runs", |read| matches!(read.of(), ReadOf::Trials { .. }))?;
        self.session.try_out(write, identity).await
    }

    /// What the API server serves.
    ///
    /// # Errors
    /// Discovery cannot be read. A group whose back end is down is no error.
    pub async fn discovery(&self) -> Result<Arc<Discovery>, ClusterError> {
        self.session.discover().await
    }

    /// The schemas of a kind and of the others of its group version, as the API server tells them in `/openapi/v3`. A snapshot
    /// holds only those of the kind.
    ///
    /// # Errors
    /// They cannot be read, it tells none, or the plugin did not declare that it reads them.
    pub async fn schemas(&self, of: &Resource) -> Result<Arc<Schemas>, ClusterError> {
        self.declared(OPENAPI, |read| *read.of() == ReadOf::Schemas)?;
        self.session.schemas(of).await
    }

    /// Whether what is read is kept for a snapshot. Then it is worth reading what only a snapshot needs: nothing can be
    /// tried out on one.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.session.wire.recorder().is_some()
    }

    /// One object by name, or `None` if there is none. Of Secrets, only the metadata.
    ///
    /// # Errors
    /// It cannot be read, or the plugin did not declare that it reads it.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Value>>, ClusterError> {
        let path = format!("{}/{name}", resource.path(namespace));
        self.declared(&path, |read| read.allows_get(resource))?;
        self.session.object(path, if is_secrets(resource) { METADATA_ONLY } else { JSON }).await
    }

    /// A Secret with its contents, or `None` if there is none. Nothing of it is logged or recorded.
    ///
    /// # Errors
    /// It cannot be read, or the plugin did not declare that it reads contents of Secrets. A snapshot never holds
    /// them.
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<SecretContents>>, ClusterError> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        self.declared(&path, |read| matches!(read.of(), ReadOf::SecretContents { .. }))?;
        self.session.secret(path).await
    }

    /// The objects of a kind that have these labels, in a namespace or in all. Of Secrets, only the metadata.
    ///
    /// # Errors
    /// They cannot be listed, or the plugin did not declare that it reads them.
    pub async fn select(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let path = resource.path(namespace);
        self.declared(&path, |read| read.allows_select(resource))?;
        let accept = if is_secrets(resource) { METADATA_LIST } else { JSON };
        self.session.select(&path, accept, selector).await
    }

    /// One object by name through a view, or `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::get`]; also if the object does not fit the view.
    pub async fn get_as<V: View>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<V>, ClusterError> {
        let resource = V::resource();
        let Some(value) = self.get(&resource, namespace, name).await? else {
            return Ok(None);
        };
        view_of(&value, &format!("get {}/{name}", resource.path(namespace))).map(Some)
    }

    /// All objects of a kind.
    ///
    /// # Errors
    /// They cannot be listed to the last page, or the plugin did not declare that it lists them.
    pub async fn list<V: View>(&self) -> Result<Arc<Listed<V>>, ClusterError> {
        self.declared_list::<V>()?;
        self.session.list(None).await
    }

    /// The objects of a kind in one namespace.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_in<V: View>(&self, namespace: &str) -> Result<Arc<Listed<V>>, ClusterError> {
        self.declared_list::<V>()?;
        self.session.list(Some(namespace)).await
    }

    /// All objects of a kind, or those in these namespaces, where one may not look at all of them.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_within<V: View + Clone>(
        &self,
        namespaces: &BTreeSet<String>,
    ) -> Result<Arc<Listed<V>>, ClusterError> {
        let refused = match self.list::<V>().await {
            Err(error) if matches!(error.kind(), ClusterErrorKind::Forbidden) => error,
            all => return all,
        };
        let asking = namespaces.iter().map(|namespace| self.list_in::<V>(namespace));
        let mut all = Listed::new();
        for found in futures::future::join_all(asking).await {
            // Why one may not look at all of them says more than why not even here.
            let found = found.map_err(|_| refused.clone())?;
            for (namespace, name, item) in found.iter() {
                all.put(namespace, name, item.clone());
            }
        }
        Ok(Arc::new(all))
    }

    fn declared_list<V: View>(&self) -> Result<(), ClusterError> {
        if self.reads.iter().any(Read::allows_list::<V>) {
            return Ok(());
        }
        Err(undeclared::<V>(&V::resource().path(None)))
    }

    fn declared(&self, what: &str, allows: impl Fn(&Read) -> bool) -> Result<(), ClusterError> {
        if self.reads.iter().any(allows) {
            return Ok(());
        }
        let message = format!("the plugin {} did not declare this read", self.plugin);
        Err(ClusterError::new(ClusterErrorKind::Undeclared, what, message))
    }
}

fn is_secrets(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "secrets"
}

pub(crate) fn view_of<V: DeserializeOwned>(value: &Value, question: &str) -> Result<V, ClusterError> {
    V::deserialize(value).map_err(|_| {
        let message = format!("the object does not fit {}", view_name::<V>());
        ClusterError::new(ClusterErrorKind::Decode, question, message)
    })
}

/// Lines like `[+]etcd ok` and `[-]etcd failed: reason withheld`
/// (`staging/src/k8s.io/apiserver/pkg/server/healthz/healthz.go`, v1.36).
fn parse_readiness(text: &str) -> Readiness {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let name = |rest: &str| rest.split_whitespace().next().unwrap_or_default().to_owned();
        if let Some(rest) = line.strip_prefix("[+]") {
            passed.push(name(rest));
        } else if let Some(rest) = line.strip_prefix("[-]") {
            failed.push(name(rest));
        }
    }
    Readiness { ready: false, passed, failed }
}
