//! The desk: the one thread that changes anything, and the handle by which all others ask it to.
//! What it answers is on disk; what it shows was on disk before. Must not know sockets or HTTP.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | fees, who can pay, what is on its way out |
//! | [`book`] | a wallet's sends as a state machine, pure |
//! | `worker` | the thread: groups of commands, commits, what is published |
//! | `stage` | what a group has done so far |
//! | [`error`] | refusals |

pub mod book;
pub mod error;
pub mod plan;
mod stage;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::hash::{Address, TxId};
use steelyard_core::params::Params;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::error::DeskError;
pub use self::plan::Figures;
use self::plan::{Funds, Rules, check_request, reserved};
use self::worker::Worker;
use crate::intent::{Intent, IntentId, Plan, Request, WalletName};
use crate::keystore::{Keys, Keystore, WalletId};
use crate::light::{LightEvent, Sink, Wanted};
use crate::limits::{DESK_QUEUE_MAX, SYNCED_MS_MAX};
use crate::store::{Store, StoreError};
use crate::view::{Link, Shared, Snapshot, View, WalletView};

/// How often the desk looks what time has done: keys to forget, sled to reopen.
const TICK: Duration = Duration::from_secs(1);

/// A wallet that the desk is to keep.
#[derive(Debug)]
pub struct WalletAtStart {
    /// Its name.
    pub name: WalletName,
    /// Its keystore.
    pub keystore: Keystore,
    /// Its keys, where they are at hand: an unencrypted wallet's always are.
    pub keys: Option<Keys>,
}

type Reply<T> = oneshot::Sender<Result<T, DeskError>>;

/// What the thread is asked to do.
enum Command {
    AddWallet(Box<WalletAtStart>, u32, Reply<()>),
    NewAddress(WalletName, Reply<(u32, Address)>),
    Unlock(WalletName, Box<Keys>, Option<u64>, Reply<()>),
    Lock(WalletName, Reply<()>),
    Send(WalletName, IntentId, Box<Request>, Reply<Arc<Intent>>),
    Cancel(WalletName, IntentId, Reply<Arc<Intent>>),
    Event(LightEvent),
    Tick,
    Stop,
}

/// The handle. Every question that needs no change is answered from the view or the store.
#[derive(Clone)]
pub struct Desk {
    /// What everybody sees.
    pub shared: Arc<Shared>,
    queue: mpsc::Sender<Command>,
    ids: Arc<RwLock<BTreeMap<WalletName, WalletId>>>,
    /// The thread's: when it has ended, the store is closed whoever still holds a handle.
    store: Weak<Store>,
    rules: Rules,
}

/// Where the link tells what it found.
#[derive(Clone)]
pub struct EventSink {
    queue: mpsc::Sender<Command>,
}

impl EventSink {
    /// Waits for room. `false` once the desk is gone.
    pub async fn tell(&self, event: LightEvent) -> bool {
        self.queue.send(Command::Event(event)).await.is_ok()
    }
}

impl Sink for EventSink {
    fn tell(&self, event: LightEvent) -> impl Future<Output = bool> + Send {
        Self::tell(self, event)
    }
}

impl Desk {
    /// Loads what is stored of these wallets, publishes the view and starts the thread. `wanted` is
    /// what the link follows. Must be called inside a tokio runtime, which ticks for the desk.
    ///
    /// # Errors
    /// [`DeskError::Store`] for a store that cannot be read, [`DeskError::SameKeys`],
    /// [`DeskError::WalletExists`], [`DeskError::TooManyWallets`], [`DeskError::TooManyAddresses`],
    /// [`DeskError::Keystore`], [`DeskError::Start`].
    pub fn start(
        params: Params,
        store: Store,
        wallets: Vec<WalletAtStart>,
        wanted: watch::Sender<Arc<Wanted>>,
    ) -> Result<(Self, JoinHandle<Result<(), StoreError>>), DeskError> {
        let runtime = Handle::try_current().map_err(|error| DeskError::Start(io::Error::other(error)))?;
        let network = params.network_id();
        let rules = Rules::new(&params, network);
        let shared = Arc::new(Shared::new(params, network, View::default()));
        let ids = Arc::default();
        let store = Arc::new(store);
        let (queue, commands) = mpsc::channel(DESK_QUEUE_MAX);
        let desk = Self {
            shared: Arc::clone(&shared),
            queue,
            ids: Arc::clone(&ids),
            store: Arc::downgrade(&store),
            rules,
        };
        let worker = Worker::load(worker::Parts { shared, store, ids, wanted, rules }, wallets)?;
        let thread = std::thread::Builder::new().name("desk".into());
        let thread = thread.spawn(move || worker.run(commands)).map_err(DeskError::Start)?;
        runtime.spawn(tick(desk.queue.downgrade()));
        Ok((desk, thread))
    }

