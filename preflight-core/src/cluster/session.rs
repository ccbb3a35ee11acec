//! A run's conversation with the cluster.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures::FutureExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::access::Permission;
use super::connect::{ConnectFailure, CredentialExpiry, FailureKind};
use super::discovery::{AggregatedList, Discovery, LegacyGroups, LegacyResources};
use super::error::{ClusterError, ClusterErrorKind};
use super::flight::Flights;
use super::openapi::{Schemas, Urls};
use super::reader::{Readiness, SecretContents, ServerVersion, User};
use super::resource::{Listed, Read, ReadOf, Resource, View, view_name};
use super::wire::{Line, Reply, Wire};
use super::{Cluster, Source};
use crate::snapshot::{Asked, Recorder};

pub(super) const JSON: &str = "application/json";
const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
pub(super) const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
pub(super) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Objects a page of a list.
const PAGE: usize = 500;
/// How often a list is begun anew after `410 Gone`.
const RESTARTS: usize = 3;

type Views = Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>;

/// Everything that is shared by a run's plugins.
pub(crate) struct Session {
    pub(super) wire: Wire,
    reads: Vec<Read>,
    /// Whether the API server's certificate is not verified.
    pub(super) unverified: bool,
    /// UID of the `kube-system` namespace of the cluster that the environment means.
    pinned_uid: Option<String>,
    /// Whether the answers may hold contents of Secrets; a snapshot's never do.
    holds_secrets: bool,
    objects: Flights<Option<Arc<Value>>>,
    secrets: Flights<Option<Arc<SecretContents>>>,
    lists: Flights<Views>,
    discovery: Flights<Arc<Discovery>>,
    pub(super) urls_of_schemas: Flights<Urls>,
    pub(super) schemas: Flights<Arc<Schemas>>,
    versions: Flights<(ServerVersion, Option<(String, SystemTime)>)>,
    pub(super) readiness: Flights<Readiness>,
    pub(super) users: Flights<User>,
    pub(super) permissions: Flights<Permission>,
}

impl Session {
    pub(crate) fn new(
        cluster: &Cluster,
        reads: Vec<Read>,
        deadline: Instant,
        recorder: Option<Recorder>,
        pinned_uid: Option<String>,
    ) -> Arc<Self> {
        let server = cluster.server().unwrap_or("the API server").to_owned();
        let dial = match cluster.source.clone() {
            Source::Access(access) => async move {
                let connection = access.connect(deadline).await?;
                Ok(Line { client: connection.client, credentials: connection.credentials })
            }
            .boxed(),
            Source::Snapshot(snapshot) => {
                async move { Ok(Line { client: snapshot.client(), credentials: Vec::new() }) }.boxed()
            }
            Source::Client(client) => async move { Ok(Line { client, credentials: Vec::new() }) }.boxed(),
        };
        Arc::new(Self {
            wire: Wire::new(dial, server, deadline, recorder),
            reads,
            unverified: cluster.is_unverified(),
            pinned_uid,
            holds_secrets: !matches!(cluster.source, Source::Snapshot(_)),
            objects: Flights::default(),
            secrets: Flights::default(),
            lists: Flights::default(),
            discovery: Flights::default(),
            urls_of_schemas: Flights::default(),
            schemas: Flights::default(),
            versions: Flights::default(),
            readiness: Flights::default(),
            users: Flights::default(),
            permissions: Flights::default(),
        })
    }

    /// The first contact. Nothing counts that was answered to anything else before it has been made.
    pub(super) async fn version(
        self: &Arc<Self>,
    ) -> Result<(ServerVersion, Option<(String, SystemTime)>), ClusterError> {
        let session = Arc::clone(self);
        let ask = move || {
            async move {
                let asked = get("/version", JSON);
                let reply = session.wire.ask(&asked).await.map_err(unanswered)?;
                let now = SystemTime::now();
                let reply = session.judge(&asked, reply).await?;
                let version = serde_json::from_slice(&reply.body).map_err(|_| {
                    let message = format!(
                        "Cannot connect to a Kubernetes API server at {}: what answers is something else",
                        session.server()
                    );
                    ClusterError::new(ClusterErrorKind::NotKubernetes, "get /version", message)
                })?;
                session.confirm_pinned().await?;
                Ok((version, reply.date.map(|date| (date, now))))
            }
            .boxed()
        };
        self.versions.join("/version".to_owned(), ask).await
    }

