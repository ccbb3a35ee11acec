//! A real registry of images, built by `tests/envtest`.
//!
//! Two processes serve one folder: the registry as it was asked for, and a writer that asks for no credentials.
//! Images are put through the writer, so that they get into a registry that is read-only or that nobody may push
//! to.

mod authority;
mod images;
mod token;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::assets::{Assets, Unavailable};
use crate::process::spawn;
use authority::Authority;
pub use images::{Image, PlatformImage};
use token::TokenService;

/// How long a registry may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a registry is to be.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Whom it serves.
    pub auth: Auth,
    /// Whether it talks TLS, with a certificate of its own authority.
    pub tls: bool,
    /// Whether it refuses every push, of whomever.
    pub read_only: bool,
}

/// Whom a registry serves.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everyone.
    #[default]
    None,
    /// Who names one of these users with its password. Each may do everything.
    Basic(Vec<(String, String)>),
    /// Who brings a token of the token service, which gives out what these grant.
    Token(Vec<Grant>),
}

/// What the token service lets a user do. A user may have more than one grant.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// The user; empty for everyone, and then without a password.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The exact names of the repositories that may be pulled from; `*` for all.
    pub repositories: Vec<String>,
    /// Whether they may be pushed to as well.
    pub push: bool,
}

/// A registry that runs until it is dropped.
pub struct Registry {
    host: String,
    writer: String,
    ca: Option<PathBuf>,
    /// Runs the token service. There is none only while this is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    _processes: [Process; 2],
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one, and waits until it listens.
    ///
    /// # Errors
    /// The binary cannot be had, or it does not start.
    pub fn start(options: &RegistryOptions) -> Result<Self, Unavailable> {
        let binary = Assets::registry()?;
        Self::start_with(&binary, options)
            .map_err(|error| Unavailable::new(format!("the registry does not start: {error}")))
    }

    fn start_with(binary: &Path, options: &RegistryOptions) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("preflight-registry").tempdir()?;
        let path = folder.path();
        let file = |name: &str| path.join(name).display().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let authority = Authority::create(path)?;

        let storage = json!({"filesystem": {"rootdirectory": file("storage")}});
        let mut config = json!({
            "version": "0.1",
            "storage": storage,
            "http": {"addr": "127.0.0.1:0", "secret": "harness"},
        });
        let writer = Process::serve(binary, path, "writer", &config)?;

        config["storage"]["maintenance"] = json!({"readonly": {"enabled": options.read_only}});
        if options.tls {
            authority.server(path)?;
            config["http"]["tls"] = json!({"certificate": file("server.crt"), "key": file("server.key")});
        }
        match &options.auth {
            Auth::None => {}
            Auth::Basic(accounts) => {
                fs::write(path.join("htpasswd"), password_file(binary, accounts)?)?;
                config["auth"] = json!({"htpasswd": {"realm": "harness", "path": file("htpasswd")}});
            }
            Auth::Token(grants) => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let realm = format!("http://{}/token", listener.local_addr()?);
                let service = TokenService::new(&authority, grants.clone())?;
                config["auth"] = json!({"token": {
                    "realm": realm,
                    "service": token::SERVICE,
                    "issuer": token::ISSUER,
                    "rootcertbundle": file("ca.crt"),
                }});
                listener.set_nonblocking(true)?;
                runtime.spawn(token::serve(listener, Arc::new(service)));
            }
        }
        let registry = Process::serve(binary, path, "registry", &config)?;
        Ok(Self {
            host: registry.address.clone(),
            writer: format!("http://{}", writer.address),
            ca: options.tls.then(|| path.join("ca.crt")),
            runtime: Some(runtime),
            _processes: [registry, writer],
            _folder: folder,
        })
    }

    /// The registry as it stands in the names of its images: `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// URL of the registry.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.ca.is_some() { "https" } else { "http" }, self.host)
    }

    /// The certificate of the authority that vouches for the registry, where it talks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Puts an image there, and tells its digest (`sha256:…`). Nothing of the options hinders it.
    ///
    /// # Errors
    /// The registry does not take it: its name is not valid, for one.
    pub fn put(&self, repository: &str, tag: &str, image: &Image) -> io::Result<String> {
        let Some(runtime) = &self.runtime else {
            return Err(io::Error::other("the registry is stopped"));
        };
        let push = images::push(&self.writer, repository, tag, image);
        // On a thread of its own, since the caller's may be one of another runtime.
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(push)).join())
            .unwrap_or_else(|_| Err(io::Error::other("the push panicked")))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where the caller's thread is one of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// The lines of a password file. Only the binary can make them.
fn password_file(binary: &Path, accounts: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (user, password) in accounts {
        let output = Command::new(binary).args(["htpasswd", "--", user, password]).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        lines.extend(output.stdout);
    }
    Ok(lines)
}

/// A process that is killed when it is dropped.
struct Process {
    child: Child,
    /// Where it listens: `127.0.0.1:PORT`.
    address: String,
}

impl Process {
    fn serve(binary: &Path, folder: &Path, name: &str, config: &Value) -> io::Result<Self> {
        // What is JSON is YAML.
        let file = folder.join(format!("{name}.yml"));
        fs::write(&file, config.to_string())?;
        let child = spawn(binary, folder, name, &["serve".to_owned(), file.display().to_string()])?;
        let mut process = Self { child, address: String::new() };
        process.address = process.listening(&folder.join(format!("{name}.log")))?;
        Ok(process)
    }

    /// It picks a free port and tells it in its log, where it is looked for again and again.
    fn listening(&mut self, log: &Path) -> io::Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait()?;
            let text = fs::read_to_string(log)?;
            let address =
                text.split_once("msg=\"listening on ").and_then(|(_, rest)| rest.split_once(['"', ',']));
            if let Some((address, _)) = address {
                return Ok(address.to_owned());
            }
            if ended.is_some() || Instant::now() > until {
                return Err(io::Error::other(format!("it does not listen; its log: {text}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