    /// Where the link tells what it found.
    #[must_use]
    pub fn events(&self) -> EventSink {
        EventSink { queue: self.queue.clone() }
    }

    /// Takes a wallet, with at least so many addresses.
    ///
    /// # Errors
    /// As [`Desk::start`].
    pub async fn add_wallet(&self, wallet: WalletAtStart, first_addresses: u32) -> Result<(), DeskError> {
        self.ask(|reply| Command::AddWallet(Box::new(wallet), first_addresses, reply)).await
    }

    /// The wallet's next address, with its number.
    ///
    /// # Errors
    /// [`DeskError::UnknownWallet`], [`DeskError::TooManyAddresses`], [`DeskError::Store`].
    pub async fn new_address(&self, wallet: &WalletName) -> Result<(u32, Address), DeskError> {
        self.ask(|reply| Command::NewAddress(wallet.clone(), reply)).await
    }

    /// Takes a wallet's keys, until a moment in unix ms or for good. An unencrypted wallet has them
    /// already and keeps them.
    ///
    /// # Errors
    /// [`DeskError::UnknownWallet`].
    pub async fn unlock(&self, wallet: &WalletName, keys: Keys, until: Option<u64>) -> Result<(), DeskError> {
        self.ask(|reply| Command::Unlock(wallet.clone(), Box::new(keys), until, reply)).await
    }

    /// Forgets a wallet's keys.
    ///
    /// # Errors
    /// [`DeskError::UnknownWallet`]; [`DeskError::NotEncrypted`].
    pub async fn lock(&self, wallet: &WalletName) -> Result<(), DeskError> {
        self.ask(|reply| Command::Lock(wallet.clone(), reply)).await
    }

    /// Pays, once for each id: whoever asks again by the same id gets the same payment as it stands.
    /// Durable on return; signed already where the keys and a fresh reading are there.
    ///
    /// # Errors
    /// [`DeskError::IdReused`] for another request under a known id; else nothing is kept:
    /// [`DeskError::UnknownWallet`], [`DeskError::AmountZero`], [`DeskError::FeeRateTooLow`],
    /// [`DeskError::ForeignAddress`], [`DeskError::Locked`], [`DeskError::OutboxFull`],
    /// [`DeskError::InsufficientFunds`]. After [`DeskError::Store`] and [`DeskError::Stopped`] it is
    /// not known whether the send was kept.
    pub async fn send(
        &self,
        wallet: &WalletName,
        id: IntentId,
        request: Request,
    ) -> Result<Arc<Intent>, DeskError> {
        self.ask(|reply| Command::Send(wallet.clone(), id, Box::new(request), reply)).await
    }

    /// What a send would come to, on the view alone. Nothing is written down.
    ///
    /// # Errors
    /// Those of [`Desk::send`] that do not need the keys or the store, and
    /// [`DeskError::NoSnapshot`].
    pub fn preview(&self, wallet: &WalletName, request: &Request) -> Result<Plan, DeskError> {
        check_request(&self.rules, request)?;
        let view = self.shared.read();
        let shown =
            view.wallets.get(wallet).ok_or_else(|| DeskError::UnknownWallet { name: wallet.clone() })?;
        let snapshot = view.snapshot.as_deref();
        let taken = reserved(shown.live.values().map(AsRef::as_ref), snapshot);
        Funds { addresses: &shown.addresses, snapshot, reserved: &taken }.plan(&self.rules, request)
    }

    /// Drops a send that is not signed. One that was dropped before is answered as it is.
    ///
    /// # Errors
    /// [`DeskError::UnknownWallet`], [`DeskError::UnknownIntent`], [`DeskError::NotCancellable`],
    /// [`DeskError::Store`].
    pub async fn cancel(&self, wallet: &WalletName, id: &IntentId) -> Result<Arc<Intent>, DeskError> {
        self.ask(|reply| Command::Cancel(wallet.clone(), id.clone(), reply)).await
    }

    /// The send that the caller calls so, whatever its age.
    ///
    /// # Errors
    /// [`DeskError::UnknownWallet`], [`DeskError::Store`], [`DeskError::Stopped`].
    pub async fn find(&self, wallet: &WalletName, id: &IntentId) -> Result<Option<Arc<Intent>>, DeskError> {
        // The view first: what is not there any more was on disk before it left.
        if let Some(intent) = self.live(wallet, |live| live.get(id).map(Arc::clone))? {
            return Ok(Some(intent));
        }
        let id = id.clone();
        let found = self.look(wallet, move |store, wallet| store.by_id(wallet, &id)).await?;
        Ok(found.map(Arc::new))
    }

