//! Formats of strings that the server checks.
//!
//! Which ones: `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go`, v1.36. How:
//! `k8s.io/kube-openapi/pkg/validation/strfmt` and its `internal/third_party/govalidator`. Others are ignored there.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::addresses;

const KNOWN: [&str; 25] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
];

/// The format of a schema that the server enforces on strings. Dashes do not matter to it.
pub(super) fn textual(schema: &Value) -> Option<String> {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("string");
    let both = super::flag(schema, "x-kubernetes-int-or-string");
    let format = schema.get("format")?.as_str()?.replace('-', "");
    ((both || kind == "string") && (KNOWN.contains(&format.as_str()) || format == "k8slongname"))
        .then_some(format)
}

/// The format of a schema that the server enforces on numbers.
pub(super) fn numeric(schema: &Value) -> Option<&str> {
    let format = schema.get("format")?.as_str()?;
    let kind = schema.get("type")?.as_str().filter(|_| !super::flag(schema, "x-kubernetes-int-or-string"))?;
    match (kind, format) {
        ("integer", "int32" | "int64") | ("number", "float" | "double") => Some(format),
        _ => None,
    }
}

/// Whether a string has the format, if that can be told. The format is one that [`textual`] gave.
pub(super) fn fits(format: &str, text: &str) -> Option<bool> {
    Some(match format {
        "uri" => return addresses::uri(text),
        "email" => return addresses::email(text),
        "hostname" => addresses::hostname(text)?,
        "ipv4" => addresses::ipv4(text) || (text.contains('.') && text.parse::<Ipv6Addr>().is_ok()),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => addresses::cidr(text),
        "mac" => addresses::mac(text),
        "bsonobjectid" => text.len() == 24 && hex(text),
        "uuid" => uuid(text, None, false),
        "uuid3" => uuid(text, Some('3'), false),
        "uuid4" => uuid(text, Some('4'), true),
        "uuid5" => uuid(text, Some('5'), true),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "isbn" => isbn10(text) || isbn13(text),
        "ssn" => text.len() == 11 && matches(&SSN, text)?,
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            hex(digits) && matches!(digits.len(), 3 | 6)
        }
        "rgbcolor" => matches(&RGB, text)?,
        "byte" => matches(&BASE64, text)?,
        "password" => true,
        "date" => date(text),
        "datetime" => datetime(text)?,
        "duration" => duration(text)?,
        "k8sshortname" => text.len() <= 63 && label(text),
        "k8slongname" => text.len() <= 253 && text.split('.').all(label),
        _ => return None,
    })
}

static SSN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$").ok());
static RGB: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let part = r"[\t\n\x0C\r ]*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])[\t\n\x0C\r ]*";
    Regex::new(&format!(r"^rgb\({part},{part},{part}\)$")).ok()
});
static BASE64: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let set = "[A-Za-z0-9+/]";
    Regex::new(&format!("^(?:{set}{{4}})*(?:{set}{{2}}==|{set}{{3}}=|{set}{{4}})$")).ok()
});
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$").ok()
});
static GO_DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|\x{b5}s|\x{3bc}s|ms|s|m|h))+)$").ok()
});
static SCALA_DURATION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([0-9]+)[\t\n\x0C\r ]*([A-Za-z\x{b5}]+)").ok());
pub(super) fn matches(regex: &LazyLock<Option<Regex>>, text: &str) -> Option<bool> {
    Some(LazyLock::force(regex).as_ref()?.is_match(text))
}

pub(super) fn hex(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn label(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|it| inner(*it) || *it == b'-')
}

fn uuid(text: &str, version: Option<char>, variant: bool) -> bool {
    let mut digits = String::with_capacity(32);
    let mut rest = text;
    for width in [8, 4, 4, 4, 12] {
        if !digits.is_empty() {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((part, tail)) = rest.split_at_checked(width) else { return false };
        digits.push_str(part);
        rest = tail;
    }
    rest.is_empty()
        && hex(&digits)
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && (!variant || digits.chars().nth(16).is_some_and(|it| "89abAB".contains(it)))
}

fn bare(text: &str) -> Vec<u8> {
    text.bytes().filter(|it| !matches!(it, b'\t' | b'\n' | 0x0C | b'\r' | b' ' | b'-')).collect()
}

fn isbn10(text: &str) -> bool {
    let bytes = bare(text);
    let Some((last, rest)) = bytes.split_last().filter(|_| bytes.len() == 10) else { return false };
    let check = match last {
        b'X' => 10,
        it if it.is_ascii_digit() => u32::from(it - b'0'),
        _ => return false,
    };
    rest.iter().all(u8::is_ascii_digit)
        && ((1..).zip(rest).map(|(weight, it)| weight * u32::from(it - b'0')).sum::<u32>() + 10 * check) % 11
            == 0
}

fn isbn13(text: &str) -> bool {
    let bytes = bare(text);
    bytes.len() == 13
        && bytes.iter().all(u8::is_ascii_digit)
        && [1, 3]
            .into_iter()
            .cycle()
            .zip(&bytes)
            .map(|(weight, it)| weight * u32::from(it - b'0'))
            .sum::<u32>()
            % 10
            == 0
}

/// `time.Parse("2006-01-02", text)`.
fn date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|it| it.bytes().all(|it| it.is_ascii_digit()))
            .and_then(|it| it.parse::<u32>().ok())
    };
    let dashes = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    dashes && text.len() == 10 && (1..=days).contains(&day)
}

