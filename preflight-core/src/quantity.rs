//! Resource quantities as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `1e3`.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of a resource, exact to a billionth.
///
/// Written and read as `staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go` (v1.36) does it: what is finer
/// than a billionth is rounded away from zero, and no amount with a binary suffix is above 2^63-1. Others may be larger
/// than that, but end at [`Quantity::MAX`]. One thing is stricter: there must be a digit, where Kubernetes takes `Mi` or
/// `+` for zero.
///
/// All arithmetic keeps within [`Quantity::MIN`] and [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a quantity: a number with one of the suffixes n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei"
)]
pub struct QuantityError(String);

/// The billionths of one.
const ONE: i128 = 1_000_000_000;
/// The billionths of a thousandth.
const MILLI: i128 = 1_000_000;

const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
const DECIMAL: [(&str, i64); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be told: about 170 E of E.
    pub const MAX: Self = Self(i128::MAX);
    /// The opposite of the largest.
    pub const MIN: Self = Self(-i128::MAX);

    /// Whole units.
    #[must_use]
    pub const fn from_value(value: i64) -> Self {
        Self(value as i128 * ONE)
    }

    /// Thousandths.
    #[must_use]
    pub const fn from_milli(value: i64) -> Self {
        Self(value as i128 * MILLI)
    }

    /// Reads a quantity. Blanks around it are not taken.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse(text).ok_or_else(|| QuantityError(text.to_owned()))
    }

    /// In whole units. What is left is rounded up, away from zero.
    #[must_use]
    pub fn value(self) -> i64 {
        self.in_units_of(ONE)
    }

    /// In thousandths. What is left is rounded up, away from zero.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        self.in_units_of(MILLI)
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum, or `None` where it is too large.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|sum| *sum != i128::MIN).map(Self)
    }

    /// The difference, or `None` where it is too large.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).filter(|difference| *difference != i128::MIN).map(Self)
    }

    /// The sum.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self::within(self.0.saturating_add(other.0))
    }

    /// The difference.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self::within(self.0.saturating_sub(other.0))
    }

    /// So many times as much.
    #[must_use]
    pub fn saturating_mul(self, times: i64) -> Self {
        Self::within(self.0.saturating_mul(times.into()))
    }

    fn within(billionths: i128) -> Self {
        Self(billionths.max(Self::MIN.0))
    }

    fn in_units_of(self, unit: i128) -> i64 {
        let up = i128::from(self.0 % unit != 0) * self.0.signum();
        let rounded = self.0 / unit + up;
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }
}

fn parse(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let (whole, rest) = unsigned.split_at(end);
    let (part, suffix) = rest.strip_prefix('.').map_or(("", rest), |rest| {
        rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()))
    });
    let digits: Vec<u8> = whole.bytes().chain(part.bytes()).map(|digit| digit - b'0').collect();
    if digits.is_empty() {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?;
    let magnitude = if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        let cap = i64::MAX as i128 * ONE;
        magnitude(&digits, point, ONE.unsigned_abs() << power).min(cap.unsigned_abs())
    } else {
        let point = point.saturating_add(decimal_exponent(suffix)?);
        magnitude(&digits, point, ONE.unsigned_abs())
    };
    let billionths = i128::try_from(magnitude).unwrap_or(i128::MAX);
    Some(Quantity(if text.starts_with('-') { -billionths } else { billionths }))
}

fn decimal_exponent(suffix: &str) -> Option<i64> {
    let named = DECIMAL.iter().find(|(name, _)| *name == suffix).map(|(_, exponent)| *exponent);
    named.or_else(|| suffix.strip_prefix(['e', 'E'])?.parse().ok())
}

/// The digits with the point after the first `point` of them, times `unit`, rounded up. `unit` is small enough to be
/// multiplied by a hundred.
fn magnitude(digits: &[u8], point: i64, unit: u128) -> u128 {
    /// More places than any amount has.
    const PLACES: usize = 64;
    let (before, after) = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
    let push = |value: u128, digit: u8| value.saturating_mul(10).saturating_add(unit * u128::from(digit));
    let whole = before.iter().fold(0, |value, digit| push(value, *digit));
    let missing = usize::try_from(point).unwrap_or(0).saturating_sub(digits.len()).min(PLACES);
    let whole = (0..missing).fold(whole, |value, _| push(value, 0));

    let zeros = usize::try_from(point.saturating_neg()).unwrap_or(0).min(PLACES);
    let mut part = 0;
    let mut exact = true;
    for digit in after.iter().rev().copied().chain(std::iter::repeat_n(0, zeros)) {
        let tenfold = unit * u128::from(digit) + part;
        exact &= tenfold.is_multiple_of(10);
        part = tenfold / 10;
    }
    whole.saturating_add(part + u128::from(!exact))
}

