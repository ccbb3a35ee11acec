//! Proxies on the way to a server: which one, if any, and how it is asked to let a connection through.

use std::error::Error;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use super::secret::Secret;

/// The longest head of a proxy's answer that is read, in bytes.
const ANSWER_CAP: usize = 8 << 10;

/// A proxy, and where it was named.
#[derive(Clone)]
pub(crate) struct Proxy {
    scheme: Scheme,
    host: String,
    port: u16,
    login: Option<(String, Secret)>,
    named_by: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Socks5,
}

/// A proxy is named that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The proxy cannot be used: {why}")]
pub(crate) struct ProxyUnusable {
    why: &'static str,
    named_by: &'static str,
}

impl ProxyUnusable {
    /// What would mend it.
    pub(crate) fn help(&self) -> String {
        format!("It is named by {}; it has the form http://host:port", self.named_by)
    }
}

/// The proxy stands in the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// It cannot be reached.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable { proxy: String, source: Box<dyn Error + Send + Sync> },
    /// It wants other credentials.
    #[error("the proxy {proxy} wants credentials, or other ones")]
    Login { proxy: String },
    /// It answered, and not with success.
    #[error("the proxy {proxy} does not let the connection through (HTTP {status})")]
    Refused { proxy: String, status: u16 },
    /// Its answer cannot be understood, or says in words what is wrong.
    #[error("the proxy {proxy} does not let the connection through: {why}")]
    Handshake { proxy: String, why: String },
}

impl Proxy {
    /// The proxy for a server: the kubeconfig's `proxy-url`, which always counts, else `HTTPS_PROXY` (for plain
    /// http `HTTP_PROXY`), unless `NO_PROXY` names the server. So do kubectl and Go
    /// (`golang.org/x/net/http/httpproxy`).
    pub(crate) fn choose(
        proxy_url: Option<&str>,
        server: &Uri,
        variable: &dyn Fn(&[&str]) -> Option<String>,
    ) -> Result<Option<Self>, ProxyUnusable> {
        if let Some(url) = proxy_url {
            return Self::parse(url, "proxy-url in the kubeconfig").map(Some);
        }
        let (names, named_by) = match server.scheme_str() {
            Some("http") => (["HTTP_PROXY", "http_proxy"], "HTTP_PROXY"),
            _ => (["HTTPS_PROXY", "https_proxy"], "HTTPS_PROXY"),
        };
        let Some(url) = variable(&names) else {
            return Ok(None);
        };
        let exempt = variable(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
        let host = server.host().unwrap_or_default();
        if goes_direct(host, port_of(server), &exempt) {
            return Ok(None);
        }
        match url.contains("://") {
            true => Self::parse(&url, named_by),
            false => Self::parse(&format!("http://{url}"), named_by),
        }
        .map(Some)
    }

    fn parse(url: &str, named_by: &'static str) -> Result<Self, ProxyUnusable> {
        let malformed = |why: &'static str| ProxyUnusable { why, named_by };
        let uri: Uri = url.parse().map_err(|_| malformed("its URL is malformed"))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            Some("socks5" | "socks5h") => (Scheme::Socks5, 1080),
            _ => return Err(malformed("its scheme is none of http, https and socks5")),
        };
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| malformed("its URL has no host"))?;
        let login = uri.authority().and_then(|authority| login_of(authority.as_str()));
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            login,
            named_by,
        })
    }

    /// The URL without credentials.
    pub(crate) fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Socks5 => "socks5",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Where a connection to the proxy itself goes; TLS only where the proxy speaks it.
    pub(super) fn address(&self) -> Option<Uri> {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port).parse().ok()
    }

    pub(super) fn unreachable(&self, source: Box<dyn Error + Send + Sync>) -> ProxyError {
        ProxyError::Unreachable { proxy: self.told(), source }
    }

    /// Asks the proxy at the other end of `stream` for a way through to `server`.
    pub(super) async fn tunnel<S>(&self, stream: S, server: &Uri) -> Result<S, ProxyError>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        match self.scheme {
            Scheme::Http | Scheme::Https => self.http_connect(stream, server).await,
            Scheme::Socks5 => self.socks(stream, server).await,
        }
    }

    /// HTTP CONNECT (RFC 9110, section 9.3.6).
    async fn http_connect<S: Read + Write + Unpin>(&self, stream: S, server: &Uri) -> Result<S, ProxyError> {
        let target = format!("{}:{}", server.host().unwrap_or_default(), port_of(server));
        let login = self.login.as_ref().map(|(user, password)| {
            let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
            format!("Proxy-Authorization: Basic {pair}\r\n")
        });
        let request =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", login.unwrap_or_default());
        let mut io = TokioIo::new(stream);
        io.write_all(request.as_bytes()).await.map_err(|error| self.handshake(&error.to_string()))?;
        io.flush().await.map_err(|error| self.handshake(&error.to_string()))?;
        let mut head = Vec::new();
        // One byte at a time: what follows the head belongs to the server.
        while !head.ends_with(b"\r\n\r\n") {
            let byte = io.read_u8().await.map_err(|_| self.handshake("it closed the connection"))?;
            head.push(byte);
            if head.len() > ANSWER_CAP {
                return Err(self.handshake("its answer is too long"));
            }
        }
        match status_of(&head) {
            Some(200..=299) => Ok(io.into_inner()),
            Some(407) => Err(ProxyError::Login { proxy: self.told() }),
            Some(status) => Err(ProxyError::Refused { proxy: self.told(), status }),
            None => Err(self.handshake("it does not answer as an HTTP proxy does")),
        }
    }

    async fn socks<S>(&self, stream: S, server: &Uri) -> Result<S, ProxyError>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let Some(address) = self.address() else {
            return Err(self.handshake("its address is malformed"));
        };
        let stream = tower::util::service_fn(once(stream));
        let mut socks = SocksV5::new(address, stream);
        if let Some((user, password)) = &self.login {
            socks = socks.with_auth(user.clone(), password.expose().to_owned());
        }
        let target = with_port(server).ok_or_else(|| self.handshake("the server's address is malformed"))?;
        let stream = socks.oneshot(target).await;
        stream.map_err(|error| self.handshake(error.to_string().trim_start_matches("SOCKS error: ")))
    }

    fn handshake(&self, why: &str) -> ProxyError {
        ProxyError::Handshake { proxy: self.told(), why: why.to_owned() }
    }

    fn told(&self) -> String {
        format!("{} (named by {})", self.url(), self.named_by)
    }
}

