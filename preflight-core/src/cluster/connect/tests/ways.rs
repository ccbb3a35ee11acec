//! Ways that lead to the server: credentials, impersonation, proxies, HTTP versions.

use std::sync::mpsc;

use super::*;
use crate::cluster::connect::{ExpiryOf, FailureKind};

fn plain(user: Value) -> Access {
    access(json!({"server": format!("http://127.0.0.1:{}", http_server("200 OK"))}), user)
}

async fn told(access: &Access) -> String {
    ask(access).await.unwrap().1
}

#[tokio::test]
async fn every_way_to_say_who_one_is_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    for (user, header) in [
        (json!({"token": "given"}), "authorization: bearer given\r\n"),
        (json!({"tokenFile": file}), "authorization: bearer from-file\r\n"),
        (json!({"tokenFile": file, "token": "given"}), "authorization: bearer from-file\r\n"),
        // The echo is in lower case, base64 too.
        (json!({"username": "jane", "password": "pw"}), "authorization: basic amfuztpwdw==\r\n"),
    ] {
        let text = told(&plain(user)).await;
        assert!(text.contains(header), "{text}");
        assert!(
            text.contains(concat!("user-agent: preflight/", env!("CARGO_PKG_VERSION"), "\r\n")),
            "{text}"
        );
    }
    assert!(!told(&plain(json!({}))).await.contains("authorization"));
}

#[tokio::test]
async fn a_pod_s_token_and_authority_are_used() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ())).echo();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.crt"), authority.0.pem()).unwrap();
    std::fs::write(directory.path().join("token"), "mounted\n").unwrap();
    let mut surroundings = surroundings();
    surroundings.service_account = directory.path().to_owned();
    surroundings.variables.insert("KUBERNETES_SERVICE_HOST".into(), "127.0.0.1".into());
    surroundings.variables.insert("KUBERNETES_SERVICE_PORT".into(), port.to_string().into());
    let access = resolve::resolve(&AccessOptions::default(), &surroundings).unwrap();
    assert!(told(&access).await.contains("authorization: bearer mounted\r\n"));

    std::fs::remove_file(directory.path().join("token")).unwrap();
    let failure = access.connect(soon()).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::CredentialFile, "{}", failure.message);
}

#[tokio::test]
async fn impersonation_arrives_and_options_count_before_the_kubeconfig() {
    let port = http_server("200 OK");
    let user = json!({"as": "jane", "as-groups": ["dev"], "as-uid": "7", "as-user-extra": {"why": ["test"]}});
    let text = kubeconfig(json!({"server": format!("http://127.0.0.1:{port}")}), user);
    let heard = told(&resolved(&text, AccessOptions::default()).unwrap()).await;
    for header in ["user: jane", "group: dev", "uid: 7", "extra-why: test"] {
        assert!(heard.contains(&format!("impersonate-{header}\r\n")), "{heard}");
    }
    let options = AccessOptions {
        impersonate_user: Some("john".into()),
        impersonate_groups: vec!["ops".into(), "qa".into()],
        ..AccessOptions::default()
    };
    let heard = told(&resolved(&text, options).unwrap()).await;
    for header in ["user: john", "group: ops", "group: qa"] {
        assert!(heard.contains(&format!("impersonate-{header}\r\n")), "{heard}");
    }
    assert!(!heard.contains("jane") && !heard.contains("dev"), "{heard}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_expiry_known() {
    let authority = Authority::new();
    let mut server = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ()));
    server.client_authority = Some(authority.0.pem());
    let (certificate, key) =
        authority.issue(&[], |params| params.not_after = rcgen::date_time_ymd(2090, 1, 1));
    let cluster = json!({
        "server": format!("https://127.0.0.1:{}", server.echo()),
        "certificate-authority-data": authority.data(),
    });
    let user = json!({"client-certificate-data": base64(&certificate), "client-key-data": base64(&key)});
    let access = access(cluster, user);
    assert_eq!(ask(&access).await.unwrap().0, 200);
    let credentials = access.connect(soon()).await.ok().unwrap().credentials;
    assert_eq!(credentials.len(), 1);
    assert_eq!(credentials[0].what, ExpiryOf::ClientCertificate);
    assert_eq!(credentials[0].expires, std::time::UNIX_EPOCH + Duration::from_secs(3_786_912_000));
}

#[tokio::test]
async fn tls_server_name_and_skipped_verification_are_honoured() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["api.example.com"], |_| ())).echo();
    let server = format!("https://127.0.0.1:{port}");
    let named = json!({
        "server": server,
        "certificate-authority-data": authority.data(),
        "tls-server-name": "api.example.com",
    });
    let named = access(named, json!({}));
    assert_eq!(ask(&named).await.unwrap().0, 200);
    assert!(!named.insecure());
    let skipping = access(json!({"server": server, "insecure-skip-tls-verify": true}), json!({}));
    assert_eq!(ask(&skipping).await.unwrap().0, 200);
    assert!(skipping.insecure());
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let authority = Authority::new();
    let mut server = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ()));
    server.protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (sender, receiver) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let port = server.listen(move |mut stream| {
        let mut preface = [0; 24];
        let _ = stream.read_exact(&mut preface);
        let _ = sender.lock().unwrap().send(preface);
    });
    let cluster = json!({"server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": authority.data()});
    let failure = ask(&access(cluster, json!({}))).await.unwrap_err();
    assert_eq!(&receiver.recv().unwrap(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(failure.transient, "{}", failure.message);
}

/// Copies both ways until both ends are closed.
fn splice(client: TcpStream, port: u16) {
    let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = std::io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(std::net::Shutdown::Write);
}

#[tokio::test]
async fn an_http_proxy_is_gone_through_with_its_credentials() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["api.preflight.invalid"], |_| ())).echo();
    let (sender, receiver) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let proxy = listen(move |mut stream| {
        sender.lock().unwrap().send(head(&mut stream)).unwrap();
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").unwrap();
        splice(stream, port);
    });
    let cluster = json!({
        "server": "https://api.preflight.invalid:6443",
        "certificate-authority-data": authority.data(),
        "proxy-url": format!("http://jane:p%40ss@127.0.0.1:{proxy}"),
    });
    let access = access(cluster, json!({}));
    assert_eq!(access.proxy().unwrap(), format!("http://127.0.0.1:{proxy}"));
    assert_eq!(ask(&access).await.unwrap().0, 200);
    let heard = receiver.recv().unwrap();
    assert!(heard.starts_with("connect api.preflight.invalid:6443 http/1.1\r\n"), "{heard}");
    let login = format!("proxy-authorization: basic {}\r\n", base64("jane:p@ss").to_ascii_lowercase());
    assert!(heard.contains(&login), "{heard}");
}

#[tokio::test]
async fn a_socks_proxy_is_gone_through() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["api.preflight.invalid"], |_| ())).echo();
    let proxy = listen(move |mut stream| {
        // RFC 1928: greeting, then a request with the name's length in its fifth byte.
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).unwrap();
        let mut name_and_port = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut name_and_port).unwrap();
        let known = name_and_port.starts_with(b"api.preflight.invalid");
        stream.write_all(&[5, if known { 0 } else { 1 }, 0, 1, 127, 0, 0, 1, 0, 0]).unwrap();
        splice(stream, port);
    });
    let cluster = json!({
        "server": "https://api.preflight.invalid:6443",
        "certificate-authority-data": authority.data(),
        "proxy-url": format!("socks5://127.0.0.1:{proxy}"),
    });
    assert_eq!(ask(&access(cluster, json!({}))).await.unwrap().0, 200);
}
