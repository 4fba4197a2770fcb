//! Cases of the body tree and the history tree. Must not know what the leaves stand for.

use serde_json::json;
use sha2::{Digest, Sha256};
use steelyard_core::hash::BlockId;
use steelyard_core::history::{self, History, HistoryFrontier, HistoryNode};
use steelyard_core::types::body::Body;

use super::draw::{few, one_in, pick};
use super::{Case, Source};
use crate::random::Random;

/// Bytes of the longest item.
const ITEM_BYTES_MAX: u64 = 90;

/// Leaves and one of them: near powers of two rather than elsewhere.
fn shape(random: &mut Random) -> (u64, u64, u64) {
    let count = match random.below(3) {
        0 => (1u64 << random.below(7)) + random.below(3) - 1,
        1 => 1 + few(random, 70) as u64,
        _ => 1 + few(random, 16) as u64,
    };
    let count = count.max(1);
    let index = match random.below(3) {
        0 => *pick(random, &[0, count - 1]),
        _ => random.below(count),
    };
    let seed = if one_in(random, 8) { random.below(3) } else { random.number() >> 32 };
    (seed, count, index)
}

fn digest(seed: u64, index: u64) -> [u8; 32] {
    Sha256::digest([seed.to_le_bytes(), index.to_le_bytes()].concat()).into()
}

pub(super) fn body_tree(source: &mut Source) -> Case {
    let (seed, count, index) = shape(&mut source.random);
    let item = |i: u64| {
        let bytes = (7 * i * i + seed) % ITEM_BYTES_MAX;
        digest(seed, i).repeat(3)[..usize::try_from(bytes).expect("few")].to_vec()
    };
    let body = Body { items: (0..count).map(item).collect() };
    let path = body.path(index).expect("an item of the body");
    let path: Vec<String> = path.iter().map(|node| hex::encode(node.0)).collect();
    let out = json!({ "root": body.root(), "path": path });
    let sort = format!("{}_steps", path.len());
    Case::new("body_tree", sort, json!({ "seed": seed, "count": count, "index": index }), out)
}

pub(super) fn history(source: &mut Source) -> Case {
    let (seed, count, index) = shape(&mut source.random);
    let mut history = History::default();
    let mut frontier = HistoryFrontier::default();
    for i in 0..count {
        let id = digest(seed, i);
        let digest: [u8; 32] = Sha256::digest(id).into();
        let drawn = u64::from_le_bytes(*digest.first_chunk().expect("a digest is longer"));
        let leaf = HistoryNode::leaf(&BlockId(id), 1 + u128::from(drawn));
        history.push(leaf);
        frontier.push(leaf);
    }
    let path = history.path(index, count).expect("a leaf of the tree");
    let path: Vec<_> =
        path.iter().map(|node| json!([hex::encode(node.hash), node.work.to_string()])).collect();
    let prefix = history.frontier(index).expect("a prefix of the tree");
    let sort = format!("{}_steps", path.len());
    let work = frontier.top().expect("at least one leaf").work.to_string();
    let out = json!({
        "root": history::root(&frontier), "work": work, "path": path, "prefix_root": history::root(&prefix),
    });
    Case::new("history", sort, json!({ "seed": seed, "count": count, "index": index }), out)
}
