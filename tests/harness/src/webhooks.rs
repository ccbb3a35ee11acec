//! Webhooks that the API server really calls, served by this process.
//!
//! There is no kube-proxy, but Services have loopback addresses (`--service-cluster-ip-range`), so this process can
//! listen on them: on every port of every Service with the annotation `harness/webhook`, as long as the port has a
//! ready endpoint. Without one the connection is refused. Ports below 1024 need the right to listen there.

mod answer;
mod authority;
mod listener;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpListener;

use crate::api::{Api, ApiError};
use answer::Behaviour;
use authority::{Authority, Serving};
use listener::{Log, Task, Webhook, listen, note};

/// Says what a Service's webhook is like.
pub(crate) const ANNOTATION: &str = "harness/webhook";
/// After how many seconds `slow` answers; 3 if it says nothing.
const DELAY: &str = "harness/webhook-delay";
/// How often Services and their endpoints are looked at.
const BEAT: Duration = Duration::from_millis(150);
/// How long endpoints may take to follow their pods.
const FOLLOWING: Duration = Duration::from_secs(10);

/// Serves webhooks: those of Services, and those that have a URL.
///
/// What one is like is said by the annotation `harness/webhook` of its Service, or by the last part of its URL:
///
/// | name | what it does |
/// | --- | --- |
/// | `allow` | allows everything |
/// | `deny` | denies everything |
/// | `mutate` | adds the label `harness/mutated` |
/// | `slow` | allows after `harness/webhook-delay` seconds, or 3 |
/// | `hang` | never answers |
/// | `error` | answers with HTTP status 500 |
/// | `wrong-name` | has a certificate for another name |
/// | `expired-certificate` | has a certificate whose time is over |
/// | `convert` | converts custom resources, by their `apiVersion` alone |
/// | `convert-fails` | says that it cannot convert |
pub struct Webhooks {
    authority: Arc<Authority>,
    /// Where webhooks with a URL listen, by the certificate that they have.
    sockets: [(Serving, std::net::TcpListener); 3],
    log: Log,
    tasks: Mutex<Vec<Task>>,
}

impl Webhooks {
    /// Makes the CAs, and takes the ports of webhooks with a URL. Nothing is answered yet.
    ///
    /// # Errors
    /// There is no port, or no certificate can be made.
    pub fn new() -> io::Result<Self> {
        let socket = |how| {
            let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            io::Result::Ok((how, socket))
        };
        Ok(Self {
            authority: Arc::new(Authority::create()?),
            sockets: [socket(Serving::Right)?, socket(Serving::WrongName)?, socket(Serving::Expired)?],
            log: Log::default(),
            tasks: Mutex::default(),
        })
    }

    /// Puts in what placeholders of a text stand for. Its lines stay where they are.
    ///
    /// `$(CA)`, `$(EXPIRED_CA)`, `$(EXPIRING_CA)` (three more days) and `$(OTHER_CA)` (signed nothing) stand for a
    /// `caBundle`; so does `$(CA+EXPIRED_CA)`, for one of both. `$(URL:deny)` stands for the URL of a webhook that
    /// denies. Other texts of that form stay.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            let (before, from) = rest.split_at(start);
            filled.push_str(before);
            let inner = from.find(')').and_then(|end| Some((from.get(2..end)?, from.get(end + 1..)?)));
            match inner.and_then(|(name, after)| Some((self.value(name)?, after))) {
                Some((value, after)) => {
                    filled.push_str(&value);
                    rest = after;
                }
                None => {
                    filled.push_str("$(");
                    rest = from.get(2..).unwrap_or_default();
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str) -> Option<String> {
        let Some(path) = name.strip_prefix("URL:") else {
            return self.authority.bundle(name);
        };
        let serving = Behaviour::of_path(path)?.serving();
        let (_, socket) = self.sockets.iter().find(|(how, _)| *how == serving)?;
        Some(format!("https://{}/{path}", socket.local_addr().ok()?))
    }

    /// Starts to serve what a cluster has, and goes on as its Services and pods come and go, until the next call of
    /// [`serve`](Self::serve) or [`stop`](Self::stop). Returns once every Service with ready pods is served.
    ///
    /// # Errors
    /// A Service has an annotation that does not fit, or it cannot be listened on its address.
    pub async fn serve(&self, api: &Api) -> io::Result<()> {
        self.stop();
        let mut tasks = Vec::new();
        for (how, socket) in &self.sockets {
            let listener = TcpListener::from_std(socket.try_clone()?)?;
            let tls = self.authority.serving("127.0.0.1", *how)?;
            let name = socket.local_addr()?.to_string();
            let webhook = Webhook { name, behaviour: None, delay: Duration::from_secs(3) };
            tasks.push(Task::spawn(listen(listener, tls, webhook, Arc::clone(&self.log))));
        }
        let log = Arc::clone(&self.log);
        let mut proxy =
            Proxy { api: api.clone(), authority: Arc::clone(&self.authority), log, open: BTreeMap::new() };
        let until = Instant::now() + FOLLOWING;
        while !proxy.follow().await? && Instant::now() < until {
            tokio::time::sleep(BEAT).await;
        }
        tasks.push(Task::spawn(proxy.run()));
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(())
    }

    /// Stops to serve. Who calls webhooks of Services is refused then.
    pub fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was called since it is served, oldest first: `NAME.NAMESPACE.svc/PATH: OPERATION KIND NAMESPACE/NAME`.
    /// Handshakes that failed are in it too.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What kube-proxy would do for Services with webhooks.
struct Proxy {
    api: Api,
    authority: Arc<Authority>,
    log: Log,
    open: BTreeMap<SocketAddr, (Webhook, Task)>,
}

impl Proxy {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(BEAT).await;
            if let Err(error) = self.follow().await {
                note(&self.log, error.to_string());
            }
        }
    }

