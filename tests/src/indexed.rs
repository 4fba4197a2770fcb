//! A chain in this process with its index: a story with branches that win and lose to feed it, and what
//! the index must find by what the bodies say. Must not know how an index is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::hash::{Address, AssetId, TxId};
use steelyard_core::params::Params;
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::{Action, Transaction, asset_id};
use steelyard_ledger::story::Story;
use steelyard_node::chain::Chain;
use steelyard_node::chain::check::{UncheckedBlock, load_right_body};
use steelyard_node::finder::{Finder, FinderLimits, INDEX_FOLDER, Key, Order, Position, Query};
use steelyard_node::store::STORE_FOLDER;

use crate::inprocess::InProcess;
use crate::process::wait_until;
use crate::random::Random;
use crate::tip::Block;

/// Bounds that a few blocks reach: many runs, many merges.
pub const SMALL: FinderLimits =
    FinderLimits { memory_entries: 60, memory_blocks: 7, fan_out: 3, retry: Duration::from_millis(10) };

/// The network of the story, and its blocks in the order in which they arrive: at each turn a branch of
/// some blocks is left for one of one more.
#[must_use]
pub fn story(turns: u64) -> (Params, Vec<Block>) {
    let mut random = Random::new(3);
    let mut story = Story::new(Random::new(4));
    let mut chain = Story::chain();
    let mut blocks = Vec::new();
    for _ in 0..turns {
        let before = chain.height();
        story.go_on(&mut chain, 3 + random.below(5));
        blocks.extend(chain.blocks().skip(usize::try_from(before).unwrap()).cloned());
        let back = 1 + random.below(4.min(chain.height()));
        let mut fork = chain.fork_at(chain.height() - back);
        story.go_on(&mut fork, back + 1);
        blocks.extend(fork.blocks().skip(usize::try_from(fork.height() - back - 1).unwrap()).cloned());
        chain = fork;
    }
    (chain.params().clone(), blocks)
}

/// A chain and its index, in a node's folder.
pub struct Indexed {
    /// The chain.
    pub node: InProcess,
    /// The index.
    pub finder: Arc<Finder>,
    keeper: Option<JoinHandle<()>>,
}

impl Indexed {
    /// Opens or creates both.
    #[must_use]
    pub fn open(params: &Params, data_dir: &Path, limits: FinderLimits) -> Self {
        let node = InProcess::open(params, &data_dir.join(STORE_FOLDER));
        let (finder, keeper) =
            Finder::start(&node.chain, &data_dir.join(INDEX_FOLDER), limits).expect("there is a thread left");
        Self { node, finder, keeper: Some(keeper) }
    }

    /// Has the chain take a block, if it does not have it.
    pub fn give(&self, block: Block) {
        let block = UncheckedBlock { header: block.header, body: block.body };
        self.node.chain.submit_block(block, u64::MAX / 2).expect("a block of the test's making is good");
    }

    /// Waits until the index is at the tip.
    pub fn settle(&self) {
        wait_until(
            || format!("the index is at the tip (failure: {:?})", self.finder.failure()),
            || {
                let view = self.node.chain.shared.read();
                let indexed = self.finder.indexed_height(&view);
                (indexed == Some(view.tip().header.height)).then_some(())
            },
        );
    }

    /// Ends both, what is in memory being saved.
    pub fn stop(mut self) {
        self.node.stop();
        self.keeper.take().expect("it is stopped once").join().expect("the index's thread does not panic");
    }

    /// Every transaction, history and asset of the active chain is found, in its order; what is found
    /// beside them is not in the chain.
    pub fn assert_right(&self) {
        self.assert_finds(&Truth::of(&self.node.chain));
    }

    /// The same, of a chain whose bodies are not all here.
    pub fn assert_finds(&self, truth: &Truth) {
        self.settle();
        for (id, place) in &truth.txs {
            assert!(self.find(Query::newest(Key::Tx(*id), 100)).contains(place), "{id} at {place}");
        }
        for (address, places) in &truth.addresses {
            let found = self.find(Query::newest(Key::Address(*address), usize::MAX));
            assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "newest first, none twice: {found:?}");
            let found: BTreeSet<Position> = found.into_iter().collect();
            assert!(found.is_superset(places), "{:?} are missing", places.difference(&found));
        }
        let issues = Query { order: Order::OldestFirst, ..Query::newest(Key::Assets, usize::MAX) };
        let listed: BTreeSet<Position> = self.find(issues).into_iter().collect();
        for (asset, place) in &truth.assets {
            assert!(listed.contains(place), "{asset} at {place}");
            assert!(self.find(Query::newest(Key::Asset(*asset), 100)).contains(place), "{asset} at {place}");
        }
    }

    fn find(&self, query: Query) -> Vec<Position> {
        let found = self.finder.find(&[query]).expect("the index answers").expect("it is open");
        found.places.into_iter().next().expect("one answer for each query")
    }
}

/// What the bodies of the active chain hold.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Transactions.
    pub txs: BTreeMap<TxId, Position>,
    /// All that touches an address.
    pub addresses: BTreeMap<Address, BTreeSet<Position>>,
    /// Issues.
    pub assets: BTreeMap<AssetId, Position>,
}

impl Truth {
    /// Reads every body.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        Self::from(chain, 1)
    }

    /// Reads the bodies from a height on: all that one who prunes can tell.
    #[must_use]
    pub fn from(chain: &Chain, height: u64) -> Self {
        let mut truth = Self::default();
        for height in height.. {
            let Some(entry) = chain.shared.read().active(height).cloned() else { break };
            let body = load_right_body(&chain.shared, &chain.store, &entry).expect("bodies are as stored");
            for (item, bytes) in (0..).zip(&body.items) {
                truth.note(Position { height, item }, bytes);
            }
        }
        truth
    }

    /// What of it is at a height or above.
    #[must_use]
    pub fn above(mut self, height: u64) -> Self {
        let is_above = |place: &Position| place.height >= height;
        self.txs.retain(|_, place| is_above(place));
        self.addresses.values_mut().for_each(|places| places.retain(is_above));
        self.assets.retain(|_, place| is_above(place));
        self
    }

    fn note(&mut self, place: Position, bytes: &[u8]) {
        let mut touch = |address| self.addresses.entry(address).or_default().insert(place);
        if place.item == 0 {
            touch(Coinbase::from_bytes(bytes).expect("a coinbase").miner);
            return;
        }
        let tx = Transaction::from_bytes(bytes).expect("a transaction");
        touch(tx.body.sender);
        if let Action::Transfer { payments } = &tx.body.action {
            payments.iter().for_each(|payment| _ = touch(payment.to));
        }
        let id = tx.body.id();
        if matches!(tx.body.action, Action::Issue { .. }) {
            self.assets.insert(asset_id(&id), place);
        }
        self.txs.insert(id, place);
    }
}
