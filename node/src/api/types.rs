//! What the API says, as types: the routes write them and the node's own commands read them.
//! Ids are lower-case hex, times unix milliseconds, amounts decimal strings in coins or in the
//! asset's own decimals, numbers that may pass 2^53 decimal strings. Fields are only ever added.
//! Must not know where the content comes from.

mod copies;
mod forks;
mod history;
mod peers;
mod tx;

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use steelyard_core::amount::Coins;
use steelyard_core::hash::{BlockId, BodyRoot, HistoryRoot, NetworkId, StateRoot, TxId};

pub use copies::*;
pub use forks::*;
pub use history::*;
pub use peers::*;
pub use tx::*;

/// A number that readers of JSON would round: written as a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal<T>(pub T);

impl<T: Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable name; that of the rule, where one is broken.
    pub code: String,
    /// What and why, one line.
    pub message: String,
    /// What to do about it, where there is something.
    pub hint: Option<String>,
}

/// `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: NetworkId,
    /// The program's.
    pub version: String,
    /// Height of the tip.
    pub height: u64,
    /// The tip.
    pub tip: BlockId,
    /// Work of the active chain.
    pub work: Decimal<u128>,
    /// Time of the tip.
    pub tip_time: u64,
    /// The network's running time as the tip's header carries it, in ms.
    pub elapsed: u64,
    /// Whether it fetches blocks that others have.
    pub syncing: bool,
    /// From 0 to 1.
    pub sync_progress: f64,
    /// Height of the best header known.
    pub headers_height: u64,
    /// Peers connected.
    pub peers: u64,
    /// Pending transactions.
    pub mempool_txs: u64,
    /// Memory they are counted for, in bytes.
    pub mempool_bytes: u64,
    /// Whether it mines.
    pub mining: bool,
    /// Tries a second while it searches; 0 where it does not mine.
    pub hash_rate: u64,
    /// Bytes of the stores' files, at most a second old.
    pub disk_bytes: u64,
    /// Height below which bodies are pruned; null where all are kept.
    pub pruned_below: Option<u64>,
    /// Height up to which transactions, histories and assets can be looked up; null without an index, or
    /// while it is being opened.
    pub indexed_height: Option<u64>,
    /// What an operator should know.
    pub warnings: Vec<Notice>,
}

/// Something to know, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable name.
    pub code: String,
    /// What is the matter, one line.
    pub message: String,
}

impl Notice {
    /// A notice.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// `GET /livez`: that it answers is the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Always.
    pub live: bool,
}

/// `GET /readyz`, with 200 when ready and 503 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether it can be worked with.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<Notice>,
}

/// One header: an item of `GET /headers`, and part of every block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The block's id.
    pub id: BlockId,
    /// Format.
    pub version: u32,
    /// Blocks since genesis.
    pub height: u64,
    /// The parent.
    pub prev: BlockId,
    /// Commits to all earlier headers.
    pub history_root: HistoryRoot,
    /// Commits to the body.
    pub body_root: BodyRoot,
    /// Commits to every record after the block.
    pub state_root: StateRoot,
    /// The network's running time up to the parent, in ms.
    pub elapsed: u64,
    /// The parent's time.
    pub prev_time: u64,
    /// The block's time.
    pub time: u64,
    /// Target in compact form.
    pub bits: u32,
    /// What the search found.
    pub nonce: Decimal<u64>,
    /// The header's bytes, hex.
    pub header: String,
    /// Work of this block and of everything before it.
    pub work: Decimal<u128>,
}

/// One block: an item of `GET /blocks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSummary {
    /// Its header.
    #[serde(flatten)]
    pub header: Header,
    /// Blocks from it to the tip, itself included; 0 for one that is not active.
    pub confirmations: u64,
    /// Whether it is on the active chain.
    pub active: bool,
    /// The rule that it or a block before it breaks, where one is known.
    pub invalid: Option<String>,
    /// Who was paid for it; nobody for genesis.
    pub miner: Option<String>,
    /// What the miner was paid: reward and fees.
    pub reward: Coins,
    /// Transactions in it, the coinbase not counted.
    pub tx_count: u64,
    /// Bytes, header included.
    pub bytes: u64,
    /// Whether its body is pruned: miner, reward, transactions and their number are then not known, and
    /// empty or 0.
    pub pruned: bool,
}

/// `GET /block/{id}`, `/block-height/{h}`, `/blocks/tip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// All that a list says of it.
    #[serde(flatten)]
    pub summary: BlockSummary,
    /// The miner's own words in the coinbase, hex: anything at all.
    pub extra: String,
    /// Its transactions, in their order.
    pub txs: Vec<TxId>,
}
