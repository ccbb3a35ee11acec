//! A real control plane for Preflight's tests, and an oracle that applies releases to it and watches whether they
//! land.
//!
//! The control plane is etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from their own Go
//! modules by `tests/envtest`. Nothing plays the kubelets but the module `kubelets`. The registry of images is a
//! real one too.

mod api;
mod apply;
mod assets;
mod certificates;
mod control_plane;
mod credentials;
mod images;
mod kubelets;
mod landing;
mod process;
mod registry;
mod reset;
pub mod scenario;
mod table;
mod trials;
mod waiting;
mod webhooks;

pub use api::{Api, ApiError};
pub use apply::{Applied, Apply, apply, prune};
pub use assets::{Assets, Unavailable};
pub use control_plane::{ControlPlane, Options};
pub use credentials::User;
pub use images::{Images, PRIVATE, PULLER};
pub use landing::{Landing, settle};
pub use registry::{Auth, Grant, Image, PlatformImage, Registry, RegistryOptions};
pub use reset::{namespaces_gone, reset};
pub use table::{Row, print_table};
pub use trials::{Test, number, run_tests};
pub use waiting::poll;
pub use webhooks::Webhooks;
