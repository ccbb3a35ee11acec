//! Starting and stopping the control plane.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::assets::{Assets, Unavailable};
use crate::credentials::{Credentials, ISSUER, User};
use crate::images::Images;
use crate::kubelets;
use crate::process::spawn;
use crate::webhooks::Webhooks;

/// How long the API server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is to be started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only etcd and the API server: no controllers, scheduler and kubelets.
    pub bare: bool,
}

/// A control plane that runs until it is dropped.
pub struct ControlPlane {
    folder: tempfile::TempDir,
    credentials: Credentials,
    server: String,
    children: Vec<(&'static str, Child)>,
    api_server: (PathBuf, Vec<String>),
    runtime: tokio::runtime::Runtime,
    api: Api,
    scheduler: Option<Api>,
    webhooks: Webhooks,
    images: Option<Arc<Images>>,
}

impl ControlPlane {
    /// Starts one, and waits until it is ready.
    ///
    /// # Errors
    /// The binaries cannot be had, or it does not get ready.
    pub fn start(options: &Options) -> Result<Self, Unavailable> {
        let assets = Assets::find()?;
        let images = if options.bare { None } else { Some(Arc::new(Images::start()?)) };
        Self::start_with(&assets, images)
            .map_err(|error| Unavailable::new(format!("the control plane does not start: {error}")))
    }

