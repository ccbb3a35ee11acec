//! Registries of images: references, credentials, mirrors, layouts, and a client that tells every fault apart.
//!
//! Shared by the checks that look at images. Nothing here decides anything.

mod challenge;
mod client;
pub mod credentials;
mod helper;
pub mod layout;
mod manifest;
pub mod mirrors;
mod push;
pub mod reference;
mod send;
mod token;
mod trouble;

pub use challenge::Challenge;
pub use client::{Address, Hello, RegistryClient, Resolved};
pub use helper::ask_helper;
pub use manifest::{Config, Manifest, Platform};
pub use push::Push;
pub use trouble::Trouble;
