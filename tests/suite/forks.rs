//! A tree of 50 forks, given to a node's chain in every order that a network might: the node ends
//! where the ledger in memory says, block by block and record by record, and no payment that a fork
//! took back is lost. Must not know sockets or clocks.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::Overlay;
use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Transaction;
use steelyard_ledger::story::Story;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::error::{Accepted, BlockError};
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chain::{Block, Chain};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::random::Random;

const FORKS: usize = 50;
/// Accounts that pay once each, whichever branch it is on: their payments are valid on all of them.
const PAYERS: u64 = 60;
/// Coins of each at genesis, in base units.
const FUNDS: u64 = 1_000;
/// How long after genesis the node believes it is: later than every block, ms.
const LATE_MS: u64 = 365 * 24 * 60 * 60 * 1000;

fn payer(number: u64) -> Account {
    Account::numbered(1_000 + number)
}

/// A network of the story's rules with the payers' coins; the difficulty is that of the caller.
fn params(base: Params) -> Params {
    let mut allocations = base.allocations.clone();
    allocations.extend((0..PAYERS).map(|number| (payer(number).address, FUNDS)));
    allocations.sort();
    let rules = Story::chain().params().clone();
    Params {
        allocations,
        block_txs_max: rules.block_txs_max,
        halving_interval: rules.halving_interval,
        ..base
    }
}

/// A difficulty that follows each branch's own times: the longest is not always the one of most work.
fn moving() -> Params {
    let drift = 500;
    params(Params { drift, half_life: 72 * drift, start_bits: 0x1f7f_ffff, ..Params::dev() })
}

/// Every block has the same work: branches of one height are equal.
fn constant() -> Params {
    params(Params::dev())
}

/// The tree.
struct Forest {
    params: Params,
    /// Each fork from genesis to its tip.
    forks: Vec<Chain>,
    /// Every block once, parents first, with a fork that it is on.
    blocks: BTreeMap<BlockId, (Block, usize)>,
    payments: Vec<CheckedTx>,
}

impl Forest {
    fn grow(params: Params, random: &mut Random) -> Self {
        let mut story = Story::new(random.clone());
        let trunk = Chain::new(params.clone());
        let network = trunk.network();
        let pay = |number| {
            let to = vec![coins(Account::dev(0).address, 1 + number)];
            payer(number).pay(network, Terms::of_nonce(0).fee(number % 3), to)
        };
        let payments: Vec<Transaction> = (0..PAYERS).map(pay).collect();
        let payments = trunk.check_all(&payments);
        let mut forks = vec![trunk];
        while forks.len() <= FORKS {
            let from = &forks[forks.len() - 1 - random.place(forks.len().min(8))];
            let height = from.height() - random.below(1 + from.height().min(5));
            let mut fork = from.fork_at(height);
            for _ in 0..1 + random.below(4) {
                let some = (0..random.below(3)).map(|_| &payments[random.place(payments.len())]);
                let unpaid = some.filter(|tx| fork.nonce(tx.tx().body.sender) == 0).cloned().collect();
                let block = story.next_block_after(&fork, unpaid);
                fork.connect(&block).unwrap();
            }
            forks.push(fork);
        }
        forks.remove(0);
        let mut blocks = BTreeMap::new();
        for (number, fork) in forks.iter().enumerate() {
            for block in fork.blocks() {
                blocks.entry(block.header.id()).or_insert_with(|| (block.clone(), number));
            }
        }
        Self { params, forks, blocks, payments }
    }

    /// The branch that ends with a block.
    fn branch(&self, id: &BlockId) -> Chain {
        let (block, fork) = &self.blocks[id];
        self.forks[*fork].fork_at(block.header.height)
    }

    fn total_work(&self, id: &BlockId) -> u128 {
        let (block, fork) = &self.blocks[id];
        self.forks[*fork].tip_at(block.header.height).total_work
    }

    /// The tips with most work.
    fn best(&self) -> Vec<BlockId> {
        let most = self.blocks.keys().map(|id| self.total_work(id)).max().unwrap();
        self.blocks.keys().filter(|id| self.total_work(id) == most).copied().collect()
    }

    fn unchecked(&self, id: &BlockId) -> UncheckedBlock {
        let (block, _) = &self.blocks[id];
        UncheckedBlock { header: block.header, body: block.body.clone() }
    }
}

/// In which order the blocks come.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Any, children before their parents too: those are not taken, and come again later.
    Any,
    /// By work: nearly every block is a new best one, on another branch.
    Climbing,
    /// Whole branches from genesis on, each at once, with blocks that are there already.
    Branches,
}