    fn start_with(assets: &Assets, images: Option<Arc<Images>>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("preflight-harness").tempdir()?;
        let path = folder.path().to_owned();
        let credentials = Credentials::create(&path)?;
        let [etcd_port, peer_port, api_port] = free_ports()?;
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let server = format!("https://127.0.0.1:{api_port}");
        let mut children = Vec::new();
        children.push((
            "etcd",
            spawn(
                &assets.etcd,
                &path,
                "etcd",
                &[
                    format!("--data-dir={}", path.join("etcd").display()),
                    "--unsafe-no-fsync".to_owned(),
                    format!("--listen-client-urls={etcd_url}"),
                    format!("--advertise-client-urls={etcd_url}"),
                    format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
                    "--log-level=warn".to_owned(),
                ],
            )?,
        ));
        let file = |name: &str| path.join(name).display().to_string();
        let flags = vec![
            format!("--etcd-servers={etcd_url}"),
            format!("--secure-port={api_port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--cert-dir={}", file("certs")),
            format!("--service-account-issuer={ISSUER}"),
            format!("--service-account-key-file={}", file("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", file("service-accounts.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            // What is privileged is refused by policies, or by nobody.
            "--allow-privileged=true".to_owned(),
            // Addresses of this machine, so that the tests can listen on those of Services.
            format!("--service-cluster-ip-range={}", service_addresses(api_port)),
        ];
        children.push(("kube-apiserver", spawn(&assets.api_server, &path, "kube-apiserver", &flags)?));

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let admin = credentials.kubeconfig(&server, &User::Admin, "harness")?;
        let mut plane = Self {
            folder,
            credentials,
            server,
            children,
            api_server: (assets.api_server.clone(), flags),
            api: runtime.block_on(Api::from_kubeconfig(&admin))?,
            scheduler: None,
            webhooks: Webhooks::new()?,
            images,
            runtime,
        };
        plane.wait_until_ready()?;
        if let Some(images) = plane.images.clone() {
            plane.start_controllers(assets, &admin, images)?;
        }
        Ok(plane)
    }

    fn start_controllers(&mut self, assets: &Assets, admin: &Path, images: Arc<Images>) -> io::Result<()> {
        let Some(binaries) = &assets.controllers else {
            return Err(io::Error::other("there is no kube-controller-manager beside the API server"));
        };
        let path = self.folder.path().to_owned();
        let common = [
            format!("--kubeconfig={}", admin.display()),
            "--leader-elect=false".to_owned(),
            "--authentication-skip-lookup".to_owned(),
        ];
        let mut manager = common.to_vec();
        manager.push("--secure-port=0".to_owned());
        manager.push(format!(
            "--service-account-private-key-file={}",
            path.join("service-accounts.key").display()
        ));
        manager.push(format!("--root-ca-file={}", path.join("ca.crt").display()));
        // Its nodes have no kubelets that could renew their leases.
        manager.push("--controllers=*,-node-lifecycle-controller".to_owned());
        // What a conflict has kept from being bound is tried again soon.
        manager.push("--pvclaimbinder-sync-period=1s".to_owned());
        manager.push("--horizontal-pod-autoscaler-sync-period=2s".to_owned());
        let [port] = free_ports()?;
        let mut scheduler = common.to_vec();
        scheduler.extend([
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", path.join("server.crt").display()),
            format!("--tls-private-key-file={}", path.join("server.key").display()),
            "--authorization-always-allow-paths=/metrics".to_owned(),
        ]);
        for (name, flags) in [("kube-controller-manager", manager), ("kube-scheduler", scheduler)] {
            self.children.push((name, spawn(&binaries.join(name), &path, name, &flags)?));
        }
        let url = format!("https://127.0.0.1:{port}");
        let scheduler = self.credentials.kubeconfig(&url, &User::Nobody, "scheduler")?;
        self.scheduler = Some(self.runtime.block_on(Api::from_kubeconfig(&scheduler))?);
        let kubelets = kubelets::play(self.api.clone(), images);
        self.runtime.spawn(kubelets);
        let api = self.api.clone();
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        self.wait_for("the ServiceAccount default", || self.runtime.block_on(api.get(account)).is_ok())
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        let api = self.api.clone();
        self.wait_for("the API server", || self.runtime.block_on(api.is_ready()))
    }

    /// Another process gives no event to wait for, so it is asked again and again.
    fn wait_for(&self, what: &str, is_there: impl Fn() -> bool) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !is_there() {
            if Instant::now() > until {
                let logs = self.folder.path().display();
                return Err(io::Error::other(format!(
                    "{what} is not there after {} s; logs: {logs}",
                    PATIENCE.as_secs()
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// URL of the API server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A kubeconfig for a user, with one context of that name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn kubeconfig(&self, user: &User, context: &str) -> io::Result<PathBuf> {
        self.credentials.kubeconfig(&self.server, user, context)
    }

    /// The API server, as one who may do everything.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The scheduler's own server, which tells its metrics; a bare control plane has none.
    #[must_use]
    pub const fn scheduler(&self) -> Option<&Api> {
        self.scheduler.as_ref()
    }

    /// The registries that its nodes pull from; a bare one has no nodes.
    #[must_use]
    pub fn images(&self) -> Option<&Images> {
        self.images.as_deref()
    }

    /// The webhooks that it may call.
    #[must_use]
    pub const fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// The runtime that plays the kubelets; tests may use it too.
    #[must_use]
    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    /// Starts the API server anew, with more admission plugins. On an empty etcd it would not come up with
    /// `AlwaysDeny`, since it could not make its own objects.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart_with(&mut self, admission_plugins: &[&str]) -> io::Result<()> {
        self.stop_api_server()?;
        let (binary, mut flags) = self.api_server.clone();
        flags.push(format!("--enable-admission-plugins={}", admission_plugins.join(",")));
        self.children.push(("kube-apiserver", spawn(&binary, self.folder.path(), "kube-apiserver", &flags)?));
        self.wait_until_ready()
    }

    /// Kills the API server.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn stop_api_server(&mut self) -> io::Result<()> {
        for (name, child) in &mut self.children {
            if *name == "kube-apiserver" {
                // One that has ended already is as good as killed.
                let _ = child.kill();
                child.wait()?;
            }
        }
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Who depends on others goes first.
        for (_, child) in self.children.iter_mut().rev() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A part of 127.64.0.0/10, hardly ever the same for two control planes that run at once.
fn service_addresses(api_port: u16) -> String {
    format!("127.{}.{}.0/20", 64 + (api_port >> 10), ((api_port >> 6) & 0xf) << 4)
}

fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
