//! No byte of a proof can be changed: of a record, of a transaction's place, of a tip. A proof that
//! says something else is refused, and one that still holds is of another header. Must not know how
//! proofs are laid out.

use proptest::prelude::*;

use steelyard_core::encode::{List, decode, encode};
use steelyard_core::hash::{Address, AssetId, StateRoot};
use steelyard_core::history::{History, HistoryNode};
use steelyard_core::light::{check_found, check_tip};
use steelyard_core::merkle::top_of_path;
use steelyard_core::state::{Key, Proof, Record, Trie};
use steelyard_core::types::body::{BodyNode, leaf, root_of};
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{Found, HeaderBytes, HistoryStep, Message, Tip};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

use super::values::{self, law};

/// Longest message about a place that is tried.
const FOUND_BYTES_MAX: usize = 8 * 1024;

/// What bytes say about a key under a root; `None` when they are refused.
fn read(bytes: &[u8], root: &StateRoot, key: &Key) -> Option<Option<Record>> {
    Proof::from_bytes(bytes).ok()?.verify(root, key).ok()
}

/// All other values of all bytes.
fn every_change(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |place| {
        (1..=u8::MAX).map(move |difference| {
            let mut changed = bytes.to_vec();
            changed[place] ^= difference;
            changed
        })
    })
}

/// The state of a story, the keys of its records, and keys of none.
fn state_and_keys(seed: u64) -> (Trie, Vec<Key>) {
    let mut story = Story::new(Random::for_test(seed));
    let mut chain = Story::chain();
    story.go_on(&mut chain, 12);
    let state = chain.state().clone();
    let mut keys: Vec<Key> = state.iter().map(|(key, _)| key).collect();
    let first = match keys.iter().find(|key| matches!(key, Key::Holding(..))) {
        Some(Key::Holding(address, _)) => *address,
        _ => panic!("somebody holds something"),
    };
    keys.extend([
        Key::Account(Address([9; 32])),
        Key::Asset(AssetId([9; 32])),
        Key::Holding(Address([9; 32]), AssetId([9; 32])),
        Key::Holding(first, AssetId([9; 32])),
    ]);
    (state, keys)
}

/// All 255 other values of every byte, for a record of each kind and for each kind of absence; for
/// all other keys some of them.
#[test]
fn no_byte_of_a_records_proof_can_be_changed() {
    let (state, keys) = state_and_keys(71);
    let root = state.root();
    let mut random = Random::for_test(72);
    let kind = |key: &Key| (std::mem::discriminant(key), state.get(key).is_some());
    let mut whole = Vec::new();
    let mut tried = 0;
    for key in &keys {
        let bytes = state.prove(key).to_bytes();
        assert_eq!(read(&bytes, &root, key), Some(state.get(key).cloned()));
        let is_first = !whole.contains(&kind(key));
        if is_first {
            whole.push(kind(key));
        }
        for changed in every_change(&bytes).filter(|_| is_first || random.below(100) == 0) {
            assert_eq!(read(&changed, &root, key), None, "{key:?}: {}", hex::encode(changed));
            tried += 1;
        }
    }
    assert_eq!(whole.len(), 6, "each kind of record, there and not there");
    assert!(tried > 300_000, "{tried}");
}

#[test]
fn no_byte_of_the_proof_that_nothing_is_there_can_be_changed() {
    let (root, key) = (Trie::new().root(), Key::Account(Address([1; 32])));
    let bytes = Trie::new().prove(&key).to_bytes();
    assert_eq!(read(&bytes, &root, &key), Some(None));
    for changed in every_change(&bytes) {
        assert_eq!(read(&changed, &root, &key), None);
    }
}

/// A proof says what its state holds, of any state and key, and under another state's root nothing.
#[test]
fn a_proof_holds_under_its_own_root_alone() {
    let keys = || values::records().prop_map(|(key, _)| key);
    law(73, 600, (values::states(30), values::states(30), keys(), keys()), |(state, other, key, asked)| {
        let proof = state.prove(&key);
        prop_assert_eq!(proof.verify(&state.root(), &key), Ok(state.get(&key).cloned()));
        if other.root() != state.root() {
            prop_assert!(proof.verify(&other.root(), &key).is_err());
        }
        // Whatever it says of a key that it was not made for is true.
        if let Ok(said) = proof.verify(&state.root(), &asked) {
            prop_assert_eq!(said, state.get(&asked).cloned());
        }
        Ok(())
    });
}

