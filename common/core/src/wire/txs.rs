//! Pending transactions from node to node: which ones there are, and those that are asked for. Must
//! not know what makes one valid.

use super::{COUNT_BYTES, Message};
use crate::encode::List;
use crate::hash::{HASH_BYTES, TxId};
use crate::struct_codec;
use crate::types::transaction::TX_BYTES_MAX;

/// Most ids of an announcement.
pub const TX_IDS_MAX: usize = 1_000;
/// Most transactions of a request, and of its answer.
pub const TXS_MAX: usize = 32;

/// Transactions that are pending at the sender, sent without having been asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxIds {
    /// Their ids.
    pub ids: List<TxId, TX_IDS_MAX>,
}

struct_codec!(TxIds { ids });

impl Message for TxIds {
    const KIND: u8 = 38;
    const BYTES_MAX: usize = COUNT_BYTES + TX_IDS_MAX * HASH_BYTES;
}

/// Asks for pending transactions. Answered by one [`Txs`] of this request's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetTxs {
    /// Their ids.
    pub ids: List<TxId, TXS_MAX>,
}

struct_codec!(GetTxs { ids });

impl Message for GetTxs {
    const KIND: u8 = 39;
    const BYTES_MAX: usize = COUNT_BYTES + TXS_MAX * HASH_BYTES;
}

/// Those of the transactions that are still pending, in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txs {
    /// Full bytes.
    pub txs: List<List<u8, TX_BYTES_MAX>, TXS_MAX>,
}

struct_codec!(Txs { txs });

impl Message for Txs {
    const KIND: u8 = 40;
    const BYTES_MAX: usize = COUNT_BYTES + TXS_MAX * (COUNT_BYTES + TX_BYTES_MAX);
}
