//! Each way to fail has its own kind, and says whom it concerns.

use super::*;
use crate::cluster::connect::FailureKind;

async fn fails(access: &Access, kind: FailureKind, words: &str) {
    let failure = ask(access).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{}", failure.message);
    assert!(
        failure.message.starts_with(&format!("Cannot connect to {}: ", access.server())),
        "{}",
        failure.message
    );
    assert!(failure.message.contains(words), "{}", failure.message);
    assert!(!failure.message.contains('\n'), "{}", failure.message);
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn at(port: u16) -> Access {
    access(json!({"server": format!("https://127.0.0.1:{port}")}), json!({}))
}

fn trusting(authority: &Authority, port: u16) -> Access {
    let server = format!("https://127.0.0.1:{port}");
    access(json!({"server": server, "certificate-authority-data": authority.data()}), json!({}))
}

#[tokio::test]
async fn a_port_on_which_nothing_listens_refuses() {
    fails(&at(closed_port()), FailureKind::Refused, "refused").await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_does_not_resolve() {
    let access = access(json!({"server": "https://api.preflight.invalid:6443"}), json!({}));
    fails(&access, FailureKind::NameResolution, "api.preflight.invalid cannot be resolved").await;
}

#[tokio::test]
async fn an_expired_certificate_tells_when_it_expired() {
    let authority = Authority::new();
    let certificate = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let port = TlsServer::new(certificate).echo();
    fails(&trusting(&authority, port), FailureKind::TlsExpired, "expired on 2021-01-01T00:00:00Z").await;
}

#[tokio::test]
async fn a_certificate_of_the_future_tells_when_it_begins() {
    let authority = Authority::new();
    let certificate = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
        params.not_after = rcgen::date_time_ymd(2091, 1, 1);
    });
    let port = TlsServer::new(certificate).echo();
    fails(&trusting(&authority, port), FailureKind::TlsNotYetValid, "not valid before 2090-01-01").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_tells_both() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["api.example.com"], |_| ())).echo();
    let words = "not valid for 127.0.0.1, only for api.example.com";
    fails(&trusting(&authority, port), FailureKind::TlsWrongName, words).await;
}

#[tokio::test]
async fn an_unknown_authority_is_told_even_if_it_has_the_trusted_one_s_name() {
    let port = TlsServer::new(Authority::new().issue(&["127.0.0.1"], |_| ())).echo();
    fails(&at(port), FailureKind::TlsUnknownIssuer, "not trusted").await;
    fails(&trusting(&Authority::new(), port), FailureKind::TlsUnknownIssuer, "authority").await;
}

#[tokio::test]
async fn a_server_that_demands_a_client_certificate_says_so() {
    let authority = Authority::new();
    let mut server = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ()));
    server.client_authority = Some(authority.0.pem());
    let port = server.listen(|mut stream| {
        head(&mut stream);
        // Closing with the request unread would destroy the alert on its way.
        let _ = stream.sock.read_to_end(&mut Vec::new());
    });
    fails(&trusting(&authority, port), FailureKind::TlsOther, "client certificate").await;
}

#[tokio::test]
async fn plain_http_on_the_port_is_not_tls() {
    let port = listen(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        // Reads on, so that closing does not destroy what was written.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(&at(port), FailureKind::NotTls, "does not speak TLS").await;
}

#[tokio::test]
async fn what_does_not_speak_http_is_told() {
    let port = listen(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let access = access(json!({"server": format!("http://127.0.0.1:{port}")}), json!({}));
    fails(&access, FailureKind::Protocol, "does not speak HTTP").await;
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_cut() {
    fails(&at(listen(drop)), FailureKind::Reset, "closed the connection during the handshake").await;
}

#[tokio::test]
async fn a_connection_that_is_closed_before_the_answer_is_cut() {
    let authority = Authority::new();
    let port = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ())).listen(|mut stream| {
        head(&mut stream);
    });
    fails(&trusting(&authority, port), FailureKind::Reset, "closed the connection").await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let port = listen(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let text = kubeconfig(json!({"server": format!("https://127.0.0.1:{port}")}), json!({}));
    let options = AccessOptions { connect_timeout: Duration::from_millis(50), ..AccessOptions::default() };
    fails(&resolved(&text, options).unwrap(), FailureKind::ConnectTimeout, "no connection within 0.1 s")
        .await;
}

#[tokio::test]
async fn http_401_is_an_answer_and_no_failure_to_connect() {
    let port = http_server("401 Unauthorized");
    let access = access(json!({"server": format!("http://127.0.0.1:{port}")}), json!({"token": "t"}));
    assert_eq!(ask(&access).await.unwrap().0, 401);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_refuses_is_the_proxy_s_fault() {
    let through = |proxy: u16| {
        let proxy = format!("http://jane:s3cret@127.0.0.1:{proxy}");
        access(json!({"server": "https://api.preflight.invalid:6443", "proxy-url": proxy}), json!({}))
    };
    let answering = |answer: &'static str| {
        listen(move |mut stream| {
            head(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    for (port, words, transient) in [
        (closed_port(), "cannot be reached: the connection was refused", true),
        (answering("HTTP/1.1 403 Forbidden\r\n\r\n"), "(HTTP 403)", false),
        (answering("HTTP/1.1 503 Busy\r\n\r\n"), "(HTTP 503)", true),
        (answering("HTTP/1.1 407 Login\r\n\r\n"), "wants credentials", false),
        (answering("hello\r\n\r\n"), "does not answer as an HTTP proxy does", false),
    ] {
        let access = through(port);
        fails(&access, FailureKind::Proxy, words).await;
        let failure = ask(&access).await.unwrap_err();
        assert_eq!(failure.transient, transient, "{}", failure.message);
        assert!(!failure.message.contains("s3cret"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_is_verified_like_the_server() {
    let authority = Authority::new();
    let proxy = TlsServer::new(authority.issue(&["127.0.0.1"], |_| ())).listen(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    let through = |authority: &Authority| {
        let cluster = json!({
            "server": "https://api.preflight.invalid:6443",
            "certificate-authority-data": authority.data(),
            "proxy-url": format!("https://127.0.0.1:{proxy}"),
        });
        access(cluster, json!({}))
    };
    fails(&through(&authority), FailureKind::Proxy, "(HTTP 403)").await;
    fails(&through(&Authority::new()), FailureKind::Proxy, "cannot be reached: its certificate was signed")
        .await;
}