    /// The send whose transaction has this id.
    ///
    /// # Errors
    /// As [`Desk::find`].
    pub async fn find_tx(&self, wallet: &WalletName, tx: &TxId) -> Result<Option<Arc<Intent>>, DeskError> {
        let is_it = |intent: &&Arc<Intent>| intent.signed.as_ref().is_some_and(|signed| signed.id == *tx);
        if let Some(intent) = self.live(wallet, |live| live.values().find(is_it).map(Arc::clone))? {
            return Ok(Some(intent));
        }
        let tx = *tx;
        let found = self.look(wallet, move |store, wallet| store.by_tx(wallet, &tx)).await?;
        Ok(found.map(Arc::new))
    }

    /// Up to `limit` sends with a number below `before`, the newest first.
    ///
    /// # Errors
    /// As [`Desk::find`].
    pub async fn list(
        &self,
        wallet: &WalletName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Arc<Intent>>, DeskError> {
        let found = self.look(wallet, move |store, wallet| store.page(wallet, before, limit)).await?;
        // The view knows why those that are not final wait.
        self.live(wallet, |live| {
            let newest = |intent: Intent| match live.get(&intent.id) {
                Some(shown) if !intent.state.is_final() => Arc::clone(shown),
                _ => Arc::new(intent),
            };
            found.into_iter().map(newest).collect()
        })
    }

    /// The figures of a wallet, or of one of its addresses.
    #[must_use]
    pub fn figures(view: &View, wallet: &WalletView, address: Option<&Address>) -> Figures {
        plan::figures(view, wallet, address)
    }

    /// Whether the view's reading is fresh, its node has not failed since, and it names every address
    /// that nodes are asked about.
    #[must_use]
    pub fn is_synced(view: &View, now_ms: u64) -> bool {
        view.snapshot.as_ref().filter(|_| view.is_read).is_some_and(|snapshot| {
            let mut addresses = view.wallets.values().flat_map(|wallet| &wallet.addresses);
            let node = view.nodes.iter().find(|node| node.address == snapshot.node);
            let stands = node.is_none_or(|node| node.link == Link::Up);
            stands
                && is_fresh(snapshot, now_ms)
                && addresses.all(|address| snapshot.accounts.contains_key(address))
        })
    }

    /// Has the thread finish what was asked before, and end; returns when it takes nothing more. Its
    /// `JoinHandle` tells when the store is closed.
    pub async fn stop(&self) {
        if self.queue.send(Command::Stop).await.is_ok() {
            self.queue.closed().await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| DeskError::Stopped)?;
        answer.await.map_err(|_| DeskError::Stopped)?
    }

    fn live<T>(
        &self,
        wallet: &WalletName,
        look: impl FnOnce(&BTreeMap<IntentId, Arc<Intent>>) -> T,
    ) -> Result<T, DeskError> {
        let view = self.shared.read();
        let shown = view.wallets.get(wallet);
        shown.map(|shown| look(&shown.live)).ok_or_else(|| DeskError::UnknownWallet { name: wallet.clone() })
    }

    async fn look<T: Send + 'static>(
        &self,
        wallet: &WalletName,
        look: impl FnOnce(&Store, &WalletId) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let id = self.ids.read().unwrap_or_else(PoisonError::into_inner).get(wallet).copied();
        let id = id.ok_or_else(|| DeskError::UnknownWallet { name: wallet.clone() })?;
        let store = Weak::clone(&self.store);
        let looked = tokio::task::spawn_blocking(move || {
            let store = store.upgrade().ok_or(DeskError::Stopped)?;
            look(&store, &id).map_err(DeskError::Store)
        });
        looked.await.map_err(|_| DeskError::Stopped)?
    }
}

/// Whether a reading takes the place of the current one: unless that is fresh, of another node, and
/// has more work.
fn is_taken(current: Option<&Snapshot>, new: &Snapshot, now_ms: u64) -> bool {
    current.is_none_or(|current| {
        new.total_work >= current.total_work || new.node == current.node || !is_fresh(current, now_ms)
    })
}

fn is_fresh(snapshot: &Snapshot, now_ms: u64) -> bool {
    now_ms.saturating_sub(snapshot.taken) <= SYNCED_MS_MAX
}

/// Wakes the desk now and then, as long as it lives.
async fn tick(queue: mpsc::WeakSender<Command>) {
    let mut every = tokio::time::interval(TICK);
    loop {
        every.tick().await;
        let Some(queue) = queue.upgrade() else { return };
        if queue.send(Command::Tick).await.is_err() {
            return;
        }
    }
}
