//! Transactions on their way in, several at once because they then share one durable commit, and
//! what became of each. Must not know what makes one valid.

use super::hello::REASON_BYTES_MAX;
use super::{COUNT_BYTES, Message, Text};
use crate::encode::List;
use crate::types::transaction::TX_BYTES_MAX;
use crate::{struct_codec, tagged_codec};

/// Most transactions of a request.
pub const SUBMIT_MAX: usize = 32;
/// Longest name of a rule.
pub const RULE_BYTES_MAX: usize = 64;

/// Asks for transactions to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Their full bytes.
    pub txs: List<List<u8, TX_BYTES_MAX>, SUBMIT_MAX>,
}

struct_codec!(Submit { txs });

impl Message for Submit {
    const KIND: u8 = 20;
    const BYTES_MAX: usize = COUNT_BYTES + SUBMIT_MAX * (COUNT_BYTES + TX_BYTES_MAX);
}

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pending at the node, and durably so; also when it was before.
    Pending {},
    /// In a block of the active chain already.
    Confirmed {},
    /// Not taken.
    Refused {
        /// The broken rule's name.
        rule: Text<RULE_BYTES_MAX>,
        /// In words.
        reason: Text<REASON_BYTES_MAX>,
    },
    /// Not looked at: the node is busy. To be sent again.
    Busy {},
}

tagged_codec!(Verdict, "verdict",
    1 => Pending {},
    2 => Confirmed {},
    3 => Refused { rule, reason },
    4 => Busy {},
);

/// One verdict for each transaction, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// The verdicts.
    pub verdicts: List<Verdict, SUBMIT_MAX>,
}

struct_codec!(Verdicts { verdicts });

impl Message for Verdicts {
    const KIND: u8 = 21;
    const BYTES_MAX: usize =
        COUNT_BYTES + SUBMIT_MAX * (1 + (COUNT_BYTES + RULE_BYTES_MAX) + (COUNT_BYTES + REASON_BYTES_MAX));
}
