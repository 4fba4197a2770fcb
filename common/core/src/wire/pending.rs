//! Transactions on their way to an address: signed, not mined, and proof of nothing. Must not know
//! whether they will ever be mined.

use super::{COUNT_BYTES, Message};
use crate::encode::List;
use crate::hash::{Address, HASH_BYTES};
use crate::struct_codec;
use crate::types::transaction::TX_BYTES_MAX;

/// Most addresses of a request.
pub const ADDRESSES_MAX: usize = 256;
/// Most transactions of an answer: anybody may send anybody any number of them.
pub const PENDING_MAX: usize = 64;

/// Asks for pending transactions that pay any of these addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetPending {
    /// Who is paid.
    pub addresses: List<Address, ADDRESSES_MAX>,
}

struct_codec!(GetPending { addresses });

impl Message for GetPending {
    const KIND: u8 = 24;
    const BYTES_MAX: usize = COUNT_BYTES + ADDRESSES_MAX * HASH_BYTES;
}

/// The transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Full bytes, in no order.
    pub txs: List<List<u8, TX_BYTES_MAX>, PENDING_MAX>,
    /// 1 when there are more.
    pub more: u8,
}

struct_codec!(Pending { txs, more });

impl Message for Pending {
    const KIND: u8 = 25;
    const BYTES_MAX: usize = COUNT_BYTES + PENDING_MAX * (COUNT_BYTES + TX_BYTES_MAX) + 1;
}
