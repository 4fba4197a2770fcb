//! What one address holds, read from the part of the trie that is its own: all of it shares the
//! first 256 bits of its paths. Must not know what assets are.

use super::{Leaf, Node, Trie};
use crate::hash::{Address, AssetId};
use crate::state::bit;
use crate::state::excerpt::OWNER_BITS;
use crate::state::record::{Key, Record};

impl Trie {
    /// What the address holds other than coins, ascending by asset, the first `limit` of it. Looks
    /// at nothing that is another's, but for one leaf where there is nothing.
    #[must_use]
    pub fn holdings(&self, address: &Address, limit: usize) -> Vec<(AssetId, u64)> {
        let path = Key::Account(*address).path();
        let Some(mut node) = self.top.as_ref().map(|top| &top.node) else { return Vec::new() };
        while let Node::Inner(inner) = node
            && inner.split < OWNER_BITS
        {
            node = &inner.children[usize::from(bit(&path, inner.split))].node;
        }
        let mut held = Vec::new();
        let mut pending = vec![node];
        while held.len() < limit
            && let Some(node) = pending.pop()
        {
            match node {
                Node::Leaf(leaf) => held.extend(holding(leaf, address)),
                Node::Inner(inner) => pending.extend(inner.children.iter().rev().map(|child| &child.node)),
            }
        }
        held
    }
}

fn holding(leaf: &Leaf, address: &Address) -> Option<(AssetId, u64)> {
    match (leaf.key(), leaf.record()) {
        (Key::Holding(owner, asset), Record::Holding { amount }) if owner == *address => {
            Some((asset, *amount))
        }
        _ => None,
    }
}
