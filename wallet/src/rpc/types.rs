//! Every request and answer of the daemon's socket, as JSON: the daemon and its own commands read
//! the same types, and `--json` prints the answers as they are. Must not know how they are made.

use serde::{Deserialize, Serialize};
use steelyard_core::amount::Coins;
use steelyard_core::hash::{AssetId, BlockId, NetworkId, TxId};

use crate::intent::{IntentId, WalletName};

/// Of which moment a figure is, and how sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// Height of the block after which the figure holds.
    pub height: u64,
    /// That block.
    pub id: BlockId,
    /// Blocks known above it.
    pub depth: u64,
    /// Its time, unix ms.
    pub time: u64,
    /// Whether the figure is proven against buried proof of work.
    pub proven: bool,
    /// Whether a node has confirmed it in the last seconds.
    pub synced: bool,
    /// What stands behind it: `header`, a proof under one block's header that no other proof buries.
    pub trust: String,
    /// Who answered.
    pub node: String,
}

/// `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: NetworkId,
    /// The daemon's process.
    pub pid: u32,
    /// The daemon's folder.
    pub data_dir: String,
    /// The last good reading; none yet.
    pub as_of: Option<AsOf>,
    /// The wallets.
    pub wallets: Vec<WalletInfo>,
    /// The nodes, in the order in which they were given.
    pub nodes: Vec<NodeInfo>,
    /// What an operator should know: no node answers, nodes disagree, a stale tip.
    pub warnings: Vec<String>,
}

/// A wallet, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletInfo {
    /// Its name.
    pub name: WalletName,
    /// Whether a passphrase guards it.
    pub encrypted: bool,
    /// Whether its keys are at hand.
    pub unlocked: bool,
    /// Until when, unix ms; none: not limited.
    pub unlocked_until: Option<u64>,
    /// How many addresses it has.
    pub addresses: usize,
    /// Height before which nobody paid it.
    pub birthday: u64,
    /// Sends that are not final.
    pub live_sends: usize,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Where it is.
    pub address: String,
    /// `connecting`, `up`, `down` or `banned`.
    pub link: String,
    /// Program and version, as it says.
    pub agent: String,
    /// Height of its tip.
    pub height: Option<u64>,
    /// Its tip.
    pub tip: Option<BlockId>,
    /// Work of its chain, a decimal.
    pub work: Option<String>,
    /// What it failed with last, where that is why it is not up.
    pub failure: Option<Failure>,
    /// Milliseconds since it last answered.
    pub silent_ms: Option<u64>,
    /// What its figures stand on: `header`.
    pub trust: String,
}

/// Why a node does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable name.
    pub code: String,
    /// In words.
    pub message: String,
}

/// `POST /wallets`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWallet {
    /// Its name.
    pub name: WalletName,
    /// Where its words come from.
    pub source: WalletSource,
    /// What guards it; empty: nothing.
    pub passphrase: Secret,
    /// Height before which nobody paid it.
    #[serde(default)]
    pub birthday: u64,
}

/// Where a wallet's words come from.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WalletSource {
    /// New randomness.
    Create {
        /// 12, 15, 18, 21 or 24.
        words: u8,
    },
    /// The user's own.
    Restore {
        /// The sentence.
        words: Secret,
    },
    /// The dev network's published ones, with its ten accounts.
    Dev,
}

/// A text that is erased with its owner and shown by nothing.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Answer to [`NewWallet`].
#[derive(Debug, Serialize, Deserialize)]
pub struct WalletMade {
    /// Its name.
    pub name: WalletName,
    /// Its first address.
    pub address: String,
    /// Whether a passphrase guards it.
    pub encrypted: bool,
    /// Its file.
    pub file: String,
    /// The words, of a created wallet only, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Secret>,
}

/// `GET /wallet/{name}/addresses`; `POST` makes one more and answers it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The wallet.
    pub wallet: WalletName,
    /// By number.
    pub addresses: Vec<AddressInfo>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressInfo {
    /// Its number.
    pub index: u32,
    /// Its text.
    pub address: String,
    /// Coins there, by the last reading; none before it was asked about.
    pub balance: Option<Coins>,
}

