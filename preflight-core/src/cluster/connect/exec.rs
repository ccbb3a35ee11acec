//! Credential plugins (`users[].user.exec`): run as a child that cannot hang, flood or ask.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

use super::credentials::{CredentialExpiry, ExpiryOf, Identity, Obtained, with_token};
use crate::net::{FailureKind, Fault};
use crate::redact::redact;

/// The most that a plugin may print. A credential has a few KiB.
const OUTPUT_CAP: u64 = 1 << 20;
/// The end of what a plugin prints to stderr, in bytes, that is kept.
const STDERR_KEPT: usize = 8 << 10;
/// Lines of it that are told.
const STDERR_LINES: usize = 3;
/// Bytes of it that are told.
const STDERR_TOLD: usize = 400;
/// How long a child that was killed, or stderr that something else still holds, is waited for.
const GRACE: Duration = Duration::from_secs(1);
/// From this length on a word of letters and digits is taken for a secret.
const SECRET_LENGTH: usize = 40;

/// A plugin and how it is called.
#[derive(Clone)]
pub(super) struct ExecPlugin {
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) api_version: String,
    pub(super) install_hint: Option<String>,
    /// `spec.cluster`, where the kubeconfig says `provideClusterInfo`.
    pub(super) cluster: Option<Value>,
    pub(super) time_limit: Duration,
}

impl ExecPlugin {
    /// Runs the plugin and reads the credential that it prints.
    pub(super) async fn run(&self, deadline: Instant) -> Result<Obtained, Fault> {
        let deadline = deadline.min(Instant::now() + self.time_limit);
        let mut child = Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", self.exec_info())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let mut said = Tail::default();
        let outcome = timeout_at(deadline, listen(&mut child, &mut said)).await;
        if !matches!(outcome, Ok(Ok(Heard::Ended { .. }))) {
            // The kernel reaps at once; a child in an uninterruptible sleep must not hold up the run.
            let _ = timeout(GRACE, child.kill()).await;
        }
        let said = self.told(&said);
        match outcome {
            Err(_) => Err(Fault::new(
                FailureKind::ExecTimeout,
                format!(
                    "the credential plugin {} did not finish in time; it may be waiting for someone to sign in{said}",
                    self.command
                ),
            )),
            Ok(Err(error)) => Err(self.failed(&format!("could not be listened to: {error}{said}"))),
            Ok(Ok(Heard::TooMuch)) => {
                Err(self.failed(&format!("printed more than {} MiB{said}", OUTPUT_CAP >> 20)))
            }
            Ok(Ok(Heard::Ended { success: false, how, .. })) => {
                Err(self.failed(&format!("failed ({how}){said}")))
            }
            Ok(Ok(Heard::Ended { output, .. })) => self.read(&output),
        }
    }

    /// What the plugin is told about the caller: the input form of ExecCredential (client.authentication.k8s.io).
    fn exec_info(&self) -> String {
        let mut spec = json!({"interactive": false});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        json!({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}).to_string()
    }

    fn read(&self, output: &[u8]) -> Result<Obtained, Fault> {
        let text =
            std::str::from_utf8(output).map_err(|_| self.failed("printed something that is not text"))?;
        let answer: Answer = match serde_json::from_str(text) {
            Ok(answer) => answer,
            Err(_) => serde_saphyr::from_str(text)
                .map_err(|_| self.failed("printed something that is not an ExecCredential"))?,
        };
        if answer.kind.as_deref() != Some("ExecCredential") {
            return Err(self.failed("printed something that is not an ExecCredential"));
        }
        if answer.api_version.as_deref() != Some(self.api_version.as_str()) {
            let words =
                format!("answered in another version than the kubeconfig's apiVersion {}", self.api_version);
            return Err(self.failed(&words));
        }
        let status = answer.status.ok_or_else(|| self.failed("printed an ExecCredential without status"))?;
        let expires = match status.expiration_timestamp.filter(|stamp| !stamp.is_empty()) {
            None => None,
            Some(stamp) => {
                let stamp: jiff::Timestamp = stamp
                    .parse()
                    .map_err(|_| self.failed("printed an expirationTimestamp that is no time"))?;
                CredentialExpiry::at_unix(ExpiryOf::ExecCredential, stamp.as_second())
            }
        };
        let filled = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut obtained = match filled(status.token) {
            Some(token) => with_token(&token, expires)
                .ok_or_else(|| self.failed("printed a token with characters that no token may hold"))?,
            None => Obtained { expiries: expires.into_iter().collect(), ..Obtained::default() },
        };
        match (filled(status.client_certificate_data), filled(status.client_key_data)) {
            (Some(certificate), Some(key)) => {
                let identity = Identity::new(certificate.into_bytes(), key.as_bytes()).map_err(|why| {
                    self.failed(&format!("printed a client certificate that cannot be used: {why}"))
                })?;
                obtained.identity = Some(identity);
            }
            (None, None) if obtained.authorization.is_none() => {
                return Err(self.failed("printed neither a token nor a client certificate"));
            }
            (None, None) => {}
            _ => {
                return Err(self.failed("printed one of client certificate and client key without the other"));
            }
        }
        Ok(obtained)
    }

