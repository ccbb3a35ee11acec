//! The binaries of the control plane and of the registry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The control plane, or the registry, cannot be had on this machine.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// Why.
    pub reason: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Whether the tests must not do without it (`PREFLIGHT_REQUIRE_ENVTEST=1`).
    #[must_use]
    pub fn is_failure(&self) -> bool {
        std::env::var("PREFLIGHT_REQUIRE_ENVTEST").is_ok_and(|value| value == "1")
    }
}

/// Where the binaries are.
#[derive(Debug, Clone)]
pub struct Assets {
    pub(crate) etcd: PathBuf,
    pub(crate) api_server: PathBuf,
    /// The folder of kube-controller-manager and kube-scheduler, where they are to be had.
    pub(crate) controllers: Option<PathBuf>,
}

impl Assets {
    /// The binaries that `KUBEBUILDER_ASSETS`, `TEST_ASSET_KUBE_APISERVER` and `TEST_ASSET_ETCD` name, or else
    /// those that `tests/envtest/build.sh` builds, once a process.
    ///
    /// # Errors
    /// There are none, and they cannot be built.
    pub fn find() -> Result<Self, Unavailable> {
        static FOUND: OnceLock<Result<Assets, Unavailable>> = OnceLock::new();
        FOUND.get_or_init(|| named().unwrap_or_else(built)).clone()
    }

    /// The registry of images: the one in the folder that `KUBEBUILDER_ASSETS` names, or else the one that
    /// `tests/envtest/build.sh` builds, once a process.
    ///
    /// # Errors
    /// There is none, and it cannot be built.
    pub fn registry() -> Result<PathBuf, Unavailable> {
        static FOUND: OnceLock<Result<PathBuf, Unavailable>> = OnceLock::new();
        let named = || variable("KUBEBUILDER_ASSETS").map(|folder| folder.join("registry"));
        let find = || match named().filter(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => build("registry").map(|folder| folder.join("registry")),
        };
        FOUND.get_or_init(find).clone()
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn named() -> Option<Result<Assets, Unavailable>> {
    let folder = variable("KUBEBUILDER_ASSETS");
    let of =
        |name: &str, file: &str| variable(name).or_else(|| folder.as_ref().map(|folder| folder.join(file)));
    let (etcd, api_server) =
        (of("TEST_ASSET_ETCD", "etcd")?, of("TEST_ASSET_KUBE_APISERVER", "kube-apiserver")?);
    for path in [&etcd, &api_server] {
        if !path.is_file() {
            return Some(Err(Unavailable::new(format!("there is no {}", path.display()))));
        }
    }
    let controllers = folder.filter(|folder| folder.join("kube-controller-manager").is_file());
    Some(Ok(Assets { etcd, api_server, controllers }))
}

fn built() -> Result<Assets, Unavailable> {
    let folder = build("control-plane")?;
    Ok(Assets {
        etcd: folder.join("etcd"),
        api_server: folder.join("kube-apiserver"),
        controllers: Some(folder),
    })
}

/// Builds one of the binaries, and says in which folder it is.
fn build(what: &str) -> Result<PathBuf, Unavailable> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envtest/build.sh");
    let output = Command::new("bash")
        .arg(&script)
        .args(["", what])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| Unavailable::new(format!("cannot run {}: {error}", script.display())))?;
    if !output.status.success() {
        let why = if output.status.code() == Some(3) { "Go is not installed" } else { "it does not build" };
        let what = what.replace('-', " ");
        return Err(Unavailable::new(format!("the {what} cannot be built: {why}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(text.lines().last().unwrap_or_default()))
}
