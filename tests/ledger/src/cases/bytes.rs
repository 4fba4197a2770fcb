//! Cases of encodings that need no more than their bytes: coinbases, bodies, policies, records. Must
//! not know rules beyond them.

use serde_json::{Value, json};
use steelyard_core::crypto::keys::PublicKey;
use steelyard_core::crypto::policy::{KEYS_MAX, POLICY_BYTES_MAX, UncheckedPolicy};
use steelyard_core::encode;
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::state::{AssetDescription, Key, Record, record};
use steelyard_core::types::body::{Body, COINBASE_EXTRA_BYTES_MAX, Coinbase};

use super::draw::{amount, bytes, damage, edge, few, hash, one_in, pick};
use super::{Case, Source};
use crate::random::Random;

pub(super) fn coinbase(source: &mut Source) -> Case {
    let random = &mut source.random;
    let extra = match random.below(4) {
        0 => *pick(random, &[0, COINBASE_EXTRA_BYTES_MAX - 1, COINBASE_EXTRA_BYTES_MAX]),
        1 => COINBASE_EXTRA_BYTES_MAX + 1 + random.place(9),
        _ => few(random, COINBASE_EXTRA_BYTES_MAX as u64),
    };
    let mut encoded = edge(random).to_le_bytes().to_vec();
    encoded.extend(hash(random));
    encoded.extend(edge(random).to_le_bytes());
    encoded.extend((extra as u64).to_le_bytes());
    encoded.extend(bytes(random, extra));
    if one_in(random, 2) {
        damage(random, &mut encoded);
    }
    let inputs = json!({ "bytes": hex::encode(&encoded) });
    match Coinbase::from_bytes(&encoded) {
        Err(error) => Case::new("coinbase", variant(&error), inputs, Value::Null),
        Ok(Coinbase { height, miner, amount, extra }) => {
            let out = json!({
                "height": height.to_string(), "miner": miner,
                "amount": amount.to_string(), "extra": hex::encode(&*extra),
            });
            Case::new("coinbase", "accepted", inputs, out)
        }
    }
}

pub(super) fn body(source: &mut Source) -> Case {
    let random = &mut source.random;
    let count = few(random, 9);
    let items = (0..count).map(|_| {
        let length = few(random, 80);
        bytes(random, length)
    });
    let mut encoded = Body { items: items.collect() }.to_bytes();
    if one_in(random, 2) {
        damage(random, &mut encoded);
    }
    let max = match random.below(4) {
        0 => (encoded.len() + random.place(3)).saturating_sub(1),
        1 => few(random, 100),
        _ => 1_000_000,
    };
    let inputs = json!({ "bytes": hex::encode(&encoded), "max": max });
    match Body::from_bytes(&encoded, max) {
        Err(error) => Case::new("body", variant(&error), inputs, Value::Null),
        Ok(body) => {
            let out = json!({ "items": body.items.len(), "root": body.root() });
            Case::new("body", "accepted", inputs, out)
        }
    }
}

pub(super) fn policy(source: &mut Source) -> Case {
    let keys = policy_keys(&source.points, &mut source.random);
    let random = &mut source.random;
    let threshold = match random.below(4) {
        0 => random.below(20) as u8,
        _ => 1 + random.below(keys.len().max(1) as u64) as u8,
    };
    let mut encoded = vec![1, threshold, keys.len() as u8];
    keys.iter().for_each(|key| encoded.extend(key.0));
    if one_in(random, 3) {
        damage(random, &mut encoded);
    }
    let inputs = json!({ "bytes": hex::encode(&encoded) });
    let read: Result<UncheckedPolicy, _> = encode::decode(&encoded, POLICY_BYTES_MAX);
    match read.map(|policy| policy.check()) {
        Err(error) => Case::new("policy", variant(&error), inputs, Value::Null),
        Ok(Err(error)) => Case::new("policy", variant(&error), inputs, Value::Null),
        Ok(Ok(policy)) => Case::new("policy", "accepted", inputs, json!({ "address": policy.address() })),
    }
}

/// Keys in their order, or nearly; all points of the curve, or nearly.
fn policy_keys(points: &[PublicKey], random: &mut Random) -> Vec<PublicKey> {
    let count = match random.below(6) {
        0 => *pick(random, &[0, 1, KEYS_MAX - 1, KEYS_MAX, KEYS_MAX + 1]),
        _ => 1 + random.place(5),
    };
    let mut keys: Vec<PublicKey> = (0..count).map(|_| *pick(random, points)).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return keys;
    }
    let at = random.place(keys.len());
    match random.below(8) {
        0 => {
            let to = random.place(keys.len());
            keys.swap(at, to);
        }
        1 => keys.insert(at, keys[at]),
        2 => {
            keys[at] = PublicKey(strange_key(random));
            keys.sort();
        }
        3 => keys[at] = PublicKey(strange_key(random)),
        _ => {}
    }
    keys
}

