//! A simulated world: one chain that is reorganised no deeper than the depth that makes a block
//! final, nodes that lag behind it and forget, a stranger with the same keys, answers that are lost
//! or late, and a wallet that is killed. Whatever happens, each id is paid at most once, and what the
//! book says is final is so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use steelyard_core::crypto::keys::{PublicKey, Signature};
use steelyard_core::crypto::policy::UncheckedPolicy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId, NetworkId, TxId};
use steelyard_core::types::transaction::{Action, Authorization, Transaction, TxBody};
use steelyard_core::wire::{Text, Verdict};

use super::super::book::{Book, Change, Effect, NewIntent};
use super::super::error::DeskError;
use super::super::is_taken;
use super::super::plan::{Rules, reserved};
use super::{header, node, request, seed};
use crate::intent::{Amount, Intent, IntentId, Request, State};
use crate::light::{Reading, Standing};
use crate::view::{Account, Snapshot};

const RULES: Rules = Rules { network: NetworkId([7; 32]), relay_fee_min: 1, proven_depth: 4 };
const OWN: [Address; 3] = [Address([1; 32]), Address([2; 32]), Address([3; 32])];
const NODES: usize = 3;

/// A block, with the accounts after it.
struct Block {
    id: BlockId,
    txs: Vec<TxId>,
    accounts: BTreeMap<Address, Account>,
}

type Chain = Vec<Arc<Block>>;

/// What a node keeps.
#[derive(Default)]
struct Node {
    chain: Chain,
    pool: BTreeMap<(Address, u64), TxId>,
    /// Readings on their way to the wallet.
    late: VecDeque<Reading>,
}

/// The wallet's disk: what is durable, and what may be lost with a kill.
#[derive(Default)]
struct Disk {
    intents: BTreeMap<u64, Intent>,
    undurable: Vec<Intent>,
}

impl Disk {
    fn put(&mut self, change: &Change) {
        let intent = Intent::clone(&change.intent);
        match change.effect {
            Effect::Waiting => {}
            Effect::Moved => self.undurable.push(intent),
            Effect::Created | Effect::Signed | Effect::Ended => {
                self.undurable.push(intent);
                self.keep(usize::MAX);
            }
        }
    }

    /// A kill keeps only the first so many of what was not durable.
    fn keep(&mut self, count: usize) {
        for intent in self.undurable.drain(..).take(count) {
            self.intents.insert(intent.seq, intent);
        }
    }
}

struct World {
    random: StdRng,
    /// The chain that everybody comes to.
    chain: Chain,
    nodes: Vec<Node>,
    /// Everything that was ever signed.
    txs: BTreeMap<TxId, TxBody>,
    /// Nonces that the stranger's transactions have taken: no reorganisation gives them back.
    strangers: BTreeMap<(Address, u64), TxId>,
    made: u64,
    book: Book,
    disk: Disk,
    snapshot: Option<Arc<Snapshot>>,
    unlocked: bool,
    synced: bool,
    now: u64,
    /// What each id was first asked for, and its transaction once there was one.
    asked: BTreeMap<IntentId, (Request, Option<TxId>)>,
    ended: BTreeMap<IntentId, State>,
    seen: BTreeSet<&'static str>,
}

fn book(disk: &Disk) -> Book {
    let live = disk.intents.values().filter(|intent| !intent.state.is_final()).cloned().collect();
    let next = disk.intents.keys().next_back().map_or(1, |seq| seq + 1);
    Book::new(RULES, OWN.to_vec(), next, live)
}

fn forged(body: TxBody) -> Transaction {
    let policy = UncheckedPolicy { threshold: 1, keys: vec![PublicKey([9; 32])] };
    let signatures = List::new(vec![Signature([9; 64])]).unwrap();
    Transaction { body, authorization: Authorization { policy, signers: 1, signatures } }
}

