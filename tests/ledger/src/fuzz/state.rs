//! Records, proofs and excerpts: what is read is written back as it came; of a known state a proof or an
//! excerpt shows what is there and nothing else, and there is one proof for each key. Must not know blocks.

use steelyard_core::hash::{Address, AssetId, HASH_BYTES, StateRoot};
use steelyard_core::state::excerpt::{Excerpt, Page, Shown, Wanted};
use steelyard_core::state::record::{self, VALUE_BYTES_MAX};
use steelyard_core::state::{Key, PROOF_BYTES_MAX, Proof, ProofError, Record, Trie};

use super::input::Input;
use super::world::world;

/// Where steps begin in a proof, and their bytes.
const STEPS: (usize, usize) = (2, 2 + HASH_BYTES);
/// Bytes of a hidden node of an excerpt.
const HIDDEN_BYTES: usize = 1 + HASH_BYTES;
/// Most that an excerpt is asked for.
const WANTED_MAX: u8 = 6;

/// The target of records.
pub fn record(input: &[u8]) {
    let Ok((key, record)) = record::decode(input) else { return };
    assert!(input.len() <= VALUE_BYTES_MAX);
    assert_eq!(record::encode(&key, &record).as_deref(), Some(input));
    assert_eq!(key.path(), key.path());
    let Ok(state) = Trie::from_sorted([(key, record.clone())]) else {
        assert!(matches!(key, Key::Holding(_, asset) if asset == AssetId::COINS));
        return;
    };
    assert_eq!((state.get(&key), state.len()), (Some(&record), 1));
    assert_eq!(state.prove(&key).verify(&state.root(), &key), Ok(Some(record)));
}

/// The target of proofs: raw bytes u8 (odd), the key asked for u16, and then the bytes; or the key whose
/// proof is edited u16, one whose proof gives pieces u16, and the edits.
pub fn proof(input: &[u8]) {
    let (world, mut input) = (world(), Input::new(input));
    let is_raw = input.u8() % 2 == 1;
    let key = world.keys[input.place(world.keys.len())];
    if is_raw {
        return judge(&world.state, &key, input.rest());
    }
    let honest = |key: &Key| world.state.prove(key).to_bytes();
    let base = honest(&world.keys[input.place(world.keys.len())]);
    let other = honest(&world.keys[input.place(world.keys.len())]);
    judge(&world.state, &key, &input.edit(&base, &other, STEPS));
}

fn judge(state: &Trie, key: &Key, bytes: &[u8]) {
    let honest = state.prove(key).to_bytes();
    let proof = match Proof::from_bytes(bytes) {
        Ok(proof) => proof,
        Err(error) => return assert_ne!(bytes, honest, "an honest proof is refused: {error}"),
    };
    assert_eq!(proof.to_bytes(), bytes);
    assert!(bytes.len() <= PROOF_BYTES_MAX);
    let verdict: Result<Option<Record>, ProofError> = proof.verify(&state.root(), key);
    match verdict {
        Ok(found) => {
            assert_eq!(found.as_ref(), state.get(key), "proven, and not so");
            assert_eq!(bytes, honest, "two proofs of one key");
        }
        Err(error) => assert_ne!(bytes, honest, "an honest proof does not hold: {error}"),
    }
    let mut root = state.root();
    root.0[bytes.len() % HASH_BYTES] ^= 1;
    assert!(proof.verify(&root, key).is_err(), "a proof of two roots");
    assert!(proof.verify(&StateRoot::ZERO, key).is_err() || bytes == [0; 3]);
}

/// The target of excerpts: raw bytes u8 (odd) and then the bytes; or what is wanted of an excerpt, what of
/// another that gives pieces, and the edits of the first.
pub fn excerpt(input: &[u8]) {
    let (world, mut input) = (world(), Input::new(input));
    let state = &world.state;
    if input.u8() % 2 == 1 {
        return judge_excerpt(state, &[], input.rest());
    }
    let (wanted, others) = (wanted(&mut input), wanted(&mut input));
    let honest = state.excerpt(&wanted);
    let shown = honest.clone().open(&state.root()).expect("it is of this state");
    wanted.iter().for_each(|wanted| shows(state, wanted, &shown));
    let edited = input.edit(&honest.to_bytes(), &state.excerpt(&others).to_bytes(), (0, HIDDEN_BYTES));
    judge_excerpt(state, &wanted, &edited);
}

