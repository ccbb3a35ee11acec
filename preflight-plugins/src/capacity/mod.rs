//! Whether pods fit onto nodes: what they request, which nodes take them, and what comes of a rollout step by step.
//!
//! Everything here is arithmetic on what was read before; nothing asks the cluster.

pub mod admit;
pub mod fit;
pub mod fleet;
pub mod limits;
pub mod place;
pub mod quota;
pub mod reason;
pub mod requests;
pub mod rollout;
pub mod scene;
mod score;
pub mod shape;
pub mod shortfall;
pub mod simulate;
pub mod state;
pub mod view;
pub mod volumes;