fn payment(body: &TxBody) -> (Address, u64) {
    let Action::Transfer { payments } = &body.action else { panic!("not a transfer") };
    (payments[0].to, payments[0].amount)
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = Disk::default();
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            chain: Vec::new(),
            nodes: Vec::new(),
            txs: BTreeMap::new(),
            strangers: BTreeMap::new(),
            made: 0,
            book: book(&disk),
            disk,
            snapshot: None,
            unlocked: true,
            synced: true,
            now: 1_000_000,
            asked: BTreeMap::new(),
            ended: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        world.extend(&[]);
        world.nodes.resize_with(NODES, Node::default);
        (0..NODES).for_each(|number| world.sync(number));
        world
    }

    fn height(chain: &Chain) -> u64 {
        chain.len() as u64 - 1
    }

    /// Whether a transaction can be in the chain's next block.
    fn fits(&self, accounts: &BTreeMap<Address, Account>, tx: &TxId) -> bool {
        let body = &self.txs[tx];
        let account = accounts.get(&body.sender).copied().unwrap_or_default();
        let taken = self.strangers.get(&(body.sender, body.nonce));
        body.nonce == account.nonce
            && account.balance >= body.fee + payment(body).1
            && (body.expiry == 0 || Self::height(&self.chain) < body.expiry)
            && taken.is_none_or(|taken| taken == tx)
    }

    /// A block of those of the transactions that fit, and a gift to one of our addresses.
    fn extend(&mut self, txs: &[TxId]) {
        let mut accounts = self.chain.last().map(|block| block.accounts.clone()).unwrap_or_default();
        let mut held = Vec::new();
        for tx in txs {
            if !self.chain.is_empty() && self.fits(&accounts, tx) {
                let body = &self.txs[tx];
                let (to, amount) = payment(body);
                let sender = accounts.entry(body.sender).or_default();
                sender.balance -= amount + body.fee;
                sender.nonce += 1;
                accounts.entry(to).or_default().balance += amount;
                held.push(*tx);
                if !self.asked.values().any(|(_, ours)| *ours == Some(*tx)) {
                    self.strangers.insert((body.sender, body.nonce), *tx);
                }
            }
        }
        let lucky = OWN[self.random.random_range(0..OWN.len())];
        accounts.entry(lucky).or_default().balance += self.random.random_range(0..10_000);
        self.made += 1;
        let id = header(self.chain.len() as u64, self.made).id();
        self.chain.push(Arc::new(Block { id, txs: held, accounts }));
    }

    fn mine(&mut self) {
        let number = self.random.random_range(0..NODES);
        let pool: Vec<TxId> = self.nodes[number].pool.values().copied().collect();
        let some = pool.into_iter().filter(|_| self.random.random_ratio(4, 5)).collect::<Vec<_>>();
        self.extend(&some);
        self.sync(number);
    }

    /// Another branch, longer by one, of anything that was ever sent.
    fn reorganise(&mut self) {
        let most = usize::try_from(RULES.proven_depth).unwrap().min(self.chain.len() - 1);
        let depth = self.random.random_range(0..=most);
        self.chain.truncate(self.chain.len() - depth);
        for _ in 0..=depth {
            // Whoever mines it may know any of them.
            let all: Vec<TxId> = self.txs.keys().copied().collect();
            let some = all.into_iter().filter(|_| self.random.random_ratio(1, 3)).collect::<Vec<_>>();
            self.extend(&some);
        }
    }

    /// A node comes to the chain; what its own had and this has not it may forget.
    fn sync(&mut self, number: usize) {
        let forgets = self.random.random_ratio(1, 4);
        let node = &mut self.nodes[number];
        let common = node.chain.iter().zip(&self.chain).take_while(|(a, b)| a.id == b.id).count();
        for tx in node.chain[common..].iter().flat_map(|block| &block.txs).filter(|_| !forgets) {
            let body = &self.txs[tx];
            node.pool.entry((body.sender, body.nonce)).or_insert(*tx);
        }
        node.chain.clone_from(&self.chain);
        let accounts = &self.chain.last().unwrap().accounts;
        let height = Self::height(&self.chain);
        let txs = &self.txs;
        node.pool.retain(|(sender, nonce), tx| {
            let expiry = txs[tx].expiry;
            accounts.get(sender).is_none_or(|account| account.nonce <= *nonce)
                && (expiry == 0 || height < expiry)
        });
    }

    fn submit(&mut self, number: usize, tx: TxId) -> Verdict {
        let body = &self.txs[&tx];
        let node = &mut self.nodes[number];
        if node.chain.iter().any(|block| block.txs.contains(&tx)) {
            return Verdict::Confirmed {};
        }
        let refused = |rule| Verdict::Refused { rule: Text::new(rule), reason: Text::new("no") };
        let account = node.chain.last().unwrap().accounts.get(&body.sender).copied().unwrap_or_default();
        if body.nonce < account.nonce {
            return refused("nonce_used");
        }
        if body.expiry != 0 && Self::height(&node.chain) >= body.expiry {
            return refused("expired");
        }
        if *node.pool.entry((body.sender, body.nonce)).or_insert(tx) != tx {
            return refused("replacement_fee_too_low");
        }
        Verdict::Pending {}
    }

    /// A stranger with the same keys pays with a nonce that may be the wallet's next.
    fn strange(&mut self) {
        let sender = OWN[self.random.random_range(0..OWN.len())];
        let account = self.chain.last().unwrap().accounts.get(&sender).copied().unwrap_or_default();
        let nonce = account.nonce + self.random.random_range(0..3);
        let mut asked = request(1);
        asked.to = Address([0xdd; 32]);
        let plan = crate::intent::Plan { index: 0, sender, amount: 1, fee: 1, expiry: 0 };
        let body = super::super::plan::body(&RULES, &asked, &plan, nonce);
        let id = body.id();
        self.txs.insert(id, body);
        let number = self.random.random_range(0..NODES);
        self.submit(number, id);
    }

    fn read(&mut self, number: usize) -> Reading {
        let node_state = &self.nodes[number];
        let (block, height) = (node_state.chain.last().unwrap(), Self::height(&node_state.chain));
        let account = |address: &Address| block.accounts.get(address).copied().unwrap_or_default();
        let snapshot = Snapshot {
            tip: header(height, 0),
            id: block.id,
            total_work: u128::from(height),
            accounts: OWN.iter().map(|address| (*address, account(address))).collect(),
            incoming: Vec::new(),
            incoming_more: false,
            node: node(u8::try_from(number).unwrap()),
            taken: self.now,
        };
        let stands = |tx: TxId| {
            let mut blocks = (0..).zip(&node_state.chain);
            if let Some((height, block)) = blocks.find(|(_, block)| block.txs.contains(&tx)) {
                return Standing::Confirmed { height, block: block.id, time: height };
            }
            match node_state.pool.values().any(|pooled| *pooled == tx) {
                true => Standing::Pending,
                false => Standing::Unknown,
            }
        };
        let standings = self.book.outgoing().map(|tx| (tx.id, stands(tx.id))).collect();
        Reading { snapshot, standings }
    }

    /// What the desk does with a reading.
    fn take(&mut self, reading: Reading) {
        if !is_taken(self.snapshot.as_deref(), &reading.snapshot, self.now) {
            self.book.hear(&reading.standings);
            return;
        }
        let snapshot = Arc::new(reading.snapshot);
        self.book.set_snapshot(Arc::clone(&snapshot));
        self.snapshot = Some(snapshot);
        let changes = self.book.stand(&reading.standings, self.now);
        self.note(changes);
    }

    fn send(&mut self) {
        let again = self.random.random_ratio(1, 4);
        let known: Vec<IntentId> = self.asked.keys().cloned().collect();
        let id = match known.choose(&mut self.random).filter(|_| again) {
            Some(id) => id.clone(),
            None => format!("i{}", self.asked.len()).parse().unwrap(),
        };
        let amount = match self.random.random_range(0..8) {
            0 => Amount::Max {},
            _ => Amount::Units { units: self.random.random_range(0..1_500) },
        };
        let from = OWN.choose(&mut self.random).copied().filter(|_| self.random.random_ratio(1, 3));
        let expiry_blocks = Some(self.random.random_range(0..10));
        let asked = Request { amount, from, expiry_blocks, ..request(1) };
        let stored = || self.disk.undurable.iter().rev().chain(self.disk.intents.values());
        if let Some(known) = self.book.find(&id).map(AsRef::as_ref).or_else(|| stored().find(|i| i.id == id))
        {
            assert_eq!(known.request, self.asked[&id].0, "{id} is another payment now");
            return;
        }
        let new = NewIntent {
            id: id.clone(),
            request: asked.clone(),
            unlocked: self.unlocked,
            synced: self.synced,
            now: self.now,
        };
        let locked = !self.unlocked;
        match self.book.create(new) {
            Ok(change) => {
                assert!(!locked);
                self.asked.insert(id, (asked, None));
                self.note(vec![change]);
            }
            Err(DeskError::InsufficientFunds { have, need, .. }) => assert!(have < need),
            Err(DeskError::Locked) => assert!(locked),
            Err(DeskError::AmountZero) => assert_eq!(amount, Amount::Units { units: 0 }),
            Err(error) => panic!("{error}"),
        }
    }

    fn sign(&mut self) {
        let mut sign = |index: u32, body: TxBody| {
            assert_eq!(body.sender, OWN[index as usize]);
            Ok(forged(body))
        };
        let sign = self.unlocked.then_some(&mut sign as super::super::book::Sign<'_>);
        let changes = self.book.sign(self.synced, sign, self.now);
        if !(self.unlocked && self.synced) {
            assert!(changes.iter().all(|change| change.effect == Effect::Waiting));
        }
        self.note(changes);
    }

    /// Writes down, and remembers what must never change again.
    fn note(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.disk.put(&change);
            let intent = &change.intent;
            self.seen.insert(intent.state.name());
            assert!(!self.ended.contains_key(&intent.id), "{} was final", intent.id);
            if let Some(signed) = &intent.signed {
                let body = Transaction::from_bytes(&signed.bytes).unwrap().body;
                assert_eq!((body.id(), body.nonce), (signed.id, signed.nonce));
                let (_, tx) = self.asked.get_mut(&intent.id).unwrap();
                assert_eq!(*tx.get_or_insert(signed.id), signed.id, "{} was signed twice", intent.id);
                self.txs.insert(signed.id, body);
            }
            if intent.state.is_final() {
                assert_eq!(change.effect, Effect::Ended);
                self.ended.insert(intent.id.clone(), intent.state);
            }
        }
    }

    /// The wallet is killed and started again.
    fn restart(&mut self) {
        let kept = self.random.random_range(0..=self.disk.undurable.len());
        self.disk.keep(kept);
        self.book = book(&self.disk);
        // Its last reading was written down, or was not.
        self.snapshot = self.snapshot.take().filter(|_| self.random.random_ratio(2, 3));
        if let Some(snapshot) = &self.snapshot {
            self.book.set_snapshot(Arc::clone(snapshot));
        }
        self.nodes.iter_mut().for_each(|node| node.late.clear());
    }

    fn step(&mut self) {
        self.now += self.random.random_range(0..2_000);
        let number = self.random.random_range(0..NODES);
        match self.random.random_range(0..100) {
            0..20 => self.send(),
            20..40 => {
                let outgoing: Vec<TxId> =
                    self.book.outgoing().filter(|tx| tx.submit).map(|tx| tx.id).collect();
                for tx in outgoing {
                    let verdict = self.submit(number, tx);
                    if self.random.random_ratio(3, 4) {
                        let change = self.book.verdict(&tx, &verdict, self.now);
                        self.note(change.into_iter().collect());
                    }
                }
            }
            40..55 => self.mine(),
            55..58 => self.reorganise(),
            58..66 => self.sync(number),
            66..68 => self.nodes[number].pool.clear(),
            68..82 => {
                let reading = self.read(number);
                self.nodes[number].late.push_back(reading);
            }
            82..86 => self.nodes[number].late.clear(),
            86..88 => self.unlocked = !self.unlocked,
            88..90 => self.synced = !self.synced,
            90 => self.strange(),
            91..93 => self.restart(),
            93..95 => {
                // Anybody who has the bytes may send them again.
                let all: Vec<TxId> = self.txs.keys().copied().collect();
                if let Some(tx) = all.choose(&mut self.random) {
                    self.submit(number, *tx);
                }
            }
            _ => {
                let live: Vec<IntentId> = self.book.live().keys().cloned().collect();
                if let Some(id) = live.choose(&mut self.random).filter(|_| self.random.random_ratio(1, 8)) {
                    match self.book.cancel(id, self.now) {
                        Ok(change) => self.note(vec![change]),
                        Err(DeskError::NotCancellable { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
        if self.random.random_ratio(1, 2)
            && let Some(reading) = self.nodes[number].late.pop_front()
        {
            self.take(reading);
        }
        self.sign();
        self.check();
    }

    /// What holds after every step.
    fn check(&self) {
        let live: Vec<&Intent> = self.book.live().values().map(AsRef::as_ref).collect();
        let nonces: Vec<(Address, u64)> = live
            .iter()
            .filter_map(|intent| Some((intent.plan?.sender, intent.signed.as_ref()?.nonce)))
            .collect();
        assert_eq!(nonces.len(), nonces.iter().collect::<BTreeSet<_>>().len(), "a nonce has two owners");
        let funds = self.book.funds();
        assert_eq!(*funds.reserved, reserved(live.iter().copied(), self.snapshot.as_deref()));
        for address in &OWN {
            if let Some(snapshot) = &self.snapshot {
                assert!(funds.spendable(address).unwrap() <= snapshot.accounts[address].balance);
            }
        }
        let mined: BTreeSet<&TxId> = self.chain.iter().flat_map(|block| &block.txs).collect();
        for (id, state) in &self.ended {
            let is_mined = self.asked[id].1.is_some_and(|tx| mined.contains(&tx));
            assert_eq!(is_mined, matches!(state, State::Settled { .. }), "{id} is {}", state.name());
        }
    }

    /// Peace: everything is mined, deep, and read.
    fn settle(&mut self) {
        (self.unlocked, self.synced) = (true, true);
        self.nodes.iter_mut().for_each(|node| node.late.clear());
        for _ in 0..40 {
            self.now += 1_000;
            let outgoing: Vec<TxId> = self.book.outgoing().filter(|tx| tx.submit).map(|tx| tx.id).collect();
            for tx in outgoing {
                let verdict = self.submit(0, tx);
                let change = self.book.verdict(&tx, &verdict, self.now);
                self.note(change.into_iter().collect());
            }
            let pool: Vec<TxId> = self.nodes[0].pool.values().copied().collect();
            self.extend(&pool);
            self.sync(0);
            let reading = self.read(0);
            self.take(reading);
            self.sign();
            self.check();
        }
    }
}

#[test]
fn whatever_happens_each_id_is_paid_at_most_once() {
    let first = seed(11);
    let mut seen = BTreeSet::new();
    for round in 0..5 {
        let mut world = World::new(first + round);
        for _ in 0..2_000 {
            world.step();
        }
        world.settle();
        let waits = |intent: &&Arc<Intent>| intent.signed.is_some();
        let left: Vec<_> = world.book.live().values().filter(waits).collect();
        // Without an end, behind a nonce that nobody fills, or too dear since a reorganisation.
        assert!(left.iter().all(|intent| intent.plan.unwrap().expiry == 0), "{left:?}");
        let settled = |intent: &&Intent| matches!(intent.state, State::Settled { .. });
        let paid: u64 =
            world.disk.intents.values().filter(settled).map(|intent| intent.plan.unwrap().amount).sum();
        let got = world.chain.last().unwrap().accounts.get(&request(1).to).copied().unwrap_or_default();
        let unsettled: u64 = left
            .iter()
            .filter(|intent| matches!(intent.state, State::Confirmed { .. }))
            .map(|intent| intent.plan.unwrap().amount)
            .sum();
        assert_eq!(got.balance, paid + unsettled);
        assert!(paid > 0);
        seen.extend(world.seen);
    }
    let all = ["intended", "signed", "pending", "confirmed", "settled", "expired", "replaced", "cancelled"];
    assert_eq!(seen, all.into(), "the world is too quiet to show anything");
}