/// A node on its way through an order.
struct Walk<'a> {
    forest: &'a Forest,
    folder: tempfile::TempDir,
    /// Always there but for the moment of a restart.
    node: Option<InProcess>,
    /// What the rule says the tip is: of blocks taken so far the first with most work.
    tip: BlockId,
    work: u128,
    /// Blocks that were on the active chain at some moment.
    been_active: BTreeSet<BlockId>,
    /// Payments that the pool was given.
    offered: BTreeSet<TxId>,
}

impl<'a> Walk<'a> {
    fn new(forest: &'a Forest) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = InProcess::open(&forest.params, folder.path());
        let (tip, work) = {
            let view = node.chain.shared.read();
            (view.tip().id, view.tip().total_work)
        };
        Self {
            forest,
            folder,
            node: Some(node),
            tip,
            work,
            been_active: BTreeSet::new(),
            offered: BTreeSet::new(),
        }
    }

    fn node(&self) -> &InProcess {
        self.node.as_ref().expect("nothing is asked of it in a restart")
    }

    fn chain(&self) -> &steelyard_node::chain::Chain {
        &self.node().chain
    }

    fn now(&self) -> u64 {
        self.forest.params.genesis_time + LATE_MS
    }

    /// Gives one block; whether it was taken. A child without its parent is not, and nothing is said
    /// about it.
    fn give(&mut self, id: &BlockId) -> bool {
        let prev = self.forest.blocks[id].0.header.prev;
        let is_there = self.chain().shared.read().block(&prev).is_some();
        match self.chain().submit_block(self.forest.unchecked(id), self.now()) {
            Err(BlockError::UnknownParent(parent)) => {
                assert!(parent == prev && !is_there);
                self.assert_tip();
                false
            }
            verdict => {
                assert!(is_there);
                let accepted = self.note(id);
                assert_eq!(verdict, Ok(accepted));
                self.assert_tip();
                true
            }
        }
    }

    /// Gives a branch from genesis to its tip at once.
    fn give_branch(&mut self, fork: &Chain) {
        let ids = &fork.ids()[1..];
        let known: Vec<bool> = ids.iter().map(|id| self.chain().shared.read().block(id).is_some()).collect();
        let blocks = ids.iter().map(|id| self.forest.unchecked(id)).collect();
        let verdicts = self.chain().submit_blocks(blocks, self.now());
        assert_eq!(verdicts.len(), ids.len());
        for ((id, known), verdict) in ids.iter().zip(known).zip(verdicts) {
            let expected = if known { Accepted::Known } else { self.note(id) };
            assert_eq!(verdict, Ok(expected));
        }
        self.assert_tip();
    }

    /// What becomes of a block that was not here: most work wins, and of equals the first.
    fn note(&mut self, id: &BlockId) -> Accepted {
        let work = self.forest.total_work(id);
        if work <= self.work {
            return Accepted::Side;
        }
        (self.tip, self.work) = (*id, work);
        Accepted::Active
    }

    fn assert_tip(&mut self) {
        let active: Vec<BlockId> = {
            let view = self.chain().shared.read();
            assert_eq!(view.tip().id, self.tip);
            (1..=view.tip().header.height).map(|height| view.active(height).unwrap().id).collect()
        };
        self.been_active.extend(active);
    }

