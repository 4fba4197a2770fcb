//! Where transactions are: unknown, pending, missing, or in a block, which is proven against the tip's
//! header. The proof leaves out the transaction's bytes: who asks has them. Must not know whether
//! a proof holds.

use super::{COUNT_BYTES, HeaderBytes, Message};
use crate::encode::List;
use crate::hash::{HASH_BYTES, TxId};
use crate::types::header::HEADER_BYTES;
use crate::{struct_codec, tagged_codec};

/// Most transactions of a request.
pub const STATUS_MAX: usize = 32;
/// Longest path in a body's tree: a body has fewer than 2^24 items.
pub const BODY_PATH_MAX: usize = 24;
/// Longest path in the history tree.
pub const HISTORY_PATH_MAX: usize = 64;

const _: () = assert!(crate::params::BLOCK_BYTES_LIMIT <= 1 << BODY_PATH_MAX);

/// Asks where transactions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetStatus {
    /// Their ids.
    pub ids: List<TxId, STATUS_MAX>,
}

struct_codec!(GetStatus { ids });

impl Message for GetStatus {
    const KIND: u8 = 22;
    const BYTES_MAX: usize = COUNT_BYTES + STATUS_MAX * HASH_BYTES;
}

/// A node of the history tree beside the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryStep {
    /// Its hash.
    pub hash: [u8; HASH_BYTES],
    /// Its work.
    pub work: u128,
}

struct_codec!(HistoryStep { hash, work });

/// Bytes of a history step.
const HISTORY_STEP_BYTES: usize = HASH_BYTES + 16;

/// A place in a block of the active chain, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The block's header.
    pub header: HeaderBytes,
    /// The transaction's item in the body; the coinbase is 0.
    pub index: u32,
    /// Items of the body.
    pub count: u32,
    /// From the item to the body tree's top.
    pub body_path: List<[u8; HASH_BYTES], BODY_PATH_MAX>,
    /// From the header to the top of the tip's history tree; empty when the block is the tip.
    pub history_path: List<HistoryStep, HISTORY_PATH_MAX>,
}

struct_codec!(Found { header, index, count, body_path, history_path });

impl Found {
    const BYTES_MAX: usize = HEADER_BYTES
        + 4
        + 4
        + (COUNT_BYTES + BODY_PATH_MAX * HASH_BYTES)
        + (COUNT_BYTES + HISTORY_PATH_MAX * HISTORY_STEP_BYTES);
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Neither pending nor in the active chain.
    Unknown {},
    /// Pending and durable.
    Pending {
        /// 1 when it waits for an earlier nonce.
        queued: u8,
    },
    /// In a block of the active chain.
    Confirmed {
        /// Where.
        found: Box<Found>,
    },
    /// Neither pending nor in a block of the active chain from this height on; earlier ones are not
    /// here any more, and it may be in one.
    Missing {
        /// The first height that was looked into.
        from: u64,
    },
}

tagged_codec!(Status, "status",
    1 => Unknown {},
    2 => Pending { queued },
    3 => Confirmed { found },
    4 => Missing { from },
);

/// One status for each transaction, in their order, all at one tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// The tip whose history root the history paths lead to.
    pub tip: HeaderBytes,
    /// The statuses.
    pub statuses: List<Status, STATUS_MAX>,
}

struct_codec!(Statuses { tip, statuses });

impl Message for Statuses {
    const KIND: u8 = 23;
    const BYTES_MAX: usize = HEADER_BYTES + COUNT_BYTES + STATUS_MAX * (1 + Found::BYTES_MAX);
}
