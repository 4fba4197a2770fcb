//! What everybody but the desk sees: the last reading of the chain, the nodes, the wallets and
//! their sends. Read in moments, never while a node is waited for. Must not know the store, keys
//! or connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use steelyard_core::hash::{Address, BlockId, NetworkId, TxId};
use steelyard_core::params::Params;
use steelyard_core::types::header::Header;
use tokio::sync::watch;

use crate::intent::{Intent, IntentId, WalletName};

/// Coins and nonce of an address. Both 0 where the state proves that there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Account {
    /// Base units.
    pub balance: u64,
    /// Transactions sent so far.
    pub nonce: u64,
}

/// Coins on their way to one of our addresses, by a node's word: signed, not mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The transaction.
    pub tx: TxId,
    /// Which address.
    pub to: Address,
    /// Base units.
    pub amount: u64,
}

/// One node's answers about one moment: every address at the same tip, each proven under its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The tip.
    pub tip: Header,
    /// Its id.
    pub id: BlockId,
    /// The work that the tip's header commits to, its own included.
    pub total_work: u128,
    /// Every address that was asked about.
    pub accounts: BTreeMap<Address, Account>,
    /// What is on its way.
    pub incoming: Vec<Incoming>,
    /// Whether there is more on its way than the node listed.
    pub incoming_more: bool,
    /// Who answered.
    pub node: SocketAddr,
    /// When, unix ms.
    pub taken: u64,
}

/// How it stands with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not reached yet, or being reached.
    Connecting,
    /// Answers.
    Up,
    /// Failed; tried again after a pause.
    Down,
    /// Lied; left alone for long.
    Banned,
}

/// A node as the wallet knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// How it stands.
    pub link: Link,
    /// Program and version, as it says.
    pub agent: String,
    /// Its tip: height, id, total work.
    pub tip: Option<(u64, BlockId, u128)>,
    /// Stable name and words of the last failure.
    pub failure: Option<(String, String)>,
    /// When it last answered, unix ms.
    pub answered: Option<u64>,
    /// Whether an attempt has ended, well or not, since the daemon started.
    pub tried: bool,
}

/// A wallet that is open.
#[derive(Clone, Debug)]
pub struct WalletView {
    /// Whether a passphrase guards it.
    pub encrypted: bool,
    /// Whether its keys are at hand.
    pub unlocked: bool,
    /// When they will be forgotten, unix ms; `None`: not by themselves.
    pub unlocked_until: Option<u64>,
    /// Its addresses, by number.
    pub addresses: Vec<Address>,
    /// Height before which nobody paid it.
    pub birthday: u64,
    /// Its sends that are not final.
    pub live: BTreeMap<IntentId, Arc<Intent>>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The last reading that was good.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Whether that was in this run, and not written down by an earlier one.
    pub is_read: bool,
    /// The nodes, in the order in which they were given.
    pub nodes: Vec<NodeStatus>,
    /// The wallets.
    pub wallets: BTreeMap<WalletName, WalletView>,
    /// Transactions whose bytes a node may have, though none has said so: sent in this run, or signed
    /// in an earlier one.
    pub attempted: BTreeSet<TxId>,
    /// Why the daemon cannot go on, once it cannot.
    pub failed: Option<String>,
}

/// The view, shared, with a way to wait for its next change.
#[derive(Debug)]
pub struct Shared {
    /// The network.
    pub params: Params,
    /// Its id.
    pub network: NetworkId,
    view: RwLock<View>,
    changed: watch::Sender<u64>,
}

impl Shared {
    /// Shares a view.
    #[must_use]
    pub fn new(params: Params, network: NetworkId, view: View) -> Self {
        Self { params, network, view: RwLock::new(view), changed: watch::Sender::new(0) }
    }

    /// Reads. Never across an await or I/O.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view, and wakes those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let result = {
            let mut view: RwLockWriteGuard<'_, View> =
                self.view.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut view)
        };
        self.changed.send_modify(|version| *version += 1);
        result
    }

    /// Says when the view has changed since this call or the last wait on what it gave.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
