//! What is read is what was written, and nothing is written in two ways: for every type that has
//! bytes. Messages stand in `messages`. Must not know what the values mean.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use steelyard_core::address;
use steelyard_core::amount;
use steelyard_core::crypto::policy::{POLICY_BYTES_MAX, Policy};
use steelyard_core::encode::{decode, encode};
use steelyard_core::hash::{Address, AssetId, BlockId};
use steelyard_core::params::Params;
use steelyard_core::state::record;
use steelyard_core::state::{Excerpt, Key, Proof, Wanted};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{
    AUTHORIZATION_BYTES_MAX, Authorization, PAYMENT_BYTES, Payment, TX_BODY_BYTES_MAX, Transaction, TxBody,
};
use steelyard_ledger::accounts::Account;

use super::values::{self, law};

/// Values that each law of this file is tried on.
pub const CASES: u32 = 1_000;
/// Longest bytes of which every beginning is tried.
const CUTS_ALL: usize = 600;

/// A way to spoil bytes.
#[derive(Clone, Debug)]
pub enum Spoil {
    /// Another value for a byte.
    Change(Index, u8),
    /// A bit flipped.
    Flip(Index, u8),
    /// A byte more.
    Insert(Index, u8),
    /// A byte less.
    Remove(Index),
    /// A run repeated, as a list with an item twice would be.
    Repeat(Index, Index),
}

/// Some ways to spoil bytes, one after another.
pub fn spoils() -> impl Strategy<Value = Vec<Spoil>> {
    let one = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Spoil::Change(place, byte)),
        4 => (any::<Index>(), 0..8u8).prop_map(|(place, bit)| Spoil::Flip(place, bit)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Spoil::Insert(place, byte)),
        1 => any::<Index>().prop_map(Spoil::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
    ];
    proptest::collection::vec(one, 1..4)
}

fn spoilt(mut bytes: Vec<u8>, spoils: &[Spoil]) -> Vec<u8> {
    for spoil in spoils {
        let places = bytes.len();
        match spoil {
            Spoil::Insert(place, byte) => bytes.insert(place.index(places + 1), *byte),
            _ if places == 0 => {}
            Spoil::Change(place, byte) => bytes[place.index(places)] = *byte,
            Spoil::Flip(place, bit) => bytes[place.index(places)] ^= 1 << bit,
            Spoil::Remove(place) => {
                bytes.remove(place.index(places));
            }
            Spoil::Repeat(one, other) => {
                let (from, to) =
                    (one.index(places).min(other.index(places)), one.index(places).max(other.index(places)));
                let run = bytes[from..to].to_vec();
                bytes.splice(to..to, run);
            }
        }
    }
    bytes
}

/// The value reads back from its bytes; no beginning of them and nothing longer reads; and whatever
/// else reads is written as it was read.
pub fn one_to_one<T: Debug + PartialEq, E: Debug>(
    value: &T,
    spoils: &[Spoil],
    write: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T, E>,
) -> TestCaseResult {
    let bytes = write(value);
    match read(&bytes) {
        Ok(again) => prop_assert_eq!(&again, value),
        Err(error) => prop_assert!(false, "{:?} does not read back: {:?}", value, error),
    }
    let step = 1 + bytes.len() / CUTS_ALL;
    for cut in (0..bytes.len()).step_by(step) {
        prop_assert!(read(&bytes[..cut]).is_err(), "the first {} bytes read", cut);
    }
    prop_assert!(read(&[&bytes[..], &[0]].concat()).is_err(), "a byte more reads");
    let other = spoilt(bytes.clone(), spoils);
    if let Ok(other_value) = read(&other) {
        prop_assert_eq!(write(&other_value), &other[..]);
        prop_assert_eq!(
            other_value == *value,
            other == bytes,
            "two values of the same bytes, or two bytes of a value"
        );
    }
    Ok(())
}

#[test]
fn payments_actions_and_bodies_of_transactions() {
    law(101, CASES, (values::payments(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, encode, |bytes| decode::<Payment>(bytes, PAYMENT_BYTES))
    });
    law(102, CASES, (values::actions(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, encode, |bytes| decode(bytes, TX_BODY_BYTES_MAX))
    });
    law(103, CASES, (values::tx_bodies(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, encode, |bytes| decode::<TxBody>(bytes, TX_BODY_BYTES_MAX))
    });
}

