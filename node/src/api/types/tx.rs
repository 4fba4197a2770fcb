//! What the API says of transactions, accounts and the pool. Must not know where it comes from.

use serde::{Deserialize, Serialize};
use steelyard_core::amount::Coins;
use steelyard_core::hash::{AssetId, BlockId, FullId, TxId};

use super::ErrorBody;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxStatus {
    /// Waits for a block; durable.
    Pending,
    /// In a block of the active chain.
    Confirmed,
    /// Asked for as part of a block that is not active.
    Inactive,
}

/// `GET /tx/{id}`, and an item of `GET /block/{id}/txs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tx {
    /// Its id.
    pub id: TxId,
    /// Its id with this authorization.
    pub full_id: FullId,
    /// Where it stands.
    pub status: TxStatus,
    /// Blocks from its own to the tip, its own included.
    pub confirmations: u64,
    /// Its block.
    pub block: Option<BlockId>,
    /// Its block's height.
    pub height: Option<u64>,
    /// Its block's time.
    pub time: Option<u64>,
    /// Its place in the body; the coinbase is 0.
    pub index: Option<u32>,
    /// Pending, but not before another nonce of the sender comes.
    pub queued: bool,
    /// Who pays.
    pub sender: String,
    /// Transactions of the sender before it.
    pub nonce: u64,
    /// For the miner.
    pub fee: Coins,
    /// Last height that may hold it; 0 for no end.
    pub expiry: u64,
    /// The memo, hex: anything at all.
    pub memo: String,
    /// The memo, where it is text.
    pub memo_text: Option<String>,
    /// What it does.
    pub action: Action,
    /// Its bytes.
    pub size: u64,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Pays.
    Transfer {
        /// Whom and what.
        payments: Vec<Payment>,
    },
    /// Makes an asset.
    Issue {
        /// Which.
        asset: AssetId,
        /// Its symbol; not unique.
        symbol: String,
        /// Digits after the point.
        decimals: u8,
        /// What the sender got.
        supply: String,
        /// Whether there may be more.
        mintable: bool,
    },
    /// Makes more of an asset.
    Mint(Units),
    /// Destroys the sender's own.
    Burn(Units),
}

/// So much of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Of what; null for coins.
    pub asset: Option<AssetId>,
    /// How much.
    pub amount: String,
    /// Digits after the point that the amount is written with. Null for an asset that the
    /// active chain does not know: then the amount is in its smallest units.
    pub decimals: Option<u8>,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Whom.
    pub to: String,
    /// What.
    #[serde(flatten)]
    pub units: Units,
}

/// `GET /tx/{id}/proof`: that the block's header commits to the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxProof {
    /// The transaction.
    pub id: TxId,
    /// The block.
    pub block: BlockId,
    /// Its height.
    pub height: u64,
    /// Its header's bytes, hex.
    pub header: String,
    /// The transaction's place in the body; the coinbase is 0.
    pub index: u32,
    /// Items of the body.
    pub count: u32,
    /// The transaction's bytes, hex: what the leaf is a hash of.
    pub leaf: String,
    /// Hashes beside the way from the leaf to the top, hex, leaf first.
    pub siblings: Vec<String>,
}

/// Answer to `POST /tx`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The transaction.
    pub id: TxId,
    /// Pending, or confirmed before.
    pub status: TxStatus,
}

/// Item of the answer to `POST /txs`, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TxVerdict {
    /// It is pending, or confirmed before.
    Submitted(Submitted),
    /// It is refused.
    Refused(ErrorBody),
}

/// `GET /address/{a}`, as of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressInfo {
    /// The address.
    pub address: String,
    /// Confirmed coins.
    pub balance: Coins,
    /// Confirmed transactions of its own: the next one's nonce, if none is pending.
    pub nonce: u64,
    /// Coins that pending transactions pay to it.
    pub pending_in: Coins,
    /// Coins that its own pending transactions pay, fees included.
    pub pending_out: Coins,
    /// Its own pending transactions.
    pub pending_txs: u64,
    /// What else it holds, ascending by asset.
    pub assets: Vec<Holding>,
    /// Whether there are more assets than listed.
    pub assets_truncated: bool,
    /// Height of the block this is as of.
    pub height: u64,
    /// That block.
    pub tip: BlockId,
}

/// What an address holds of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The asset.
    pub asset: AssetId,
    /// Its symbol; not unique.
    pub symbol: String,
    /// Digits after the point.
    pub decimals: u8,
    /// How much.
    pub amount: String,
}

/// `GET /address/{a}/proof`: what the state holds there, or that it holds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressProof {
    /// The address.
    pub address: String,
    /// The asset asked for; null for coins and nonce.
    pub asset: Option<AssetId>,
    /// Height of the block whose state it is.
    pub height: u64,
    /// That block.
    pub block: BlockId,
    /// Its header's bytes, hex, which hold the state root.
    pub header: String,
    /// The proof's bytes, hex.
    pub proof: String,
}

/// `GET /address/{a}/holdings`: a page of all that the address holds, and the proof of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressHoldings {
    /// The address.
    pub address: String,
    /// Its coins.
    pub balance: Coins,
    /// What it holds of assets, ascending by asset.
    pub assets: Vec<Holding>,
    /// Whether nothing comes behind; if not, `after` of the next page is the last asset of this one.
    pub is_complete: bool,
    /// Height of the block whose state it is.
    pub height: u64,
    /// That block.
    pub block: BlockId,
    /// Its header's bytes, hex, which hold the state root.
    pub header: String,
    /// Bytes of the excerpt of the state, hex: coins, the page, and the assets' descriptions.
    pub excerpt: String,
}

/// `GET /mempool`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mempool {
    /// Pending transactions.
    pub txs: u64,
    /// Memory they are counted for, in bytes.
    pub bytes: u64,
    /// The most memory they may take.
    pub bytes_max: u64,
    /// Of them, those that wait for another nonce of their sender.
    pub queued: u64,
    /// Transactions by fee, ascending, without empty rows.
    pub fee_histogram: Vec<FeeRow>,
    /// What a block now would hold, about.
    pub next_block: NextBlock,
}

/// One row of the fee histogram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeRow {
    /// Base units of fee per byte of weight, at least; below the next row's.
    pub fee_rate_from: u64,
    /// Transactions.
    pub txs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A block's content before it is mined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextBlock {
    /// Transactions.
    pub txs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their fees.
    pub fees: Coins,
}

/// Item of `GET /mempool/txs`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTx {
    /// The transaction.
    pub id: TxId,
    /// What it pays the miner.
    pub fee: Coins,
    /// Its bytes.
    pub size: u64,
    /// Bytes that its fee is measured by: a record that it creates counts too.
    pub weight: u64,
    /// Who pays.
    pub sender: String,
    /// Its nonce.
    pub nonce: u64,
    /// Whether it waits for another nonce of its sender.
    pub queued: bool,
    /// Its number by arrival: `before=` this one gives the next page.
    pub arrival: u64,
}
