//! Embedding Preflight (`embed.rs`), and writing a check (`custom_plugin.rs`).