/// As Kubernetes writes it, with the largest suffix that leaves no fraction. Whether that is a binary or a decimal one is
/// not remembered: it is the one that makes it shorter.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimal = DECIMAL.iter().find_map(|(suffix, exponent)| {
            let unit = 10_i128.checked_pow(u32::try_from(exponent + 9).ok()?)?;
            (self.0 % unit == 0).then(|| format!("{}{suffix}", self.0 / unit))
        });
        let binary = BINARY.iter().find_map(|(suffix, power)| {
            let unit = ONE << power;
            let whole = self.0 / unit;
            (self.0 % unit == 0 && i64::try_from(self.0 / ONE).is_ok()).then(|| format!("{whole}{suffix}"))
        });
        let decimal = if self.is_zero() { "0".to_owned() } else { decimal.unwrap_or_default() };
        f.pad(&binary.filter(|binary| binary.len() <= decimal.len() && !self.is_zero()).unwrap_or(decimal))
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar)
    }
}

/// A text, where blanks around the quantity do not count, a number, or null, which is zero.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
        Quantity::parse(text.trim_matches(' ')).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Quantity, E> {
        Ok(Quantity::from_value(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Quantity, E> {
        Ok(Quantity(i128::from(value) * ONE))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Quantity, E> {
        Ok(Quantity::within(value.saturating_mul(ONE)))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Quantity, E> {
        self.visit_i128(i128::try_from(value).unwrap_or(i128::MAX))
    }

    /// The shortest number that is this one in floating point, which is what was written.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Quantity, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<Quantity, E> {
        Ok(Quantity::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_written_is_read() {
        let int64 = i128::from(i64::MAX) * ONE;
        for (text, billionths) in [
            ("0", 0),
            ("-0", 0),
            ("0Mi", 0),
            ("000", 0),
            ("1n", 1),
            ("1u", 1_000),
            ("1m", MILLI),
            ("1", ONE),
            ("+1", ONE),
            ("-1", -ONE),
            ("1k", 1_000 * ONE),
            ("1M", 1_000_000 * ONE),
            ("1G", 1_000_000_000 * ONE),
            ("1T", 1_000_000_000_000 * ONE),
            ("1P", 1_000_000_000_000_000 * ONE),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("1Ki", ONE << 10),
            ("1Mi", ONE << 20),
            ("1Gi", ONE << 30),
            ("1Ti", ONE << 40),
            ("1Pi", ONE << 50),
            ("1Ei", ONE << 60),
            ("1e3", 1_000 * ONE),
            ("1E3", 1_000 * ONE),
            ("1e+3", 1_000 * ONE),
            ("1E-3", MILLI),
            ("12.5e-1", 1_250 * MILLI),
            (".5", 500 * MILLI),
            ("5.", 5 * ONE),
            ("5.Gi", 5 * (ONE << 30)),
            (".5Gi", ONE << 29),
            ("-.5Ki", -512 * ONE),
            ("001.500", 1_500 * MILLI),
            // Finer than a billionth.
            ("0.1n", 1),
            ("-0.1n", -1),
            ("1.1n", 2),
            ("0.0000000001", 1),
            ("0.00000000000000000000000000000000000000000000000000001", 1),
            ("1e-99999", 1),
            ("-1e-99999", -1),
            ("1.0000000000000", ONE),
            ("0.3Ki", 307_200 * MILLI),
            ("0.0000000000001Ki", 1),
            ("1.00000000000000000000000000001Ei", (ONE << 60) + 1),
            ("1.0000000000000000000000000000000000000000000000Ei", ONE << 60),
            // Too large.
            ("8Ei", int64),
            ("-8Ei", -int64),
            ("99999999999999999999999999999999999999999999999999Ei", int64),
            ("9223372036854775807", int64),
            ("9223372036854775808", int64 + ONE),
            ("100E", 100_000_000_000_000_000_000 * ONE),
            ("1e29", 100_000_000_000_000_000_000_000_000_000 * ONE),
            ("1e30", i128::MAX),
            ("-1e30", -i128::MAX),
            ("1e9223372036854775807", i128::MAX),
            ("0e9223372036854775807", 0),
            ("1e-9223372036854775808", 1),
        ] {
            assert_eq!(quantity(text).0, billionths, "{text}");
        }
        let endless = "1e9223372036854775808";
        for text in [
            "", "+", "-", ".", "Mi", "m", "e3", "-Mi", "+-1", "--1", " 1", "1 ", "1 Mi", "1.1.1", "1.1.M",
            "1i", ".5i", "1mi", "1MI", "1gi", "1K", "1g", "1KiB", "1Gb", "1e", "1e+", "1e3.5", "1e3m",
            "1e3Mi", "1ee3", "1+1", "1Mi5", "0x10", "1_000", "1,5", "NaN", "inf", "aoeu", "1µ", "１",
            endless,
        ] {
            assert_eq!(Quantity::parse(text), Err(QuantityError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn it_is_written_short() {
        for (text, written) in [
            ("0.5", "500m"),
            ("500m", "500m"),
            ("2", "2"),
            ("1.5", "1500m"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1024", "1Ki"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("412Mi", "412Mi"),
            ("-412Mi", "-412Mi"),
            ("512M", "512M"),
            ("1T", "1T"),
            ("0.1m", "100u"),
            ("1n", "1n"),
            ("0.1Ki", "102400m"),
            ("0Gi", "0"),
            ("8Ei", "9223372036854775807"),
            ("10Ei", "9223372036854775807"),
            ("1e3", "1k"),
            ("1e21", "1000E"),
        ] {
            assert_eq!(quantity(text).to_string(), written, "{text}");
        }
        assert_eq!(format!("[{:>6}]", quantity("1Gi")), "[   1Gi]");
        for extreme in [Quantity::MAX, Quantity::MIN] {
            assert_eq!(quantity(&extreme.to_string()), extreme);
        }
    }

    #[test]
    fn values_are_rounded_up() {
        for (text, value, milli) in [
            ("0", 0, 0),
            ("1n", 1, 1),
            ("0.1m", 1, 1),
            ("500m", 1, 500),
            ("1500m", 2, 1_500),
            ("1.0001", 2, 1_001),
            ("-500m", -1, -500),
            ("-1n", -1, -1),
            ("2", 2, 2_000),
            ("8Ei", i64::MAX, i64::MAX),
            ("-100E", i64::MIN, i64::MIN),
        ] {
            assert_eq!((quantity(text).value(), quantity(text).milli_value()), (value, milli), "{text}");
        }
        assert_eq!(Quantity::from_value(-3), quantity("-3"));
        assert_eq!(Quantity::from_milli(1_500), quantity("1.5"));
        assert!(Quantity::default().is_zero() && !quantity("1n").is_zero());
        assert!(quantity("-1n").is_negative() && !Quantity::ZERO.is_negative());
    }

    #[test]
    fn sums_end_at_the_largest() {
        assert_eq!(quantity("1Gi") + quantity("-512Mi"), quantity("512Mi"));
        assert_eq!(quantity("1") - quantity("1500m"), quantity("-500m"));
        assert_eq!(["100m", "0.9", "1"].map(quantity).into_iter().sum::<Quantity>(), quantity("2"));
        assert_eq!(quantity("250m").saturating_mul(-4), quantity("-1"));
        let one = quantity("1n");
        assert_eq!(Quantity::MAX + one, Quantity::MAX);
        assert_eq!(Quantity::MIN - one, Quantity::MIN);
        assert_eq!(Quantity::MIN.saturating_mul(2), Quantity::MIN);
        assert_eq!(Quantity::MAX.checked_add(one), None);
        assert_eq!(Quantity::MIN.checked_sub(one), None);
        assert_eq!(one.checked_sub(one), Some(Quantity::ZERO));
        assert_eq!(one.checked_add(one), Some(Quantity(2)));
    }

    #[test]
    fn scalars_of_json_and_yaml_are_read() {
        for (value, text) in [
            (json!("500m"), "500m"),
            (json!(" 1Gi "), "1Gi"),
            (json!(2), "2"),
            (json!(-2), "-2"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.1), "100m"),
            (json!(1e3), "1k"),
            (json!(1e300), "1e300"),
            (json!(1e-300), "1n"),
            (json!(null), "0"),
        ] {
            let written = value.to_string();
            assert_eq!(serde_json::from_str::<Quantity>(&written).unwrap(), quantity(text), "{written}");
            assert_eq!(serde_json::from_value::<Quantity>(value).unwrap(), quantity(text), "{written}");
        }
        for value in [json!(true), json!("Mi"), json!("1Gi\n"), json!([1]), json!({"cpu": 1})] {
            assert!(serde_json::from_value::<Quantity>(value.clone()).is_err(), "{value}");
        }
        let yaml = "{cpu: 0.25, memory: 1Gi, pods: 10, storage: \"5\", gpu: 1e1}";
        let read: std::collections::BTreeMap<String, Quantity> = serde_saphyr::from_str(yaml).unwrap();
        let expected = [("cpu", "250m"), ("gpu", "10"), ("memory", "1Gi"), ("pods", "10"), ("storage", "5")];
        assert_eq!(read, expected.map(|(name, text)| (name.to_owned(), quantity(text))).into());
        assert_eq!(serde_json::to_value(quantity("0.5")).unwrap(), Value::from("500m"));
    }

    fn some() -> impl Strategy<Value = Quantity> {
        prop_oneof![
            any::<i64>().prop_map(Quantity::from_value),
            any::<i64>().prop_map(Quantity::from_milli),
            any::<i64>().prop_map(|billionths| Quantity(billionths.into())),
            any::<i128>().prop_map(Quantity::within),
            (-2_000_i64..2_000, 0_u32..7)
                .prop_map(|(number, suffix)| Quantity(ONE << (suffix * 10)).saturating_mul(number)),
            (-2_000_i64..2_000, 0_u32..28)
                .prop_map(|(number, exponent)| Quantity(10_i128.pow(exponent)).saturating_mul(number)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(some in some()) {
            prop_assert_eq!(Quantity::parse(&some.to_string()), Ok(some));
        }

        #[test]
        fn order_is_that_of_values(one in some(), other in some()) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(less.value() <= more.value());
            prop_assert!(less.milli_value() <= more.milli_value());
            prop_assert!(less.value() >= more.value() || less < more);
        }

        #[test]
        fn differences_are_the_opposite_of_sums(one in some(), other in some()) {
            if let Some(sum) = one.checked_add(other) {
                prop_assert_eq!(sum, one + other);
                prop_assert_eq!(sum.checked_sub(other), Some(one));
                prop_assert_eq!(sum - other, one);
            }
        }

        #[test]
        fn suffixes_are_powers(number in 0_i64..4_000_000, places in 0_u32..12, suffix in 0_usize..16) {
            // An amount with so many decimal places, in billionths by big arithmetic on a fraction.
            let digits = format!("{number:0>13}");
            let (whole, part) = digits.split_at(13 - places as usize);
            let (name, numerator, denominator) = if let Some((name, power)) = BINARY.get(suffix) {
                (*name, ONE << power, 1)
            } else {
                let (name, exponent) = DECIMAL[suffix - 6];
                (name, 10_i128.pow(u32::try_from(exponent + 9).unwrap()), 1)
            };
            let denominator = denominator * 10_i128.pow(places);
            let exact = i128::from(number).checked_mul(numerator).unwrap();
            let mut billionths = exact / denominator + i128::from(exact % denominator != 0);
            if name.ends_with('i') {
                billionths = billionths.min(i128::from(i64::MAX) * ONE);
            }
            let text = format!("{whole}.{part}{name}");
            prop_assert_eq!(Quantity::parse(&text), Ok(Quantity(billionths)), "{}", text);
        }

        #[test]
        fn no_text_is_too_odd(text in "[-+0-9.eEinumkKMGTP ]{0,12}") {
            if let Ok(some) = Quantity::parse(&text) {
                prop_assert_eq!(Quantity::parse(&some.to_string()), Ok(some));
            }
        }

        #[test]
        fn numbers_are_what_is_written(number in any::<i32>()) {
            let text = format!("{}.{:03}", number / 1_000, (number % 1_000).abs());
            let read: Quantity = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Ok(read), Quantity::parse(&text));
        }
    }
}
