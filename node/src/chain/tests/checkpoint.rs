//! Checkpoints: of any moment, with all deltas after it, they are the state.

use super::*;
use crate::store::checkpoint;
use maker::{account, params};

fn mark_seq(node: &Node) -> Option<u64> {
    checkpoint::mark(node.chain.store.door()).unwrap().map(|mark| mark.seq)
}

/// Writes a checkpoint of what is shown now.
fn write(node: &Node) {
    let (state, seq) = {
        let view = node.chain.shared.read();
        (view.state(), view.seq())
    };
    node.chain.store.write_checkpoint(&state, seq).unwrap();
}

#[test]
fn a_checkpoint_and_later_deltas_with_a_reorganisation_are_the_state() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let mut a = vec![maker.genesis];
    for height in 0..6 {
        // New accounts that branch B does not have: an orphaned record must not stay.
        let tx = maker.pay(0, height, 50 + height as u8, 9);
        a.push(maker.make(a[a.len() - 1], &[tx]));
    }
    node.give_all(&maker, &a[1..]);
    write(&node);
    assert_eq!(mark_seq(&node), Some(6));
    let b = [vec![a[2]], maker.extend(a[2], 5)].concat();
    node.give_all(&maker, &b[1..]);
    let seen = node.seen();
    assert_eq!((seen.tip, seen.root), (b[5], maker.state(b[5]).root()));
    let node = node.reopened();
    assert_eq!(node.seen(), seen);
    assert!(!node.rebuilt);
    assert_eq!(node.balance(account(54).address), 0);
    // Another generation, nothing after it.
    write(&node);
    let node = node.reopened();
    assert_eq!(node.seen(), seen);
    assert_eq!(checkpoint::mark(node.chain.store.door()).unwrap().unwrap().generation, 2);
}

#[test]
fn blocks_keep_coming_while_a_checkpoint_is_written() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let ids = maker.extend(maker.genesis, 60);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| write(&node)));
        assert_eq!(node.give_all(&maker, &ids), vec![Ok(Accepted::Active); 60]);
    });
    let seen = node.seen();
    let node = node.reopened();
    assert_eq!(node.seen(), seen);
    assert!(!node.rebuilt);
    let space = crate::store::schema::Space::Checkpoint;
    let range = crate::store::schema::range(space, 0, u64::MAX);
    let mark = checkpoint::mark(node.chain.store.door()).unwrap().unwrap();
    let chunks = node.chain.store.door().scan(range, 1_000).unwrap();
    assert_eq!(chunks.len(), mark.chunks as usize, "older generations are deleted");
}

#[test]
fn a_torn_checkpoint_is_ignored_and_replaced() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let ids = maker.extend(maker.genesis, 3);
    node.give_all(&maker, &ids);
    write(&node);
    // What a kill before the mark leaves: chunks of the next generation.
    let mut batch = steelyard_runtime::sled_door::Batch::new();
    for chunk in 0..3 {
        batch.put(crate::store::schema::key(crate::store::schema::Space::Checkpoint, 2, chunk), [9; 100]);
    }
    node.chain.store.door().write(batch).unwrap();
    let node = node.reopened();
    assert!(!node.rebuilt);
    write(&node);
    assert!(!node.reopened().rebuilt);
}
