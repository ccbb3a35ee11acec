//! Scenarios: folders that say what a cluster is like, what is released, and what must come of it.

mod files;
mod state;
mod tenants;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::apply::{Apply, apply, prune};
use crate::control_plane::ControlPlane;
use crate::credentials::User;
use crate::images::{Images, PRIVATE};
use crate::landing::{Landing, settle};
use crate::table::Row;
use crate::waiting::poll;
use crate::webhooks::ANNOTATION;

use files::files;
pub use files::{as_sent, documents, folder_documents};
pub use state::make_cluster;
use state::make_cluster_with;

/// How long a release may take to land.
const PATIENCE: Duration = Duration::from_secs(120);
/// An object with this annotation is deleted once the state is made.
const DELETE: &str = "harness/delete";

/// What must come of a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `go`, `no-go` or `unknown`.
    pub verdict: String,
    /// Rules that must have findings.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Rules that must be told unknown.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// Whether no other rules may be told unknown.
    #[serde(default)]
    pub no_other_unknown: bool,
    /// Whether it lands, where that differs from what the verdict says.
    #[serde(default)]
    pub landed: Option<bool>,
    /// What the scenario shows.
    pub note: String,
    /// Who asks.
    #[serde(default)]
    pub identity: Who,
    /// The namespace that is asked for with `-n`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What the API server is like.
    #[serde(default)]
    pub api_server: ApiServer,
    /// How the release is applied.
    #[serde(default)]
    pub apply: Apply,
}

/// Who asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// May do everything.
    #[default]
    Admin,
    /// May do nothing.
    Nobody,
    /// May do what the scenario grants.
    Deployer,
    /// May do everything in the namespaces of the release, and nothing elsewhere.
    Tenant,
    /// May read everything in the namespaces of the release, and do nothing else.
    TenantReader,
    /// Has a token whose time is over.
    ExpiredToken,
    /// Is the deployer, with a certificate whose time is over.
    ExpiredCertificate,
    /// Is the deployer, with a certificate that holds for ten more minutes.
    ExpiringCertificate,
}

impl Who {
    /// The user.
    #[must_use]
    pub const fn user(self) -> User {
        match self {
            Self::Admin => User::Admin,
            Self::Nobody => User::Nobody,
            Self::Deployer => User::Deployer,
            Self::Tenant => User::Tenant,
            Self::TenantReader => User::TenantReader,
            Self::ExpiredToken => User::ExpiredToken,
            Self::ExpiredCertificate => User::Certificate { seconds: -600 },
            Self::ExpiringCertificate => User::Certificate { seconds: 600 },
        }
    }
}

/// What the API server is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiServer {
    /// As usual.
    #[default]
    Normal,
    /// With the admission plugin `AlwaysDeny`.
    AlwaysDeny,
    /// Killed after the state was made.
    Stopped,
}

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What must come of it.
    pub expect: Expect,
    /// The folder, where it is a copy.
    copy: Option<Arc<tempfile::TempDir>>,
    /// Whether it has webhooks that this process has to serve. Known once it is filled.
    has_webhooks: bool,
}

/// What Preflight said.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// `go`, `no-go` or `unknown`.
    pub decision: String,
    /// The verdict's first line.
    pub headline: String,
    /// Rules with findings.
    pub findings: Vec<String>,
    /// Rules that are unknown.
    pub unknown: Vec<String>,
    /// Whether a finding says that the release will not land.
    pub wont_land: bool,
}

impl Scenario {
    /// Reads every scenario of a folder.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn load_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let folder = entry?.path();
            if folder.join("expect.yaml").is_file() {
                all.push(Self::load(&folder)?);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// It has no `expect.yaml`, or one that does not fit.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("expect.yaml"))?;
        let expect =
            serde_saphyr::from_str(&text).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        Ok(Self { name, folder: folder.to_owned(), expect, copy: None, has_webhooks: false })
    }

