//! One wallet's sends that are not final, as a state machine: events go in, intents to write down
//! come out. Pure: no store, no clock, no keys. Whoever calls it makes the changes durable before
//! anybody hears of them.
//!
//! What holds whatever nodes say: an intent is signed once and its bytes never change; no nonce of
//! a live signed intent is given to another; what is final stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, TxId};
use steelyard_core::types::transaction::{Transaction, TxBody};
use steelyard_core::wire::{Text, Verdict};

use super::error::DeskError;
use super::plan::{Funds, Reserved, Rules, body, check_request, outstanding, reserved};
use crate::intent::{Intent, IntentId, Obstacle, Plan, Request, Signed, State};
use crate::light::{Outgoing, Standing};
use crate::limits::LIVE_INTENTS_MAX;
use crate::view::Snapshot;

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It came into being. Durable before anybody hears of it.
    Created,
    /// It was signed. Durable before its bytes go anywhere.
    Signed,
    /// Nodes say otherwise than before. Need not be durable: they will say it again.
    Moved,
    /// It is final. Durable, and out of memory.
    Ended,
    /// Only why it waits has changed. Not written down.
    Waiting,
}

/// One intent after an event.
#[derive(Clone, Debug)]
pub struct Change {
    /// As it is now.
    pub intent: Arc<Intent>,
    /// What to do with it.
    pub effect: Effect,
}

/// Signs a body with the key of an address' number. `Err` in words.
pub type Sign<'a> = &'a mut dyn FnMut(u32, TxBody) -> Result<Transaction, String>;

/// What a new intent is made from.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// What the caller calls it.
    pub id: IntentId,
    /// What was asked for.
    pub request: Request,
    /// Whether the keys are at hand.
    pub unlocked: bool,
    /// Whether the reading is fresh.
    pub synced: bool,
    /// Unix ms.
    pub now: u64,
}

/// The sends of one wallet.
#[derive(Debug)]
pub struct Book {
    rules: Rules,
    addresses: Vec<Address>,
    snapshot: Option<Arc<Snapshot>>,
    next_seq: u64,
    live: BTreeMap<IntentId, Arc<Intent>>,
    /// Those not signed yet, in the order of their making.
    unsigned: BTreeMap<u64, IntentId>,
    /// Those signed, with their bytes for the link.
    signed: BTreeMap<TxId, (IntentId, Arc<[u8]>)>,
    /// Nonces of live signed intents, by sender.
    nonces: BTreeMap<(Address, u64), TxId>,
    /// On its way out, under the snapshot.
    reserved: Reserved,
    /// Signed intents that a node does not know although their nonce is used, with the height at
    /// which that was seen first.
    displaced: BTreeMap<TxId, u64>,
}

impl Book {
    /// A wallet's book as it was written down.
    #[must_use]
    pub fn new(rules: Rules, addresses: Vec<Address>, next_seq: u64, live: Vec<Intent>) -> Self {
        let mut book = Self {
            rules,
            addresses,
            snapshot: None,
            next_seq,
            live: BTreeMap::new(),
            unsigned: BTreeMap::new(),
            signed: BTreeMap::new(),
            nonces: BTreeMap::new(),
            reserved: Reserved::new(),
            displaced: BTreeMap::new(),
        };
        for intent in live {
            book.set(intent);
        }
        book
    }

    /// The addresses, by number.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Takes a further address.
    pub fn add_address(&mut self, address: Address) {
        self.addresses.push(address);
    }

    /// Every intent that is not final.
    #[must_use]
    pub fn live(&self) -> &BTreeMap<IntentId, Arc<Intent>> {
        &self.live
    }

    /// An intent that is not final.
    #[must_use]
    pub fn find(&self, id: &IntentId) -> Option<&Arc<Intent>> {
        self.live.get(id)
    }

    /// Whether this is the transaction of an intent that is signed and not final.
    #[must_use]
    pub fn has_signed(&self, tx: &TxId) -> bool {
        self.signed.contains_key(tx)
    }

