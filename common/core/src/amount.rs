//! Amounts: u64 base units, written as exact decimals. Must not know what they are amounts of.

use std::fmt;

/// Digits after the point of a coin: 1 coin = 10^8 base units.
pub const COIN_DECIMALS: u8 = 8;
/// Base units of one coin.
pub const COIN: u64 = 100_000_000;

/// Text that is no amount, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point between them.
    #[error("not a decimal number like 12.5")]
    NotDecimal,
    /// Finer than the asset can be divided.
    #[error("more than {max} digits after the point")]
    TooFine {
        /// Digits allowed.
        max: u8,
    },
    /// Larger than 2^64-1 base units.
    #[error("too large")]
    TooLarge,
}

/// Reads a decimal with at most `decimals` digits after the point into base units. Exact: no
/// sign, no exponent, no separators.
///
/// # Errors
/// [`AmountError`] says what is wrong with the text.
pub fn parse(text: &str, decimals: u8) -> Result<u64, AmountError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(AmountError::NotDecimal),
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(AmountError::NotDecimal);
    }
    if fraction.len() > usize::from(decimals) {
        return Err(AmountError::TooFine { max: decimals });
    }
    let missing = usize::from(decimals) - fraction.len();
    let zeros = std::iter::repeat_n(b'0', missing);
    whole.bytes().chain(fraction.bytes()).chain(zeros).try_fold(0u64, |sum, digit| {
        let sum = sum.checked_mul(10).ok_or(AmountError::TooLarge)?;
        sum.checked_add(u64::from(digit - b'0')).ok_or(AmountError::TooLarge)
    })
}

/// Writes base units as the canonical decimal: no trailing zeros, no point for whole numbers.
#[must_use]
pub fn format(units: u64, decimals: u8) -> String {
    let digits = format!("{units:0width$}", width = usize::from(decimals) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Coins in base units, printed and parsed as decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Coins(pub u64);

impl fmt::Display for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self.0, COIN_DECIMALS))
    }
}

impl std::str::FromStr for Coins {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        parse(text, COIN_DECIMALS).map(Self)
    }
}

impl serde::Serialize for Coins {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Coins {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As settings and answers are read.
    fn read(text: &str) -> Result<Coins, serde::de::value::Error> {
        serde::Deserialize::deserialize(serde::de::value::StrDeserializer::new(text))
    }

    #[test]
    fn decimals_are_exact_and_canonical() {
        for (text, units) in [
            ("0", 0),
            ("12.5", 1_250_000_000),
            ("0.00000001", 1),
            ("184467440737.09551615", u64::MAX),
            ("1000", 100_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Coins(units)), "{text}");
            assert_eq!(Coins(units).to_string(), text);
        }
        assert_eq!("1.50".parse(), Ok(Coins(150_000_000)));
        assert_eq!(read("1.5"), Ok(Coins(150_000_000)));
        assert!(read("1,5").is_err());
        assert_eq!(format(5, 0), "5");
        assert_eq!(parse("5", 0), Ok(5));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x1", " 1", "1 ", "NaN", "1.2.3", "١"] {
            assert_eq!(text.parse::<Coins>(), Err(AmountError::NotDecimal), "{text:?}");
        }
        assert_eq!("0.000000001".parse::<Coins>(), Err(AmountError::TooFine { max: 8 }));
        assert_eq!("184467440737.09551616".parse::<Coins>(), Err(AmountError::TooLarge));
        assert_eq!("99999999999999999999999".parse::<Coins>(), Err(AmountError::TooLarge));
    }
}