fn datetime(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(day), Some(time)) = (parts.next(), parts.next()) else { return Some(false) };
    let Some(found) = LazyLock::force(&TIME).as_ref()?.captures(time) else { return Some(false) };
    let below = |group, most| found.get(group).is_some_and(|it: regex::Match<'_>| it.as_str() <= most);
    Some(date(day) && below(1, "23") && below(2, "59") && below(3, "59"))
}

/// `time.ParseDuration`, or else anything in which a number stands before a unit of time.
fn duration(text: &str) -> Option<bool> {
    const UNITS: [&str; 15] =
        ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", "nano", "micro", "milli", "sec"];
    const LONG: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    if matches(&GO_DURATION, text)? {
        // What overflows is left open.
        return text.split(|c: char| !c.is_ascii_digit()).all(|digits| digits.len() < 7).then_some(true);
    }
    let mut found = false;
    for part in LazyLock::force(&SCALA_DURATION).as_ref()?.captures_iter(text) {
        let group = |at| part.get(at).map(|it: regex::Match<'_>| it.as_str()).unwrap_or_default();
        if group(1).parse::<i64>().is_err() {
            return Some(false);
        }
        let unit = group(2).to_lowercase();
        found |= UNITS.contains(&unit.as_str()) || LONG.iter().any(|it| unit.starts_with(it));
    }
    Some(found)
}

/// Whether a duration is written as Go writes it, without units above hours.
pub(super) fn go_duration(text: &str) -> bool {
    matches(&GO_DURATION, text) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formats_are_kept_and_broken() {
        let cases: [(&str, &[&str], &[&str]); 27] = [
            ("date", &["2024-02-29"], &["2023-02-29", "2024-2-1", "2024-01-01x", "", "é024-01-01"]),
            (
                "datetime",
                &["2024-01-01T10:00:00Z", "2024-01-01t10:00:00.5+01:00"],
                &["2024-01-01T24:00:00Z", "2024-01-01"],
            ),
            ("duration", &["1h30m", "-1.5s", "0", "22 ns", "3 days", "5m x"], &["", "1", "h", "1 fortnight"]),
            ("byte", &["YQ==", "YWJj"], &["", "YQ", "Y_-="]),
            (
                "uuid",
                &["00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"],
                &["0", "00000000-0000-0000-0000-00000000000g", "00000000-0000-0000-0000-000000000000-"],
            ),
            ("uuid3", &["00000000-0000-3000-0000-000000000000"], &["00000000-0000-4000-0000-000000000000"]),
            ("uuid4", &["00000000-0000-4000-A000-000000000000"], &["00000000-0000-4000-7000-000000000000"]),
            ("uuid5", &["00000000-0000-5000-8000-000000000000"], &["00000000-0000-4000-8000-000000000000"]),
            ("email", &["a.b@c.d", "a@b"], &["ab"]),
            ("hostname", &["a", "a-b.example.com", "1a"], &["", "-a", "a_b", "a.b-", "a..com"]),
            ("ipv4", &["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4"], &["1.2.3", "1.2.3.256", "::1"]),
            ("ipv6", &["::1"], &["1.2.3.4", "::1%eth0"]),
            ("cidr", &["1.2.3.0/24", "::/0"], &["1.2.3.0/33", "1.2.3.0", "::/129", "1.2.3.0/+1"]),
            (
                "mac",
                &["01:23:45:67:89:ab", "0123.4567.89ab", "0123456789ab"],
                &["01:23:45:67:89", "01:23-45:67:89:ab"],
            ),
            (
                "uri",
                &["https://a.b:80/c?d=e", "/a/b", "mailto:x"],
                &["a/b", "", ":x", "https://a:b/", "/a%zz"],
            ),
            ("isbn10", &["0321751043"], &["0321751044"]),
            ("isbn13", &["978-0321751041"], &["9780321751042"]),
            ("isbn", &["0321751043", "978-0321751041"], &["1"]),
            ("ssn", &["111-22-3333"], &["111223333", "111-22-333"]),
            ("hexcolor", &["#fff", "ABCDEF"], &["#ffff", "#ggg"]),
            ("rgbcolor", &["rgb(1, 2,255)"], &["rgb(1,2,256)"]),
            ("password", &["", "x"], &[]),
            ("bsonobjectid", &["0123456789abcdef01234567"], &["0123"]),
            ("k8sshortname", &["a-b"], &["a-", "A", ""]),
            ("k8slongname", &["a-b.c"], &["a-.b", "a..b"]),
            ("unheard-of", &[], &[]),
            ("creditcard", &[], &[]),
        ];
        for (format, keep, breaks) in cases {
            keep.iter().for_each(|it| assert_eq!(fits(format, it), Some(true), "{format} {it}"));
            breaks.iter().for_each(|it| assert_eq!(fits(format, it), Some(false), "{format} {it}"));
        }
        assert_eq!(fits("email", "A <a@b.c>"), None);
        assert_eq!(fits("uri", "http://[::1]/"), None);
        assert_eq!(fits("creditcard", "4111111111111111"), None);
    }

    #[test]
    fn only_formats_that_the_server_knows_for_the_type_count() {
        assert_eq!(textual(&json!({"type": "string", "format": "date-time"})).as_deref(), Some("datetime"));
        assert_eq!(textual(&json!({"format": "ipv4"})).as_deref(), Some("ipv4"));
        assert_eq!(textual(&json!({"type": "string", "format": "ip"})), None);
        assert_eq!(textual(&json!({"type": "object", "format": "date"})), None);
        assert_eq!(numeric(&json!({"type": "integer", "format": "int32"})), Some("int32"));
        assert_eq!(numeric(&json!({"type": "number", "format": "int32"})), None);
    }
}
