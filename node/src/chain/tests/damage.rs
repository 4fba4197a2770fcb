//! Damaged stores: repaired from the bodies where they allow it, else an error that names the
//! damage. Never a panic, never a wrong state.

use super::*;
use crate::store::schema::{FIRST, META_CHECKPOINT, META_NETWORK, SPACES, Space, key, range};
use crate::store::{StoreOpenError, VALUE_BYTES_MAX, checkpoint, stream};
use maker::params;
use steelyard_core::hash::NetworkId;
use steelyard_runtime::sled_door::Batch;

/// A stopped node after 8 blocks with payments and a pending transaction.
fn stored() -> (Maker, Vec<BlockId>, Arc<TempDir>) {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let mut ids = vec![maker.genesis];
    for nonce in 0..8 {
        let tx = maker.pay(0, nonce, 5, 1);
        ids.push(maker.make(ids[ids.len() - 1], &[tx]));
    }
    assert_eq!(node.give_all(&maker, &ids[1..]), vec![Ok(Accepted::Active); 8]);
    assert_eq!(node.send(&maker.pay(1, 0, 5, 1)), Ok(Admission::Added));
    node.save_peers(b"somebody");
    let dir = node.stop();
    (maker, ids, dir)
}

/// Puts (or removes) one value of a store that no node has open.
fn tamper(
    params: &Params,
    dir: &TempDir,
    place: (Space, u64, u32),
    change: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
) {
    let store = open_store(params, dir.path());
    let found = key(place.0, place.1, place.2);
    let mut batch = Batch::new();
    match change(store.door().get(found).unwrap()) {
        Some(value) => batch.put(found, value),
        None => batch.remove(found),
    }
    store.door().commit(batch).unwrap();
}

fn flip(at: usize) -> impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>> {
    move |value| {
        value.map(|mut value| {
            let at = at % value.len();
            value[at] ^= 0x40;
            value
        })
    }
}

#[test]
fn a_damaged_delta_is_made_good_from_the_bodies() {
    let (maker, ids, dir) = stored();
    // The balance after, the record's key, all of it.
    for change in [flip(usize::MAX - 20), flip(60)] {
        tamper(&maker.params, &dir, (Space::Delta, 8, 0), change);
        let node = Node::open(&maker.params, Arc::clone(&dir)).unwrap();
        assert!(node.rebuilt);
        assert_eq!(node.seen().root, maker.state(ids[8]).root());
        assert_eq!(node.seen().pending.len(), 1);
        node.stop();
    }
    tamper(&maker.params, &dir, (Space::Delta, 3, 0), |_| None);
    assert!(Node::open(&maker.params, dir).unwrap().rebuilt);
}

#[test]
fn a_branch_is_left_although_its_undo_is_damaged() {
    for (seq, change) in [(3, flip(60)), (6, flip(usize::MAX - 3))] {
        let (mut maker, ids, dir) = stored();
        tamper(&maker.params, &dir, (Space::Delta, seq, 0), change);
        let node = Node::open(&maker.params, dir).unwrap();
        let other = maker.extend(ids[1], 8);
        assert_eq!(node.give_all(&maker, &other[..7]), vec![Ok(Accepted::Side); 7]);
        assert_eq!(node.give(&maker, other[7]), Ok(Accepted::Active));
        assert_eq!(node.seen().root, maker.state(other[7]).root());
        assert_eq!(node.seen().pending.len(), 8);
        let seen = node.seen();
        assert_eq!(node.reopened().seen(), seen);
    }
}

#[test]
fn a_damaged_checkpoint_is_made_good_and_replaced() {
    let (maker, ids, dir) = stored();
    for place in [(Space::Checkpoint, 1, 0), (Space::Meta, META_CHECKPOINT, 0)] {
        for change in [flip(5), flip(23)] {
            let node = Node::open(&maker.params, Arc::clone(&dir)).unwrap();
            let state = node.chain.shared.read().state();
            node.chain.store.write_checkpoint(&state, 9).unwrap();
            let generation = checkpoint::mark(node.chain.store.door()).unwrap().unwrap().generation;
            node.stop();
            let place = (place.0, if place.0 == Space::Meta { place.1 } else { generation }, place.2);
            tamper(&maker.params, &dir, place, change);
            let node = Node::open(&maker.params, Arc::clone(&dir)).unwrap();
            assert!(node.rebuilt);
            assert_eq!(node.seen().root, maker.state(ids[8]).root());
            node.stop();
        }
    }
    // A mark of no length or of the last number must not keep the next one from being written.
    for value in [vec![1, 2, 3], [u64::MAX.to_le_bytes().to_vec(), vec![0; 20]].concat()] {
        tamper(&maker.params, &dir, (Space::Meta, META_CHECKPOINT, 0), |_| Some(value));
        let node = Node::open(&maker.params, Arc::clone(&dir)).unwrap();
        let state = node.chain.shared.read().state();
        node.chain.store.write_checkpoint(&state, 9).unwrap();
        assert!(!node.reopened().rebuilt);
    }
}

