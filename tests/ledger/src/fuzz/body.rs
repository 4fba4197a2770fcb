//! Bodies and coinbases: what is read is written back as it came; a body's root stands for its items,
//! their order and their number; each item has a path to it, at its own place alone. Must not know rules.

use steelyard_core::merkle::top_of_path;
use steelyard_core::types::body::{Body, COINBASE_BYTES_MAX, Coinbase, leaf, root_of};
use steelyard_core::types::header::HEADER_BYTES;

/// Longest body that is read here; the input's own length bounds it further.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Paths are tried of so many items at most.
const PATHS_MAX: usize = 40;

/// The target of coinbases.
pub fn coinbase(input: &[u8]) {
    let Ok(coinbase) = Coinbase::from_bytes(input) else { return };
    assert!(input.len() <= COINBASE_BYTES_MAX);
    assert_eq!(coinbase.to_bytes(), input);
    assert_eq!(coinbase.height.to_le_bytes(), input[..8]);
    assert_eq!(coinbase.miner.0, input[8..40]);
    assert_eq!(coinbase.amount.to_le_bytes(), input[40..48]);
    assert_eq!(*coinbase.extra, input[56..]);
    let other = Coinbase { amount: coinbase.amount ^ 1, ..coinbase.clone() };
    assert_ne!(leaf(0, input), leaf(0, &other.to_bytes()));
    assert_ne!(leaf(0, input), leaf(1, input), "a coinbase stands for no transaction");
}

/// The target of bodies.
pub fn body(input: &[u8]) {
    let Ok(body) = Body::from_bytes(input, BODY_BYTES_MAX) else { return };
    assert_eq!(body.to_bytes(), input);
    assert_eq!(body.block_bytes(), HEADER_BYTES + input.len());
    let (root, count) = (body.root(), body.items.len());
    assert_eq!(Body { items: body.items.clone() }.root(), root);
    let mut longer = body.clone();
    longer.items.push(Vec::new());
    assert_ne!(longer.root(), root);
    if count > 1 && body.items[0] != body.items[count - 1] {
        let mut swapped = body.clone();
        swapped.items.swap(0, count - 1);
        assert_ne!(swapped.root(), root);
    }
    assert_eq!(body.path(count as u64), None);
    for place in 0..count.min(PATHS_MAX) {
        check_path(&body, place);
    }
}

fn check_path(body: &Body, place: usize) {
    let (item, count) = (&body.items[place], u32::try_from(body.items.len()).unwrap());
    let path = body.path(place as u64).expect("there is such an item");
    let root_at = |at: u64, item: &[u8], count: u32| {
        top_of_path(&leaf(at, item), at, u64::from(count), &path).map(|top| root_of(count, Some(top)))
    };
    let root = body.root();
    assert_eq!(root_at(place as u64, item, count), Some(root));
    assert_ne!(root_at(place as u64, &[item, &[0][..]].concat(), count), Some(root));
    assert_ne!(root_at(place as u64, item, count + 1), Some(root));
    let other = (place + 1) % body.items.len();
    // The sibling on the other side has the same path but for itself; equal items may stand for one another.
    if other != place && body.items[other] != *item {
        assert_ne!(root_at(other as u64, item, count), Some(root), "item {place} at {other}");
    }
}