    /// That this is the cluster that the environment means, where it names one.
    async fn confirm_pinned(&self) -> Result<(), ClusterError> {
        let Some(pinned) = &self.pinned_uid else {
            return Ok(());
        };
        let asked = get("/api/v1/namespaces/kube-system", JSON);
        let reply = self.wire.ask(&asked).await?;
        let reply = self.judge(&asked, reply).await?;
        let namespace: Value = decode(&asked, &reply)?;
        let uid = namespace.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("none");
        if uid == pinned {
            return Ok(());
        }
        let message = format!(
            "{} is another cluster than the one that the environment means: its UID is {uid}, not {pinned}",
            self.server()
        );
        Err(ClusterError::new(ClusterErrorKind::WrongCluster, "get kube-system", message))
    }

    pub(crate) fn server(&self) -> &str {
        self.wire.server()
    }

    pub(super) async fn credentials(&self) -> Result<Vec<CredentialExpiry>, ClusterError> {
        Ok(self.wire.line().await?.credentials)
    }

    /// Asks, and turns every status but success into an error. Before the first contact is made it is asked beside it;
    /// if that contact fails, its failure is the cause, whatever came of the question.
    pub(super) async fn ask(self: &Arc<Self>, asked: &Asked) -> Result<Reply, ClusterError> {
        let (contact, reply) = tokio::join!(self.version(), self.wire.ask(asked));
        contact?;
        let reply = reply.map_err(ClusterError::after_contact)?;
        self.judge(asked, reply).await
    }

