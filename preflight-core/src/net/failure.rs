//! Every way in which a server cannot be reached, told apart.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::dial::{EstablishTimeout, ResolveError};
use super::proxy::ProxyError;
use crate::redact::redact;

/// Names of a certificate that are told.
const NAMES_SHOWN: usize = 8;

/// In which way the connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host's name does not resolve.
    NameResolution,
    /// Nothing listens on the port, or a firewall rejects.
    Refused,
    /// No answer to the attempt to connect.
    ConnectTimeout,
    /// There is no route to the address.
    Unroutable,
    /// The proxy cannot be reached, or does not let the connection through.
    Proxy,
    /// The server's certificate has expired.
    TlsExpired,
    /// The server's certificate is not valid yet.
    TlsNotYetValid,
    /// The server's certificate is for other names.
    TlsWrongName,
    /// The server's certificate was signed by an authority that is not trusted.
    TlsUnknownIssuer,
    /// The TLS handshake failed in another way.
    TlsOther,
    /// What listens does not speak TLS.
    NotTls,
    /// The connection was cut.
    Reset,
    /// The connection was made, but no answer came in time.
    Timeout,
    /// The exec plugin is not installed.
    ExecMissing,
    /// The exec plugin failed, or gave nothing that can be used.
    ExecFailed,
    /// The exec plugin did not finish in time.
    ExecTimeout,
    /// A file with a credential cannot be read or used.
    CredentialFile,
    /// What answers does not speak HTTP.
    Protocol,
    /// The answer ended before it was whole.
    CutShort,
    /// The answer is larger than any honest one.
    TooLarge,
    /// None of the above.
    Other,
}

/// Why a server gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ConnectFailure {
    /// In which way it failed.
    pub kind: FailureKind,
    /// One line in plain words, without secrets.
    pub message: String,
    /// Whether it may be better in a moment.
    pub transient: bool,
}

/// A failure that does not know yet which server it was about.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FailureKind,
    pub(crate) words: String,
    pub(crate) transient: bool,
}

impl Fault {
    pub(crate) fn new(kind: FailureKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into(), transient: false }
    }

    const fn transient(mut self, transient: bool) -> Self {
        self.transient = transient;
        self
    }

    pub(crate) fn at(self, server: &str) -> ConnectFailure {
        let Self { kind, words, transient } = self;
        ConnectFailure { kind, message: format!("Cannot connect to {server}: {words}"), transient }
    }
}

/// Finds in an error's chain of causes what really happened.
pub(crate) fn classify(error: &(dyn Error + 'static), server: &str) -> ConnectFailure {
    judge(error).at(server)
}

fn judge(error: &(dyn Error + 'static)) -> Fault {
    let mut connecting = false;
    let mut io_error = None;
    let mut http_error = None;
    let mut last = error;
    for cause in causes(error) {
        if let Some(proxy) = cause.downcast_ref::<ProxyError>() {
            return judge_proxy(proxy);
        }
        if let Some(unresolved) = cause.downcast_ref::<ResolveError>() {
            let words = format!("{unresolved}: {}", unresolved.source);
            return Fault::new(FailureKind::NameResolution, words).transient(unresolved.transient);
        }
        if cause.is::<EstablishTimeout>() {
            return Fault::new(FailureKind::ConnectTimeout, cause.to_string()).transient(true);
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return judge_tls(tls);
        }
        if cause.is::<tokio::time::error::Elapsed>() && !connecting {
            return Fault::new(FailureKind::Timeout, "no answer came in time").transient(true);
        }
        if let Some(client) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
            connecting |= client.is_connect();
        }
        io_error =
            io_error.or_else(|| cause.downcast_ref::<io::Error>().map(io::Error::kind).filter(is_telling));
        http_error = http_error.or_else(|| cause.downcast_ref::<hyper::Error>());
        last = cause;
    }
    io_error
        .map(|kind| judge_io(kind, connecting))
        .or_else(|| http_error.map(judge_http))
        .unwrap_or_else(|| Fault::new(FailureKind::Other, redact(&last.to_string()).into_owned()))
}

/// The error and its causes. An `io::Error` hides the error that it was made from: its `source` is one further.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn is_telling(kind: &io::ErrorKind) -> bool {
    !matches!(kind, io::ErrorKind::Other | io::ErrorKind::InvalidData)
}