    /// Listens where there are ready endpoints, and nowhere else. Says whether endpoints have followed their pods.
    async fn follow(&mut self) -> io::Result<bool> {
        // While the API server does not answer, everything stays as it is.
        let Ok((services, slices, pods)) = self.look().await else {
            return Ok(false);
        };
        let mut wanted = BTreeMap::new();
        let mut followed = true;
        for service in services.iter().filter(|service| annotation(service, ANNOTATION).is_some()) {
            let webhook = webhook(service)?;
            let slices: Vec<_> = slices.iter().filter(|slice| belongs(slice, service)).collect();
            followed &= slices.iter().any(|slice| has_ready(slice))
                || !pods.iter().any(|pod| is_ready_pod_of(pod, service));
            let Ok(address) = text(service, "/spec/clusterIP").parse::<IpAddr>() else {
                continue;
            };
            for port in service["spec"]["ports"].as_array().into_iter().flatten() {
                let number = port["port"].as_u64().and_then(|number| u16::try_from(number).ok());
                if let Some(number) = number.filter(|_| slices.iter().any(|slice| leads_to(slice, port))) {
                    wanted.insert(SocketAddr::new(address, number), webhook.clone());
                }
            }
        }
        self.open.retain(|address, (webhook, _)| wanted.get(address) == Some(webhook));
        for (address, webhook) in wanted {
            if !self.open.contains_key(&address) {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|error| io::Error::other(format!("{}: {address}: {error}", webhook.name)))?;
                let tls = self
                    .authority
                    .serving(&webhook.name, webhook.behaviour.map_or(Serving::Right, Behaviour::serving))?;
                let task = Task::spawn(listen(listener, tls, webhook.clone(), Arc::clone(&self.log)));
                self.open.insert(address, (webhook, task));
            }
        }
        Ok(followed)
    }

    /// Services, EndpointSlices and pods.
    async fn look(&self) -> Result<(Vec<Value>, Vec<Value>, Vec<Value>), ApiError> {
        let list = async |path| {
            let list = self.api.get(path).await?;
            Ok(list["items"].as_array().cloned().unwrap_or_default())
        };
        let services = list("/api/v1/services").await?;
        Ok((services, list("/apis/discovery.k8s.io/v1/endpointslices").await?, list("/api/v1/pods").await?))
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

fn webhook(service: &Value) -> io::Result<Webhook> {
    let name = format!("{}.{}.svc", text(service, "/metadata/name"), text(service, "/metadata/namespace"));
    let wrong = |key: &str| io::Error::other(format!("{name}: the annotation {key} does not fit"));
    let behaviour = annotation(service, ANNOTATION).and_then(Behaviour::named);
    let delay = annotation(service, DELAY).unwrap_or("3").parse().map_err(|_| wrong(DELAY))?;
    if behaviour.is_none() {
        return Err(wrong(ANNOTATION));
    }
    Ok(Webhook { behaviour, delay: Duration::from_secs(delay), name })
}

fn belongs(slice: &Value, service: &Value) -> bool {
    slice["metadata"]["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]
        && slice["metadata"]["namespace"] == service["metadata"]["namespace"]
}

/// Whether a slice has an endpoint that is ready; one that says nothing is.
fn has_ready(slice: &Value) -> bool {
    let endpoints = slice["endpoints"].as_array();
    endpoints.into_iter().flatten().any(|endpoint| endpoint["conditions"]["ready"] != false)
}

/// Whether a slice has ready endpoints for a port of its Service.
fn leads_to(slice: &Value, port: &Value) -> bool {
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let ports = slice["ports"].as_array();
    has_ready(slice) && ports.into_iter().flatten().any(|own| name(own) == name(port))
}

fn is_ready_pod_of(pod: &Value, service: &Value) -> bool {
    let Some(selector) = service["spec"]["selector"].as_object() else {
        return false;
    };
    let labels = &pod["metadata"]["labels"];
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        && pod["metadata"]["deletionTimestamp"].is_null()
        && selector.iter().all(|(key, value)| &labels[key] == value)
        && conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}