    /// Gives the pool a payment, whether it is confirmed by now or not.
    fn offer(&mut self, tx: &CheckedTx) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let admitted = runtime.block_on(self.chain().submit_tx(tx.clone()));
        let is_paid = self.node_nonce(tx) == 1;
        assert_eq!(admitted.is_err(), is_paid, "{admitted:?}");
        self.offered.insert(tx.id());
    }

    fn node_nonce(&self, tx: &CheckedTx) -> u64 {
        let state = self.chain().shared.read().state();
        Overlay::new(&state).account(tx.tx().body.sender).1
    }

    fn restart(&mut self) {
        // The folder is one node's at a time.
        drop(self.node.take());
        self.node = Some(InProcess::open(&self.forest.params, self.folder.path()));
        self.assert_tip();
    }

    /// Gives everything in the order, with payments and a restart between.
    fn go(&mut self, order: Order, random: &mut Random) {
        match order {
            Order::Branches => {
                let mut left: Vec<usize> = (0..self.forest.forks.len()).collect();
                while !left.is_empty() {
                    let fork = left.remove(random.place(left.len()));
                    self.give_branch(&self.forest.forks[fork]);
                    self.between(random);
                }
            }
            Order::Any => {
                let mut left: Vec<BlockId> = self.forest.blocks.keys().copied().collect();
                let mut early = 0;
                while !left.is_empty() {
                    let id = left.remove(random.place(left.len()));
                    if !self.give(&id) {
                        left.push(id);
                        early += 1;
                    }
                    self.between(random);
                }
                assert!(early > 20, "children came before parents {early} times");
            }
            Order::Climbing => {
                let mut ids: Vec<BlockId> = self.forest.blocks.keys().copied().collect();
                ids.sort_by_key(|id| self.forest.total_work(id));
                for id in ids {
                    assert!(self.give(&id), "parents have less work");
                    self.between(random);
                }
            }
        }
    }

    fn between(&mut self, random: &mut Random) {
        if random.below(8) == 0 {
            let payment = self.forest.payments[random.place(self.forest.payments.len())].clone();
            self.offer(&payment);
        }
        if random.below(60) == 0 {
            self.restart();
        }
    }

    /// The node is where the ledger in memory is at the end of this branch: blocks, work, records.
    fn assert_at(&self, branch: &Chain) {
        let view = self.chain().shared.read();
        let tip = branch.tip();
        assert_eq!((view.tip().id, view.tip().total_work), (tip.id, tip.total_work));
        let ids: Vec<BlockId> = (0..=branch.height()).map(|height| view.active(height).unwrap().id).collect();
        assert_eq!(ids, branch.ids());
        assert_eq!(view.state().root(), tip.state.root());
        assert!(view.state().iter().eq(tip.state.iter()));
    }

    /// Every payment that a branch confirmed for a while, or that the pool was given, is in the chain
    /// or waits, and none is in both. Of all else that waits, what is next in line is valid.
    fn assert_payments(&self, branch: &Chain) -> usize {
        let seen: BTreeSet<TxId> = self.been_active.iter().flat_map(|id| self.payments_of(id)).collect();
        let view = self.chain().shared.read();
        let mut waiting = 0;
        for payment in &self.forest.payments {
            let is_paid = branch.nonce(payment.tx().body.sender) == 1;
            let is_pending = view.pending(&payment.id()).is_some();
            let is_due = seen.contains(&payment.id()) || self.offered.contains(&payment.id());
            assert!(!(is_paid && is_pending));
            assert_eq!(is_paid || is_pending, is_due || is_paid, "{:?}", payment.id());
            waiting += usize::from(is_pending);
        }
        for entry in view.pending_all() {
            let body = &entry.tx.tx().body;
            let next = branch.nonce(body.sender);
            assert!(body.nonce >= next, "a nonce that is used waits");
            assert!(body.nonce > next || branch.judge(entry.tx.bytes()).is_ok());
        }
        waiting
    }

    fn payments_of(&self, id: &BlockId) -> Vec<TxId> {
        let txs = self.forest.blocks[id].0.body.items[1..].iter();
        txs.map(|bytes| Transaction::from_bytes(bytes).unwrap().body.id()).collect()
    }

    /// Mines until no payment waits: each was made once.
    fn pay_out(&self) {
        let is_waiting = |tx: &CheckedTx| self.chain().shared.read().pending(&tx.id()).is_some();
        let due: Vec<_> = self.forest.payments.iter().filter(|tx| is_waiting(tx)).collect();
        for _ in 0..PAYERS {
            if !due.iter().any(|tx| is_waiting(tx)) {
                break;
            }
            self.node().mine(Account::numbered(1).address);
        }
        assert!(due.iter().all(|tx| !is_waiting(tx) && self.node_nonce(tx) == 1));
    }
}

/// One forest in every order: the same end each time, if it has but one.
fn every_order(params: Params, seed: u64) {
    let mut random = Random::for_test(seed);
    let forest = Forest::grow(params, &mut random);
    let best = forest.best();
    println!("{} blocks, {} tips of most work", forest.blocks.len(), best.len());
    let mut all_left = 0;
    for order in [Order::Any, Order::Climbing, Order::Branches, Order::Any] {
        let mut walk = Walk::new(&forest);
        walk.go(order, &mut random);
        assert!(best.contains(&walk.tip), "{order:?}");
        let branch = forest.branch(&walk.tip);
        walk.assert_at(&branch);
        let waiting = walk.assert_payments(&branch);
        let left = walk.been_active.iter().filter(|id| !branch.ids().contains(id)).count();
        println!("{order:?}: {left} blocks were left, {waiting} payments wait");
        all_left += left;
        walk.restart();
        walk.assert_at(&branch);
        assert_eq!(walk.assert_payments(&branch), waiting);
        walk.pay_out();
    }
    assert!(all_left > 20, "the orders made the node move: {all_left}");
}

#[test]
fn forks_in_any_order_end_at_the_tip_of_most_work() {
    every_order(moving(), 301);
}

/// Equal tips: the first that came stays, over restarts too.
#[test]
fn forks_of_equal_work_end_at_the_first_that_came() {
    every_order(constant(), 302);
}