    /// What can be paid with.
    #[must_use]
    pub fn funds(&self) -> Funds<'_> {
        Funds { addresses: &self.addresses, snapshot: self.snapshot.as_deref(), reserved: &self.reserved }
    }

    /// What the link has to see to, each sender's in the order of nonces.
    pub fn outgoing(&self) -> impl Iterator<Item = Outgoing> {
        self.nonces.values().filter_map(|tx| {
            let (id, bytes) = self.signed.get(tx)?;
            let submit = matches!(self.live.get(id)?.state, State::Signed {});
            Some(Outgoing { id: *tx, bytes: Arc::clone(bytes), submit })
        })
    }

    /// Writes a new intent down: as `Intended`, whatever can be done with it at once. The caller
    /// has looked whether the id is known.
    ///
    /// # Errors
    /// [`DeskError`]: nothing is kept.
    pub fn create(&mut self, new: NewIntent) -> Result<Change, DeskError> {
        check_request(&self.rules, &new.request)?;
        if new.request.from.is_some_and(|from| !self.addresses.contains(&from)) {
            return Err(DeskError::ForeignAddress);
        }
        if !new.unlocked {
            return Err(DeskError::Locked);
        }
        if self.live.len() >= LIVE_INTENTS_MAX {
            return Err(DeskError::OutboxFull);
        }
        let plan = match self.funds().plan(&self.rules, &new.request) {
            Ok(plan) => Some(plan),
            Err(DeskError::NoSnapshot) => None,
            Err(error) => return Err(error),
        };
        let seq = self.next_seq;
        self.next_seq += 1;
        let waits = plan.is_none() || !new.synced;
        let intent = Intent {
            id: new.id,
            seq,
            created: new.now,
            changed: new.now,
            request: new.request,
            plan,
            signed: None,
            state: State::Intended {},
            obstacle: waits.then(no_node),
        };
        Ok(Change { intent: self.set(intent), effect: Effect::Created })
    }

    /// Drops an intent that is not signed.
    ///
    /// # Errors
    /// [`DeskError::UnknownIntent`], [`DeskError::NotCancellable`].
    pub fn cancel(&mut self, id: &IntentId, now: u64) -> Result<Change, DeskError> {
        let intent = self.live.get(id).ok_or_else(|| DeskError::UnknownIntent { id: id.clone() })?;
        if !matches!(intent.state, State::Intended {}) {
            return Err(DeskError::NotCancellable { state: intent.state });
        }
        let intent =
            Intent { state: State::Cancelled {}, changed: now, obstacle: None, ..Intent::clone(intent) };
        Ok(Change { intent: self.set(intent), effect: Effect::Ended })
    }

    /// Signs what can be signed, in the order of making. Blocks until an expiry are counted from
    /// here: no block that was mined while the intent waited is taken off.
    pub fn sign(&mut self, synced: bool, mut sign: Option<Sign<'_>>, now: u64) -> Vec<Change> {
        let waiting: Vec<Arc<Intent>> =
            self.unsigned.values().filter_map(|id| self.live.get(id)).map(Arc::clone).collect();
        let Some(sign) = sign.as_mut().filter(|_| synced) else {
            let obstacle = if synced { locked() } else { no_node() };
            let changes = waiting.iter().filter_map(|intent| self.wait(intent, obstacle.clone()));
            return changes.collect();
        };
        // An earlier one does not wait for what a later one only wants.
        for intent in &waiting {
            self.take(intent);
        }
        let mut changes = Vec::new();
        for intent in waiting {
            let planned = self.funds().plan(&self.rules, &intent.request);
            let signed = match planned {
                Ok(plan) => self.signed(&intent, plan, sign, now).map_err(unsigned),
                Err(DeskError::NoSnapshot) => Err(no_node()),
                Err(error) => Err(obstacle(&error.code(), &error.to_string())),
            };
            self.give(&intent);
            changes.extend(match signed {
                Ok(intent) => Some(Change { intent: self.set(intent), effect: Effect::Signed }),
                Err(obstacle) => self.wait(&intent, obstacle),
            });
        }
        changes
    }

    fn signed(&self, intent: &Intent, plan: Plan, sign: Sign<'_>, now: u64) -> Result<Intent, String> {
        let nonce = self.free_nonce(&plan.sender);
        let tx = sign(plan.index, body(&self.rules, &intent.request, &plan, nonce))?;
        let bytes = List::new(tx.to_bytes()).expect("one payment is shorter than the longest transaction");
        let signed = Signed { id: tx.body.id(), nonce, bytes };
        Ok(Intent {
            plan: Some(plan),
            signed: Some(signed),
            state: State::Signed {},
            changed: now,
            obstacle: None,
            ..intent.clone()
        })
    }

    /// The smallest nonce that neither the chain nor a live intent has used.
    fn free_nonce(&self, sender: &Address) -> u64 {
        let account = self.snapshot.as_ref().and_then(|snapshot| snapshot.accounts.get(sender));
        let mut nonce = account.map_or(0, |account| account.nonce);
        for (_, taken) in self.nonces.range((*sender, nonce)..=(*sender, u64::MAX)).map(|(key, _)| key) {
            if *taken != nonce {
                break;
            }
            nonce += 1;
        }
        nonce
    }

    /// A node's answer to the bytes.
    pub fn verdict(&mut self, tx: &TxId, verdict: &Verdict, now: u64) -> Option<Change> {
        let intent = self.of_tx(tx)?;
        if !matches!(intent.state, State::Signed {}) {
            return None;
        }
        match verdict {
            Verdict::Pending {} | Verdict::Confirmed {} => self.go(&intent, State::Pending {}, now),
            Verdict::Refused { rule, reason } => {
                let obstacle = Some(Obstacle { code: rule.clone(), reason: reason.clone() });
                let moved = intent.obstacle != obstacle;
                moved.then(|| self.moved(Intent { obstacle, ..Intent::clone(&intent) }))
            }
            Verdict::Busy {} => None,
        }
    }

    /// The reading that all figures stand on from now on.
    pub fn set_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.reserved = reserved(self.live.values().map(AsRef::as_ref), Some(&snapshot));
        self.snapshot = Some(snapshot);
    }

    /// Where the current reading's node says that transactions are.
    pub fn stand(&mut self, standings: &[(TxId, Standing)], now: u64) -> Vec<Change> {
        standings.iter().filter_map(|(tx, standing)| self.stand_one(tx, *standing, now)).collect()
    }

    /// What another node proves keeps an intent from being given up.
    pub fn hear(&mut self, standings: &[(TxId, Standing)]) {
        for (tx, standing) in standings {
            if matches!(standing, Standing::Confirmed { .. }) {
                self.displaced.remove(tx);
            }
        }
    }

    fn stand_one(&mut self, tx: &TxId, standing: Standing, now: u64) -> Option<Change> {
        let intent = self.of_tx(tx)?;
        let state = match standing {
            Standing::Confirmed { height, block, time } => {
                self.displaced.remove(tx);
                let tip = self.snapshot.as_ref()?.tip.height;
                match tip.saturating_sub(height) >= self.rules.proven_depth {
                    true => State::Settled { height, block, time },
                    false => State::Confirmed { height, block, time },
                }
            }
            Standing::Pending => {
                self.displaced.remove(tx);
                State::Pending {}
            }
            Standing::Unknown => self.unknown(tx, &intent),
            // Its nonce is taken, perhaps by itself in a block that the node has pruned: not to be given up.
            Standing::Missing if self.is_nonce_taken(&intent) => {
                self.displaced.remove(tx);
                return None;
            }
            Standing::Missing => self.unknown(tx, &intent),
        };
        self.go(&intent, state, now)
    }

    /// Whether the current reading proves that the nonce of a signed intent is taken.
    fn is_nonce_taken(&self, intent: &Intent) -> bool {
        let (Some(plan), Some(signed), Some(snapshot)) = (&intent.plan, &intent.signed, &self.snapshot)
        else {
            return false;
        };
        snapshot.accounts.get(&plan.sender).is_some_and(|account| account.nonce > signed.nonce)
    }

    /// What follows from a node's not knowing a signed intent: its bytes go out again, unless what
    /// the same reading proves of the account leaves no way for it to be mined.
    fn unknown(&mut self, tx: &TxId, intent: &Intent) -> State {
        let (Some(plan), Some(signed), Some(snapshot)) = (&intent.plan, &intent.signed, &self.snapshot)
        else {
            return intent.state;
        };
        let (tip, depth) = (snapshot.tip.height, self.rules.proven_depth);
        match snapshot.accounts.get(&plan.sender) {
            Some(account) if account.nonce > signed.nonce => {
                let first = self.displaced.entry(*tx).or_insert(tip);
                // A tip that went back starts the count again: it is another chain.
                *first = (*first).min(tip);
                if tip - *first >= depth {
                    return State::Replaced {};
                }
            }
            account => {
                self.displaced.remove(tx);
                let end = plan.expiry.saturating_add(depth);
                if account.is_some() && plan.expiry != 0 && tip >= end {
                    return State::Expired {};
                }
            }
        }
        State::Signed {}
    }

    /// Moves an intent to a state; nothing if it is there.
    fn go(&mut self, intent: &Arc<Intent>, state: State, now: u64) -> Option<Change> {
        // The way back keeps why nodes refused it; everything else is news that settles that.
        let obstacle = if state == (State::Signed {}) { intent.obstacle.clone() } else { None };
        if intent.state == state && intent.obstacle == obstacle {
            return None;
        }
        let changed = if intent.state.name() == state.name() { intent.changed } else { now };
        Some(self.moved(Intent { state, changed, obstacle, ..Intent::clone(intent) }))
    }

    fn moved(&mut self, intent: Intent) -> Change {
        let effect = if intent.state.is_final() { Effect::Ended } else { Effect::Moved };
        Change { intent: self.set(intent), effect }
    }

    fn wait(&mut self, intent: &Arc<Intent>, obstacle: Obstacle) -> Option<Change> {
        if intent.obstacle.as_ref() == Some(&obstacle) {
            return None;
        }
        let intent = Intent { obstacle: Some(obstacle), ..Intent::clone(intent) };
        Some(Change { intent: self.set(intent), effect: Effect::Waiting })
    }

    fn of_tx(&self, tx: &TxId) -> Option<Arc<Intent>> {
        let (id, _) = self.signed.get(tx)?;
        self.live.get(id).map(Arc::clone)
    }

    /// Puts an intent in its place in every list, or takes a final one out of them.
    fn set(&mut self, intent: Intent) -> Arc<Intent> {
        let intent = Arc::new(intent);
        if let Some(before) = self.live.remove(&intent.id) {
            self.take(&before);
        }
        self.unsigned.remove(&intent.seq);
        let signed = intent.signed.as_ref().zip(intent.plan);
        if intent.state.is_final() {
            if let Some((signed, plan)) = signed {
                self.signed.remove(&signed.id);
                self.nonces.remove(&(plan.sender, signed.nonce));
                self.displaced.remove(&signed.id);
            }
            return intent;
        }
        match signed {
            Some((signed, plan)) => {
                let bytes = || (intent.id.clone(), Arc::from(&signed.bytes[..]));
                self.signed.entry(signed.id).or_insert_with(bytes);
                self.nonces.insert((plan.sender, signed.nonce), signed.id);
            }
            None => drop(self.unsigned.insert(intent.seq, intent.id.clone())),
        }
        self.give(&intent);
        self.live.insert(intent.id.clone(), Arc::clone(&intent));
        intent
    }

    /// Counts what an intent takes.
    fn give(&mut self, intent: &Intent) {
        if let Some((sender, outflow)) = outstanding(intent, self.snapshot.as_deref()) {
            *self.reserved.entry(sender).or_default() += u128::from(outflow);
        }
    }

    /// Counts it no more.
    fn take(&mut self, intent: &Intent) {
        if let Some((sender, outflow)) = outstanding(intent, self.snapshot.as_deref()) {
            let left = self.reserved.get(&sender).map_or(0, |sum| sum.saturating_sub(u128::from(outflow)));
            match left {
                0 => drop(self.reserved.remove(&sender)),
                left => drop(self.reserved.insert(sender, left)),
            }
        }
    }

    /// Every transaction whose bytes a node may have after a restart.
    #[must_use]
    pub fn maybe_sent(&self) -> BTreeSet<TxId> {
        let is_signed = |id: &IntentId| self.live.get(id).is_some_and(|i| i.state == State::Signed {});
        self.signed.iter().filter(|(_, (id, _))| is_signed(id)).map(|(tx, _)| *tx).collect()
    }
}

fn no_node() -> Obstacle {
    obstacle("no_node", "waits until a node says what the sending account holds")
}

fn locked() -> Obstacle {
    obstacle("wallet_locked", "waits until the wallet is unlocked")
}

fn unsigned(reason: String) -> Obstacle {
    obstacle("not_signed", &reason)
}

fn obstacle(code: &str, reason: &str) -> Obstacle {
    Obstacle { code: Text::new(code), reason: Text::new(reason) }
}
