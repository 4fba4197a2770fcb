//! One variant per rule, with what was found and what was expected. Must not know who sent it.

use crate::encode::DecodeError;
use crate::hash::{AssetId, BlockId, BodyRoot, HistoryRoot, NetworkId, StateRoot};

/// Rules are numbered in sets: a verdict of another set is no verdict.
pub const RULE_SET: u32 = 1;

/// A rule about headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum HeaderRule {
    #[error("version {got}, expected {expected}")]
    Version { got: u32, expected: u32 },
    #[error("height {got}, expected {expected}")]
    Height { got: u64, expected: u64 },
    #[error("prev id {got}, expected {expected}")]
    Prev { got: BlockId, expected: BlockId },
    #[error("prev time {got}, the parent's time is {expected}")]
    PrevTime { got: u64, expected: u64 },
    #[error("elapsed {got} ms, expected {expected} ms")]
    Elapsed { got: u64, expected: u64 },
    #[error("time {got} is not after the parent's {parent}")]
    Time { got: u64, parent: u64 },
    #[error("bits {got:#010x}, expected {expected:#010x}")]
    Bits { got: u32, expected: u32 },
    #[error("the hash of the header is above its target")]
    ProofOfWork,
    #[error("history root {got}, expected {expected}")]
    HistoryRoot { got: HistoryRoot, expected: HistoryRoot },
    #[error("total work passes 2^128-1")]
    Work,
}

/// A rule about blocks as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum BlockRule {
    #[error("body root {got}, the header says {expected}")]
    BodyRoot { got: BodyRoot, expected: BodyRoot },
    #[error("{got} bytes, {max} allowed")]
    Size { got: u64, max: u64 },
    #[error("{got} transactions, {max} allowed")]
    TransactionCount { got: u64, max: u64 },
    #[error("no coinbase")]
    NoCoinbase,
    #[error("malformed coinbase: {0}")]
    MalformedCoinbase(DecodeError),
    #[error("coinbase of height {got} in a block of height {expected}")]
    CoinbaseHeight { got: u64, expected: u64 },
    #[error("coinbase pays {got} base units, reward and fees are {expected}")]
    CoinbaseAmount { got: u64, expected: u64 },
    #[error("{got} new records, {max} allowed")]
    NewRecords { got: u64, max: u64 },
    #[error("state root {got} after the block, the header says {expected}")]
    StateRoot { got: StateRoot, expected: StateRoot },
}

/// A rule about transactions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum TxRule {
    #[error("malformed transaction: {0}")]
    Malformed(DecodeError),
    #[error("body format {got}, expected {expected}")]
    Format { got: u8, expected: u8 },
    #[error("made for network {got}, this is {expected}")]
    WrongNetwork { got: NetworkId, expected: NetworkId },
    #[error("a transfer of no payments")]
    NoPayments,
    #[error("amount zero (payment {index})")]
    ZeroAmount { index: usize },
    #[error("a symbol is 1 to 12 of A-Z and 0-9")]
    Symbol,
    #[error("{got} decimals, {max} allowed")]
    Decimals { got: u8, max: u8 },
    #[error("an asset that cannot be minted needs a supply")]
    NoSupply,
    #[error("coins cannot be minted or burnt")]
    CoinsAreNoAsset,
    #[error("invalid policy: {0}")]
    InvalidPolicy(crate::crypto::policy::PolicyError),
    #[error("the policy is not the sender's")]
    WrongSender,
    #[error("signers {signers:#06x} where {threshold} of {keys} keys must sign")]
    Signers { signers: u16, threshold: u8, keys: usize },
    #[error("{got} signatures, expected {expected}")]
    SignatureCount { got: usize, expected: usize },
    #[error("signature {index} is not its key's over this transaction")]
    InvalidSignature { index: usize },
    #[error("expired at height {expiry}, this is for height {height}")]
    Expired { expiry: u64, height: u64 },
    #[error("nonce {got} was used, the next is {expected}")]
    NonceUsed { got: u64, expected: u64 },
    #[error("nonce {got} leaves a gap, the next is {expected}")]
    NonceGap { got: u64, expected: u64 },
    #[error("needs {need} base units with its fee, {have} are there")]
    InsufficientFunds { have: u64, need: u128 },
    #[error("needs {need} units of asset {asset}, {have} are there")]
    InsufficientAsset { asset: AssetId, have: u64, need: u128 },
    #[error("no asset {asset}")]
    UnknownAsset { asset: AssetId },
    #[error("asset {asset} is not mintable")]
    NotMintable { asset: AssetId },
    #[error("only its issuer mints asset {asset}")]
    NotIssuer { asset: AssetId },
    #[error("asset {asset} would pass 2^64-1 units")]
    SupplyOverflow { asset: AssetId },
    #[error("a balance would pass 2^64-1")]
    BalanceOverflow,
}