/// `GET /wallet/{name}/balance?address=&settle=`. With `settle=true` the answer waits until each
/// node has been tried once, at most some seconds; without, it never waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The wallet.
    pub wallet: WalletName,
    /// The one address it is of, where one was named.
    pub address: Option<String>,
    /// What can be sent now: the total less what is on its way out.
    pub spendable: Coins,
    /// On its way in, by a node's word.
    pub pending_in: Coins,
    /// On its way out, fees included.
    pub pending_out: Coins,
    /// What the chain shows.
    pub total: Coins,
    /// Tokens; none while this version cannot prove them all.
    pub assets: Option<Vec<Holding>>,
    /// Of which moment.
    pub as_of: AsOf,
}

/// A token's amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which token.
    pub asset: AssetId,
    /// How much, a decimal of its own.
    pub amount: String,
}

/// `POST /wallet/{name}/sends`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// What the caller calls it.
    pub id: IntentId,
    /// Who is paid.
    pub to: String,
    /// A decimal, or `max`.
    pub amount: String,
    /// Which own address pays.
    #[serde(default)]
    pub from: Option<String>,
    /// For all to read.
    #[serde(default)]
    pub memo: String,
    /// Base units a byte.
    #[serde(default)]
    pub fee_rate: Option<u64>,
    /// Blocks after which it is void; 0: never.
    #[serde(default)]
    pub expiry: Option<u64>,
    /// Only says what it would be: nothing is written down.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a send comes to: the answer of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The wallet.
    pub wallet: WalletName,
    /// Who pays.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// How much.
    pub amount: Coins,
    /// For the miner.
    pub fee: Coins,
    /// Both.
    pub total: Coins,
    /// Last height of a block that may hold it; 0: no end.
    pub expiry: u64,
    /// For all to read.
    pub memo: String,
    /// On whose figures this stands.
    pub as_of: AsOf,
}

/// A send: answer of `POST /wallet/{name}/sends`, `GET /wallet/{name}/tx/{id}` (by the caller's id
/// or the transaction's), `DELETE` of the same, and an item of [`Txs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tx {
    /// What the caller calls it.
    pub id: IntentId,
    /// The wallet.
    pub wallet: WalletName,
    /// `intended`, `signed`, `pending`, `confirmed`, `settled`, `expired`, `replaced`, `cancelled`.
    pub state: String,
    /// Whether nothing will ever change it.
    pub is_final: bool,
    /// Why it stands there, where there is more to say.
    pub reason: Option<String>,
    /// What happens or can be done next.
    pub next_action: Option<String>,
    /// The transaction, once it is signed.
    pub tx_id: Option<TxId>,
    /// Who pays, once that is known.
    pub from: Option<String>,
    /// Who is paid.
    pub to: String,
    /// How much; none: `max`, and not known yet.
    pub amount: Option<Coins>,
    /// For the miner, once known.
    pub fee: Option<Coins>,
    /// The sender's nonce that it takes.
    pub nonce: Option<u64>,
    /// Last height of a block that may hold it, once known; 0: no end.
    pub expiry: Option<u64>,
    /// For all to read.
    pub memo: String,
    /// When it was asked for, unix ms.
    pub created: u64,
    /// When its state last changed, unix ms.
    pub changed: u64,
    /// The block that holds it: its height…
    pub height: Option<u64>,
    /// …and its id.
    pub block: Option<BlockId>,
    /// Blocks from that one to the tip, itself included.
    pub confirmations: u64,
}

/// `GET /wallet/{name}/txs?before=&limit=`: the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txs {
    /// The wallet.
    pub wallet: WalletName,
    /// The sends.
    pub txs: Vec<Tx>,
    /// `before` of the next page; none: this is the last.
    pub next: Option<u64>,
}

/// `POST /wallet/{name}/unlock`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// What guards it.
    pub passphrase: Secret,
    /// For how long, in seconds; none: until it is locked or the daemon ends.
    pub seconds: Option<u64>,
}

/// `POST /nodes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddNodes {
    /// Added to the list where they are not on it yet.
    pub addresses: Vec<std::net::SocketAddr>,
}

/// Answer to what has nothing else to say.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Always.
    pub done: bool,
}

/// Every refusal. The HTTP status follows from `exit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable name.
    pub code: String,
    /// What and why.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
    /// The exit code of the command that asked.
    pub exit: u8,
    /// The send that is written down all the same, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<IntentId>,
}