/// A connector that hands out one stream that is there already.
fn once<S: Send + 'static>(stream: S) -> impl FnMut(Uri) -> std::future::Ready<Result<S, Used>> {
    let mut stream = Some(stream);
    move |_| std::future::ready(stream.take().ok_or(Used))
}

/// Never made: the stream is asked for once.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the proxy was used twice")]
struct Used;

fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// The port that a URL leads to: the one that is written, else its scheme's.
#[must_use]
pub fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

fn with_port(uri: &Uri) -> Option<Uri> {
    format!("{}://{}:{}", uri.scheme_str()?, uri.host()?, port_of(uri)).parse().ok()
}

/// User and password of a URL's authority, decoded.
pub(crate) fn login_of(authority: &str) -> Option<(String, Secret)> {
    let (userinfo, _) = authority.rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Some((percent_decode(user), Secret::new(percent_decode(password))))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether a host is reached without the proxy of the environment: this machine itself, and what `NO_PROXY` names.
fn goes_direct(host: &str, port: u16, exempt: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exempt.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((network, bits))) = (address, entry.split_once('/')) {
            return in_network(address, network, bits);
        }
        let (name, wanted) = split_port(&entry);
        if name.is_empty() || wanted.is_some_and(|wanted| wanted != port) {
            return false;
        }
        if let Ok(named) = name.parse::<IpAddr>() {
            return address == Some(named);
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        match name.strip_prefix('.') {
            Some(domain) => host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')),
            None => host == name || host.strip_suffix(name).is_some_and(|head| head.ends_with('.')),
        }
    })
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (name, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (name, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, port.parse().ok()),
        _ => (entry, None),
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let Ok(bits) = bits.parse::<u32>() else {
        return false;
    };
    match (address, network.parse::<IpAddr>()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(proxy_url: Option<&str>, server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let server = server.parse().unwrap();
        let variable = |names: &[&str]| {
            let found = variables.iter().find(|(name, _)| names.contains(name))?;
            Some(found.1.to_owned())
        };
        Proxy::choose(proxy_url, &server, &variable).unwrap().map(|proxy| proxy.url())
    }

    #[test]
    fn the_kubeconfig_counts_before_the_environment_and_no_proxy_is_for_the_latter() {
        let environment = [("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", "api.example.com")];
        let api = "https://api.example.com:6443";
        assert_eq!(chosen(Some("socks5://s"), api, &environment).as_deref(), Some("socks5://s:1080"));
        assert_eq!(chosen(None, api, &environment), None);
        assert_eq!(chosen(None, "https://other:6443", &environment).as_deref(), Some("http://proxy:3128"));
        assert_eq!(chosen(None, "http://other", &environment), None);
        assert_eq!(chosen(None, "https://127.0.0.1:6443", &environment), None);
        assert_eq!(chosen(None, "https://[::1]:6443", &environment), None);
    }

    #[test]
    fn no_proxy_names_hosts_domains_ports_addresses_and_networks() {
        for (host, exempt, direct) in [
            ("api.example.com", "example.com", true),
            ("api.example.com", ".example.com", true),
            ("api.example.com", "*.example.com", true),
            ("example.com", ".example.com", false),
            ("badexample.com", "example.com", false),
            ("api.example.com", "a, API.example.com:6443", true),
            ("api.example.com", "api.example.com:443", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("[fd00::1]", "fd00::/8", true),
            ("[fd00::1]", "[fd00::1]:6443", true),
            ("api", "", false),
            ("api", "*", true),
        ] {
            assert_eq!(goes_direct(host, 6443, exempt), direct, "{host} with {exempt:?}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = Proxy::parse("http://jane:p%40ss%3A@proxy:1", "HTTPS_PROXY").ok().unwrap();
        assert_eq!(proxy.url(), "http://proxy:1");
        let (user, password) = proxy.login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("jane", "p@ss:"));
        let error = Proxy::parse("ftp://jane:s3cret@proxy", "HTTPS_PROXY").err().unwrap();
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}