/// The first rule that something breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A header's.
    #[error("header: {0}")]
    Header(#[from] HeaderRule),
    /// A block's.
    #[error("block: {0}")]
    Block(#[from] BlockRule),
    /// A transaction's within a block.
    #[error("transaction {index}: {rule}")]
    Transaction {
        /// Its place, the coinbase being 0 and the first transaction 1.
        index: usize,
        /// What it breaks.
        rule: TxRule,
    },
}

/// Whose fault a rule is that a block breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of who sent it: nothing is said about the block.
    Sender,
    /// Of the block: it and its descendants are invalid for ever under this rule set.
    Block,
}

/// Whom a transaction's broken rule speaks against, among those who pass transactions on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Who sent it: it breaks the rule under every state, so no honest node has it.
    Sender,
    /// Nobody: it may be right under the state of another tip, which an honest node may have.
    Nobody,
}

impl RuleError {
    /// The rule's name, stable: `error.code` of the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Header(rule) => rule.name(),
            Self::Block(rule) => rule.name(),
            Self::Transaction { rule, .. } => rule.name(),
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Block(BlockRule::BodyRoot { .. }) => Fault::Sender,
            _ => Fault::Block,
        }
    }
}

impl HeaderRule {
    /// The rule's name, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Version { .. } => "header_version",
            Self::Height { .. } => "header_height",
            Self::Prev { .. } => "header_prev",
            Self::PrevTime { .. } => "header_prev_time",
            Self::Elapsed { .. } => "header_elapsed",
            Self::Time { .. } => "header_time",
            Self::Bits { .. } => "header_bits",
            Self::ProofOfWork => "proof_of_work",
            Self::HistoryRoot { .. } => "history_root",
            Self::Work => "total_work",
        }
    }
}

impl BlockRule {
    /// The rule's name, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BodyRoot { .. } => "body_root",
            Self::Size { .. } => "block_size",
            Self::TransactionCount { .. } => "transaction_count",
            Self::NoCoinbase => "no_coinbase",
            Self::MalformedCoinbase(_) => "malformed_coinbase",
            Self::CoinbaseHeight { .. } => "coinbase_height",
            Self::CoinbaseAmount { .. } => "coinbase_amount",
            Self::NewRecords { .. } => "new_records",
            Self::StateRoot { .. } => "state_root",
        }
    }
}

impl TxRule {
    /// Whom it speaks against. Form and signatures are the same for everybody; expiry, nonces,
    /// balances and assets are not. No other arm: a new rule says where it belongs.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Malformed(_)
            | Self::Format { .. }
            | Self::WrongNetwork { .. }
            | Self::NoPayments
            | Self::ZeroAmount { .. }
            | Self::Symbol
            | Self::Decimals { .. }
            | Self::NoSupply
            | Self::CoinsAreNoAsset
            | Self::InvalidPolicy(_)
            | Self::WrongSender
            | Self::Signers { .. }
            | Self::SignatureCount { .. }
            | Self::InvalidSignature { .. } => Blame::Sender,
            Self::Expired { .. }
            | Self::NonceUsed { .. }
            | Self::NonceGap { .. }
            | Self::InsufficientFunds { .. }
            | Self::InsufficientAsset { .. }
            | Self::UnknownAsset { .. }
            | Self::NotMintable { .. }
            | Self::NotIssuer { .. }
            | Self::SupplyOverflow { .. }
            | Self::BalanceOverflow => Blame::Nobody,
        }
    }

    /// The rule's name, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Format { .. } => "format",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::NoPayments => "no_payments",
            Self::ZeroAmount { .. } => "zero_amount",
            Self::Symbol => "symbol",
            Self::Decimals { .. } => "decimals",
            Self::NoSupply => "no_supply",
            Self::CoinsAreNoAsset => "coins_are_no_asset",
            Self::InvalidPolicy(_) => "invalid_policy",
            Self::WrongSender => "wrong_sender",
            Self::Signers { .. } => "signers",
            Self::SignatureCount { .. } => "signature_count",
            Self::InvalidSignature { .. } => "invalid_signature",
            Self::Expired { .. } => "expired",
            Self::NonceUsed { .. } => "nonce_used",
            Self::NonceGap { .. } => "nonce_gap",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::InsufficientAsset { .. } => "insufficient_asset",
            Self::UnknownAsset { .. } => "unknown_asset",
            Self::NotMintable { .. } => "not_mintable",
            Self::NotIssuer { .. } => "not_issuer",
            Self::SupplyOverflow { .. } => "supply_overflow",
            Self::BalanceOverflow => "balance_overflow",
        }
    }
}