/// Every transaction of a chain as the node tells a wallet where it is.
fn places(chain: &Chain) -> Vec<(Vec<u8>, Found)> {
    let mut history = History::default();
    for height in 0..chain.height() {
        let tip = chain.tip_at(height);
        let before = if height == 0 { 0 } else { chain.tip_at(height - 1).total_work };
        history.push(HistoryNode::leaf(&tip.id, tip.total_work - before));
    }
    let mut found = Vec::new();
    for (height, block) in (1..).zip(chain.blocks()) {
        let steps = history.path(height, history.count()).unwrap_or_default();
        let steps = steps.into_iter().map(|node| HistoryStep { hash: node.hash, work: node.work });
        let history_path: List<_, 64> = List::new(steps.collect()).unwrap();
        for (index, item) in block.body.items.iter().enumerate().skip(1) {
            let body_path = block.body.path(index as u64).unwrap().into_iter().map(|node| node.0).collect();
            let place = Found {
                header: HeaderBytes::from(&block.header),
                index: u32::try_from(index).unwrap(),
                count: u32::try_from(block.body.items.len()).unwrap(),
                body_path: List::new(body_path).unwrap(),
                history_path: history_path.clone(),
            };
            found.push((item.clone(), place));
        }
    }
    found
}

/// Neither of the place that a node tells, nor of the transaction that it is told for.
#[test]
fn no_byte_of_a_place_in_the_chain_can_be_changed() {
    let mut random = Random::for_test(74);
    let mut story = Story::new(random.clone());
    let mut chain = Story::chain();
    // The tip must hold a transaction: its place has another form.
    while chain.height() < 9 || chain.block(chain.height()).body.items.len() < 2 {
        story.go_on(&mut chain, 1);
    }
    let tip = chain.tip().header;
    let holds = |tx: &[u8], found: &Found| check_found(chain.params(), &tip, tx, found).is_ok();
    let (mut tried, mut in_tip) = (0, 0);
    for (tx, found) in places(&chain) {
        assert!(holds(&tx, &found));
        in_tip += usize::from(found.history_path.is_empty());
        let bytes = encode(&found);
        for changed in every_change(&bytes).filter(|_| random.below(8) == 0) {
            if let Ok(other) = decode::<Found>(&changed, FOUND_BYTES_MAX) {
                assert!(!holds(&tx, &other), "{other:?}");
            }
            tried += 1;
        }
        for changed in every_change(&tx).filter(|_| random.below(50) == 0) {
            assert!(!holds(&changed, &found));
        }
    }
    assert!(tried > 100_000 && in_tip > 0, "{tried}, {in_tip}");
}

/// Who changes a tip has made another one: headers are linked, and the last commits to all before.
#[test]
fn no_byte_of_a_tip_can_be_changed_under_its_id() {
    let mut random = Random::for_test(75);
    let mut story = Story::new(random.clone());
    let mut chain = Story::chain();
    story.go_on(&mut chain, 9);
    let genesis = chain.tip_at(0).id;
    for recent in [1, 4, 10] {
        let height = chain.height();
        let headers = (height + 1 - recent..=height).map(|at| HeaderBytes::from(&chain.tip_at(at).header));
        let below = chain.tip_at(height - 1);
        let told = Tip {
            headers: List::new(headers.collect()).unwrap(),
            history_work: below.total_work,
            history_top: below.history.top().unwrap().hash,
        };
        let checked = check_tip(chain.params(), genesis, &told).unwrap();
        assert_eq!((checked.id, checked.total_work), (chain.tip().id, chain.tip().total_work));
        let bytes = told.to_bytes();
        let mut others = 0;
        for changed in every_change(&bytes).filter(|_| recent == 1 || random.below(4) == 0) {
            let Ok(other) = Tip::from_bytes(&changed) else { continue };
            let Ok(other) = check_tip(chain.params(), genesis, &other) else { continue };
            // Only a header that nothing follows, or before which nothing is told, can be another.
            assert_ne!((other.id, other.recent), (checked.id, checked.recent.clone()));
            others += 1;
        }
        println!("{recent} headers: {others} other tips");
    }
}

/// An item of a body is at one place, under one count.
#[test]
fn an_item_is_proven_at_its_own_place_alone() {
    law(
        76,
        300,
        (values::bodies(), any::<prop::sample::Index>(), 0..8u64, 0..8u32),
        |(body, item, place, count)| {
            if body.items.is_empty() {
                return Ok(());
            }
            let (own, items) = (item.index(body.items.len()), u32::try_from(body.items.len()).unwrap());
            let path: Vec<BodyNode> = body.path(own as u64).unwrap();
            let top = top_of_path(&leaf(place, &body.items[own]), place, u64::from(count), &path);
            let is_held = top.is_some() && root_of(count, top) == body.root();
            prop_assert_eq!(is_held, (place, count) == (own as u64, items));
            Ok(())
        },
    );
}

/// What is proven to be in a block is what its bytes say, authorization and all.
#[test]
fn a_place_is_that_of_exactly_these_bytes() {
    let mut story = Story::new(Random::for_test(77));
    let mut chain = Story::chain();
    story.go_on(&mut chain, 10);
    let tip = chain.tip().header;
    for (bytes, found) in places(&chain) {
        let mut tx = Transaction::from_bytes(&bytes).unwrap();
        let mut signatures = tx.authorization.signatures.to_vec();
        signatures[0].0[63] ^= 1;
        tx.authorization.signatures = List::new(signatures).unwrap();
        assert_eq!(tx.body.id(), Transaction::from_bytes(&bytes).unwrap().body.id());
        assert!(check_found(chain.params(), &tip, &tx.to_bytes(), &found).is_err());
    }
}
