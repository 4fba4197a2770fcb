//! What the chain answers to those who bring blocks and transactions.

use steelyard_core::consensus::error::{Fault, RuleError};
use steelyard_core::hash::BlockId;

use crate::mempool::PoolError;
use crate::store::StoreError;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is the tip, or was when it was committed.
    Active,
    /// It is kept on a branch with no more work than the active chain.
    Side,
    /// It was here before.
    Known,
}

/// Why a block was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Its parent is not here: nothing is said about the block.
    #[error("the parent {0} is unknown")]
    UnknownParent(BlockId),
    /// Its time is ahead of this node's clock: nothing is said about the block.
    #[error("its time is {ahead_ms} ms ahead of this node's clock, {drift_ms} ms are allowed")]
    AheadOfTime {
        /// How far.
        ahead_ms: u64,
        /// How far is allowed.
        drift_ms: u64,
    },
    /// It breaks a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// It, or a block before it, was found invalid earlier.
    #[error("found invalid earlier: {reason}")]
    KnownInvalid {
        /// The rule's name.
        reason: String,
    },
    /// The chain thread does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl BlockError {
    /// Stable name: `error.code` of the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownParent(_) => "unknown_parent",
            Self::AheadOfTime { .. } => "ahead_of_time",
            Self::Rule(rule) => rule.name(),
            Self::KnownInvalid { .. } => "known_invalid",
            Self::Chain(error) => error.name(),
        }
    }

    /// Whether the block is to be remembered as invalid.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Rule(rule) if rule.fault() == Fault::Block)
    }

    /// Whether its header is right and its body, which is this header's, is not. Worth to be stored:
    /// of headers that break a rule anybody makes any number for nothing, and they are judged at once.
    #[must_use]
    pub fn is_body_verdict(&self) -> bool {
        self.is_verdict() && !matches!(self, Self::Rule(RuleError::Header(_)))
    }
}

/// Why a transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// A rule or a limit refuses it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The chain thread does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The chain thread could not take a command or did not finish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Its queue is full: to be tried again.
    #[error("the node is busy; try again")]
    Busy,
    /// The node stops, and the command did not reach it.
    #[error("the node is stopping")]
    Stopping,
    /// The node ended before it said what became of the command: it may be done, or not.
    #[error("the node ended before it could say what became of this: it may have been taken")]
    Unknown,
    /// There is no room left: nothing is taken until there is.
    #[error("the disk of the node is full: nothing is taken until there is room")]
    DiskFull,
}

impl ChainError {
    /// Stable name: `error.code` of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Stopping => "stopping",
            Self::Unknown => "outcome_unknown",
            Self::DiskFull => "disk_full",
        }
    }
}

/// Why a stored chain cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored block breaks a rule.
    #[error("stored block {id} at height {height}: {rule}")]
    Rule {
        /// The block.
        id: BlockId,
        /// Its height.
        height: u64,
        /// What it breaks.
        rule: RuleError,
    },
    /// A block whose body was deleted on purpose.
    #[error(
        "the body of block {id} at height {height} is pruned: this node keeps those from height {from} on"
    )]
    Pruned {
        /// The block.
        id: BlockId,
        /// Its height.
        height: u64,
        /// The first height that is kept.
        from: u64,
    },
    /// The stored state is not the tip's, and the blocks that would give it are pruned.
    #[error(
        "the stored state cannot be used, and not be made again: the blocks below height {from} are pruned"
    )]
    PrunedState {
        /// The first height that is kept.
        from: u64,
    },
}