#[test]
fn authorizations_and_their_policies() {
    law(104, CASES, (values::policies(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, encode, |bytes| decode(bytes, POLICY_BYTES_MAX))
    });
    law(105, CASES, (values::authorizations(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, encode, |bytes| decode::<Authorization>(bytes, AUTHORIZATION_BYTES_MAX))
    });
}

/// A policy that is one has the bytes that a stranger would send, and each policy its own address.
#[test]
fn policies_that_hold() {
    let accounts = (1..=16u8, 1..=16u8, 0..4u64).prop_map(|(m, n, number)| (m.min(n), m.max(n), number));
    law(106, 40, (accounts.clone(), accounts, spoils()), |(one, other, spoils)| {
        let policy = |(m, n, number)| Account::multisig(m, n, number).policy;
        let read = |bytes: &[u8]| {
            let sent = decode::<steelyard_core::crypto::policy::UncheckedPolicy>(bytes, POLICY_BYTES_MAX);
            sent.map_err(|error| error.to_string())?.check().map_err(|error| error.to_string())
        };
        one_to_one(&policy(one), &spoils, Policy::to_bytes, read)?;
        prop_assert_eq!(policy(one).address() == policy(other).address(), policy(one) == policy(other));
        Ok(())
    });
}

#[test]
fn whole_transactions() {
    law(107, CASES, (values::transactions(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, Transaction::to_bytes, Transaction::from_bytes)
    });
}

#[test]
fn coinbases_and_bodies() {
    law(108, CASES, (values::coinbases(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, Coinbase::to_bytes, Coinbase::from_bytes)
    });
    law(109, CASES, (values::bodies(), spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, Body::to_bytes, |bytes| Body::from_bytes(bytes, 1_000))
    });
    law(110, CASES, (values::bodies(), values::bodies()), |(one, other)| {
        prop_assert_eq!(one.root() == other.root(), one == other);
        Ok(())
    });
}

/// Every string of their length is a header's, so both ways are tried.
#[test]
fn headers() {
    law(111, CASES, values::headers(), |header| {
        prop_assert_eq!(Header::from_bytes(&header.to_bytes()), header);
        Ok(())
    });
    law(112, CASES, (values::header_bytes(), values::header_bytes()), |(one, other)| {
        let header = Header::from_bytes(&one);
        prop_assert_eq!(header.to_bytes(), one);
        prop_assert_eq!(header.id() == Header::from_bytes(&other).id(), one == other);
        Ok(())
    });
}

#[test]
fn records() {
    law(113, CASES, (values::records(), spoils()), |(value, spoils)| {
        let write = |(key, value): &(_, _)| record::encode(key, value).expect("of one kind");
        one_to_one(&value, &spoils, write, record::decode)
    });
}

/// Of keys that are there, and of keys that are not.
#[test]
fn proofs_of_records() {
    let asked = (values::records(), any::<Index>(), any::<bool>());
    law(114, CASES, (values::states(40), asked, spoils()), |(state, (other, place, is_there), spoils)| {
        let keys: Vec<Key> = state.iter().map(|(key, _)| key).collect();
        let key = if is_there && !keys.is_empty() { keys[place.index(keys.len())] } else { other.0 };
        let proof = state.prove(&key);
        prop_assert_eq!(proof.verify(&state.root(), &key), Ok(state.get(&key).cloned()));
        one_to_one(&proof, &spoils, Proof::to_bytes, Proof::from_bytes)
    });
}

/// What may be asked of an excerpt.
fn wanted() -> impl Strategy<Value = Wanted> {
    let keys = || values::records().prop_map(|(key, _)| key);
    let page = (keys(), any::<Option<Index>>(), 0..6usize);
    prop_oneof![
        keys().prop_map(Wanted::Record),
        page.prop_map(|(key, after, limit)| {
            let of = if let Key::Account(address) | Key::Holding(address, _) = key {
                address
            } else {
                Address::ZERO
            };
            let after = after.map(|after| AssetId([u8::try_from(after.index(7)).expect("below 7"); 32]));
            Wanted::Holdings { of, after, limit }
        }),
    ]
}

