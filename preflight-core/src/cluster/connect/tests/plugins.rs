//! Exec plugins that work, fail, hang, flood and lie.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::cluster::connect::{CredentialExpiry, ExpiryOf, FailureKind};

const V1: &str = "client.authentication.k8s.io/v1";

/// A user whose plugin is a shell script.
fn script(text: &str, more: Value) -> Value {
    let mut exec =
        json!({"apiVersion": V1, "command": "sh", "args": ["-c", text], "interactiveMode": "Never"});
    for (key, value) in more.as_object().unwrap() {
        exec[key] = value.clone();
    }
    json!({"exec": exec})
}

fn printing(status: &Value) -> Value {
    let credential = json!({"apiVersion": V1, "kind": "ExecCredential", "status": status});
    script(
        r#"printf '%s' "$CREDENTIAL""#,
        json!({"env": [{"name": "CREDENTIAL", "value": credential.to_string()}]}),
    )
}

fn with(user: Value) -> Access {
    access(json!({"server": format!("http://127.0.0.1:{}", http_server("200 OK"))}), user)
}

async fn fails(user: Value, kind: FailureKind, words: &str) -> String {
    let failure = with(user).connect(soon()).await.err().unwrap();
    assert_eq!(failure.kind, kind, "{}", failure.message);
    assert!(failure.message.starts_with("Cannot connect to http://127.0.0.1:"), "{}", failure.message);
    assert!(failure.message.contains(words), "{}", failure.message);
    failure.message
}

#[tokio::test]
async fn a_token_is_used_and_its_expiry_known() {
    let user = printing(&json!({"token": "minted", "expirationTimestamp": "2090-01-01T00:00:00Z"}));
    let access = with(user);
    assert!(ask(&access).await.unwrap().1.contains("authorization: bearer minted\r\n"));
    let credentials = access.connect(soon()).await.ok().unwrap().credentials;
    let expires: SystemTime = UNIX_EPOCH + Duration::from_secs(3_786_912_000);
    assert_eq!(credentials, [CredentialExpiry { what: ExpiryOf::ExecCredential, expires }]);
}

#[tokio::test]
async fn yaml_is_understood_as_well() {
    let text = format!("printf 'apiVersion: {V1}\\nkind: ExecCredential\\nstatus:\\n  token: minted\\n'");
    let heard = ask(&with(script(&text, json!({})))).await.unwrap().1;
    assert!(heard.contains("authorization: bearer minted\r\n"), "{heard}");
}

#[tokio::test]
async fn a_client_certificate_is_used() {
    let authority = Authority::new();
    let mut server = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ()));
    server.client_authority = Some(authority.0.pem());
    let (certificate, key) = authority.issue(&[], |_| ());
    let cluster = json!({
        "server": format!("https://127.0.0.1:{}", server.echo()),
        "certificate-authority-data": authority.data(),
    });
    let user = printing(&json!({"clientCertificateData": certificate, "clientKeyData": key}));
    assert_eq!(ask(&access(cluster, user)).await.unwrap().0, 200);
}

#[tokio::test]
async fn the_plugin_is_told_about_the_caller_and_cannot_read_the_terminal() {
    // Puts what it was told into the token, without the characters that a header may not hold.
    let text = r#"
        cat > /dev/null
        told=$(printf '%s' "$KUBERNETES_EXEC_INFO" | tr -d '"\\')
        printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$told"
    "#;
    let heard = ask(&with(script(text, json!({"provideClusterInfo": true})))).await.unwrap().1;
    for part in ["interactive:false", "server:http://127.0.0.1:", "kind:execcredential"] {
        assert!(heard.contains(part), "{heard}");
    }
}

#[tokio::test]
async fn a_missing_plugin_is_told_with_its_hint() {
    let user = script(
        "",
        json!({"command": "preflight-no-such-plugin", "installHint": "Install it\nfrom the shop"}),
    );
    let message = fails(user, FailureKind::ExecMissing, "preflight-no-such-plugin is not installed").await;
    assert!(message.ends_with("; Install it from the shop"), "{message}");
}

#[tokio::test]
async fn a_failing_plugin_is_quoted_without_secrets() {
    let text = r#"
        echo first >&2; echo second >&2
        echo "Bearer abc123 for $MY_SECRET and eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl" >&2
        echo "session expired, sign in again" >&2
        echo stdout-is-not-told; exit 3
    "#;
    let user = script(text, json!({"env": [{"name": "MY_SECRET", "value": "hunter2"}]}));
    let message = fails(user, FailureKind::ExecFailed, "session expired, sign in again").await;
    assert!(message.contains("exit status: 3"), "{message}");
    for secret in ["abc123", "hunter2", "eyJ", "stdout-is-not-told", "first"] {
        assert!(!message.contains(secret), "{message}");
    }
}

#[tokio::test]
async fn output_that_is_no_credential_is_refused_and_not_told() {
    let other_version = json!({"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "t0ken"}});
    for (output, words) in [
        ("garbage t0ken".to_owned(), "not an ExecCredential"),
        (String::new(), "not an ExecCredential"),
        (json!({"kind": "Secret"}).to_string(), "not an ExecCredential"),
        (other_version.to_string(), "in another version"),
        (json!({"apiVersion": V1, "kind": "ExecCredential"}).to_string(), "without status"),
    ] {
        let user = script(r#"printf '%s' "$OUT""#, json!({"env": [{"name": "OUT", "value": output}]}));
        let message = fails(user, FailureKind::ExecFailed, words).await;
        assert!(!message.contains("t0ken"), "{message}");
    }
    for (status, words) in [
        (json!({}), "neither a token nor a client certificate"),
        (json!({"clientKeyData": "k"}), "without the other"),
        (json!({"clientKeyData": "k", "clientCertificateData": "c"}), "cannot be used"),
        (json!({"token": "a\nb"}), "no token may hold"),
        (json!({"token": "t0ken", "expirationTimestamp": "soon"}), "is no time"),
    ] {
        let message = fails(printing(&status), FailureKind::ExecFailed, words).await;
        assert!(!message.contains("t0ken"), "{message}");
    }
}

#[tokio::test]
async fn a_flood_is_stopped() {
    fails(script("exec yes", json!({})), FailureKind::ExecFailed, "printed more than 1 MiB").await;
}

#[tokio::test]
async fn stderr_beyond_any_pipe_does_not_block_the_plugin() {
    let text = format!(
        r#"yes | head -c 500000 >&2; printf 'apiVersion: {V1}\nkind: ExecCredential\nstatus: {{token: minted}}'"#
    );
    assert_eq!(ask(&with(script(&text, json!({})))).await.unwrap().0, 200);
}

/// The limit is brought about by moving the clock once the plugin runs, so nothing is waited for.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_plugin_that_hangs_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let user = script(
        r#"echo $$ > "$PIDFILE"; exec sleep 600"#,
        json!({"env": [{"name": "PIDFILE", "value": file}]}),
    );
    let access = with(user);
    let connecting = tokio::spawn(async move { access.connect(soon()).await.err().unwrap() });
    let pid = loop {
        tokio::task::yield_now().await;
        match std::fs::read_to_string(&file) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
            _ => {}
        }
    };
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let failure = connecting.await.unwrap();
    assert_eq!(failure.kind, FailureKind::ExecTimeout);
    assert!(failure.message.contains("did not finish in time"), "{}", failure.message);
    assert!(!std::path::Path::new("/proc").join(pid).exists());
}
