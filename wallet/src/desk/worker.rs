//! The desk's thread. It takes all waiting commands as one group: new intents are made durable in
//! one commit, then everything that can be signed is signed and made durable in a second one,
//! nonces and bytes together; then it is shown, then answered. Bytes reach the link only through
//! what is shown. Must not know where commands come from.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use steelyard_core::hash::{Address, TxId};
use steelyard_core::params::dev_addresses;
use steelyard_runtime::{clock, failpoint};
use tokio::sync::{mpsc, watch};

use super::book::{Book, NewIntent};
use super::plan::Rules;
use super::stage::{Answer, Stage};
use super::{Command, DeskError, WalletAtStart, is_fresh, is_taken};
use crate::intent::{Intent, IntentId, Request, State, WalletName};
use crate::keystore::{Keys, Keystore, Origin, WalletId};
use crate::light::{LightEvent, Reading, Wanted};
use crate::limits::{
    ADDRESSES_TOTAL_MAX, GROUP_COMMANDS_MAX, REOPEN_BYTES, RESTORED_ADDRESSES, SNAPSHOT_WRITE_MS, WALLETS_MAX,
};
use crate::store::{Store, StoreError, same_error};
use crate::view::{Account, Link, Shared, Snapshot, View, WalletView};

/// Times [`REOPEN_BYTES`] after which sled is reopened although commands wait.
const REOPEN_BUSY: u64 = 4;

/// What the thread shares with the handle.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<Store>,
    pub(super) ids: Arc<RwLock<BTreeMap<WalletName, WalletId>>>,
    pub(super) wanted: watch::Sender<Arc<Wanted>>,
    pub(super) rules: Rules,
}

/// A wallet in the desk's hands.
struct Wallet {
    id: WalletId,
    keystore: Keystore,
    keys: Option<Keys>,
    until: Option<u64>,
    book: Book,
}

/// The thread's own state: how far the group has come beyond what is shown.
pub(super) struct Worker {
    parts: Parts,
    wallets: BTreeMap<WalletName, Wallet>,
    snapshot: Option<Arc<Snapshot>>,
    /// Whether that was read in this run.
    is_read: bool,
    /// Nodes that do not answer, as far as they have said anything.
    lost: BTreeSet<SocketAddr>,
    /// When a reading was last written down, and with which accounts.
    written: (u64, BTreeMap<Address, Account>),
    stage: Stage,
}

impl Worker {
    /// Loads the wallets and shows them.
    pub(super) fn load(parts: Parts, wallets: Vec<WalletAtStart>) -> Result<Self, DeskError> {
        let snapshot = parts.store.snapshot()?.map(Arc::new);
        let written = snapshot.as_ref().map(|snapshot| (snapshot.taken, snapshot.accounts.clone()));
        let mut worker = Self {
            parts,
            wallets: BTreeMap::new(),
            snapshot,
            is_read: false,
            lost: BTreeSet::new(),
            written: written.unwrap_or_default(),
            stage: Stage { snapshot: true, ..Stage::default() },
        };
        for wallet in wallets {
            worker.open_wallet(wallet, 0)?;
        }
        let write = take(&mut worker.stage.changes);
        if !write.is_empty() {
            worker.parts.store.commit(write)?;
        }
        worker.show();
        Ok(worker)
    }

