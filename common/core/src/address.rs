//! The text of an address: bech32m (BIP 350) over the 32 bytes, with the network's prefix.
//! Must not know policies: an address may be paid before anybody knows what it hashes.

use bech32::{Bech32m, Hrp};

use crate::hash::Address;

/// Text that is no address of the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m, or the checksum is wrong.
    #[error("not an address: {0}")]
    NotBech32m(String),
    /// An address of another network.
    #[error("an address that begins with {got}1 where this network's begin with {expected}1")]
    WrongPrefix {
        /// Prefix found.
        got: String,
        /// Prefix of the network.
        expected: String,
    },
    /// Not 32 bytes.
    #[error("an address of {got} bytes where 32 are needed")]
    WrongLength {
        /// Bytes found.
        got: usize,
    },
}

/// Writes an address. `prefix` is the network's, valid by [`crate::params::Params::check`].
#[must_use]
pub fn format(prefix: &str, address: &Address) -> String {
    let prefix = Hrp::parse(prefix).expect("checked with the parameters");
    bech32::encode::<Bech32m>(prefix, &address.0).expect("32 bytes and a short prefix fit")
}

/// Reads an address of the network with this prefix.
///
/// # Errors
/// [`AddressError`] says what is wrong with the text.
pub fn parse(prefix: &str, text: &str) -> Result<Address, AddressError> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
        .map_err(|error| AddressError::NotBech32m(error.to_string()))?;
    let got = checked.hrp().to_lowercase();
    if got != prefix {
        return Err(AddressError::WrongPrefix { got, expected: prefix.to_owned() });
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let length = bytes.len();
    let bytes = bytes.try_into().map_err(|_| AddressError::WrongLength { got: length })?;
    // 32 bytes leave 4 bits over, which must be zero: or an address would have 16 texts.
    checked.validate_segwit_padding().map_err(|error| AddressError::NotBech32m(error.to_string()))?;
    Ok(Address(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_and_a_wrong_one_says_why() {
        let address = Address([7; 32]);
        let text = format("dsy", &address);
        assert!(text.starts_with("dsy1") && text.len() == 4 + 52 + 6);
        assert_eq!(parse("dsy", &text), Ok(address));
        assert_eq!(parse("dsy", &text.to_uppercase()), Ok(address));
        assert!(matches!(parse("tsy", &text), Err(AddressError::WrongPrefix { .. })));
        let mut wrong = text.clone().into_bytes();
        wrong[10] = if wrong[10] == b'q' { b'p' } else { b'q' };
        assert!(matches!(
            parse("dsy", std::str::from_utf8(&wrong).unwrap()),
            Err(AddressError::NotBech32m(_))
        ));
        let short = bech32::encode::<Bech32m>(Hrp::parse("dsy").unwrap(), &[1; 20]).unwrap();
        assert_eq!(parse("dsy", &short), Err(AddressError::WrongLength { got: 20 }));
    }
}
