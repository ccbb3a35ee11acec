//! Texts and numbers that types of Kubernetes read themselves, as far as they are refused.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

/// Whether something is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Yes,
    No,
    /// That is not worth to be worked out.
    Unsure,
}

impl From<bool> for Reads {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// The whole number, where it is one that a signed integer of 64 bits may hold.
pub(super) fn integer(number: &Number) -> Option<i64> {
    number.as_i64()
}

/// Whether a number has a fraction. Those too large for one have none.
pub(super) fn has_fraction(number: &Number) -> bool {
    !number.is_i64() && !number.is_u64() && number.as_f64().is_none_or(|value| value.fract() != 0.0)
}

/// `UnmarshalJSON` and `ParseQuantity` in `staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go`, v1.36. There need not
/// be a digit: `Mi` is nothing.
pub(super) fn quantity(value: &Value) -> Reads {
    match value {
        // However a number is written, it is one.
        Value::Number(_) => Reads::Yes,
        // Line ends and the like are escaped in JSON, and what is escaped is no quantity; other blanks than that are cut off.
        Value::String(text) if text.chars().any(|c| c.is_whitespace() && !c.is_ascii()) => Reads::Unsure,
        Value::String(text) => quantity_text(text.trim_matches(' ')),
        _ => Reads::No,
    }
}

fn quantity_text(text: &str) -> Reads {
    if text.is_empty() {
        return Reads::No;
    }
    let digits = |text: &'_ str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = &rest[digits(rest)..];
    let rest = rest.strip_prefix('.').map_or(rest, |part| &part[digits(part)..]);
    match rest {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" => Reads::Yes,
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => Reads::Yes,
        _ => match rest.strip_prefix(['e', 'E']).map(str::parse::<i64>) {
            // Where the exponent is that large, how it is rounded is another question.
            Some(Ok(exponent)) if exponent.unsigned_abs() > 100_000 => Reads::Unsure,
            Some(exponent) => exponent.is_ok().into(),
            None => Reads::No,
        },
    }
}

/// An integer of 32 bits, or any text (`UnmarshalJSON` in `staging/src/k8s.io/apimachinery/pkg/util/intstr/intstr.go`, v1.36).
pub(super) fn int_or_string(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Number(number) => integer(number).is_some_and(|whole| i32::try_from(whole).is_ok()),
        _ => false,
    }
}

/// As Go reads it (`encoding/base64`, Go 1.26): with padding, without regard for line ends, nor for bits that are left over.
pub(super) fn base64(text: &str) -> bool {
    const ENGINE: GeneralPurpose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    ENGINE.decode(text).is_ok()
}

/// RFC 3339, as Go reads it (`parseRFC3339` and `parse` in `time/format.go`, Go 1.26); for a MicroTime with six digits of the
/// fraction (`staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/micro_time.go`, v1.36).
pub(super) fn time(text: &str, micro: bool) -> Reads {
    // Go also takes hours of one digit, and commas.
    let bytes = text.as_bytes();
    if text.contains(',') || bytes.get(12) == Some(&b':') {
        return Reads::Unsure;
    }
    read_time(bytes, micro).is_some().into()
}

fn read_time(text: &[u8], micro: bool) -> Option<()> {
    let (date, rest) = text.split_at_checked(19)?;
    let shape = |at: usize, byte: u8| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    if !date.iter().enumerate().all(|(at, byte)| shape(at, *byte)) {
        return None;
    }
    let number = |from: usize, to: usize| {
        date[from..to].iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > days || number(11, 13) > 23 || number(14, 16) > 59 || number(17, 19) > 59 {
        return None;
    }
    let zone = match rest.strip_prefix(b".") {
        Some(part) => {
            let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || micro && digits != 6 {
                return None;
            }
            &part[digits..]
        }
        None if micro => return None,
        None => rest,
    };
    is_zone(zone).then_some(())
}

/// `Z`, or an offset. Of hours 24 are taken, and of minutes 60.
fn is_zone(zone: &[u8]) -> bool {
    let two = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    match *zone {
        [b'Z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => {
            two(a, b).is_some_and(|hours| hours <= 24) && two(c, d).is_some_and(|minutes| minutes <= 60)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_server_does() {
        for taken in
            ["1", "+1", "-1", ".5", "1.", "1.Gi", "1e3", "1E-3", "1E", " 1Gi ", "Mi", "m", ".", "-", "e3"]
        {
            assert_eq!(quantity(&json!(taken)), Reads::Yes, "{taken}");
        }
        for refused in
            ["", " ", "512MB", "1 Gi", "ten", "1_000", "1K", "100mi", "1e", "1e3Mi", "1.1.1", "0x10", "１"]
        {
            assert_eq!(quantity(&json!(refused)), Reads::No, "{refused}");
        }
        for (value, reads) in [(json!(0.5), Reads::Yes), (json!(true), Reads::No), (json!([1]), Reads::No)] {
            assert_eq!(quantity(&value), reads, "{value}");
        }
        assert_eq!(quantity(&json!("1\n")), Reads::No);
        assert_eq!(quantity(&json!("1\u{a0}")), Reads::Unsure);
    }

    #[test]
    fn times_are_read_as_go_does() {
        for (text, time_reads, micro_reads) in [
            ("2024-01-01T00:00:00Z", Reads::Yes, Reads::No),
            ("2024-02-29T23:59:59+01:00", Reads::Yes, Reads::No),
            ("2024-01-01T00:00:00.000000Z", Reads::Yes, Reads::Yes),
            ("2024-01-01T00:00:00.123456789Z", Reads::Yes, Reads::No),
            ("2023-02-29T00:00:00Z", Reads::No, Reads::No),
            ("2024-13-01T00:00:00Z", Reads::No, Reads::No),
            ("2024-01-01T24:00:00Z", Reads::No, Reads::No),
            ("2024-01-01T00:00:60Z", Reads::No, Reads::No),
            ("2024-01-01T00:00:00", Reads::No, Reads::No),
            ("2024-01-01 00:00:00Z", Reads::No, Reads::No),
            ("2024-01-01t00:00:00z", Reads::No, Reads::No),
            ("2024-01-01", Reads::No, Reads::No),
            ("", Reads::No, Reads::No),
            ("2024-01-01T0:00:00Z", Reads::Unsure, Reads::Unsure),
        ] {
            assert_eq!((time(text, false), time(text, true)), (time_reads, micro_reads), "{text}");
        }
    }

    #[test]
    fn bytes_are_base64_with_padding() {
        for taken in ["", "password", "aGVs\nbG8=\n", "aGk=", "aGl="] {
            assert!(base64(taken), "{taken}");
        }
        for refused in ["admin", "hello world", "aGk", "aGk==", "a-_b", "=", "aGk=a"] {
            assert!(!base64(refused), "{refused}");
        }
    }

    #[test]
    fn ports_are_integers_of_32_bits_or_texts() {
        for (value, taken) in [
            (json!("80"), true),
            (json!(80), true),
            (json!(3_000_000_000_u64), false),
            (json!(80.5), false),
            (json!(true), false),
            (json!([]), false),
        ] {
            assert_eq!(int_or_string(&value), taken, "{value}");
        }
    }
}
