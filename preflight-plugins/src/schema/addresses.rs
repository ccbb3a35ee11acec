//! Formats of addresses and names in networks.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::Regex;

use super::formats::{hex, matches};

static HOSTNAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const ANY: &str = r"a-zA-Z0-9\p{S}\p{L}";
    let first = format!(r"[{ANY}]((-?[{ANY}]{{0,62}})?)");
    let rest = format!(r"([{ANY}](([{ANY}\-]{{0,61}}[{ANY}])?)(\.)){{1,}}([a-zA-Z\p{{L}}]){{2,63}}");
    Regex::new(&format!("^({first}|{rest})$")).ok()
});
static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+";
    Regex::new(&format!(r"^{atom}(\.{atom})*@{atom}(\.{atom})*$")).ok()
});

/// `strfmt.IsHostname`.
pub(super) fn hostname(text: &str) -> Option<bool> {
    Some(matches(&HOSTNAME, text)? && text.len() <= 255 && text.split('.').all(|it| it.len() <= 63))
}

/// Leading zeros are tolerated, as before Go 1.17.
pub(super) fn ipv4(text: &str) -> bool {
    let octet = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|it| it.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|it| it <= 255)
    };
    text.split('.').count() == 4 && text.split('.').all(octet)
}

pub(super) fn cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match (ipv4(address), address.parse::<Ipv6Addr>()) {
        (true, _) => 32,
        (false, Ok(_)) => 128,
        _ => return false,
    };
    bits.bytes().all(|it| it.is_ascii_digit()) && bits.parse::<u32>().is_ok_and(|it| it <= most)
}

/// `net.ParseMAC` of Go 1.26.
pub(super) fn mac(text: &str) -> bool {
    let parts = |sign: char, width: usize, counts: [usize; 3]| {
        let count = text.split(sign).count();
        counts.contains(&count) && text.split(sign).all(|it| it.len() == width && hex(it))
    };
    (matches!(text.len(), 12 | 16 | 40) && hex(text))
        || parts(':', 2, [6, 8, 20])
        || parts('-', 2, [6, 8, 20])
        || parts('.', 4, [3, 4, 10])
}

/// `net/mail.ParseAddress`, for plain addresses only.
pub(super) fn email(text: &str) -> Option<bool> {
    if matches(&EMAIL, text)? {
        return Some(true);
    }
    (!text.contains('@')).then_some(false)
}

/// `net/url.ParseRequestURI`, as far as it is plain.
pub(super) fn uri(text: &str) -> Option<bool> {
    if text.is_empty() || text.bytes().any(|it| it < 0x20 || it == 0x7f) {
        return Some(false);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(text.len());
    let (head, tail) = text.split_at_checked(end)?;
    let scheme = head.starts_with(|c: char| c.is_ascii_alphabetic()) && tail.starts_with(':');
    if head.is_empty() && tail.starts_with(':') {
        return Some(false);
    }
    let rest = if scheme { tail.get(1..)? } else { text };
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        return Some(scheme || text == "*");
    }
    let path = match rest.strip_prefix("//").filter(|_| scheme) {
        Some(rest) => {
            let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            if authority.contains(' ') {
                return Some(false);
            }
            if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
                || port.contains([':', '@', ']'])
            {
                return None;
            }
            if !port.bytes().all(|it| it.is_ascii_digit()) {
                return Some(false);
            }
            path
        }
        None => rest,
    };
    let escaped = |part: &str| part.get(..2).is_some_and(hex);
    Some(path.split('%').skip(1).all(escaped))
}
