//! Connections to servers, each failure in its own words: the name, the socket, the proxy, TLS, HTTP.
//!
//! The API server is reached through this, and so are registries: [`HttpClient`] is for whatever else a check must
//! ask over HTTP.

mod client;
mod dial;
mod failure;
mod proxy;
mod secret;

pub(crate) use client::install_crypto;
pub use client::{HttpClient, HttpOptions};
pub(crate) use dial::{Bounded, Dialer};
pub use failure::{ConnectFailure, FailureKind};
pub(crate) use failure::{Fault, classify};
pub use proxy::port_of;
pub(crate) use proxy::{Proxy, ProxyUnusable, login_of};
pub use secret::Secret;