/// An excerpt reads back, under its state's root no other bytes do, and what it was asked for it says.
#[test]
fn excerpts_of_states() {
    let asked = proptest::collection::vec(wanted(), 0..4);
    law(119, CASES / 2, (values::states(40), asked, spoils()), |(state, asked, spoils)| {
        let excerpt = state.excerpt(&asked);
        let read = |bytes: &[u8]| {
            let read = Excerpt::from_bytes(bytes)?;
            read.clone().open(&state.root()).map(|_| read)
        };
        one_to_one(&excerpt, &spoils, Excerpt::to_bytes, read)?;
        let other = spoilt(excerpt.to_bytes(), &spoils);
        if let Ok(read) = Excerpt::from_bytes(&other) {
            prop_assert_eq!(read.to_bytes(), other);
        }
        let shown = excerpt.open(&state.root()).expect("its own root");
        for wanted in asked {
            match wanted {
                Wanted::Record(key) => prop_assert_eq!(shown.record(&key), Ok(state.get(&key))),
                Wanted::Holdings { of, after, limit } => {
                    let all = state.holdings(&of, usize::MAX);
                    let behind: Vec<_> = all.into_iter().filter(|(asset, _)| Some(*asset) > after).collect();
                    // With nothing asked for, nothing may be shown.
                    let Ok(page) = shown.holdings(&of, after) else {
                        prop_assert_eq!(limit, 0);
                        continue;
                    };
                    prop_assert!(page.held.len() >= limit.min(behind.len()));
                    prop_assert_eq!(&page.held[..], &behind[..page.held.len()]);
                    prop_assert!(!page.is_complete || page.held.len() == behind.len());
                }
            }
        }
        Ok(())
    });
}

/// Texts are read as they are written, and in no second way but capitals.
#[test]
fn texts_of_addresses_ids_and_amounts() {
    let texts = (values::addresses(), "[a-z]{1,10}", any::<Index>(), any::<Index>());
    law(115, CASES, texts, |(value, prefix, place, letter)| {
        let text = address::format(&prefix, &value);
        prop_assert_eq!(address::parse(&prefix, &text), Ok(value));
        prop_assert_eq!(address::parse(&prefix, &text.to_uppercase()), Ok(value));
        // BIP 173, "Checksum design": any four wrong characters are found, so one is.
        let letters = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        let mut wrong = text.clone().into_bytes();
        let place = prefix.len() + 1 + place.index(text.len() - prefix.len() - 1);
        wrong[place] = letters[letter.index(letters.len())];
        let wrong = String::from_utf8(wrong).expect("letters");
        prop_assert_eq!(address::parse(&prefix, &wrong).is_ok(), wrong == text);
        Ok(())
    });
    law(116, CASES, values::block_ids(), |id| {
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(
            id.to_string().to_uppercase().parse::<BlockId>().is_ok(),
            id.0.iter().all(|byte| byte >> 4 < 10 && byte & 15 < 10)
        );
        Ok(())
    });
    law(117, CASES, (values::numbers(), 0..=18u8), |(units, decimals)| {
        let text = amount::format(units, decimals);
        prop_assert_eq!(amount::parse(&text, decimals), Ok(units));
        prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']), "{}", text);
        Ok(())
    });
}

/// Nothing reads parameters from their bytes: they are hashed. So no two networks have one hash, and
/// what is no rule makes no other network.
#[test]
fn parameters_of_consensus_make_the_network() {
    law(118, CASES, (values::params(), values::params()), |(one, other)| {
        let policy = Params::dev().policy;
        prop_assert_eq!(Params { policy, ..one.clone() }.hash(), one.hash());
        let mixed: [fn(Params, &Params) -> Params; 14] = [
            |one, other| Params { name: other.name.clone(), ..one },
            |one, other| Params { prefix: other.prefix.clone(), ..one },
            |one, other| Params { genesis_time: other.genesis_time, ..one },
            |one, other| Params { spacing: other.spacing, ..one },
            |one, other| Params { half_life: other.half_life, ..one },
            |one, other| Params { drift: other.drift, ..one },
            |one, other| Params { limit_bits: other.limit_bits, ..one },
            |one, other| Params { start_bits: other.start_bits, ..one },
            |one, other| Params { reward: other.reward, ..one },
            |one, other| Params { halving_interval: other.halving_interval, ..one },
            |one, other| Params { block_bytes_max: other.block_bytes_max, ..one },
            |one, other| Params { block_txs_max: other.block_txs_max, ..one },
            |one, other| Params { new_records_max: other.new_records_max, ..one },
            |one, other| Params { allocations: other.allocations.clone(), ..one },
        ];
        for mix in mixed {
            let mixed = mix(one.clone(), &other);
            prop_assert_eq!(mixed.hash() == one.hash(), mixed == one);
        }
        Ok(())
    });
}