    pub(super) async fn judge(&self, asked: &Asked, reply: Reply) -> Result<Reply, ClusterError> {
        if (200..300).contains(&reply.code) {
            return Ok(reply);
        }
        let question = format!("{} {}", asked.method.to_lowercase(), asked.path);
        let status: Option<StatusObject> = serde_json::from_slice(&reply.body).ok();
        let is_status = status.as_ref().is_some_and(|status| status.kind == "Status");
        let message = status.map(|status| status.message).filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| format!("HTTP {}", reply.code));
        let kind = match reply.code {
            401 => {
                let now = SystemTime::now();
                let credentials = self.credentials().await.unwrap_or_default();
                let expired = credentials.iter().any(|credential| credential.expires < now);
                let message = format!("{} does not accept the credentials: {message}", self.server());
                return Err(ClusterError::new(ClusterErrorKind::Unauthorized { expired }, question, message));
            }
            403 if message.contains("admission control is denying all") => {
                ClusterErrorKind::AdmissionDeniesAll
            }
            403 => ClusterErrorKind::Forbidden,
            404 if is_status || asked.path != "/version" => ClusterErrorKind::NotFound,
            410 => ClusterErrorKind::Status(410),
            429 | 500..=599 if asked.path != "/version" || is_status => ClusterErrorKind::Status(reply.code),
            429 | 502..=504 => ClusterErrorKind::Status(reply.code),
            _ if asked.path == "/version" && !is_status => {
                let message = format!(
                    "Cannot connect to a Kubernetes API server at {}: what answers there says HTTP {}",
                    self.server(),
                    reply.code
                );
                return Err(ClusterError::new(ClusterErrorKind::NotKubernetes, question, message));
            }
            code => ClusterErrorKind::Status(code),
        };
        Err(ClusterError::new(kind, question, message))
    }

    pub(super) async fn object(
        self: &Arc<Self>,
        path: String,
        accept: &'static str,
    ) -> Result<Option<Arc<Value>>, ClusterError> {
        let session = Arc::clone(self);
        let asked = get(&path, accept);
        let ask = move || async move { Ok(session.found(&asked).await?.map(Arc::new)) }.boxed();
        self.objects.join(path, ask).await
    }

    /// An object, or that there is none.
    async fn found(self: &Arc<Self>, asked: &Asked) -> Result<Option<Value>, ClusterError> {
        match self.ask(asked).await {
            Ok(reply) => decode(asked, &reply).map(Some),
            Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A Secret with its contents.
    pub(super) async fn secret(
        self: &Arc<Self>,
        path: String,
    ) -> Result<Option<Arc<SecretContents>>, ClusterError> {
        if !self.holds_secrets {
            let message = "a snapshot holds no contents of Secrets";
            return Err(ClusterError::new(ClusterErrorKind::NotRecorded, format!("get {path}"), message));
        }
        let session = Arc::clone(self);
        let asked = get(&path, JSON);
        let ask = move || {
            let contents = |object: Value| Arc::new(SecretContents::of(&object));
            async move { Ok(session.found(&asked).await?.map(contents)) }.boxed()
        };
        self.secrets.join(path, ask).await
    }

    pub(super) async fn list<V: View>(
        self: &Arc<Self>,
        namespace: Option<&str>,
    ) -> Result<Arc<Listed<V>>, ClusterError> {
        let path = V::resource().path(namespace);
        let session = Arc::clone(self);
        let asked_path = path.clone();
        let ask = move || async move { session.read_list(&V::resource(), &asked_path).await }.boxed();
        let views = self.lists.join(path.clone(), ask).await?;
        let view = views.get(&TypeId::of::<V>()).cloned();
        view.and_then(|view| view.downcast().ok()).ok_or_else(|| undeclared::<V>(&path))
    }

    /// Reads a whole list, page by page, into every view that any plugin declared of it. A list that changes
    /// under the reading (410) is begun anew, never merged.
    async fn read_list(self: &Arc<Self>, resource: &Resource, path: &str) -> Result<Views, ClusterError> {
        let mut restarts = 0;
        'anew: loop {
            let declared = self.reads.iter().filter(|read| {
                matches!(read.of(), ReadOf::Resource(of) if of.group == resource.group && of.plural == resource.plural)
            });
            let mut sinks: HashMap<_, _> =
                declared.filter_map(Read::view).map(|(id, new)| (id, new())).collect();
            let mut cont = String::new();
            loop {
                let asked = page_of(path, JSON, &cont);
                let reply = match self.ask(&asked).await {
                    Err(error)
                        if matches!(error.kind(), ClusterErrorKind::Status(410)) && restarts < RESTARTS =>
                    {
                        restarts += 1;
                        continue 'anew;
                    }
                    reply => reply?,
                };
                let page: Page<'_> = decode(&asked, &reply)?;
                for item in page.items {
                    for sink in sinks.values_mut() {
                        sink.take(item).map_err(|error| undecodable(&asked, &error))?;
                    }
                }
                cont = page.metadata.cont.unwrap_or_default();
                if cont.is_empty() {
                    return Ok(Arc::new(sinks.into_iter().map(|(id, sink)| (id, sink.finish())).collect()));
                }
            }
        }
    }

    /// The objects of a list that have these labels.
    pub(super) async fn select(
        self: &Arc<Self>,
        path: &str,
        accept: &str,
        selector: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let (mut all, mut cont) = (Vec::new(), String::new());
        loop {
            let mut asked = page_of(path, accept, &cont);
            asked.query.push(("labelSelector".to_owned(), selector.to_owned()));
            let reply = self.ask(&asked).await?;
            let page: Page<'_> = decode(&asked, &reply)?;
            for item in page.items {
                all.push(serde_json::from_str(item.get()).map_err(|error| undecodable(&asked, &error))?);
            }
            cont = page.metadata.cont.unwrap_or_default();
            if cont.is_empty() {
                return Ok(all);
            }
        }
    }

    pub(super) async fn discover(self: &Arc<Self>) -> Result<Arc<Discovery>, ClusterError> {
        let session = Arc::clone(self);
        let ask = move || {
            async move {
                let (core, groups) =
                    tokio::join!(session.discover_root("/api"), session.discover_root("/apis"));
                let mut discovery = Discovery::default();
                for root in [core?, groups?] {
                    match root {
                        Root::Aggregated(list) => discovery.add_aggregated(list),
                        Root::Legacy(versions) => session.discover_each(versions, &mut discovery).await?,
                    }
                }
                Ok(Arc::new(discovery))
            }
            .boxed()
        };
        self.discovery.join("discovery".to_owned(), ask).await
    }

    async fn discover_root(self: &Arc<Self>, path: &str) -> Result<Root, ClusterError> {
        let asked = get(path, AGGREGATED);
        let reply = self.ask(&asked).await?;
        let kind: Kind = decode(&asked, &reply)?;
        if kind.kind == "APIGroupDiscoveryList" {
            return decode(&asked, &reply).map(Root::Aggregated);
        }
        if path == "/api" {
            return Ok(Root::Legacy(vec![(String::new(), "v1".to_owned())]));
        }
        let groups: LegacyGroups = decode(&asked, &reply)?;
        let versions = groups.groups.into_iter().flat_map(|group| {
            group.versions.into_iter().map(move |version| (group.name.clone(), version.version))
        });
        Ok(Root::Legacy(versions.collect()))
    }

    async fn discover_each(
        self: &Arc<Self>,
        versions: Vec<(String, String)>,
        discovery: &mut Discovery,
    ) -> Result<(), ClusterError> {
        let asking = versions.iter().map(|(group, version)| async move {
            let path =
                if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            let asked = get(&path, JSON);
            let reply = self.ask(&asked).await?;
            decode::<LegacyResources>(&asked, &reply)
        });
        let answers = futures::future::join_all(asking).await;
        for ((group, version), answer) in versions.iter().zip(answers) {
            match answer {
                Ok(list) => discovery.add_resources(group, version, list),
                Err(error) if error.cause().is_some() => return Err(error),
                Err(_) => discovery.add_unavailable(group, version),
            }
        }
        Ok(())
    }

    pub(super) async fn review(
        self: &Arc<Self>,
        plural: &str,
        group: &str,
        body: Value,
    ) -> Result<Value, ClusterError> {
        let asked = Asked {
            method: "POST".to_owned(),
            path: format!("/apis/{group}/v1/{plural}"),
            query: Vec::new(),
            accept: JSON.to_owned(),
            body: Some(body),
        };
        let reply = self.ask(&asked).await?;
        decode(&asked, &reply)
    }
}