#[test]
fn damage_that_nothing_makes_good_is_named() {
    let (maker, _, dir) = stored();
    tamper(&maker.params, &dir, (Space::Delta, 8, 0), |_| None);
    tamper(&maker.params, &dir, (Space::Body, 4, 0), flip(30));
    let error = Node::open(&maker.params, Arc::clone(&dir)).err().unwrap();
    assert!(error.to_string().contains("at height 4"), "{error}");
    tamper(&maker.params, &dir, (Space::Body, 2, 0), |_| None);
    let error = Node::open(&maker.params, dir).err().unwrap();
    assert!(matches!(&error, LoadError::Store(StoreError::Damaged { .. })), "{error}");
}

/// Every stored value cut, flipped and removed, one after the other: a start succeeds with the
/// right state or says what is damaged.
#[test]
fn no_damaged_value_makes_a_start_panic_or_lie() {
    let (maker, ids, dir) = stored();
    let roots: Vec<StateRoot> = ids.iter().map(|id| maker.state(*id).root()).collect();
    let store = open_store(&maker.params, dir.path());
    let all = || {
        SPACES.into_iter().flat_map(|space| store.door().scan(range(space, FIRST, u64::MAX), 100).unwrap())
    };
    let values: Vec<(Vec<u8>, Vec<u8>)> =
        all().filter(|(found, _)| *found != key(Space::Meta, META_NETWORK, 0)).collect();
    assert!(values.len() > 25);
    for (found, value) in values {
        let cut = value[..value.len() / 2].to_vec();
        let flips = (0..value.len()).step_by(11).map(|at| flip(at)(Some(value.clone())));
        for damaged in flips.chain([Some(cut), Some(Vec::new()), None]) {
            let mut batch = Batch::new();
            match damaged {
                Some(damaged) => batch.put(&found, damaged),
                None => batch.remove(&found),
            }
            store.door().write(batch).unwrap();
            if let Ok(loaded) = load(maker.params.clone(), &store) {
                let view = loaded.shared.read();
                assert_eq!(view.state().root(), view.tip().header.state_root);
                assert!(roots.contains(&view.state().root()));
            }
        }
        let mut batch = Batch::new();
        batch.put(&found, &value);
        store.door().write(batch).unwrap();
    }
    assert!(!load(maker.params.clone(), &store).unwrap().rebuilt);
}

#[test]
fn bodies_left_over_from_a_killed_attempt_are_not_taken_for_content() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let a = maker.make(maker.genesis, &[]);
    let mut batch = Batch::new();
    // The attempt wrote more and longer chunks under the number that the next commit will have.
    for chunk in 0..5 {
        batch.put(key(Space::Body, 1, chunk), vec![0xee; VALUE_BYTES_MAX]);
    }
    node.chain.store.door().write(batch).unwrap();
    assert_eq!(node.give(&maker, a), Ok(Accepted::Active));
    let node = node.reopened();
    let entry = node.chain.shared.read().tip().clone();
    let body = crate::chain::check::load_body(&node.chain.shared, &node.chain.store, &entry).unwrap();
    assert_eq!(body, maker.block(a).body);
}

#[test]
fn a_store_of_another_network_is_refused_and_left_alone() {
    let (maker, _, dir) = stored();
    let other = NetworkId([3; 32]);
    let error = Store::open(&dir.path().join(STORE_FOLDER), &other).err().unwrap();
    let StoreOpenError::OtherNetwork { found, expected } = error else { panic!("{error}") };
    assert_eq!((found, expected), (maker.network, other));
    assert!(!Node::open(&maker.params, dir).unwrap().rebuilt);
}

/// A log that is readable and cannot be true.
#[test]
fn a_log_that_contradicts_itself_is_damage() {
    use crate::store::log::LogRecord;
    let (maker, ids, dir) = stored();
    let second = maker.block(ids[2]).header;
    type Lie = fn(&mut LogRecord, steelyard_core::types::header::Header);
    let lies: [(&str, Lie); 4] = [
        ("the tip that it names", |log, _| log.tip.time += 1),
        ("takes back more", |log, _| log.disconnected = u32::MAX),
        ("again", |log, second| log.received[0].0 = second),
        ("not stored", |log, _| log.connected[0].0[0] ^= 1),
    ];
    for (words, lie) in lies {
        let mut honest = Vec::new();
        tamper(&maker.params, &dir, (Space::Log, 5, 0), |value| {
            honest = value.unwrap();
            None
        });
        let store = open_store(&maker.params, dir.path());
        let mut log = LogRecord::from_bytes(&honest[16..]).unwrap();
        lie(&mut log, second);
        let mut batch = Batch::new();
        stream::put(&mut batch, Space::Log, 5, &log.to_bytes());
        store.door().commit(batch).unwrap();
        drop(store);
        let error = Node::open(&maker.params, Arc::clone(&dir)).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
        tamper(&maker.params, &dir, (Space::Log, 5, 0), |_| Some(honest));
    }
    assert!(!Node::open(&maker.params, dir).unwrap().rebuilt);
}
