//! Excerpts of a trie: see [`crate::state::excerpt`]. Must not know who asks for them.

use super::{Leaf, Node, Trie};
use crate::hash::{Address, AssetId};
use crate::state::excerpt::{self, Excerpt, OWNER_BITS, Wanted, cursor};
use crate::state::record::{PATH_BYTES, Path};
use crate::state::{PATH_BITS, bit, first_difference};

impl Trie {
    /// The part of the trie that shows all of this. Holdings cost as many steps as the page has
    /// places and the trie levels, however much the address holds.
    #[must_use]
    pub fn excerpt(&self, wanted: &[Wanted]) -> Excerpt {
        let mut paths = Vec::new();
        for wanted in wanted {
            match wanted {
                Wanted::Record(key) => paths.extend(self.nearest(&key.path()).map(|leaf| leaf.key().path())),
                Wanted::Holdings { of, after, limit } => self.page(of, *after, *limit, &mut paths),
            }
        }
        paths.sort_unstable();
        paths.dedup();
        // Nothing wanted of a state that has something: any leaf shows that it has.
        if paths.is_empty() {
            paths.extend(self.nearest(&[0; PATH_BYTES]).map(|leaf| leaf.key().path()));
        }
        Excerpt::new(self.top.as_ref().map(|top| show(&top.node, &paths)), self.root())
    }

    /// Adds the paths of a page of holdings and of the leaf before it, which shows that the page
    /// leaves nothing out at its beginning.
    fn page(&self, of: &Address, after: Option<AssetId>, limit: usize, paths: &mut Vec<Path>) {
        let cursor = cursor(of, after);
        let Some(nearest) = self.nearest(&cursor) else { return };
        let nearest = nearest.key().path();
        let fork = first_difference(&nearest, &cursor);
        if fork < OWNER_BITS {
            // The address has nothing, which another's leaf shows.
            paths.push(nearest);
            return;
        }
        // Left and right of the cursor, below what all of the address's records share.
        let (mut before, mut behind) = (None, Vec::new());
        let mut node = &self.top.as_ref().expect("it has a leaf").node;
        while let Node::Inner(inner) = node
            && inner.split < fork
        {
            let [left, right] = &inner.children;
            let is_right = bit(&cursor, inner.split);
            match (is_right, inner.split < OWNER_BITS) {
                (true, false) => before = Some(&left.node),
                (false, false) => behind.push(&right.node),
                _ => {}
            }
            node = if is_right { &right.node } else { &left.node };
        }
        // The whole of what is left lies on one side of the cursor, or is its own leaf.
        if fork == PATH_BITS || bit(&cursor, fork) {
            before = Some(node);
        } else {
            behind.push(node);
        }
        paths.extend(before.map(|node| last(node).key().path()));
        let mut left = limit;
        while left > 0
            && let Some(node) = behind.pop()
        {
            match node {
                Node::Leaf(leaf) => {
                    paths.push(leaf.key().path());
                    left -= 1;
                }
                Node::Inner(inner) => behind.extend(inner.children.iter().rev().map(|child| &child.node)),
            }
        }
    }
}

fn last(mut node: &Node) -> &Leaf {
    loop {
        match node {
            Node::Leaf(leaf) => return leaf,
            Node::Inner(inner) => node = &inner.children[1].node,
        }
    }
}

/// The subtree as an excerpt shows it. `paths` are of leaves in it, ascending, at least one.
fn show(node: &Node, paths: &[Path]) -> excerpt::Node {
    match node {
        Node::Leaf(leaf) => excerpt::Node::leaf(leaf.key(), leaf.record().clone()),
        Node::Inner(inner) => {
            let (zeros, ones) = paths.split_at(paths.partition_point(|path| !bit(path, inner.split)));
            let child = |side: usize, paths: &[Path]| match paths {
                [] => excerpt::Node::Hidden(inner.children[side].hash),
                _ => show(&inner.children[side].node, paths),
            };
            let children = Box::new([child(0, zeros), child(1, ones)]);
            excerpt::Node::Inner { split: inner.split, children }
        }
    }
}