    /// The scenario with what its placeholders stand for (`Webhooks::fill` says which), and with the real address of
    /// the registry that wants a password. One that has any is copied, each file with its name and its lines.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn filled(&self, plane: &ControlPlane) -> io::Result<Self> {
        let private = plane.images().map_or(PRIVATE, Images::private_host);
        let mut changed = false;
        let mut filled = Vec::new();
        let mut scenario = self.clone();
        for (path, text) in files(&self.folder)? {
            let with_webhooks = plane.webhooks().fill(&text);
            scenario.has_webhooks |= with_webhooks != text || text.contains(ANNOTATION);
            let whole = with_webhooks.replace(PRIVATE, private);
            changed |= whole != text;
            filled.push((path, whole));
        }
        if !changed {
            return Ok(scenario);
        }
        let copy = tempfile::Builder::new().prefix("preflight-scenario").tempdir()?;
        for (path, text) in filled {
            let path = copy.path().join(path.strip_prefix(&self.folder).unwrap_or(&path));
            std::fs::create_dir_all(path.parent().unwrap_or(copy.path()))?;
            std::fs::write(path, text)?;
        }
        scenario.folder = copy.path().to_owned();
        scenario.copy = Some(Arc::new(copy));
        Ok(scenario)
    }

    /// The manifests: `manifests.yaml`, or the folder `manifests`.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        let file = self.folder.join("manifests.yaml");
        if file.is_file() { file } else { self.folder.join("manifests") }
    }

    /// The environment's entry as JSON.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn environment(&self) -> io::Result<Value> {
        let path = self.folder.join("environment.yaml");
        let mut environment =
            if path.is_file() { documents(&path)?.pop().unwrap_or(json!({})) } else { json!({}) };
        let method = match self.expect.apply {
            Apply::Server => "server",
            Apply::Create => "create",
            Apply::Client => return Ok(environment),
        };
        environment["apply"] = method.into();
        Ok(environment)
    }

    /// The environment's entry as JSON, with what nodes know of the registries.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn environment_on(&self, plane: &ControlPlane) -> io::Result<Value> {
        let mut environment = self.environment()?;
        if let Some(images) = plane.images() {
            let conf = images.registries_conf(&self.objects()?)?;
            if environment["images"].is_null() {
                environment["images"] = json!({});
            }
            environment["images"]["registries_conf"] = conf.display().to_string().into();
            environment["images"]["no_own_credentials"] = true.into();
            if environment["registries"].is_null() {
                environment["registries"] = json!({});
            }
            environment["registries"][images.private_host()]["plain_http"] = true.into();
        }
        Ok(environment)
    }

    /// Every object that the scenario speaks of.
    fn objects(&self) -> io::Result<Vec<Value>> {
        let mut all = Vec::new();
        for file in ["cluster.yaml", "live.yaml", "manifests.yaml"] {
            let path = self.folder.join(file);
            if path.is_file() {
                all.extend(documents(&path)?);
            }
        }
        let folder = self.folder.join("manifests");
        if folder.is_dir() {
            all.extend(folder_documents(&folder)?);
        }
        Ok(all)
    }

    /// Makes the cluster's state, and applies what is there before. Its webhooks are served from then on.
    ///
    /// # Errors
    /// Something of it is refused.
    pub async fn make_state(&self, plane: &ControlPlane) -> io::Result<()> {
        let api = plane.api();
        plane.webhooks().stop();
        if let Some(images) = plane.images() {
            images.publish(&self.folder, &self.objects()?)?;
        }
        self.await_namespaces(api).await?;
        let cluster = self.folder.join("cluster.yaml");
        let objects = if cluster.is_file() { documents(&cluster)? } else { Vec::new() };
        let webhooks = if self.has_webhooks { Some(plane.webhooks()) } else { None };
        make_cluster_with(api, &objects, webhooks).await?;
        if matches!(self.expect.identity, Who::Tenant | Who::TenantReader) {
            tenants::admit(plane, &self.namespaces()?).await?;
        }
        let live = self.folder.join("live.yaml");
        if live.is_file() {
            let applied =
                apply(api, &documents(&live)?, self.expect.apply, self.expect.namespace.as_deref()).await;
            let landing = settle(api, &applied, PATIENCE).await;
            if !landing.landed {
                return Err(io::Error::other(format!("live.yaml does not land: {}", landing.why.join(", "))));
            }
        }
        if let Some(images) = plane.images() {
            images.move_tags(&self.folder)?;
        }
        Ok(())
    }

    /// The namespaces that the release's objects name.
    fn namespaces(&self) -> io::Result<BTreeSet<String>> {
        let path = self.manifests();
        let objects = if path.is_dir() { folder_documents(&path)? } else { documents(&path)? };
        let named = objects.iter().filter_map(|object| object["metadata"]["namespace"].as_str());
        Ok(named.map(str::to_owned).collect())
    }

    /// Waits until the namespaces that the scenario speaks of are gone, which an earlier one may have made.
    async fn await_namespaces(&self, api: &Api) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for file in ["cluster.yaml", "live.yaml", "manifests.yaml"] {
            let path = self.folder.join(file);
            for object in if path.is_file() { documents(&path)? } else { Vec::new() } {
                let key = if object["kind"] == "Namespace" { "name" } else { "namespace" };
                names.extend(object["metadata"][key].as_str().map(str::to_owned));
            }
        }
        names.remove("default");
        for name in names {
            let path = format!("/api/v1/namespaces/{name}");
            poll(PATIENCE, async || api.get(&path).await.err()).await;
        }
        Ok(())
    }

    /// Applies the release for real, as whom it is to be applied, and watches what becomes of it.
    ///
    /// # Errors
    /// The manifests cannot be read, or the identity cannot be had.
    pub async fn land(&self, plane: &ControlPlane) -> io::Result<Landing> {
        let path = self.manifests();
        let mut objects = if path.is_dir() { folder_documents(&path)? } else { documents(&path)? };
        let deployer = self.environment()?["deployer"].clone();
        let user = deployer.as_str().or_else(|| deployer["user"].as_str()).map(str::to_owned);
        let groups =
            deployer["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let who = if user.is_some() { User::Admin } else { self.expect.identity.user() };
        let kubeconfig = plane.kubeconfig(&who, "harness")?;
        let api = Api::acting_as(&kubeconfig, user.as_deref(), &groups.collect::<Vec<_>>()).await?;
        let environment = self.environment()?;
        // Helm and Argo CD put namespaces and definitions first.
        if matches!(environment["apply"].as_str(), Some("helm" | "argocd")) {
            let rank = |object: &Value| match object["kind"].as_str() {
                Some("Namespace") => 0,
                Some("CustomResourceDefinition") => 1,
                _ => 2,
            };
            objects.sort_by_key(rank);
        }
        // What the environment expects of others is made by them.
        for expected in environment["expects"].as_array().into_iter().flatten() {
            let mut object =
                json!({"apiVersion": "v1", "kind": expected["kind"], "metadata": {"name": expected["name"]}});
            if let Some(namespace) = expected["namespace"].as_str() {
                object["metadata"]["namespace"] = namespace.into();
            }
            plane.api().create(&object).await.map_err(|error| io::Error::other(error.to_string()))?;
        }
        let mut applied = apply(&api, &objects, self.expect.apply, self.expect.namespace.as_deref()).await;
        if let Some(selector) = environment["apply"]["prune"].as_str() {
            let refused = prune(&api, &applied, selector).await;
            applied.extend(refused);
        }
        // The deployer may not look at everything that it makes.
        Ok(settle(plane.api(), &applied, PATIENCE).await)
    }

    /// Compares what was expected, what Preflight said and what happened.
    #[must_use]
    pub fn judge(&self, said: &Verdict, landing: Option<&Landing>) -> Row {
        let mut wrong = Vec::new();
        let expect = &self.expect;
        if said.decision != expect.verdict {
            let unknown = said.unknown.join(", ");
            wrong.push(format!("{} expected: {} (unknown: {unknown})", expect.verdict, said.headline));
        }
        let lacks = |wanted: &[String], found: &[String]| {
            wanted.iter().filter(|rule| !found.contains(rule)).cloned().collect::<Vec<_>>()
        };
        wrong.extend(
            lacks(&expect.rules, &said.findings).into_iter().map(|rule| format!("no finding of {rule}")),
        );
        wrong.extend(
            lacks(&expect.unknown, &said.unknown).into_iter().map(|rule| format!("{rule} is not unknown")),
        );
        if expect.no_other_unknown {
            let more = lacks(&said.unknown, &expect.unknown).into_iter();
            wrong.extend(more.map(|rule| format!("{rule} is unknown, too")));
        }
        let landed = landing.map(|landing| landing.landed);
        let (mut false_go, mut false_no_go) = (false, false);
        if let Some(landing) = landing {
            let expected = expect.landed.unwrap_or(expect.verdict == "go");
            if expect.verdict != "unknown" && landing.landed != expected {
                wrong.push(format!("landed: {} ({})", landing.landed, landing.why.join(", ")));
            }
            false_go = said.decision == "go" && !landing.landed && expect.landed != Some(false);
            false_no_go =
                said.decision == "no-go" && said.wont_land && landing.landed && expect.landed != Some(true);
        }
        Row {
            scenario: self.name.clone(),
            expected: expect.verdict.clone(),
            verdict: said.decision.clone(),
            landed,
            wrong,
            false_go,
            false_no_go,
        }
    }
}
