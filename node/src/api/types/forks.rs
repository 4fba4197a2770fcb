//! What the API says of branches. Must not know where it comes from.

use serde::{Deserialize, Serialize};
use steelyard_core::hash::BlockId;

use super::Decimal;

/// How a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchStatus {
    /// On the active chain.
    Active,
    /// It was on the active chain once: every rule was checked.
    ValidFork,
    /// Header and body are right in themselves; it was never executed.
    ValidHeaders,
    /// It breaks a rule, or a block before it does.
    Invalid,
}

impl BranchStatus {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ValidFork => "valid-fork",
            Self::ValidHeaders => "valid-headers",
            Self::Invalid => "invalid",
        }
    }
}

/// `GET /chain-tips`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainTips {
    /// Ends of branches: the active chain's, then by work.
    pub tips: Vec<ChainTip>,
    /// Ends of less work that are not listed.
    pub more: u64,
}

/// The end of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainTip {
    /// Its last block.
    pub id: BlockId,
    /// Its height.
    pub height: u64,
    /// Work of the branch and of everything before it.
    pub work: Decimal<u128>,
    /// Its blocks that are not on the active chain.
    pub branch_length: u64,
    /// Height of the last block that it shares with the active chain.
    pub fork_height: u64,
    /// How its last block stands.
    pub status: BranchStatus,
    /// The rule that is broken, where one is.
    pub invalid: Option<String>,
}

/// `GET /forks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forks {
    /// The lowest height that is looked at.
    pub from: u64,
    /// The active chain's last block.
    pub tip: BlockId,
    /// Blocks of every branch, by height; of one height the active one first.
    pub blocks: Vec<ForkBlock>,
    /// Whether side branches are left out for want of room.
    pub more: bool,
}

/// A block of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkBlock {
    /// Its id.
    pub id: BlockId,
    /// The parent.
    pub prev: BlockId,
    /// Blocks since genesis.
    pub height: u64,
    /// Work of this block and of everything before it.
    pub work: Decimal<u128>,
    /// The block's time.
    pub time: u64,
    /// How it stands.
    pub status: BranchStatus,
}
