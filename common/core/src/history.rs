//! The history tree: a header commits to every earlier header and its work, so that a light
//! client samples the chain instead of downloading it. Must not know headers, only ids and work.

use crate::hash::{BlockId, Domain, HistoryRoot};
use crate::merkle::{Frontier, Join, Levels};

/// A node of the history tree: a hash and the work of all headers below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryNode {
    /// Leaf: H(id || work). Inner: H(left hash || left work || right hash || right work).
    pub hash: [u8; 32],
    /// Work below. Never overflows under a header whose total is in range.
    pub work: u128,
}

impl HistoryNode {
    /// The leaf of a header with its own work.
    #[must_use]
    pub fn leaf(id: &BlockId, work: u128) -> Self {
        Self { hash: Domain::HistoryLeaf.hash(&[&id.0, &work.to_le_bytes()]), work }
    }
}

impl Join for HistoryNode {
    fn join(left: &Self, right: &Self) -> Self {
        let works = (left.work.to_le_bytes(), right.work.to_le_bytes());
        let hash = Domain::HistoryInner.hash(&[&left.hash, &works.0, &right.hash, &works.1]);
        Self { hash, work: left.work.saturating_add(right.work) }
    }
}

/// History of a branch, enough to extend it.
pub type HistoryFrontier = Frontier<HistoryNode>;
/// History of the active chain, enough for every prefix and proof.
pub type History = Levels<HistoryNode>;

/// The root that the next header carries: H(count || work || top), top zeros for no headers.
#[must_use]
pub fn root(frontier: &HistoryFrontier) -> HistoryRoot {
    root_of(frontier.count(), frontier.top())
}

/// The root of `count` headers under this top.
#[must_use]
pub fn root_of(count: u64, top: Option<HistoryNode>) -> HistoryRoot {
    let (work, top) = top.map_or((0, [0; 32]), |node| (node.work, node.hash));
    HistoryRoot(Domain::HistoryRoot.hash(&[&count.to_le_bytes(), &work.to_le_bytes(), &top]))
}
