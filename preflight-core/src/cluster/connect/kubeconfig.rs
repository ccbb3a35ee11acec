//! Kubeconfig files: found, read, merged, and one context chosen.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use serde::Deserialize;

use super::error::{AccessError, quoted_list};
use crate::net::Secret;

/// Names that are further than this from what was typed are not suggested (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// What of this process's surroundings decides which cluster is meant.
pub(super) struct Surroundings {
    pub(super) variables: BTreeMap<String, OsString>,
    pub(super) home: Option<PathBuf>,
    pub(super) service_account: PathBuf,
}

impl Surroundings {
    pub(super) fn of_this_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        Self {
            variables,
            home: std::env::home_dir(),
            // Where the kubelet mounts it (ServiceAccount admission plugin).
            service_account: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
        }
    }

    /// The first of the variables that is set and not empty.
    pub(super) fn variable(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variables.get(*name)?.to_str().filter(|value| !value.is_empty()))
    }
}

/// One or more kubeconfig files, merged: of two entries with one name the first counts.
#[derive(Default)]
pub(super) struct Kubeconfig {
    clusters: Vec<(String, ClusterEntry)>,
    contexts: Vec<(String, ContextEntry)>,
    users: Vec<(String, UserEntry)>,
    current: Option<String>,
    origin: String,
}

/// A context with what it names.
pub(super) struct Selected {
    pub(super) context: String,
    pub(super) namespace: Option<String>,
    pub(super) cluster_name: String,
    pub(super) cluster: ClusterEntry,
    pub(super) user_name: String,
    pub(super) user: UserEntry,
}

impl Kubeconfig {
    /// The file that was asked for, else those in `$KUBECONFIG`, else `~/.kube/config`. `None` where the last
    /// does not exist, or nothing is in it.
    pub(super) fn find(
        flag: Option<&Path>,
        surroundings: &Surroundings,
    ) -> Result<Option<Self>, AccessError> {
        if let Some(path) = flag {
            let mut merged = Self::default();
            merged.add(path, "the kubeconfig")?;
            merged.origin = path.display().to_string();
            return Ok(Some(merged));
        }
        let listed: Vec<PathBuf> = surroundings
            .variables
            .get("KUBECONFIG")
            .map(|list| std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect())
            .unwrap_or_default();
        if !listed.is_empty() {
            return Self::from_list(&listed).map(Some);
        }
        let Some(path) = surroundings.home.as_ref().map(|home| home.join(".kube").join("config")) else {
            return Ok(None);
        };
        if !is_there(&path)? {
            return Ok(None);
        }
        let mut merged = Self { origin: path.display().to_string(), ..Self::default() };
        merged.add(&path, "the kubeconfig")?;
        Ok((!merged.is_empty()).then_some(merged))
    }

    /// As kubectl does, files that do not exist are passed over; if none exists, that is an error.
    fn from_list(listed: &[PathBuf]) -> Result<Self, AccessError> {
        let names = listed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let mut merged = Self { origin: names.clone(), ..Self::default() };
        let mut read = 0;
        for path in listed {
            if is_there(path)? {
                merged.add(path, "the kubeconfig (named by $KUBECONFIG)")?;
                read += 1;
            } else {
                tracing::warn!(path = %path.display(), "a file in $KUBECONFIG does not exist");
            }
        }
        if read == 0 {
            return Err(AccessError::new(format!(
                "Cannot read the kubeconfig {names}: there is no such file"
            ))
            .with_help("The path comes from the environment variable KUBECONFIG: correct or unset it"));
        }
        Ok(merged)
    }

    fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.contexts.is_empty() && self.current.is_none()
    }

    fn add(&mut self, path: &Path, what: &str) -> Result<(), AccessError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            AccessError::unreadable(what, path, &error).with_help("Name another file with --kubeconfig")
        })?;
        let directory = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let directory = directory.unwrap_or_default();
        let documents: Vec<Option<Document>> =
            serde_saphyr::from_multiple(&text).map_err(|error| malformed(path, &error))?;
        for document in documents.into_iter().flatten() {
            self.merge(document, &directory);
        }
        Ok(())
    }

    fn merge(&mut self, document: Document, directory: &Path) {
        if self.current.is_none() {
            self.current = given(document.current_context);
        }
        for NamedContext { name, context } in document.contexts.unwrap_or_default() {
            add_new(&mut self.contexts, name, context.unwrap_or_default());
        }
        for NamedCluster { name, cluster } in document.clusters.unwrap_or_default() {
            let mut cluster = cluster.unwrap_or_default();
            resolve_path(&mut cluster.certificate_authority, directory);
            add_new(&mut self.clusters, name, cluster);
        }
        for NamedUser { name, user } in document.users.unwrap_or_default() {
            let mut user = user.unwrap_or_default();
            for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
                resolve_path(path, directory);
            }
            if let Some(exec) = &mut user.exec
                && exec.command.contains(MAIN_SEPARATOR)
            {
                exec.command = directory.join(&exec.command).display().to_string();
            }
            add_new(&mut self.users, name, user);
        }
    }

    /// The context asked for, or the current one, with its cluster and user.
    pub(super) fn select(self, asked: Option<&str>) -> Result<Selected, AccessError> {
        let Some(name) = asked.or(self.current.as_deref()).map(str::to_owned) else {
            return Err(AccessError::new(format!("The kubeconfig {} has no current context", self.origin))
                .with_help(format!("Name one with --context; {}", self.contexts_there_are())));
        };
        let Some((_, context)) = self.contexts.iter().find(|(known, _)| *known == name) else {
            return Err(self.unknown_context(&name, asked.is_some()));
        };
        let cluster_name = given(context.cluster.clone()).ok_or_else(|| {
            AccessError::new(format!("Context {name:?} in {} names no cluster", self.origin))
        })?;
        let Some((_, cluster)) = self.clusters.iter().find(|(known, _)| *known == cluster_name) else {
            let there = self.clusters.iter().map(|(name, _)| name.as_str());
            return Err(unknown_reference(&self.origin, &name, "cluster", &cluster_name, there));
        };
        let user_name = given(context.user.clone()).unwrap_or_default();
        let user = match self.users.iter().find(|(known, _)| *known == user_name) {
            Some((_, user)) => user.clone(),
            None if user_name.is_empty() => UserEntry::default(),
            None => {
                let there = self.users.iter().map(|(name, _)| name.as_str());
                return Err(unknown_reference(&self.origin, &name, "user", &user_name, there));
            }
        };
        Ok(Selected {
            namespace: given(context.namespace.clone()),
            cluster: cluster.clone(),
            context: name,
            cluster_name,
            user_name,
            user,
        })
    }

    fn unknown_context(&self, name: &str, asked: bool) -> AccessError {
        let message = match asked {
            true => format!("There is no context {name:?} in {}", self.origin),
            false => format!("The current context {name:?} does not exist in {}", self.origin),
        };
        let similar = self
            .contexts
            .iter()
            .map(|(known, _)| (strsim::jaro_winkler(known, name), known))
            .filter(|(score, _)| *score >= SIMILAR)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let help = match similar {
            Some((_, known)) => format!("Did you mean {known:?}? {}", self.contexts_there_are()),
            None => self.contexts_there_are(),
        };
        AccessError::new(message).with_help(help)
    }

    fn contexts_there_are(&self) -> String {
        match self.contexts.is_empty() {
            true => "There are no contexts".to_owned(),
            false => {
                format!("There are: {}", quoted_list(self.contexts.iter().map(|(name, _)| name.as_str())))
            }
        }
    }
}

