//! Why a transaction does not enter the pool: a rule of the ledger, or a limit of this node.

use steelyard_core::consensus::error::TxRule;

/// A refusal. None says anything about blocks that hold the transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It breaks a rule, on its own or after what its sender has pending.
    #[error(transparent)]
    Rule(#[from] TxRule),
    /// Less than the node relays for.
    #[error("a fee of {got} base units where {min} is the least for its size")]
    FeeTooLow {
        /// The fee.
        got: u64,
        /// The least.
        min: u64,
    },
    /// Another transaction with its nonce is pending and this one pays too little more.
    #[error(
        "a fee of {got} base units where {min} is needed to replace the pending transaction with this nonce"
    )]
    ReplacementFeeTooLow {
        /// The fee.
        got: u64,
        /// The least.
        min: u64,
    },
    /// The pool is full of better paying transactions.
    #[error("the pool is full; a higher fee makes room")]
    Full,
    /// No room for transactions that wait for a missing nonce.
    #[error("no room for transactions that wait for an earlier nonce; send nonce {next} first")]
    QueueFull {
        /// The missing nonce.
        next: u64,
    },
}

impl PoolError {
    /// Stable name: `error.code` of the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.name(),
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::ReplacementFeeTooLow { .. } => "replacement_fee_too_low",
            Self::Full => "mempool_full",
            Self::QueueFull { .. } => "mempool_queue_full",
        }
    }
}
