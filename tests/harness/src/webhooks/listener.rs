//! Listening for the API server's calls.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::answer::{Behaviour, answer, describe};

/// Calls and complaints, oldest first.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

pub(super) fn note(log: &Log, line: String) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// What listens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Webhook {
    /// `NAME.NAMESPACE.svc`, or an address.
    pub(super) name: String,
    /// What it is like; where nothing is said, the last part of the path says it.
    pub(super) behaviour: Option<Behaviour>,
    /// After how long `slow` answers.
    pub(super) delay: Duration,
}

/// A task that ends when this is dropped.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers calls until it is dropped; calls that are under way end with it.
pub(super) async fn listen(listener: TcpListener, tls: Arc<ServerConfig>, webhook: Webhook, log: Log) {
    let acceptor = TlsAcceptor::from(tls);
    let webhook = Arc::new(webhook);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&webhook), Arc::clone(&log)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, webhook: Arc<Webhook>, log: Log) {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return note(&log, format!("{}: handshake: {error}", webhook.name)),
    };
    let service = service_fn(|request| called(request, Arc::clone(&webhook), Arc::clone(&log)));
    // Each call comes on a connection of its own, so that none outlives what it was called through.
    // A caller that goes away is no matter.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

async fn called(
    request: Request<Incoming>,
    webhook: Arc<Webhook>,
    log: Log,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let review = serde_json::from_slice(&body).unwrap_or_default();
    note(&log, format!("{}{path}: {}", webhook.name, describe(&review)));
    let behaviour = webhook.behaviour.or_else(|| Behaviour::of_path(&path)).unwrap_or(Behaviour::Error);
    let (status, body) = answer(behaviour, webhook.delay, &review).await;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
