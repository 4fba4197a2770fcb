//! The index over a real chain in process: against what the bodies say, through reorganisations,
//! restarts and damage. Small bounds, so that there are many runs and merges.

mod chain;
mod fit;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::hash::{Address, BlockId, TxId};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::Transaction;
use tempfile::TempDir;

use super::entry::touched;
use super::keeper::Keeper;
use super::*;
use crate::chain::check::load_right_body;
use crate::chain::load;
use crate::chain::tests::maker::{Maker, params};
use crate::store::{STORE_FOLDER, Store};

/// Bounds that a few blocks reach.
pub(crate) const SMALL: FinderLimits =
    FinderLimits { memory_entries: 12, memory_blocks: 5, fan_out: 3, retry: Duration::from_millis(10) };

/// An index that nobody opens yet.
pub(crate) fn opening() -> Arc<Finder> {
    Arc::new(Finder::new(Condition::Opening))
}

/// Opens it.
pub(crate) fn keep(finder: &Arc<Finder>, chain: &Chain, dir: &Path) -> JoinHandle<()> {
    let keeper = Keeper::new(chain.clone(), dir.to_owned(), SMALL, Arc::clone(finder));
    std::thread::spawn(move || keeper.run())
}

/// SplitMix64, so that a seed always gives the same.
struct Random(u64);

impl Random {
    fn for_test(seed: u64) -> Self {
        let seed = std::env::var("STEELYARD_SEED").map_or(seed, |text| text.parse().unwrap());
        println!("STEELYARD_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

/// A chain that runs, and its index.
struct Stage {
    dir: Arc<TempDir>,
    maker: Maker,
    chain: Chain,
    finder: Arc<Finder>,
    threads: (JoinHandle<Result<(), StoreError>>, JoinHandle<()>),
}

impl Stage {
    fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), Maker::new(params()))
    }

    fn open(dir: Arc<TempDir>, maker: Maker) -> Self {
        let store = Store::open(&dir.path().join(STORE_FOLDER), &params().network_id()).unwrap();
        let loaded = load::load(params(), &store).unwrap();
        let (chain, writer) = Chain::start(loaded, Arc::new(store)).unwrap();
        let (finder, keeper) = Finder::start(&chain, &dir.path().join(INDEX_FOLDER), SMALL).unwrap();
        Self { dir, maker, chain, finder, threads: (writer, keeper) }
    }

    /// Ends both threads; what is in memory becomes a run.
    fn stop(self) -> (Arc<TempDir>, Maker) {
        self.chain.stop();
        self.threads.0.join().unwrap().unwrap();
        self.threads.1.join().unwrap();
        (self.dir, self.maker)
    }

    fn reopened(self) -> Self {
        let (dir, maker) = self.stop();
        Self::open(dir, maker)
    }

    fn give(&self, id: BlockId) {
        self.chain.submit_block(self.maker.block(id), u64::MAX).unwrap();
    }

    fn tip(&self) -> BlockId {
        self.chain.shared.read().tip().id
    }

    /// Waits until the index is at the tip.
    fn settle(&self) {
        for _ in 0..20_000 {
            let is_there = {
                let view = self.chain.shared.read();
                self.finder.indexed_height(&view) == Some(view.tip().header.height)
            };
            if is_there {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the index does not come up to the tip: {:?}", self.finder.failure());
    }

    fn find(&self, query: Query) -> Vec<Position> {
        self.finder.find(&[query]).unwrap().unwrap().places.remove(0)
    }

    /// What the bodies of the active chain hold.
    fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        for height in 1.. {
            let Some(entry) = self.chain.shared.read().active(height).cloned() else { break };
            let body = load_right_body(&self.chain.shared, &self.chain.store, &entry).unwrap();
            for (item, bytes) in (0..).zip(&body.items) {
                let place = Position { height, item };
                if item == 0 {
                    let miner = Coinbase::from_bytes(bytes).unwrap().miner;
                    truth.addresses.entry(miner).or_default().insert(place);
                    continue;
                }
                let tx = Transaction::from_bytes(bytes).unwrap();
                truth.txs.insert(tx.body.id(), place);
                for address in touched(&tx) {
                    truth.addresses.entry(address).or_default().insert(place);
                }
            }
        }
        truth
    }

    /// Everything in the active chain is found, and what is found beside it is of blocks that were
    /// left: `stray` says whether there may be such.
    fn assert_right(&self, may_stray: bool) {
        self.settle();
        let truth = self.truth();
        for (id, place) in &truth.txs {
            let found = self.find(Query::newest(Key::Tx(*id), 100));
            assert!(found.contains(place), "{id} at {place} is not among {found:?}");
            assert!(may_stray || found.len() == 1, "{found:?}");
        }
        for (address, places) in &truth.addresses {
            let found = self.find(Query::newest(Key::Address(*address), usize::MAX));
            assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "{found:?}");
            let missing: Vec<_> = places.iter().filter(|place| !found.contains(place)).collect();
            assert!(missing.is_empty(), "{missing:?} of {places:?} are not among {found:?}");
            assert!(may_stray || found.len() == places.len(), "{found:?} for {places:?}");
        }
    }
}

/// What a chain holds.
#[derive(Debug, Default)]
struct Truth {
    txs: BTreeMap<TxId, Position>,
    addresses: BTreeMap<Address, BTreeSet<Position>>,
}