/// A value that is there and not empty; kubectl treats the two alike.
pub(super) fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// A file that cannot be looked for is not one that is missing.
fn is_there(path: &Path) -> Result<bool, AccessError> {
    path.try_exists().map_err(|error| AccessError::unreadable("the kubeconfig", path, &error))
}

fn add_new<T>(entries: &mut Vec<(String, T)>, name: String, entry: T) {
    if entries.iter().all(|(known, _)| *known != name) {
        entries.push((name, entry));
    }
}

fn resolve_path(path: &mut Option<PathBuf>, directory: &Path) {
    *path = path.take().filter(|path| !path.as_os_str().is_empty()).map(|path| directory.join(path));
}

fn unknown_reference<'a>(
    origin: &str,
    context: &str,
    what: &str,
    name: &str,
    there: impl Iterator<Item = &'a str>,
) -> AccessError {
    let there = quoted_list(there);
    let help = if there.is_empty() { format!("There are no {what}s") } else { format!("There are: {there}") };
    AccessError::new(format!("Context {context:?} names the {what} {name:?}, which is not in {origin}"))
        .with_help(help)
}

/// The parser's own words may quote the value, which may be a secret: only harmless ones are kept.
fn malformed(path: &Path, error: &serde_saphyr::Error) -> AccessError {
    let place = error
        .location()
        .map(|at| format!(" (line {}, column {})", at.line(), at.column()))
        .unwrap_or_default();
    let words = error.without_snippet().to_string();
    let why = if let Some((_, expected)) = words.split_once(", expected ") {
        let expected = expected.lines().next().unwrap_or_default();
        format!("expected {}", expected.split(" at line ").next().unwrap_or_default())
    } else if words.contains("missing field") {
        words.split(" at line ").next().unwrap_or_default().to_owned()
    } else {
        "malformed YAML".to_owned()
    };
    AccessError::new(format!("Cannot read the kubeconfig {}{place}: {why}", path.display()))
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "current-context")]
    current_context: Option<String>,
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<ClusterEntry>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<ContextEntry>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<UserEntry>,
}

#[derive(Deserialize, Default)]
struct ContextEntry {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ClusterEntry {
    pub(super) server: Option<String>,
    pub(super) insecure_skip_tls_verify: Option<bool>,
    pub(super) certificate_authority: Option<PathBuf>,
    pub(super) certificate_authority_data: Option<String>,
    pub(super) proxy_url: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) extensions: Option<Vec<Extension>>,
}

#[derive(Deserialize, Clone)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) extension: Option<serde_json::Value>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "kebab-case")]
pub(super) struct UserEntry {
    pub(super) client_certificate: Option<PathBuf>,
    pub(super) client_certificate_data: Option<String>,
    pub(super) client_key: Option<PathBuf>,
    pub(super) client_key_data: Option<Secret>,
    pub(super) token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: Option<PathBuf>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    #[serde(rename = "as")]
    pub(super) impersonate: Option<String>,
    pub(super) as_uid: Option<String>,
    pub(super) as_groups: Option<Vec<String>>,
    pub(super) as_user_extra: Option<HashMap<String, Vec<String>>>,
    pub(super) auth_provider: Option<AuthProvider>,
    pub(super) exec: Option<ExecEntry>,
}

#[derive(Deserialize, Clone)]
pub(super) struct AuthProvider {
    pub(super) name: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecEntry {
    #[serde(default)]
    pub(super) command: String,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<ExecVariable>>,
    pub(super) api_version: Option<String>,
    pub(super) install_hint: Option<String>,
    pub(super) interactive_mode: Option<String>,
    #[serde(default)]
    pub(super) provide_cluster_info: Option<bool>,
}

#[derive(Deserialize, Clone)]
pub(super) struct ExecVariable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}