/// The size of secp256k1's field, most significant byte first.
const FIELD: [u8; 32] = {
    let mut field = [0xff; 32];
    field[27] = 0xfe;
    (field[30], field[31]) = (0xfc, 0x2f);
    field
};

/// Half of all numbers below the field's size are no point's x coordinate, and none above it is.
fn strange_key(random: &mut Random) -> [u8; 32] {
    let mut key = FIELD;
    match random.below(4) {
        0 => key = hash(random),
        1 => key[31] = FIELD[31] - 4 + random.below(8) as u8,
        2 => {
            key = [0; 32];
            key[31] = random.below(16) as u8;
        }
        _ => key = bytes(random, 32).try_into().expect("32 bytes"),
    }
    key
}

pub(super) fn record(source: &mut Source) -> Case {
    let random = &mut source.random;
    let mut value = match random.below(3) {
        0 => {
            let (balance, nonce) = (edge(random), edge(random));
            record::encode(&Key::Account(Address(hash(random))), &Record::Account { balance, nonce })
        }
        1 => {
            let key = Key::Holding(Address(hash(random)), AssetId(hash(random)));
            record::encode(&key, &Record::Holding { amount: edge(random) })
        }
        _ => Some(asset_value(random)),
    }
    .expect("of one kind");
    if one_in(random, 3) {
        damage(random, &mut value);
    }
    let inputs = json!({ "value": hex::encode(&value) });
    match record::decode(&value) {
        Err(_) => Case::new("record", "refused", inputs, Value::Null),
        Ok((key, record)) => {
            let out = json!({ "path": hex::encode(key.path()) });
            Case::new("record", variant(&record), inputs, out)
        }
    }
}

/// The value of an asset's description, laid out by hand: some are none.
fn asset_value(random: &mut Random) -> Vec<u8> {
    let length = match random.below(4) {
        0 => *pick(random, &[0, 1, 11, 12, 13, 14]),
        _ => 1 + random.place(12),
    };
    let mut symbol: Vec<u8> = (0..length).map(|_| *pick(random, b"ABCXYZ0189")).collect();
    if length > 0 && one_in(random, 4) {
        symbol[random.place(length)] = random.number() as u8;
    }
    if length >= 4 && one_in(random, 8) {
        // Texts of several bytes a letter, right and wrong.
        let letters: [&[u8]; 6] = [
            "é".as_bytes(),
            "€".as_bytes(),
            "𝄞".as_bytes(),
            &[0xed, 0xa0, 0x80],
            &[0xc0, 0x80],
            &[0xf4, 0x90, 0x80, 0x80],
        ];
        let letter = pick(random, &letters);
        symbol[..letter.len()].copy_from_slice(letter);
    }
    let mut value = vec![3];
    value.extend(hash(random));
    value.extend(hash(random));
    value.push(length as u8);
    value.extend(symbol);
    value.push(if one_in(random, 4) { *pick(random, &[17, 18, 19, 255]) } else { random.below(19) as u8 });
    value.extend(edge(random).to_le_bytes());
    value.push(if one_in(random, 6) { random.number() as u8 } else { random.below(2) as u8 });
    value
}

/// A record that a state may hold under the key.
pub(super) fn content(random: &mut Random, key: &Key) -> Record {
    match key {
        Key::Account(_) => {
            let nonce = if one_in(random, 2) { random.below(4) } else { edge(random) };
            Record::Account { balance: edge(random).max(u64::from(nonce == 0)), nonce }
        }
        Key::Holding(..) => Record::Holding { amount: amount(random) },
        Key::Asset(_) => {
            let letters = 1 + random.place(record::SYMBOL_BYTES_MAX);
            Record::Asset(Box::new(AssetDescription {
                issuer: Address(hash(random)),
                symbol: (0..letters).map(|_| char::from(*pick(random, b"ABCXYZ0189"))).collect(),
                decimals: random.below(19) as u8,
                supply: edge(random),
                mintable: one_in(random, 2),
            }))
        }
    }
}

/// The name of an enum's variant.
pub(super) fn variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
}