fn page_of(path: &str, accept: &str, cont: &str) -> Asked {
    let mut asked = get(path, accept);
    asked.query.push(("limit".to_owned(), PAGE.to_string()));
    if !cont.is_empty() {
        asked.query.push(("continue".to_owned(), cont.to_owned()));
    }
    asked
}

enum Root {
    Aggregated(AggregatedList),
    Legacy(Vec<(String, String)>),
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct StatusObject {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    /// An empty list may be written as null; a list without `items` is none.
    #[serde(borrow, deserialize_with = "null_is_empty")]
    items: Vec<&'a RawValue>,
}

fn null_is_empty<'de: 'a, 'a, D>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize, Default)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    cont: Option<String>,
}

/// A server that does not answer the first question cannot be reached.
fn unanswered(error: ClusterError) -> ClusterError {
    if !matches!(error.kind(), ClusterErrorKind::Timeout) {
        return error;
    }
    let message = format!("Cannot connect: {error}");
    let failure = ConnectFailure { kind: FailureKind::Timeout, message: message.clone(), transient: true };
    ClusterError::new(ClusterErrorKind::Connect(failure), "", message)
}

pub(super) fn get(path: &str, accept: &str) -> Asked {
    Asked::get(path, accept)
}

pub(super) fn decode<'a, T: Deserialize<'a>>(asked: &Asked, reply: &'a Reply) -> Result<T, ClusterError> {
    serde_json::from_slice(&reply.body).map_err(|error| undecodable(asked, &error))
}

/// The message holds serde's own words, which name types and places, never contents.
fn undecodable(asked: &Asked, error: &serde_json::Error) -> ClusterError {
    let question = format!("{} {}", asked.method.to_lowercase(), asked.path);
    let place = format!("line {} column {}", error.line(), error.column());
    let why = match error.classify() {
        serde_json::error::Category::Eof => format!("the answer was cut short ({place})"),
        _ => format!("the answer cannot be read ({place})"),
    };
    ClusterError::new(ClusterErrorKind::Decode, question, why)
}

pub(super) fn undeclared<V>(path: &str) -> ClusterError {
    let message = format!("the plugin did not declare that it lists {}", view_name::<V>());
    ClusterError::new(ClusterErrorKind::Undeclared, format!("list {path}"), message)
}
