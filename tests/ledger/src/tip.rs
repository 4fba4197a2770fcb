//! The end of a chain: all that is needed to judge or make the next block. Must not know the
//! blocks before it.

use steelyard_core::consensus::header::{CheckedHeader, Parent};
use steelyard_core::consensus::pow;
use steelyard_core::hash::BlockId;
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::params::Params;
use steelyard_core::state::Trie;
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_core::work::{from_bits, work_of};

/// A header and the bytes that it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The coinbase and the transactions.
    pub body: Body,
}

/// The last block of a chain and what has come of all of it.
#[derive(Clone, Debug)]
pub struct Tip {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Work of all headers, this one included.
    pub total_work: u128,
    /// History of all headers, this one included.
    pub history: HistoryFrontier,
    /// The state after it.
    pub state: Trie,
}

impl Tip {
    /// The tip of a network without blocks.
    #[must_use]
    pub fn genesis(params: &Params) -> Self {
        let genesis = params.genesis();
        let work = work_of(from_bits(genesis.header.bits).expect("checked")).expect("above the floor");
        let mut history = HistoryFrontier::default();
        history.push(HistoryNode::leaf(&genesis.id, work));
        Self { header: genesis.header, id: genesis.id, total_work: work, history, state: genesis.state }
    }

    /// This as the parent of the next header.
    #[must_use]
    pub fn parent(&self) -> Parent<'_> {
        let history_root = history::root(&self.history);
        Parent { header: &self.header, id: self.id, total_work: self.total_work, history_root }
    }

    /// The tip after one block more.
    #[must_use]
    pub fn followed_by(&self, header: &CheckedHeader, state: Trie) -> Self {
        let mut history = self.history.clone();
        history.push(HistoryNode::leaf(&header.id, header.work));
        Self { header: header.header, id: header.id, total_work: header.total_work, history, state }
    }
}

/// The header with the first nonce from 0 on that meets its own bits.
#[must_use]
pub fn searched(header: Header) -> Header {
    let target = from_bits(header.bits).expect("a header to be searched has canonical bits");
    let nonce = pow::search(&header, target, 0, 1 << 32).expect("test networks are of low difficulty");
    Header { nonce, ..header }
}