fn wanted(input: &mut Input<'_>) -> Vec<Wanted> {
    let world = world();
    let key = |input: &mut Input<'_>| world.keys[input.place(world.keys.len())];
    let one = |input: &mut Input<'_>| match input.u8() % 4 {
        0 => {
            let after = match key(input) {
                Key::Holding(_, asset) | Key::Asset(asset) => Some(asset),
                Key::Account(_) => None,
            };
            Wanted::Holdings { of: owner(input), after, limit: usize::from(input.u8() % 40) }
        }
        _ => Wanted::Record(key(input)),
    };
    (0..input.u8() % WANTED_MAX).map(|_| one(input)).collect()
}

/// Who holds much, or anybody.
fn owner(input: &mut Input<'_>) -> Address {
    match input.place(world().keys.len()) {
        place if place % 2 == 0 => Address([0x11; 32]),
        place => match world().keys[place] {
            Key::Account(address) | Key::Holding(address, _) => address,
            Key::Asset(asset) => Address(asset.0),
        },
    }
}

/// An honest excerpt shows what was wanted of it.
fn shows(state: &Trie, wanted: &Wanted, shown: &Shown) {
    match wanted {
        Wanted::Record(key) => assert_eq!(shown.record(key), Ok(state.get(key))),
        Wanted::Holdings { of, after, limit } => {
            let page = shown.holdings(of, *after);
            let all = held(state, of, *after);
            let Ok(page) = page else {
                return assert!(*limit == 0, "a page of {limit} is not shown");
            };
            assert!(page.held.len() >= all.len().min(*limit) && all.starts_with(&page.held));
        }
    }
}

/// What the owner holds behind an asset, by looking at all there is.
fn held(state: &Trie, owner: &Address, after: Option<AssetId>) -> Vec<(AssetId, u64)> {
    let mut held: Vec<(AssetId, u64)> = state
        .iter()
        .filter_map(|(key, record)| match (key, record) {
            (Key::Holding(of, asset), Record::Holding { amount }) if of == *owner => Some((asset, *amount)),
            _ => None,
        })
        .filter(|(asset, _)| after.is_none_or(|after| *asset > after))
        .collect();
    held.sort_unstable();
    held
}

fn judge_excerpt(state: &Trie, wanted: &[Wanted], bytes: &[u8]) {
    let is_honest = !wanted.is_empty() && state.excerpt(wanted).to_bytes() == bytes;
    let excerpt = match Excerpt::from_bytes(bytes) {
        Ok(excerpt) => excerpt,
        Err(error) => return assert!(!is_honest, "an honest excerpt is refused: {error}"),
    };
    assert_eq!(excerpt.to_bytes(), bytes);
    let mut root = state.root();
    root.0[bytes.len() % HASH_BYTES] ^= 1;
    assert!(excerpt.clone().open(&root).is_err(), "an excerpt of two states");
    let shown = match excerpt.open(&state.root()) {
        Ok(shown) => shown,
        Err(error) => return assert!(!is_honest, "an honest excerpt does not hold: {error}"),
    };
    // Whatever was left in and taken out: what it says of any key, and of anybody's holdings, is so.
    for key in &world().keys {
        if let Ok(found) = shown.record(key) {
            assert_eq!(found, state.get(key), "shown, and not so");
        }
        if let Key::Holding(owner, asset) = key {
            [None, Some(*asset)].into_iter().for_each(|after| page(state, owner, after, &shown));
        }
    }
}

fn page(state: &Trie, owner: &Address, after: Option<AssetId>, shown: &Shown) {
    let Ok(Page { held: found, is_complete }) = shown.holdings(owner, after) else { return };
    let all = held(state, owner, after);
    assert!(all.starts_with(&found), "holdings that are not so, or a gap");
    assert!(!is_complete || found.len() == all.len(), "complete, and not all");
    assert!(is_complete || !found.is_empty(), "a page of nothing that goes on");
}
