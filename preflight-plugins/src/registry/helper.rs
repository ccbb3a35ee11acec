//! Programs that keep credentials of registries (`docker-credential-NAME`). They are started only where the
//! environment asks for it.

use std::process::Stdio;

use preflight_core::net::Secret;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::credentials::{Credential, Proof, Unreadable};

/// The most that such a program may print. A credential has a few KiB.
const OUTPUT_CAP: u64 = 1 << 20;
/// The user name that stands for a refresh token instead of a password.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

/// Asks a program for the credential of a registry; `None` if it has none.
///
/// # Errors
/// It is not installed, fails, does not end in time, or prints something else. Nothing that it prints is told.
pub async fn ask_helper(
    name: &str,
    registry: &str,
    deadline: std::time::Instant,
) -> Result<Option<Credential>, Unreadable> {
    let program = format!("docker-credential-{name}");
    let failed = |how: &str| Unreadable(format!("{program} {how}"));
    // A name that leads elsewhere would start any program.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        return Err(Unreadable(format!("{name:?} is no name of a credential helper")));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("is not installed"),
            _ => failed("cannot be started"),
        })?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not listen ends by itself.
            let _ = stdin.write_all(registry.as_bytes()).await;
        }
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_CAP).read_to_end(&mut output).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, output))
    };
    let ended =
        timeout_at(Instant::from_std(deadline), talk).await.map_err(|_| failed("did not end in time"))?;
    let (status, output) = ended.map_err(|_| failed("could not be listened to"))?;
    if !status.success() {
        // That it knows none is told with this text and a failure (docker-credential-helpers, `credentials/error.go`).
        let text = String::from_utf8_lossy(&output);
        return match text.contains("credentials not found") {
            true => Ok(None),
            false => Err(failed("failed")),
        };
    }
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| failed("printed no credential"))?;
    let proof = match answer.username.as_str() {
        TOKEN_USER => Proof::Refresh(answer.secret),
        _ => Proof::Password { user: answer.username, password: answer.secret },
    };
    Ok(Some(Credential { source: program, proof }))
}
