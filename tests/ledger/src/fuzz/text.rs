//! Texts of people: addresses and amounts. Each value has one canonical text, every text that is read
//! stands for the value that arithmetic without bounds gives it. Must not know networks.

use steelyard_core::address;
use steelyard_core::amount::{self, AmountError};
use steelyard_core::hash::Address;

/// The prefix of the target's addresses.
const PREFIX: &str = "dsy";
/// Characters of bech32, in their order.
const CHARACTERS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The target of addresses: the input as a text, its first 32 bytes as an address, and all of it as
/// characters, five bits each, behind which a right checksum is put.
pub fn address(input: &[u8]) {
    with_checksum(input);
    if let Some(bytes) = input.first_chunk() {
        let text = address::format(PREFIX, &Address(*bytes));
        assert_eq!(address::parse(PREFIX, &text), Ok(Address(*bytes)));
        no_character_can_be_changed(&text, input[input.len() - 1]);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(read) = address::parse(PREFIX, text) else { return };
    assert_eq!(address::format(PREFIX, &read), text.to_ascii_lowercase());
    assert!(text == text.to_ascii_lowercase() || text == text.to_ascii_uppercase(), "of both cases");
    assert!(address::parse("tsy", text).is_err(), "an address of two networks");
}

/// Characters with a right checksum are an address exactly when they are 52 and leave no bit over.
fn with_checksum(input: &[u8]) {
    let mut data: Vec<u8> = input.iter().take(60).map(|byte| byte & 31).collect();
    let is_address = data.len() == 52 && data[51] & 15 == 0;
    let expanded =
        PREFIX.bytes().map(|byte| byte >> 5).chain([0]).chain(PREFIX.bytes().map(|byte| byte & 31));
    let checked = polymod(expanded.chain(data.iter().copied()).chain([0; 6])) ^ 0x2bc8_30a3;
    data.extend((0..6).map(|place| (checked >> (5 * (5 - place)) & 31) as u8));
    let text: String = data.iter().map(|place| char::from(CHARACTERS[usize::from(*place)])).collect();
    let text = format!("{PREFIX}1{text}");
    let read = address::parse(PREFIX, &text);
    assert_eq!(read.is_ok(), is_address, "{text}: {read:?}");
}

/// The checksum of BIP 173, which BIP 350 ends with another number.
fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    let generators = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum: u32, value| {
        let top = sum >> 25;
        let shifted = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        (0..5).filter(|bit| top >> bit & 1 == 1).fold(shifted, |sum, bit| sum ^ generators[bit])
    })
}

/// One wrong character is always noticed (BIP 350).
fn no_character_can_be_changed(text: &str, choice: u8) {
    let data = PREFIX.len() + 1;
    let place = data + usize::from(choice) % (text.len() - data);
    for character in CHARACTERS.iter().filter(|character| text.as_bytes()[place] != **character) {
        let mut changed = text.as_bytes().to_vec();
        changed[place] = *character;
        let changed = String::from_utf8(changed).unwrap();
        assert!(address::parse(PREFIX, &changed).is_err(), "{changed} is read though {text} was meant");
    }
}

/// The target of amounts: the first byte is the number of decimals, the rest the text.
pub fn amount(input: &[u8]) {
    let Some((decimals, text)) = input.split_first() else { return };
    let units = text.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let written = amount::format(units, *decimals);
    assert_eq!(amount::parse(&written, *decimals), Ok(units), "{written}");
    let is_short = !written.contains('.') || !written.ends_with('0');
    assert!(is_short && written.len() <= 2 + 20usize.max(usize::from(*decimals)), "{written}");
    let Ok(text) = std::str::from_utf8(text) else { return };
    let read = amount::parse(text, *decimals);
    assert_eq!(read, read_by_hand(text, *decimals), "{text:?} with {decimals} decimals");
}

/// The same by the digits alone: as many zeros as are missing, and a comparison of digits.
fn read_by_hand(text: &str, decimals: u8) -> Result<u64, AmountError> {
    let is_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_digits(part)) {
        return Err(AmountError::NotDecimal);
    }
    let fraction = parts.get(1).copied().unwrap_or("");
    if fraction.len() > usize::from(decimals) {
        return Err(AmountError::TooFine { max: decimals });
    }
    let digits = format!("{}{fraction:0<width$}", parts[0], width = usize::from(decimals));
    let digits = digits.trim_start_matches('0');
    let largest = u64::MAX.to_string();
    if digits.len() > largest.len() || (digits.len() == largest.len() && *digits > *largest) {
        return Err(AmountError::TooLarge);
    }
    Ok(if digits.is_empty() { 0 } else { digits.parse().expect("at most 2^64-1") })
}
