//! Cases of the state's trie and of proofs of one record. Must not know who changes the state.

use serde_json::{Value, json};
use steelyard_core::hash::{Address, AssetId, Domain, StateRoot};
use steelyard_core::state::record::PATH_BYTES;
use steelyard_core::state::{Key, Path, Proof, Trie, record};

use super::bytes::{content, variant};
use super::draw::{bytes, damage, few, hash, one_in, pick};
use super::{Case, Source};
use crate::random::Random;

/// Bits of a path.
const PATH_BITS: u16 = 8 * PATH_BYTES as u16;

/// Keys whose paths share long beginnings: few addresses with many assets, assets that differ in a bit.
pub(super) struct Keys {
    addresses: Vec<Address>,
    assets: Vec<AssetId>,
}

impl Keys {
    pub(super) fn new(random: &mut Random) -> Self {
        let addresses = (0..1 + random.place(8)).map(|_| Address(hash(random))).collect();
        let first = loop {
            let first = hash(random);
            if first != [0; 32] {
                break first;
            }
        };
        let mut assets = vec![AssetId(first)];
        for _ in 0..random.below(10) {
            let mut asset = *pick(random, &assets);
            // Mostly in the last bits.
            let bit = if one_in(random, 3) { random.place(256) } else { 255 - random.place(6) };
            asset.0[bit / 8] ^= 0x80 >> (bit % 8);
            if asset != AssetId::COINS {
                assets.push(asset);
            }
        }
        Self { addresses, assets }
    }

    pub(super) fn draw(&self, random: &mut Random) -> Key {
        let address = if one_in(random, 4) { Address(hash(random)) } else { *pick(random, &self.addresses) };
        let asset = *pick(random, &self.assets);
        match random.below(6) {
            0 | 1 => Key::Account(address),
            2 => Key::Asset(if one_in(random, 2) { asset } else { AssetId(bytes32(random)) }),
            _ => Key::Holding(address, asset),
        }
    }
}

fn bytes32(random: &mut Random) -> [u8; 32] {
    bytes(random, 32).try_into().expect("32 bytes")
}

/// A key as cases hold it: its record's type and what a value begins with.
pub(super) fn key_hex(key: &Key) -> String {
    let bytes = match key {
        Key::Account(address) => [&[1][..], &address.0].concat(),
        Key::Holding(address, asset) => [&[2][..], &address.0, &asset.0].concat(),
        Key::Asset(asset) => [&[3][..], &asset.0].concat(),
    };
    hex::encode(bytes)
}

/// A trie of some records, and the keys that it is of.
pub(super) fn grown(random: &mut Random, most: u64) -> (Trie, Keys) {
    let keys = Keys::new(random);
    let mut trie = Trie::new();
    for _ in 0..few(random, most) {
        let key = keys.draw(random);
        trie.update([(key, Some(content(random, &key)))]);
    }
    (trie, keys)
}

pub(super) fn some_key(random: &mut Random, trie: &Trie, keys: &Keys) -> Key {
    let there: Vec<Key> = trie.iter().map(|(key, _)| key).collect();
    if there.is_empty() || one_in(random, 3) { keys.draw(random) } else { *pick(random, &there) }
}

pub(super) fn trie(source: &mut Source) -> Case {
    let random = &mut source.random;
    let keys = Keys::new(random);
    let mut trie = Trie::new();
    let (mut ops, mut roots) = (Vec::new(), Vec::new());
    for _ in 0..1 + few(random, 40) {
        if one_in(random, 4) {
            let key = some_key(random, &trie, &keys);
            trie.update([(key, None)]);
            ops.push(json!({ "del": key_hex(&key) }));
        } else {
            let key = keys.draw(random);
            let record = content(random, &key);
            let value = record::encode(&key, &record).expect("of one kind");
            trie.update([(key, Some(record))]);
            ops.push(json!({ "set": hex::encode(value) }));
        }
        roots.push(trie.root());
    }
    let query = some_key(random, &trie, &keys);
    let proof = trie.prove(&query).to_bytes();
    let sort = match (trie.is_empty(), trie.get(&query)) {
        (true, _) => "empty",
        (_, Some(_)) => "present",
        (_, None) => "absent",
    };
    let out = json!({ "roots": roots, "proof": hex::encode(proof) });
    Case::new("trie", sort, json!({ "ops": ops, "query": key_hex(&query) }), out)
}

pub(super) fn proof(source: &mut Source) -> Case {
    let random = &mut source.random;
    let (trie, keys) = grown(random, 30);
    let mut key = some_key(random, &trie, &keys);
    let (root, bytes) = match random.below(3) {
        0 => (trie.root(), trie.prove(&key).to_bytes()),
        1 => altered(random, &trie, &keys, &mut key),
        _ => forged(random, &keys, &mut key),
    };
    let inputs = json!({ "root": root, "key": key_hex(&key), "proof": hex::encode(&bytes) });
    let verdict = Proof::from_bytes(&bytes).and_then(|proof| proof.verify(&root, &key));
    match verdict {
        Err(error) => Case::new("proof", variant(&error), inputs, json!({ "error": true })),
        Ok(record) => {
            let sort = if record.is_some() { "present" } else { "absent" };
            Case::new("proof", sort, inputs, shown(&key, record.as_ref()))
        }
    }
}