    fn failed(&self, how: &str) -> Fault {
        Fault::new(FailureKind::ExecFailed, format!("the credential plugin {} {how}", self.command))
    }

    fn not_started(&self, error: &std::io::Error) -> Fault {
        if error.kind() != std::io::ErrorKind::NotFound {
            return self.failed(&format!("cannot be started: {error}"));
        }
        let hint = self.install_hint.as_deref().map(one_line).filter(|hint| !hint.is_empty());
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let words = format!("the credential plugin {} is not installed{hint}", self.command);
        Fault::new(FailureKind::ExecMissing, words)
    }

    /// The last words of the plugin, without what looks like a secret.
    fn told(&self, said: &Tail) -> String {
        let bytes: Vec<u8> = said.0.iter().copied().collect();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if bytes.len() == STDERR_KEPT {
            // The first line may have lost what shows that it is a secret.
            text = text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        }
        for (name, value) in &self.env {
            if value.len() >= 4 && sounds_secret(name) {
                text = text.replace(value.as_str(), "[redacted]");
            }
        }
        let text = redact(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(STDERR_LINES)).copied();
        let mut told = mask_long_words(&one_line(&last.collect::<Vec<_>>().join("; ")));
        if told.len() > STDERR_TOLD {
            let cut = told.floor_char_boundary(STDERR_TOLD);
            told.truncate(cut);
            told.push('…');
        }
        if told.is_empty() { told } else { format!(": {told}") }
    }
}

enum Heard {
    Ended { success: bool, how: String, output: Vec<u8> },
    TooMuch,
}

async fn listen(child: &mut Child, said: &mut Tail) -> std::io::Result<Heard> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(std::io::Error::other("no pipes"));
    };
    let finish = async {
        let mut output = Vec::new();
        stdout.take(OUTPUT_CAP + 1).read_to_end(&mut output).await?;
        if output.len() as u64 > OUTPUT_CAP {
            // It may block on the pipe for ever: it is not waited for.
            return Ok::<_, std::io::Error>(Heard::TooMuch);
        }
        let status = child.wait().await?;
        Ok(Heard::Ended { success: status.success(), how: status.to_string(), output })
    };
    let drain = said.drain(stderr);
    tokio::pin!(finish, drain);
    tokio::select! {
        heard = &mut finish => {
            if matches!(heard, Ok(Heard::Ended { .. })) {
                // A grandchild may keep stderr open after the plugin has ended.
                let _ = timeout(GRACE, drain).await;
            }
            heard
        }
        () = &mut drain => finish.await,
    }
}

/// The end of a stream.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    async fn drain(&mut self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.0.extend(buffer.iter().take(read));
            let excess = self.0.len().saturating_sub(STDERR_KEPT);
            self.0.drain(..excess);
        }
    }
}

fn one_line(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL"].iter().any(|sign| name.contains(sign))
}

/// Long runs of letters and digits are tokens and keys more often than they are words.
fn mask_long_words(text: &str) -> String {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "-_+=.".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| belongs(c) != belongs(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let secret =
            run.len() >= SECRET_LENGTH && run.contains(|c: char| c.is_ascii_digit()) && belongs(first);
        out.push_str(if secret { "[redacted]" } else { run });
        rest = after;
    }
    out
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    kind: Option<String>,
    api_version: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}
