//! A small client for objects as JSON.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// What the API server answered instead of what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code} {message}")]
pub struct ApiError {
    /// HTTP status; 0 where there was no answer.
    pub code: u16,
    /// What it said.
    pub message: String,
}

/// The API server, as one user. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
    kinds: Arc<Mutex<Vec<Kind>>>,
}

#[derive(Debug, Clone)]
struct Kind {
    api_version: String,
    kind: String,
    plural: String,
    namespaced: bool,
}

impl Api {
    /// The user of a kubeconfig.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn from_kubeconfig(path: &Path) -> io::Result<Self> {
        Self::acting_as(path, None, &[]).await
    }

    /// Another user, through one who may act as others.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn acting_as(path: &Path, user: Option<&str>, groups: &[String]) -> io::Result<Self> {
        let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| other(&error))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| other(&error))?;
        config.default_retry = false;
        if let Some(user) = user {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups = Some(groups.to_vec());
        }
        let client = Client::try_from(config).map_err(|error| other(&error))?;
        Ok(Self { client, kinds: Arc::default() })
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
            .map_err(|error| ApiError { code: 0, message: error.to_string() })?;
        self.client.request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => ApiError { code: status.code, message: status.message },
            error => ApiError { code: 0, message: error.to_string() },
        })
    }

    /// Whether the API server says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let Ok(request) = Request::get("/readyz").body(Vec::new()) else {
            return false;
        };
        self.client.request_text(request).await.is_ok()
    }

    /// The text at a path.
    ///
    /// # Errors
    /// It is not told.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let other = |error: &dyn std::fmt::Display| ApiError { code: 0, message: error.to_string() };
        let request = Request::get(path).body(Vec::new()).map_err(|error| other(&error))?;
        self.client.request_text(request).await.map_err(|error| other(&error))
    }

    /// What is at a path.
    ///
    /// # Errors
    /// The API server refuses, or there is nothing.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.ask("GET", path, "application/json", None).await
    }

    /// The items of a list; none where the kind is not served.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object. As with kubectl, fields that are unknown are refused.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn create(&self, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?fieldValidation=Strict", self.list_path(object).await?);
        self.ask("POST", &path, "application/json", Some(object)).await
    }

    /// Asks whether an object could be created.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn dry_run(&self, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?dryRun=All", self.list_path(object).await?);
        self.ask("POST", &path, "application/json", Some(object)).await
    }

    /// Asks whether an object could be created. As with kubectl, fields that are unknown are refused.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn dry_run_strictly(&self, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?dryRun=All&fieldValidation=Strict", self.list_path(object).await?);
        self.ask("POST", &path, "application/json", Some(object)).await
    }

    /// Merges a patch into what is at a path.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        self.ask("PATCH", path, "application/merge-patch+json", Some(patch)).await
    }

    /// Asks whether a strategic merge patch of what is at a path could be applied.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn try_patch(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        let path = format!("{path}?dryRun=All");
        self.ask("PATCH", &path, "application/strategic-merge-patch+json", Some(patch)).await
    }

    /// Asks whether an object could be created in a list. As with kubectl, fields that are unknown are refused.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn try_create_at(&self, list: &str, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{list}?dryRun=All&fieldValidation=Strict");
        self.ask("POST", &path, "application/json", Some(object)).await
    }

    /// Asks whether a strategic merge patch of what is at a path could be applied. As with kubectl, fields that are unknown
    /// are refused.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn try_patch_strictly(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        let path = format!("{path}?dryRun=All&fieldValidation=Strict");
        self.ask("PATCH", &path, "application/strategic-merge-patch+json", Some(patch)).await
    }

    /// Asks whether an object could be applied on the server's side, whoever has its fields.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn try_server_apply(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{path}?dryRun=All&fieldValidation=Strict&fieldManager=tries&force=true");
        self.ask("PATCH", &path, "application/apply-patch+yaml", Some(object)).await
    }

    /// Applies an object on the server's side. As with kubectl, fields that are unknown are refused.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn server_apply(&self, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?fieldManager=kubectl&fieldValidation=Strict", self.path(object).await?);
        self.ask("PATCH", &path, "application/apply-patch+yaml", Some(object)).await
    }

    /// Replaces what is at a path.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.ask("PUT", path, "application/json", Some(object)).await
    }

    /// Deletes what is at a path, with these options in its query.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.ask("DELETE", path, "application/json", None).await
    }

    /// Where an object is, or would be.
    ///
    /// # Errors
    /// Its kind is not served.
    pub async fn path(&self, object: &Value) -> Result<String, ApiError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        Ok(format!("{}/{name}", self.list_path(object).await?))
    }

    /// Where the list is that an object is, or would be, in.
    ///
    /// # Errors
    /// Its kind is not served.
    pub async fn list_path(&self, object: &Value) -> Result<String, ApiError> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let found = self.kind(&api_version, &kind).await?;
        let base = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        Ok(match object.pointer("/metadata/namespace").and_then(Value::as_str).filter(|_| found.namespaced) {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", found.plural),
            None if found.namespaced => format!("{base}/namespaces/default/{}", found.plural),
            None => format!("{base}/{}", found.plural),
        })
    }

    /// Whether a kind's objects have namespaces.
    ///
    /// # Errors
    /// The kind is not served.
    pub async fn is_namespaced(&self, api_version: &str, kind: &str) -> Result<bool, ApiError> {
        Ok(self.kind(api_version, kind).await?.namespaced)
    }

    async fn kind(&self, api_version: &str, kind: &str) -> Result<Kind, ApiError> {
        let known =
            |kinds: &[Kind]| kinds.iter().find(|k| k.api_version == api_version && k.kind == kind).cloned();
        if let Some(found) = known(&self.kinds.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(found);
        }
        let path = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        let missing = || ApiError {
            code: 404,
            message: format!("no matches for kind {kind:?} in version {api_version:?}"),
        };
        let list =
            self.get(&path).await.map_err(|error| if error.code == 404 { missing() } else { error })?;
        let resources = list["resources"].as_array().cloned().unwrap_or_default();
        let fresh: Vec<_> = resources
            .iter()
            .filter(|resource| resource["name"].as_str().is_some_and(|name| !name.contains('/')))
            .map(|resource| Kind {
                api_version: api_version.to_owned(),
                kind: resource["kind"].as_str().unwrap_or_default().to_owned(),
                plural: resource["name"].as_str().unwrap_or_default().to_owned(),
                namespaced: resource["namespaced"] == true,
            })
            .collect();
        let found = known(&fresh);
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh);
        found.ok_or_else(missing)
    }

    /// Forgets which kinds are served, after definitions have come or gone.
    pub fn forget_kinds(&self) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