    /// Runs until asked to stop, or until the store fails: then nothing more is promised.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Command>) -> Result<(), StoreError> {
        let guard = PanicGuard(Arc::clone(&self.parts.shared));
        let result = self.serve(&mut queue).and_then(|()| self.parts.store.sync());
        drop(guard);
        let Err(error) = result else { return Ok(()) };
        tracing::error!(%error, "the store failed; the daemon stops");
        self.parts.shared.change(|view| view.failed = Some(error.to_string()));
        take(&mut self.stage.answers).into_iter().for_each(|answer| answer.fail(&error));
        queue.close();
        while let Ok(command) = queue.try_recv() {
            command.fail(&error);
        }
        Err(error)
    }

    fn serve(&mut self, queue: &mut mpsc::Receiver<Command>) -> Result<(), StoreError> {
        while let Some(first) = queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP_COMMANDS_MAX
                && let Ok(command) = queue.try_recv()
            {
                group.push(command);
            }
            let stops = group.iter().any(|command| matches!(command, Command::Stop));
            self.serve_group(group)?;
            if stops {
                return Ok(());
            }
            self.keep_house(queue.is_empty())?;
        }
        Ok(())
    }

    fn serve_group(&mut self, group: Vec<Command>) -> Result<(), StoreError> {
        let now = clock::now_ms();
        self.forget_keys(now);
        let mut group = group.into_iter();
        while let Some(command) = group.next() {
            if let Err(error) = self.take(command, now) {
                group.for_each(|command| command.fail(&error));
                return Err(error);
            }
        }
        self.commit()?;
        self.sign(now);
        self.commit()?;
        self.show();
        for answer in take(&mut self.stage.answers) {
            self.answer(answer);
        }
        self.stage = Stage::default();
        Ok(())
    }

    /// Applies one command. An error is the store's and ends everything.
    fn take(&mut self, command: Command, now: u64) -> Result<(), StoreError> {
        let answer = match command {
            Command::AddWallet(wallet, count, reply) => {
                Answer::Done(reply, self.open_wallet(*wallet, count.max(1)))
            }
            Command::NewAddress(name, reply) => Answer::Address(reply, self.new_address(&name)),
            Command::Unlock(name, keys, until, reply) => {
                Answer::Done(reply, self.unlock(&name, *keys, until))
            }
            Command::Lock(name, reply) => Answer::Done(reply, self.lock(&name)),
            Command::Send(name, id, request, reply) => {
                let made = self.send(&name, id, *request, now);
                Answer::Intent(reply, made.map(|intent| (name, intent)))
            }
            Command::Cancel(name, id, reply) => {
                let dropped = self.cancel(&name, &id, now);
                Answer::Intent(reply, dropped.map(|intent| (name, intent)))
            }
            Command::Event(event) => {
                self.hear(event, now);
                return Ok(());
            }
            Command::Tick | Command::Stop => return Ok(()),
        };
        let failed = answer.store_error().map(same_error);
        self.stage.answers.push(answer);
        failed.map_or(Ok(()), Err)
    }

    fn wallet(&mut self, name: &WalletName) -> Result<&mut Wallet, DeskError> {
        self.wallets.get_mut(name).ok_or_else(|| DeskError::UnknownWallet { name: name.clone() })
    }

    /// Takes a wallet with what is stored of it, and with at least so many addresses.
    fn open_wallet(&mut self, wallet: WalletAtStart, least: u32) -> Result<(), DeskError> {
        let WalletAtStart { name, keystore, keys } = wallet;
        if self.wallets.contains_key(&name) {
            return Err(DeskError::WalletExists { name });
        }
        if self.wallets.len() >= WALLETS_MAX {
            return Err(DeskError::TooManyWallets);
        }
        let (id, first) = (keystore.id(), keystore.address(0)?);
        let twin =
            self.wallets.iter().find(|(_, other)| other.id == id || other.book.addresses()[0] == first);
        if let Some((other, _)) = twin {
            return Err(DeskError::SameKeys { name, other: other.clone() });
        }
        let store = &self.parts.store;
        let stored = store.addresses(&id)?;
        // One that the store does not know was made just before a kill.
        let made = match keystore.origin() {
            Origin::Dev => u32::try_from(dev_addresses().len()).unwrap_or(1),
            Origin::Restored => RESTORED_ADDRESSES,
            Origin::Created => 1,
        };
        let count = stored.unwrap_or(made).max(least);
        self.check_room(count)?;
        let addresses: Vec<Address> =
            (0..count).map(|index| keystore.address(index)).collect::<Result<_, _>>()?;
        let mut book = Book::new(self.parts.rules, addresses, store.next_seq(&id)?, store.live(&id)?);
        if let Some(snapshot) = &self.snapshot {
            book.set_snapshot(Arc::clone(snapshot));
        }
        if stored != Some(count) {
            self.stage.changes.put_addresses(&id, count);
            self.stage.durable = true;
        }
        self.stage.attempted.extend(book.maybe_sent());
        self.stage.intents.extend(book.live().values().map(|intent| (name.clone(), Arc::clone(intent))));
        self.stage.wallets.insert(name.clone());
        self.wallets.insert(name, Wallet { id, keystore, keys, until: None, book });
        Ok(())
    }

    fn check_room(&self, more: u32) -> Result<(), DeskError> {
        let taken: usize = self.wallets.values().map(|wallet| wallet.book.addresses().len()).sum();
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        if taken.saturating_add(more) > ADDRESSES_TOTAL_MAX {
            return Err(DeskError::TooManyAddresses);
        }
        Ok(())
    }

    fn new_address(&mut self, name: &WalletName) -> Result<(u32, Address), DeskError> {
        self.wallet(name)?;
        self.check_room(1)?;
        let wallet = self.wallet(name)?;
        let index = u32::try_from(wallet.book.addresses().len()).map_err(|_| DeskError::TooManyAddresses)?;
        let address = wallet.keystore.address(index)?;
        wallet.book.add_address(address);
        let id = wallet.id;
        self.stage.changes.put_addresses(&id, index + 1);
        self.stage.durable = true;
        self.stage.wallets.insert(name.clone());
        Ok((index, address))
    }

    fn unlock(&mut self, name: &WalletName, keys: Keys, until: Option<u64>) -> Result<(), DeskError> {
        let wallet = self.wallet(name)?;
        if wallet.keystore.is_encrypted() {
            (wallet.keys, wallet.until) = (Some(keys), until);
            self.stage.wallets.insert(name.clone());
        }
        Ok(())
    }

    fn lock(&mut self, name: &WalletName) -> Result<(), DeskError> {
        let wallet = self.wallet(name)?;
        if !wallet.keystore.is_encrypted() {
            return Err(DeskError::NotEncrypted);
        }
        (wallet.keys, wallet.until) = (None, None);
        self.stage.wallets.insert(name.clone());
        Ok(())
    }

    /// Locks the wallets whose time is over.
    fn forget_keys(&mut self, now: u64) {
        for (name, wallet) in &mut self.wallets {
            if wallet.until.is_some_and(|until| until <= now) {
                (wallet.keys, wallet.until) = (None, None);
                self.stage.wallets.insert(name.clone());
            }
        }
    }

    /// What is known of an id: live, touched by this group, or stored.
    fn known(&mut self, name: &WalletName, id: &IntentId) -> Result<Option<Arc<Intent>>, DeskError> {
        let wallet = self.wallet(name)?;
        if let Some(intent) = wallet.book.find(id) {
            return Ok(Some(Arc::clone(intent)));
        }
        let owner = wallet.id;
        if let Some(intent) = self.stage.find(name, id) {
            return Ok(Some(Arc::clone(intent)));
        }
        Ok(self.parts.store.by_id(&owner, id)?.map(Arc::new))
    }

    fn send(
        &mut self,
        name: &WalletName,
        id: IntentId,
        request: Request,
        now: u64,
    ) -> Result<Arc<Intent>, DeskError> {
        if let Some(known) = self.known(name, &id)? {
            return if known.request == request { Ok(known) } else { Err(DeskError::IdReused { id }) };
        }
        let synced = self.is_synced(now);
        let wallet = self.wallet(name)?;
        let unlocked = wallet.keys.is_some();
        let change = wallet.book.create(NewIntent { id, request, unlocked, synced, now })?;
        let (owner, intent) = (wallet.id, Arc::clone(&change.intent));
        self.stage.put((name, &owner), change);
        Ok(intent)
    }

    fn cancel(&mut self, name: &WalletName, id: &IntentId, now: u64) -> Result<Arc<Intent>, DeskError> {
        let known = self.known(name, id)?.ok_or_else(|| DeskError::UnknownIntent { id: id.clone() })?;
        match known.state {
            State::Cancelled {} => return Ok(known),
            state if state.is_final() => return Err(DeskError::NotCancellable { state }),
            _ => {}
        }
        let wallet = self.wallet(name)?;
        let change = wallet.book.cancel(id, now)?;
        let (owner, intent) = (wallet.id, Arc::clone(&change.intent));
        self.stage.put((name, &owner), change);
        Ok(intent)
    }

    fn hear(&mut self, event: LightEvent, now: u64) {
        match event {
            LightEvent::Node(status) => {
                match status.link {
                    Link::Up => self.lost.remove(&status.address),
                    _ => self.lost.insert(status.address),
                };
                self.stage.nodes.push(status);
            }
            LightEvent::Sending { ids, .. } => {
                // Another node's word may have ended it meanwhile: then it is nobody's question any more.
                let is_live = |id: &TxId| self.wallets.values().any(|wallet| wallet.book.has_signed(id));
                self.stage.attempted.extend(ids.into_iter().filter(is_live));
            }
            LightEvent::Reading(reading) => self.read(*reading, now),
            LightEvent::Verdict { id, verdict, .. } => {
                for (name, wallet) in &mut self.wallets {
                    if let Some(change) = wallet.book.verdict(&id, &verdict, now) {
                        self.stage.verdicts = true;
                        self.stage.put((name, &wallet.id), change);
                    }
                }
            }
        }
    }

    /// Takes a reading, or only hears what it proves.
    fn read(&mut self, reading: Reading, now: u64) {
        let Reading { snapshot, standings } = reading;
        if !is_taken(self.snapshot.as_deref(), &snapshot, now) {
            self.wallets.values_mut().for_each(|wallet| wallet.book.hear(&standings));
            return;
        }
        let snapshot = Arc::new(snapshot);
        for (name, wallet) in &mut self.wallets {
            wallet.book.set_snapshot(Arc::clone(&snapshot));
            for change in wallet.book.stand(&standings, now) {
                self.stage.put((name, &wallet.id), change);
            }
        }
        let (at, accounts) = &self.written;
        if *accounts != snapshot.accounts || now.saturating_sub(*at) >= SNAPSHOT_WRITE_MS {
            self.stage.changes.put_snapshot(&snapshot);
            self.written = (now, snapshot.accounts.clone());
        }
        self.lost.remove(&snapshot.node);
        self.snapshot = Some(snapshot);
        self.is_read = true;
        self.stage.snapshot = true;
    }

    /// Nothing is signed on figures that nobody stands by any more: it could not be dropped again.
    fn is_synced(&self, now: u64) -> bool {
        let snapshot = self.snapshot.as_ref().filter(|_| self.is_read);
        snapshot.is_some_and(|snapshot| is_fresh(snapshot, now) && !self.lost.contains(&snapshot.node))
    }

    fn sign(&mut self, now: u64) {
        let synced = self.is_synced(now);
        for (name, wallet) in &mut self.wallets {
            let keys = wallet.keys.as_ref();
            let mut sign =
                keys.map(|keys| |index, body| keys.sign(index, body).map_err(|error| error.to_string()));
            let sign = sign.as_mut().map(|sign| sign as super::book::Sign<'_>);
            for change in wallet.book.sign(synced, sign, now) {
                self.stage.put((name, &wallet.id), change);
            }
        }
    }

    /// Writes what is staged: durable where somebody hears of it as done.
    fn commit(&mut self) -> Result<(), StoreError> {
        let changes = take(&mut self.stage.changes);
        let durable = take(&mut self.stage.durable);
        let places = [
            (take(&mut self.stage.created), "send.before_intent", "send.after_intent"),
            (take(&mut self.stage.verdicts), "send.before_verdict", "send.after_verdict"),
            (take(&mut self.stage.signed), "send.before_signed", "send.after_signed"),
        ];
        let hit = |(is_there, before, after): &(bool, &'static str, &'static str), first: bool| {
            if *is_there {
                failpoint::hit(if first { before } else { after });
            }
        };
        places.iter().for_each(|place| hit(place, true));
        match durable {
            true => self.parts.store.commit(changes)?,
            false => self.parts.store.write(changes)?,
        }
        places.iter().for_each(|place| hit(place, false));
        Ok(())
    }

    /// Shows what is written, and tells the link what it has to see to.
    fn show(&mut self) {
        let stage = &mut self.stage;
        if !stage.shows() {
            return;
        }
        {
            let mut ids = self.parts.ids.write().unwrap_or_else(PoisonError::into_inner);
            ids.extend(stage.wallets.iter().map(|name| (name.clone(), self.wallets[name].id)));
        }
        let intents = take(&mut stage.intents);
        let moves = !(intents.is_empty() && stage.wallets.is_empty());
        self.parts.shared.change(|view| {
            for name in &stage.wallets {
                show_wallet(view, name, &self.wallets[name]);
            }
            if stage.snapshot {
                view.snapshot.clone_from(&self.snapshot);
                view.is_read = self.is_read;
            }
            for status in take(&mut stage.nodes) {
                match view.nodes.iter_mut().find(|node| node.address == status.address) {
                    Some(node) => *node = status,
                    None => view.nodes.push(status),
                }
            }
            view.attempted.extend(take(&mut stage.attempted));
            for (name, intent) in intents {
                show_intent(view, &name, intent);
            }
        });
        if moves {
            self.want();
        }
    }

    /// Tells the link, where it is told anything new.
    fn want(&self) {
        let books = || self.wallets.values().map(|wallet| &wallet.book);
        let mut addresses: Vec<Address> = books().flat_map(Book::addresses).copied().collect();
        addresses.sort_unstable();
        let wanted = Wanted { addresses, outgoing: books().flat_map(Book::outgoing).collect() };
        self.parts.wanted.send_if_modified(|current| {
            let outgoing = current.outgoing.iter().map(|tx| (tx.id, tx.submit));
            let is_same = current.addresses == wanted.addresses
                && outgoing.eq(wanted.outgoing.iter().map(|tx| (tx.id, tx.submit)));
            if !is_same {
                *current = Arc::new(wanted);
            }
            !is_same
        });
    }

    /// Answers; who asked may have left.
    fn answer(&self, answer: Answer) {
        match answer {
            Answer::Done(reply, result) => drop(reply.send(result)),
            Answer::Address(reply, result) => drop(reply.send(result)),
            Answer::Intent(reply, result) => {
                let newest = |(name, intent): (WalletName, Arc<Intent>)| {
                    let wallet = self.wallets.get(&name);
                    wallet.and_then(|wallet| wallet.book.find(&intent.id)).map_or(intent.clone(), Arc::clone)
                };
                drop(reply.send(result.map(newest)));
            }
        }
    }

    /// Reopens sled in an idle moment, or when there is none for long.
    fn keep_house(&mut self, idle: bool) -> Result<(), StoreError> {
        let most = if idle { REOPEN_BYTES } else { REOPEN_BUSY * REOPEN_BYTES };
        if self.parts.store.bytes_written() >= most {
            let took = self.parts.store.reopen();
            let took = took.map_err(|error| StoreError::Damaged { reason: error.to_string() })?;
            tracing::debug!(ms = took.as_millis(), "store reopened");
        }
        Ok(())
    }
}