fn judge_proxy(error: &ProxyError) -> Fault {
    match error {
        ProxyError::Unreachable { source, .. } => {
            let inner = judge(source.as_ref());
            Fault::new(FailureKind::Proxy, format!("{error}: {}", inner.words)).transient(inner.transient)
        }
        ProxyError::Refused { status, .. } => {
            Fault::new(FailureKind::Proxy, error.to_string()).transient(matches!(status, 429 | 500..=504))
        }
        _ => Fault::new(FailureKind::Proxy, error.to_string()),
    }
}

fn judge_io(kind: io::ErrorKind, connecting: bool) -> Fault {
    use io::ErrorKind as Io;
    match kind {
        Io::ConnectionRefused => {
            Fault::new(FailureKind::Refused, "the connection was refused; nothing listens there")
                .transient(true)
        }
        Io::TimedOut if connecting => {
            Fault::new(FailureKind::ConnectTimeout, "no answer to the attempt to connect").transient(true)
        }
        Io::TimedOut => Fault::new(FailureKind::Timeout, "no answer came in time").transient(true),
        Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::NetworkDown
        | Io::AddrNotAvailable
        | Io::NotConnected => Fault::new(FailureKind::Unroutable, "there is no route to it from here"),
        Io::PermissionDenied => Fault::new(
            FailureKind::Unroutable,
            "this machine does not allow the connection (a local firewall?)",
        ),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof | Io::WriteZero => {
            let when = if connecting { " during the handshake" } else { "" };
            Fault::new(FailureKind::Reset, format!("the other side closed the connection{when}"))
                .transient(true)
        }
        other => Fault::new(FailureKind::Other, other.to_string()),
    }
}

fn judge_http(error: &hyper::Error) -> Fault {
    if error.is_parse() || error.is_parse_version_h2() {
        Fault::new(FailureKind::Protocol, "what answers there does not speak HTTP")
    } else if error.is_timeout() {
        Fault::new(FailureKind::Timeout, "no answer came in time").transient(true)
    } else if error.is_user() {
        Fault::new(FailureKind::Other, redact(&error.to_string()).into_owned())
    } else {
        Fault::new(FailureKind::Reset, "the other side closed the connection before it answered")
            .transient(true)
    }
}

fn judge_tls(error: &rustls::Error) -> Fault {
    use rustls::Error as Tls;
    let (kind, words) = match error {
        Tls::InvalidCertificate(certificate) => judge_certificate(certificate),
        Tls::InvalidMessage(_) => (
            FailureKind::NotTls,
            "what listens there does not speak TLS; it may be plain http or another service's port"
                .to_owned(),
        ),
        Tls::AlertReceived(alert) => (FailureKind::TlsOther, told_by(*alert)),
        Tls::PeerIncompatible(_) => {
            (FailureKind::TlsOther, "it offers no TLS version or cipher that is accepted here".to_owned())
        }
        Tls::NoCertificatesPresented => (FailureKind::TlsOther, "it shows no certificate".to_owned()),
        other => (FailureKind::TlsOther, format!("the TLS handshake failed: {}", redact(&other.to_string()))),
    };
    Fault::new(kind, words)
}

