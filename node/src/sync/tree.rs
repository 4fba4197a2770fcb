//! Headers that were checked and whose blocks are not in the chain yet, as a forest on the chain's
//! blocks, and what is known of their bodies. Must not know peers, time, or which branch is wanted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use steelyard_core::consensus::header::CheckedHeader;
use steelyard_core::hash::BlockId;
use steelyard_core::history::{HistoryFrontier, HistoryNode};
use steelyard_core::types::body::Body;

use super::PeerId;
use crate::limits::SYNC_HEADERS_MAX;

/// Where a body is.
#[derive(Debug)]
pub(super) enum BodyState {
    /// Nowhere yet.
    Wanted,
    /// On its way from this peer.
    Asked(PeerId),
    /// Here, held against its header, of so many bytes.
    Here(Body, usize),
    /// With the chain thread, of so many bytes.
    Submitted(usize),
}

/// One header.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) checked: CheckedHeader,
    /// Work of the branch that it is known to lead to: at least its own total.
    pub(super) promised: u128,
    /// History up to and including it; kept of the last header of each message only.
    frontier: Option<HistoryFrontier>,
    arrival: u64,
    children: u32,
    body: BodyState,
}

/// The forest.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<BlockId, Node>,
    leaves: BTreeSet<BlockId>,
    /// From a root to a leaf, for leaves whose way was asked for.
    paths: BTreeMap<BlockId, VecDeque<BlockId>>,
    arrivals: u64,
    bytes: usize,
    asked: usize,
}

