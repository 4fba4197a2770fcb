//! What sync knows of one peer. Must not know other peers or what to ask next.

use std::collections::BTreeMap;

use steelyard_core::consensus::header::CheckedHeader;
use steelyard_core::hash::BlockId;
use steelyard_core::history::HistoryFrontier;
use steelyard_core::wire::headers::HEADERS_MAX;

use crate::limits::{SYNC_HEADERS_MS, SYNC_HEADERS_TURN_MS, SYNC_PROBE_ANSWERS_MAX};

/// A block that a peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) id: BlockId,
    pub(super) height: u64,
    pub(super) work: u128,
}

/// A request for headers that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadersRequest {
    pub(super) number: u32,
    /// Monotonic ms.
    pub(super) asked: u64,
}

/// The end of a branch of headers, with all that the next one is judged against.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) last: CheckedHeader,
    pub(super) frontier: HistoryFrontier,
}

/// A branch that begins too low to be kept, measured first and fetched a second time when its work
/// was seen. The ids at the ends of the answers fix all headers between them: each header names the
/// one before it.
#[derive(Debug)]
pub(super) struct Probe {
    /// The block of the chain that the branch stands on.
    pub(super) start: BlockId,
    /// The last header of each full answer.
    pub(super) ends: Vec<BlockId>,
    /// How far it was measured.
    pub(super) stand: Stand,
    /// Of the second time: answers that were the same again. `None` while it is measured.
    pub(super) followed: Option<usize>,
}

impl Probe {
    /// The block after which headers are asked for next.
    pub(super) fn next_after(&self) -> BlockId {
        match self.followed {
            None => self.stand.last.id,
            Some(0) => self.start,
            Some(count) => self.ends[count - 1],
        }
    }
}

/// How long a peer's work is below a tip's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    /// The tip's work when it began.
    pub(super) work: u128,
    /// What is due then, monotonic ms.
    pub(super) until: u64,
    /// It was asked for its tip; else it is then.
    pub(super) is_asked: bool,
}

/// One peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// This node has chosen to dial it.
    pub(super) is_outbound: bool,
    /// It may fall behind for ever.
    pub(super) is_protected: bool,
    pub(super) lag: Option<Lag>,
    /// The greatest height it spoke of.
    pub(super) said: u64,
    /// The tip it spoke of last, if that is known here.
    pub(super) best: Option<Best>,
    /// The tip it spoke of last, if that is not known here: its height and id.
    pub(super) claimed: Option<(u64, BlockId)>,
    /// Its last answer was full.
    pub(super) has_more: bool,
    /// Its last answer was full and all of it known: height and id of the end.
    pub(super) reached: Option<(u64, BlockId)>,
    /// The tip that it was told last.
    pub(super) told: Option<BlockId>,
    pub(super) request: Option<HeadersRequest>,
    /// Time that requests for headers took, ms: the quickest is asked first.
    pub(super) waited: u64,
    /// The part of it, since its last headers that were kept, of full answers.
    pub(super) fruitless: u64,
    /// To be asked again at this moment, monotonic ms.
    pub(super) reask: Option<u64>,
    /// Announcements and answers in a row that connected to nothing.
    pub(super) unconnected: u32,
    /// Its chain had too little work to be kept: it is not asked again before this, monotonic ms.
    pub(super) low_until: u64,
    /// It did not have bodies: nothing of its chain is taken before this, monotonic ms.
    pub(super) aside_until: u64,
    /// So many times in a row.
    pub(super) aside_count: u32,
    pub(super) probe: Option<Probe>,
    /// Height from which on it has bodies, as far as known; 0 for one that keeps all.
    pub(super) bodies_from: u64,
    /// Bodies on their way, with the request's number.
    pub(super) flights: BTreeMap<BlockId, u32>,
    /// When it last delivered a body, or was asked while it owed none. Monotonic ms.
    pub(super) progress: u64,
    /// The request that brought a body last.
    pub(super) served: u32,
    /// It let its time pass and has delivered nothing since.
    pub(super) is_stalled: bool,
}

impl Peer {
    /// When the answer to a request for headers is late, monotonic ms.
    pub(super) fn headers_deadline(&self) -> Option<u64> {
        let promised = self.said.min((SYNC_PROBE_ANSWERS_MAX * HEADERS_MAX) as u64);
        let left = (SYNC_HEADERS_TURN_MS + promised).saturating_sub(self.fruitless);
        Some(self.request?.asked + left.min(SYNC_HEADERS_MS))
    }
}