fn show_wallet(view: &mut View, name: &WalletName, wallet: &Wallet) {
    let (unlocked, addresses) = (wallet.keys.is_some(), wallet.book.addresses().to_vec());
    match view.wallets.entry(name.clone()) {
        Entry::Occupied(shown) => {
            let shown = shown.into_mut();
            (shown.unlocked, shown.unlocked_until, shown.addresses) = (unlocked, wallet.until, addresses);
        }
        Entry::Vacant(place) => {
            place.insert(WalletView {
                encrypted: wallet.keystore.is_encrypted(),
                unlocked,
                unlocked_until: wallet.until,
                addresses,
                birthday: wallet.keystore.birthday(),
                live: BTreeMap::new(),
            });
        }
    }
}

fn show_intent(view: &mut View, name: &WalletName, intent: Arc<Intent>) {
    let Some(wallet) = view.wallets.get_mut(name) else { return };
    if !intent.state.is_final() {
        wallet.live.insert(intent.id.clone(), intent);
        return;
    }
    wallet.live.remove(&intent.id);
    if let Some(signed) = &intent.signed {
        view.attempted.remove(&signed.id);
    }
}

/// Says in the view that the thread is gone, should it panic.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.change(|view| view.failed = Some("the desk's thread panicked".to_owned()));
        }
    }
}
