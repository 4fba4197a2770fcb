//! What the API says of the past: histories of addresses, assets. Must not know where it comes from.

use serde::{Deserialize, Serialize};
use steelyard_core::hash::{AssetId, BlockId, TxId};

use super::{Tx, Units};

/// `GET /address/{a}/txs`: confirmed transactions that touch the address, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressHistory {
    /// The address.
    pub address: String,
    /// A page of them.
    pub txs: Vec<HistoryEntry>,
    /// `before=` this one gives the next page; null for none.
    pub next: Option<String>,
    /// Height up to which they are known: that of the tip, unless the index is behind.
    pub indexed_height: u64,
    /// Height of the tip that confirmations count to.
    pub height: u64,
}

/// Item of `GET /address/{a}/txs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The transaction; null for what a miner was paid.
    pub id: Option<TxId>,
    /// Its block.
    pub block: BlockId,
    /// The block's height.
    pub height: u64,
    /// Its place in the body; the coinbase is 0.
    pub index: u32,
    /// Blocks from its own to the tip, its own included.
    pub confirmations: u64,
    /// The block's time.
    pub time: u64,
    /// What it was to the address.
    pub direction: HistoryDirection,
    /// What came in.
    #[serde(rename = "in")]
    pub incoming: Vec<Units>,
    /// What went out, the fee included.
    #[serde(rename = "out")]
    pub outgoing: Vec<Units>,
    /// Who else paid or was paid.
    pub counterparties: Vec<String>,
    /// The transaction, as `GET /tx/{id}` shows it; null for what a miner was paid.
    pub tx: Option<Tx>,
}

/// What a transaction was to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryDirection {
    /// It was paid.
    In,
    /// It paid others, or others and itself.
    Out,
    /// It paid itself alone.
    Own,
    /// It mined the block.
    Mined,
    /// It issued an asset.
    Issued,
    /// It made more of an asset.
    Minted,
    /// It destroyed its own.
    Burned,
}

/// `GET /assets`, in the order in which they were issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assets {
    /// A page of them.
    pub assets: Vec<Asset>,
    /// `after=` this one gives the next page; null for none.
    pub next: Option<String>,
    /// Height up to which they are known: that of the tip, unless the index is behind.
    pub indexed_height: u64,
    /// Height of the block that supplies are as of.
    pub height: u64,
}

/// `GET /asset/{id}`, and an item of `GET /assets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The asset.
    pub asset: AssetId,
    /// Its symbol; not unique.
    pub symbol: String,
    /// Digits after the point.
    pub decimals: u8,
    /// Units in being.
    pub supply: String,
    /// Whether the issuer may make more.
    pub mintable: bool,
    /// Who issued it, and alone may make more.
    pub issuer: String,
    /// The transaction that issued it.
    pub tx: TxId,
    /// That one's block.
    pub block: BlockId,
    /// The block's height.
    pub height: u64,
    /// Its place in the body.
    pub index: u32,
}
