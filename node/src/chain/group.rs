//! What the commands of one group have changed and no commit holds yet. Must not know the store.

use std::collections::{HashMap, HashSet};

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::transition::Change;
use steelyard_core::hash::{BlockId, TxId};
use tokio::sync::oneshot;

use super::index::Number;
use super::{BlockVerdicts, TxVerdicts};
use crate::limits::{GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, GROUP_COMMANDS_MAX};

/// A caller to be answered once the group is durable.
pub enum Reply {
    /// About transactions.
    Txs(oneshot::Sender<TxVerdicts>, TxVerdicts),
    /// About blocks.
    Blocks(oneshot::Sender<BlockVerdicts>, BlockVerdicts),
    /// About what was to be kept.
    Peers(oneshot::Sender<()>),
}

impl Reply {
    /// Answers; a caller that is gone needs no answer.
    pub fn send(self) {
        match self {
            Self::Txs(sender, verdicts) => drop(sender.send(verdicts)),
            Self::Blocks(sender, verdicts) => drop(sender.send(verdicts)),
            Self::Peers(sender) => drop(sender.send(())),
        }
    }
}

/// The group.
#[derive(Default)]
pub struct Group {
    /// Blocks received, in order, with the length of their bodies.
    pub received: Vec<(Number, u32)>,
    /// Their bodies, one after another.
    pub bodies: Vec<u8>,
    /// The same, to be connected now or later in the group.
    pub blocks: HashMap<Number, CheckedBlock>,
    /// Changes of blocks connected or taken back in this group.
    pub changes: HashMap<Number, Vec<Change>>,
    /// Blocks connected in this group.
    pub connected: HashSet<Number>,
    /// Stored blocks found invalid, and the rule's name.
    pub invalid: Vec<(Number, String)>,
    /// Blocks that are not stored found invalid, and the rule's name.
    pub refused: Vec<(BlockId, String)>,
    /// Transactions admitted.
    pub admitted: Vec<TxId>,
    /// Addresses of other nodes and bans: the last that came.
    pub peers: Option<Vec<u8>>,
    /// Who waits.
    pub replies: Vec<Reply>,
}

impl Group {
    /// Whether it should be committed before anything joins.
    pub fn is_full(&self) -> bool {
        self.replies.len() >= GROUP_COMMANDS_MAX
            || self.received.len() >= GROUP_BLOCKS_MAX
            || self.bodies.len() >= GROUP_BYTES_MAX
    }
}
