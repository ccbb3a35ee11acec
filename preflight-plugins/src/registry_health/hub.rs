//! What is shared by all questions of a run: settings, mirrors, layouts, and a client for each address.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use preflight_core::manifests::Manifests;
use preflight_core::{Context, Environment, Undecided};

use super::settings::{Images, NodeCredentials, Registries, open_layout, read_authorities};
use crate::registry::credentials::{Credential, OwnCredentials};
use crate::registry::layout::Layout;
use crate::registry::mirrors::{Blocked, Place, RegistriesConf};
use crate::registry::reference::Reference;
use crate::registry::{Address, RegistryClient, ask_helper};

/// The part of the time that is kept for telling what came of the questions, and the most of it.
const KEPT: (u32, Duration) = (10, Duration::from_millis(500));

pub(super) struct Hub {
    pub(super) registries: Arc<Registries>,
    pub(super) images: Arc<Images>,
    own: Result<OwnCredentials, String>,
    pub(super) offline: bool,
    deadline: Instant,
    environment: Environment,
    mirrors: RegistriesConf,
    layouts: HashMap<String, Arc<Layout>>,
    /// By authority, and whether it is reached without TLS.
    clients: Mutex<HashMap<(String, bool), Arc<RegistryClient>>>,
}

impl Hub {
    pub(super) fn new(context: &Context) -> Result<Self, Undecided> {
        let (registries, images) = (context.settings::<Registries>()?, context.settings::<Images>()?);
        let environment = context.environment().clone();
        let mirrors = images.mirrors(&environment).map_err(Undecided::unknown)?;
        let mut layouts = HashMap::new();
        for (registry, entry) in &registries.0 {
            if let Some(text) = &entry.layout {
                let layout = open_layout(text, &environment).map_err(Undecided::unknown)?;
                layouts.insert(registry.clone(), Arc::new(layout));
            }
        }
        let own = match images.no_own_credentials || context.is_offline() {
            true => Ok(OwnCredentials::default()),
            false => own_credentials(),
        };
        Ok(Self {
            registries,
            images,
            own,
            offline: context.is_offline(),
            deadline: for_questions(context.deadline()),
            environment,
            mirrors,
            layouts,
            clients: Mutex::default(),
        })
    }

    /// The layout that the images of a registry lie in, where the environment names one.
    pub(super) fn layout(&self, registry: &str) -> Option<&Arc<Layout>> {
        self.layouts.get(registry)
    }

    /// The places that an image is pulled from, in the order in which they are tried.
    pub(super) fn places(&self, image: &Reference) -> Result<Vec<Place>, Blocked> {
        self.mirrors.places(image)
    }

    pub(super) fn node_credentials(&self, registry: &str) -> Option<NodeCredentials> {
        self.registries.node_credentials(registry)
    }

    /// The command that copies an image into the folder of a layout, as the environment names it.
    pub(super) fn copy_into(&self, folder: &str, image: &Reference) -> String {
        let folder = self.environment.path(folder);
        format!("skopeo copy --all docker://{image} oci:{}:{image}", folder.display())
    }

    /// This machine's own credential for an image, from its file or from the program that keeps it.
    ///
    /// # Errors
    /// The file cannot be read, or the program does not give it.
    pub(super) async fn own_credential(&self, image: &Reference) -> Result<Option<Arc<Credential>>, String> {
        let own = self.own.as_ref().map_err(Clone::clone)?;
        if let Some(credential) = own.lookup(&image.name()) {
            return Ok(Some(credential));
        }
        match own.helper(&image.registry) {
            Some((helper, registry)) if self.images.credential_helpers => {
                let asked = ask_helper(helper, &registry, self.deadline).await;
                asked.map(|credential| credential.map(Arc::new)).map_err(|why| why.to_string())
            }
            _ => Ok(None),
        }
    }

    fn is_plain(&self, authority: &str) -> bool {
        self.registries.of(authority).is_some_and(|entry| entry.plain_http)
    }

    /// The command that shows how a registry answers.
    pub(super) fn curl(&self, authority: &str) -> String {
        let scheme = if self.is_plain(authority) { "http" } else { "https" };
        format!("curl -sSi {scheme}://{authority}/v2/")
    }

    /// The command that shows something of an image, as the tool says it (`inspect --raw`).
    pub(super) fn skopeo(&self, what: &str, registry: &str, image: &str) -> String {
        let tls = if self.is_plain(registry) { " --tls-verify=false" } else { "" };
        format!("skopeo {what}{tls} docker://{image}")
    }

    /// The client for a registry.
    pub(super) fn client(&self, authority: &str, insecure: bool) -> Arc<RegistryClient> {
        let plain_http = insecure || self.is_plain(authority);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry((authority.to_owned(), plain_http)).or_insert_with(|| {
            let ca = self.registries.of(authority).and_then(|entry| entry.ca.as_ref());
            let address = Address {
                authority: authority.to_owned(),
                plain_http,
                // It was read when the settings were.
                authorities: ca
                    .and_then(|file| read_authorities(&self.environment.path(file)).ok())
                    .unwrap_or_default(),
            };
            Arc::new(RegistryClient::new(address, self.deadline))
        });
        Arc::clone(client)
    }

    /// Every client that was asked for so far.
    pub(super) fn clients(&self) -> Vec<Arc<RegistryClient>> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients: Vec<_> = clients.values().cloned().collect();
        clients.sort_by(|a, b| a.address().authority.cmp(&b.address().authority));
        clients
    }

    /// Makes the first contact with every registry that the manifests name.
    pub(super) fn greet(&self, manifests: &Manifests) -> impl Future<Output = ()> + use<'_> {
        let images = manifests.objects().iter().filter_map(|object| object.pod_template());
        let references = images.flat_map(|template| template.images());
        let references: BTreeSet<_> =
            references.filter_map(|image| Reference::parse(&image.reference).ok()).collect();
        let mut greeted = BTreeSet::new();
        for image in references.iter().filter(|image| !self.offline && self.layout(&image.registry).is_none())
        {
            for place in self.places(image).unwrap_or_default() {
                greeted.insert((place.authority, place.insecure));
            }
        }
        let clients: Vec<_> =
            greeted.iter().map(|(authority, insecure)| self.client(authority, *insecure)).collect();
        async move {
            // What comes of it, everybody sees who asks afterwards.
            join_all(clients.iter().map(|client| client.hello())).await;
        }
    }
}

/// When nothing is asked any more: a question that is not answered by then is told as that, and what was found out
/// besides is told too.
fn for_questions(deadline: Instant) -> Instant {
    let (part, most) = KEPT;
    let left = deadline.saturating_duration_since(Instant::now());
    deadline.checked_sub((left / part).min(most)).unwrap_or(deadline)
}

/// What `docker login`, `podman login` and the like have left: the first file that is there.
fn own_credentials() -> Result<OwnCredentials, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let under = |folder: Option<std::ffi::OsString>, file: &str| {
        folder.map(|folder| std::path::PathBuf::from(folder).join(file))
    };
    let files = [
        variable("REGISTRY_AUTH_FILE").map(Into::into),
        under(variable("DOCKER_CONFIG"), "config.json"),
        under(variable("XDG_RUNTIME_DIR"), "containers/auth.json"),
        under(variable("HOME"), ".docker/config.json"),
    ];
    for file in files.into_iter().flatten() {
        let source = file.display().to_string();
        match std::fs::read_to_string(&file) {
            Ok(text) => return OwnCredentials::parse(&source, &text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{source} cannot be read: {error}")),
        }
    }
    Ok(OwnCredentials::default())
}