fn judge_certificate(error: &CertificateError) -> (FailureKind, String) {
    use CertificateError as Bad;
    match error {
        Bad::Expired => (FailureKind::TlsExpired, "its certificate has expired".to_owned()),
        Bad::ExpiredContext { time, not_after } => (
            FailureKind::TlsExpired,
            format!(
                "its certificate expired on {} (it is {} by this machine's clock)",
                date(not_after),
                date(time)
            ),
        ),
        Bad::NotValidYet => (FailureKind::TlsNotYetValid, "its certificate is not valid yet".to_owned()),
        Bad::NotValidYetContext { time, not_before } => (
            FailureKind::TlsNotYetValid,
            format!(
                "its certificate is not valid before {} (it is {} by this machine's clock)",
                date(not_before),
                date(time)
            ),
        ),
        Bad::NotValidForName => (FailureKind::TlsWrongName, "its certificate is for another name".to_owned()),
        Bad::NotValidForNameContext { expected, presented } => {
            (FailureKind::TlsWrongName, wrong_name(&expected.to_str(), presented))
        }
        Bad::UnknownIssuer => (
            FailureKind::TlsUnknownIssuer,
            "its certificate was signed by an authority that is not trusted here".to_owned(),
        ),
        // The usual sign of a cluster that was built anew: its authority has the same name and another key.
        Bad::BadSignature => (
            FailureKind::TlsUnknownIssuer,
            "its certificate was signed by an authority with the name of the trusted one and another key"
                .to_owned(),
        ),
        Bad::Revoked => (FailureKind::TlsOther, "its certificate has been revoked".to_owned()),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            (FailureKind::TlsOther, "its certificate is not one for servers".to_owned())
        }
        // webpki has no variant of its own for this in rustls.
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            FailureKind::TlsOther,
            "its certificate is an authority's own, which is not accepted for a server; issue it one with CA:FALSE".to_owned(),
        ),
        other => (
            FailureKind::TlsOther,
            format!("its certificate cannot be accepted: {}", redact(&other.to_string())),
        ),
    }
}

fn wrong_name(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!("its certificate is not valid for {expected}, nor for any other name");
    }
    let names: Vec<&str> = presented.iter().take(NAMES_SHOWN).map(|name| bare_name(name)).collect();
    let more = match presented.len().checked_sub(NAMES_SHOWN) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    format!("its certificate is not valid for {expected}, only for {}{more}", names.join(", "))
}

/// `localhost` of `DnsName("localhost")`, the form in which names come.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// What the server said before it hung up. Alerts are named in RFC 8446, section 6.
fn told_by(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => "it demands a client certificate".to_owned(),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => format!("it does not accept the client certificate (TLS alert {alert:?})"),
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            format!("it accepts no TLS version or cipher that this client offers (TLS alert {alert:?})")
        }
        Alert::UnrecognisedName => "it knows no server of this name (TLS alert UnrecognisedName)".to_owned(),
        other => format!("it broke the TLS handshake off (TLS alert {other:?})"),
    }
}

fn date(time: &rustls::pki_types::UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |stamp| stamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_are_found_under_whatever_wraps_them() {
        let wrapped = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        let failure = classify(&wrapped, "https://host:6443");
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.starts_with("Cannot connect to https://host:6443: "), "{}", failure.message);
    }

    #[test]
    fn a_tls_error_behind_an_io_error_is_found() {
        for (error, kind) in [
            (rustls::Error::InvalidCertificate(CertificateError::Expired), FailureKind::TlsExpired),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidYet), FailureKind::TlsNotYetValid),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidForName), FailureKind::TlsWrongName),
            (
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
                FailureKind::TlsUnknownIssuer,
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::BadSignature),
                FailureKind::TlsUnknownIssuer,
            ),
            (rustls::Error::AlertReceived(AlertDescription::BadCertificate), FailureKind::TlsOther),
        ] {
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(classify(&wrapped, "s").kind, kind);
        }
    }

    #[test]
    fn what_is_unknown_stays_unknown_and_holds_no_secret() {
        let failure = classify(&io::Error::other("GET https://jane:pw@host/ broke"), "s");
        assert_eq!(failure.kind, FailureKind::Other);
        assert!(!failure.message.contains("pw"), "{}", failure.message);
    }

    #[test]
    fn the_names_of_a_certificate_are_told_bare() {
        let words = wrong_name(
            "api.example.com",
            &[r#"DnsName("other.example.com")"#.to_owned(), "IpAddress(10.0.0.1)".to_owned()],
        );
        assert_eq!(
            words,
            "its certificate is not valid for api.example.com, only for other.example.com, 10.0.0.1"
        );
    }
}
