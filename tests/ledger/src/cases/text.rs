//! Cases of addresses as text. Must not know the project's own writer of wrong ones: there is none, so
//! bech32 is here once more, for texts that nearly are addresses.

use serde_json::{Value, json};
use steelyard_core::address::{self, AddressError};
use steelyard_core::hash::Address;

use super::draw::{bytes, few, hash, pick};
use super::{Case, Source};
use crate::random::Random;

const PREFIXES: [&str; 6] = ["sy", "dsy", "tsy", "a", "zzzzzzzzzz", "bc"];
const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// What the checksum of BIP 350 ends with.
const BECH32M: u32 = 0x2bc8_30a3;
/// That of BIP 173.
const BECH32: u32 = 1;

pub(super) fn address_text(source: &mut Source) -> Case {
    let random = &mut source.random;
    let prefix = *pick(random, &PREFIXES);
    let address = Address(hash(random));
    let text = address::format(prefix, &address);
    let inputs = json!({ "prefix": prefix, "address": address });
    Case::new("address_text", format!("{}_letters", prefix.len()), inputs, text.into())
}

pub(super) fn address(source: &mut Source) -> Case {
    let random = &mut source.random;
    let prefix = *pick(random, &PREFIXES);
    let text = text(random, prefix);
    let inputs = json!({ "prefix": prefix, "text": text });
    match address::parse(prefix, &text) {
        Ok(address) => {
            let sort = if text.bytes().any(|b| b.is_ascii_uppercase()) { "upper_case" } else { "accepted" };
            Case::new("address", sort, inputs, json!(address))
        }
        Err(error) => {
            let sort = match error {
                AddressError::NotBech32m(_) => "not_bech32m",
                AddressError::WrongPrefix { .. } => "wrong_prefix",
                AddressError::WrongLength { .. } => "wrong_length",
            };
            Case::new("address", sort, inputs, Value::Null)
        }
    }
}

/// An address of the network with this prefix, or nearly one.
fn text(random: &mut Random, prefix: &str) -> String {
    let right = bytes(random, 32);
    match random.below(12) {
        0 | 1 => bech32(prefix, &digits(&right, 0), BECH32M),
        2 => bech32(prefix, &digits(&right, 0), BECH32M).to_uppercase(),
        3 => {
            let text = bech32(prefix, &digits(&right, 0), BECH32M);
            let raised = random.place(text.len());
            let case = |(at, c): (usize, char)| if at == raised { c.to_ascii_uppercase() } else { c };
            text.chars().enumerate().map(case).collect()
        }
        4 => bech32(prefix, &digits(&right, 0), BECH32),
        5 => bech32(prefix, &digits(&right, random.below(16) as u8), BECH32M),
        6 => {
            let length = *pick(random, &[0, 1, 20, 31, 33, 34, 40]);
            bech32(prefix, &digits(&bytes(random, length), 0), BECH32M)
        }
        7 => {
            // Any number of digits: whole bytes or not.
            let data: Vec<u8> = (0..50 + random.place(6)).map(|_| random.below(32) as u8).collect();
            bech32(prefix, &data, BECH32M)
        }
        8 => bech32(PREFIXES[random.place(PREFIXES.len())], &digits(&right, 0), BECH32M),
        9 => {
            let other = pick(random, &["s1y", "1", "", "SY", "sy1", "s y", "sÿ", "~"]);
            bech32(other, &digits(&right, 0), BECH32M)
        }
        10 => few_letters(random),
        _ => damaged(random, bech32(prefix, &digits(&right, 0), BECH32M)),
    }
}

fn damaged(random: &mut Random, text: String) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..1 + few(random, 2) {
        let at = random.place(letters.len());
        match random.below(6) {
            0 => letters.truncate(at.max(1)),
            1 => letters.push(*pick(random, &['q', 'p', ' ', '1', 'é', '\n'])),
            2 => letters.insert(at, *pick(random, &['q', '1', ' ', '\u{0}', 'b'])),
            3 => letters[at] = *pick(random, &['b', 'i', 'o', '1', 'Q', '\u{7f}', '\u{212a}']),
            4 if letters.len() > 1 => {
                letters.remove(at);
            }
            _ => letters[at] = char::from(*pick(random, DIGITS)),
        }
    }
    letters.into_iter().collect()
}

fn few_letters(random: &mut Random) -> String {
    let count = few(random, 12);
    let letters = ['1', 's', 'y', 'q', 'p', 'l', 'z', 'A', ' '];
    (0..count).map(|_| *pick(random, &letters)).collect()
}

/// Bytes in fives of bits, the last filled up with bits of `rest`.
fn digits(bytes: &[u8], rest: u8) -> Vec<u8> {
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let fill = (0..4).rev().map(|bit| rest >> bit & 1);
    let bits: Vec<u8> = bits.collect();
    let missing = (5 - bits.len() % 5) % 5;
    let bits: Vec<u8> = bits.into_iter().chain(fill.take(missing)).collect();
    bits.chunks(5).map(|five| five.iter().fold(0, |digit, bit| digit << 1 | bit)).collect()
}

/// Prefix, digits and checksum (BIP 173, with the constant of BIP 350 or not), whatever the prefix is.
fn bech32(prefix: &str, data: &[u8], constant: u32) -> String {
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    let values = high.chain([0]).chain(low).chain(data.iter().copied()).chain([0; 6]);
    let checksum = polymod(values) ^ constant;
    let checksum = (0..6).rev().map(|place| (checksum >> (5 * place) & 31) as u8);
    let digits = data.iter().copied().chain(checksum);
    prefix.chars().chain(['1']).chain(digits.map(|digit| char::from(DIGITS[usize::from(digit)]))).collect()
}

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    let generator = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum: u32, value| {
        let shifted = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        let top = sum >> 25;
        (0..5).filter(|bit| top >> bit & 1 == 1).fold(shifted, |sum, bit| sum ^ generator[bit])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_here_is_what_the_ledger_writes() {
        let bytes: Vec<u8> = (7..39).collect();
        let address = Address(bytes.clone().try_into().unwrap());
        assert_eq!(bech32("sy", &digits(&bytes, 0), BECH32M), address::format("sy", &address));
    }
}