/// A right proof with something changed: its bytes, its steps, the root or the key.
fn altered(random: &mut Random, trie: &Trie, keys: &Keys, key: &mut Key) -> (StateRoot, Vec<u8>) {
    let mut bytes = trie.prove(key).to_bytes();
    let mut root = trie.root();
    let steps = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let step = |at: usize| 2 + 34 * at..2 + 34 * (at + 1);
    match random.below(12) {
        0 => root.0[random.place(32)] ^= 1,
        1 => *key = some_key(random, trie, keys),
        2 if steps > 1 => {
            let (one, other) = (random.place(steps), random.place(steps));
            let (first, second) = (bytes[step(one)].to_vec(), bytes[step(other)].to_vec());
            bytes[step(one)].copy_from_slice(&second);
            bytes[step(other)].copy_from_slice(&first);
        }
        3 if steps > 0 => {
            bytes.drain(step(random.place(steps)));
            bytes[..2].copy_from_slice(&(steps as u16 - 1).to_le_bytes());
        }
        4 if steps > 0 => {
            let at = step(random.place(steps)).start;
            let split = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            let splits = [split.wrapping_add(1), split.wrapping_sub(1), split ^ 0x100, PATH_BITS, u16::MAX];
            bytes[at..at + 2].copy_from_slice(&pick(random, &splits).to_le_bytes());
        }
        5 => {
            if let Key::Account(address) = *key {
                *key = Key::Holding(address, AssetId::COINS);
            }
        }
        6 => root = StateRoot::ZERO,
        // Steps that lead to no leaf.
        7 => {
            bytes.truncate(2 + 34 * steps);
            bytes.push(0);
        }
        _ => damage(random, &mut bytes),
    }
    (root, bytes)
}

/// A proof made up from a leaf upwards, with the root that it leads to: what is wrong with it is not
/// that it is of another state.
fn forged(random: &mut Random, keys: &Keys, key: &mut Key) -> (StateRoot, Vec<u8>) {
    let leaf = if one_in(random, 2) { *key } else { keys.draw(random) };
    let mut value = record::encode(&leaf, &content(random, &leaf)).expect("of one kind");
    let leaf_path = leaf.path();
    if let (Key::Account(address), 0) = (leaf, random.below(6)) {
        // A holding of coins lies where the account does, and is no record.
        value = [&[2][..], &address.0, &[0; 32], &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
    }
    let path = key.path();
    let mut splits: Vec<u16> = Vec::new();
    for _ in 0..few(random, 20) {
        let split = random.below(512) as u16;
        // Mostly where both take the same turn.
        if bit(&path, split) == bit(&leaf_path, split) || one_in(random, 40) {
            splits.push(split);
        }
    }
    splits.sort_unstable();
    splits.dedup();
    if !splits.is_empty() {
        let (one, other) = (random.place(splits.len()), random.place(splits.len()));
        match random.below(6) {
            0 => splits.swap(one, other),
            1 => splits[one] = splits[other],
            2 => splits[one] = *pick(random, &[PATH_BITS, PATH_BITS + 1, u16::MAX]),
            _ => {}
        }
    }
    if one_in(random, 60) {
        splits = vec![0; usize::from(PATH_BITS) + random.place(2)];
    }
    let mut out = (splits.len() as u16).to_le_bytes().to_vec();
    let mut siblings = Vec::new();
    for split in &splits {
        let sibling = hash(random);
        out.extend(split.to_le_bytes());
        out.extend(sibling);
        siblings.push((*split, sibling));
    }
    out.push(value.len() as u8);
    out.extend(&value);
    let mut node = hash_leaf(&leaf_path, &value);
    for (split, sibling) in siblings.iter().rev() {
        let (left, right) = if bit(&path, *split) { (*sibling, node) } else { (node, *sibling) };
        node = hash_inner(*split, &left, &right);
    }
    (StateRoot(node), out)
}

/// A bit of a path; beyond its end there are zeros.
pub(super) fn bit(path: &Path, split: u16) -> bool {
    path.get(usize::from(split / 8)).is_some_and(|byte| byte >> (7 - split % 8) & 1 == 1)
}

pub(super) fn hash_leaf(path: &Path, value: &[u8]) -> [u8; 32] {
    Domain::StateLeaf.hash(&[path, value])
}

pub(super) fn hash_inner(split: u16, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Domain::StateInner.hash(&[&split.to_le_bytes(), left, right])
}

/// What is under a key, as cases say it.
pub(super) fn shown(key: &Key, record: Option<&record::Record>) -> Value {
    match record {
        None => json!({ "absent": true }),
        Some(record) => {
            let value = record::encode(key, record).expect("of one kind");
            json!({ "value": hex::encode(value) })
        }
    }
}