impl Tree {
    pub(super) fn get(&self, id: &BlockId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.nodes.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of bodies here or with the chain thread, and bodies in flight.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.bytes, self.asked)
    }

    pub(super) fn body(&self, id: &BlockId) -> Option<&BodyState> {
        self.nodes.get(id).map(|node| &node.body)
    }

    /// Notes where a body is now, and gives back what was known before.
    pub(super) fn set_body(&mut self, id: &BlockId, body: BodyState) -> Option<BodyState> {
        let node = self.nodes.get_mut(id)?;
        let (bytes, asked) = weight(&body);
        let before = std::mem::replace(&mut node.body, body);
        let (bytes_before, asked_before) = weight(&before);
        self.bytes = self.bytes + bytes - bytes_before;
        self.asked = self.asked + asked - asked_before;
        Some(before)
    }

    /// Adds consecutive headers, whose first one's parent is here or in the chain.
    pub(super) fn insert(&mut self, headers: &[CheckedHeader], frontier: HistoryFrontier, promised: u128) {
        let Some(last) = headers.last().map(|header| header.id) else { return };
        for checked in headers {
            let prev = checked.header.prev;
            self.leaves.remove(&prev);
            if let Some(mut path) = self.paths.remove(&prev) {
                path.push_back(checked.id);
                self.paths.insert(checked.id, path);
            }
            self.leaves.insert(checked.id);
            self.arrivals += 1;
            let mut node = Node {
                checked: *checked,
                promised: promised.max(checked.total_work),
                frontier: None,
                arrival: self.arrivals,
                children: 0,
                body: BodyState::Wanted,
            };
            if let Some(parent) = self.nodes.get_mut(&prev) {
                parent.children += 1;
                node.promised = node.promised.max(parent.promised);
            }
            self.nodes.insert(checked.id, node);
        }
        self.nodes.entry(last).and_modify(|node| node.frontier = Some(frontier));
    }

    /// The history up to and including a header here; `chain` gives that of a block of the chain.
    pub(super) fn frontier(
        &self,
        id: &BlockId,
        chain: impl Fn(&BlockId) -> Option<HistoryFrontier>,
    ) -> Option<HistoryFrontier> {
        let (mut at, mut after) = (*id, Vec::new());
        let mut frontier = loop {
            let Some(node) = self.nodes.get(&at) else { break chain(&at)? };
            if let Some(frontier) = &node.frontier {
                break frontier.clone();
            }
            after.push(&node.checked);
            at = node.checked.header.prev;
        };
        for checked in after.iter().rev() {
            frontier.push(HistoryNode::leaf(&checked.id, checked.work));
        }
        Some(frontier)
    }

    /// Leaves that lead to at least this work, those of most first, of equals the first to arrive.
    pub(super) fn leaves_of(&self, least: u128) -> Vec<BlockId> {
        let nodes = self.leaves.iter().filter_map(|id| self.nodes.get(id));
        let mut leaves: Vec<&Node> = nodes.filter(|node| node.promised >= least).collect();
        leaves
            .sort_by_key(|node| (std::cmp::Reverse((node.promised, node.checked.total_work)), node.arrival));
        leaves.iter().map(|node| node.checked.id).collect()
    }

    /// The leaf of most work.
    pub(super) fn best(&self) -> Option<&Node> {
        let nodes = self.leaves.iter().filter_map(|id| self.nodes.get(id));
        nodes.max_by_key(|node| (node.promised, node.checked.total_work, std::cmp::Reverse(node.arrival)))
    }

    /// The way to a leaf, the first block that is not in the chain first. Taken out, to be given
    /// back by [`Tree::keep_path`].
    pub(super) fn take_path(&mut self, leaf: &BlockId) -> VecDeque<BlockId> {
        let mut path = self.paths.remove(leaf).unwrap_or_else(|| {
            let mut path = VecDeque::new();
            let mut at = *leaf;
            while let Some(node) = self.nodes.get(&at) {
                path.push_front(at);
                at = node.checked.header.prev;
            }
            path
        });
        while path.front().is_some_and(|first| !self.contains(first)) {
            path.pop_front();
        }
        path
    }

    /// Blocks on the way to a leaf that are not in the chain.
    pub(super) fn path_len(&mut self, leaf: BlockId) -> usize {
        let path = self.take_path(&leaf);
        let len = path.len();
        self.keep_path(leaf, path);
        len
    }

    pub(super) fn keep_path(&mut self, leaf: BlockId, path: VecDeque<BlockId>) {
        self.paths.insert(leaf, path);
    }

    /// Forgets a header whose block is in the chain now, its ancestors having gone before.
    pub(super) fn remove_stored(&mut self, id: &BlockId) {
        self.set_body(id, BodyState::Wanted);
        let Some(gone) = self.nodes.remove(id) else { return };
        if let Some(parent) = self.nodes.get_mut(&gone.checked.header.prev) {
            parent.children -= 1;
        }
        self.leaves.remove(id);
        self.paths.remove(id);
    }

    /// Forgets a header, here or not, and all its descendants, and says which.
    pub(super) fn remove_branch(&mut self, id: BlockId) -> BTreeSet<BlockId> {
        let mut doomed = BTreeSet::from([id]);
        // Parents arrived before their children.
        let order: BTreeMap<u64, &Node> = self.nodes.values().map(|node| (node.arrival, node)).collect();
        for node in order.values() {
            if doomed.contains(&node.checked.header.prev) {
                doomed.insert(node.checked.id);
            }
        }
        // Also those with the chain thread: nothing that it will say of them matters any more.
        for id in &doomed {
            self.set_body(id, BodyState::Wanted);
        }
        self.retain(|id| !doomed.contains(id));
        doomed
    }

    /// Forgets headers that `keep` does not name, but for those with the chain thread. What is kept
    /// is kept with its ancestors.
    pub(super) fn retain(&mut self, keep: impl Fn(&BlockId) -> bool) {
        let gone: Vec<BlockId> = self.nodes.keys().filter(|id| !keep(id)).copied().collect();
        if gone.is_empty() {
            return;
        }
        for id in &gone {
            if !matches!(self.body(id), Some(BodyState::Submitted(_))) {
                self.set_body(id, BodyState::Wanted);
                self.nodes.remove(id);
            }
        }
        self.paths.clear();
        let mut children: BTreeMap<BlockId, u32> = BTreeMap::new();
        for node in self.nodes.values() {
            *children.entry(node.checked.header.prev).or_default() += 1;
        }
        self.leaves = self.nodes.keys().filter(|id| !children.contains_key(id)).copied().collect();
        for (id, node) in &mut self.nodes {
            node.children = children.get(id).copied().unwrap_or(0);
        }
    }

    /// Makes room for so many headers that lead to `work` from `parent`, at the cost of leaves of
    /// less, each of which is named. Says whether there is room.
    pub(super) fn make_room(
        &mut self,
        count: usize,
        work: u128,
        parent: &BlockId,
        mut gone: impl FnMut(BlockId),
    ) -> bool {
        while self.nodes.len() + count > SYNC_HEADERS_MAX {
            let spare =
                |node: &&Node| node.checked.id != *parent && !matches!(node.body, BodyState::Submitted(_));
            let nodes = self.leaves.iter().filter_map(|id| self.nodes.get(id)).filter(spare);
            let least = nodes.min_by_key(|node| (node.promised, std::cmp::Reverse(node.arrival)));
            let Some(least) = least.filter(|node| node.promised < work) else { return false };
            let (id, prev) = (least.checked.id, least.checked.header.prev);
            self.remove_stored(&id);
            gone(id);
            if self.nodes.get(&prev).is_some_and(|node| node.children == 0) {
                self.leaves.insert(prev);
            }
        }
        true
    }

    /// Ids of the way from a header down to the chain, newest first.
    pub(super) fn ancestry(&self, id: &BlockId) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.nodes.get(id), |node| self.nodes.get(&node.checked.header.prev))
    }
}

/// Bytes and flights that a body stands for.
fn weight(body: &BodyState) -> (usize, usize) {
    match body {
        BodyState::Wanted => (0, 0),
        BodyState::Asked(_) => (0, 1),
        BodyState::Here(_, bytes) | BodyState::Submitted(bytes) => (*bytes, 0),
    }
}
