//! What can be wrong with a kubeconfig or with the options that choose from it.

use std::path::Path;

use crate::net::ProxyUnusable;

/// The kubeconfig, or an option that chooses from it, cannot be used. Nothing has been asked of any cluster.
///
/// The message never holds a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AccessError {
    message: String,
    help: Option<String>,
}

impl AccessError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => error.to_string(),
        };
        Self::new(format!("Cannot read {what} {}: {why}", path.display()))
    }

    /// What would mend it, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl From<ProxyUnusable> for AccessError {
    fn from(error: ProxyUnusable) -> Self {
        Self::new(error.to_string()).with_help(error.help())
    }
}

/// `"a", "b" and 3 more`.
pub(super) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
