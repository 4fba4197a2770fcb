//! The chain thread with its store, in process: a maker of blocks on any parent, and a node that
//! can be fed, stopped and opened again. No test sleeps; random ones print their seed.

mod checkpoint;
mod damage;
pub mod forest;
mod group;
pub mod maker;
mod prune;
mod refused;
mod reorg;
mod single;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::Overlay;
use steelyard_core::hash::{Address, BlockId, StateRoot, TxId};
use steelyard_core::params::Params;
use tempfile::TempDir;

use self::maker::Maker;
use super::error::{Accepted, BlockError, LoadError, TxError};
use super::index::Verdict;
use super::load::load;
use super::view::Shared;
use super::writer::Writer;
use super::{Chain, Command};
use crate::limits::CHAIN_QUEUE_MAX;
use crate::mempool::Admission;
use crate::store::{STORE_FOLDER, Store, StoreError};

/// Later than any block's time.
const LATE: u64 = u64::MAX;

/// A node without its API.
struct Node {
    dir: Arc<TempDir>,
    chain: Chain,
    thread: JoinHandle<Result<(), StoreError>>,
    rebuilt: bool,
}

impl Node {
    /// A node of a network that has seen nothing.
    fn new(params: &Params) -> Self {
        Self::open(params, Arc::new(tempfile::tempdir().unwrap())).unwrap()
    }

    fn open(params: &Params, dir: Arc<TempDir>) -> Result<Self, LoadError> {
        Self::open_pruning(params, dir, None)
    }

    /// That keeps the bodies of so many blocks.
    fn open_pruning(params: &Params, dir: Arc<TempDir>, prune: Option<u64>) -> Result<Self, LoadError> {
        let store = open_store(params, dir.path());
        let mut loaded = load(params.clone(), &store)?;
        loaded.prune = prune;
        let rebuilt = loaded.rebuilt;
        let (chain, thread) = Chain::start(loaded, Arc::new(store)).unwrap();
        Ok(Self { dir, chain, thread, rebuilt })
    }

    /// Stops the thread and closes the store.
    fn stop(self) -> Arc<TempDir> {
        self.chain.stop();
        self.thread.join().unwrap().unwrap();
        self.dir
    }

    fn reopened(self) -> Self {
        let params = self.chain.shared.params.clone();
        Self::open(&params, self.stop()).unwrap()
    }

    /// Submits a block that the maker made.
    fn give(&self, maker: &Maker, id: BlockId) -> Result<Accepted, BlockError> {
        self.chain.submit_block(maker.block(id), LATE)
    }

    fn give_all(&self, maker: &Maker, ids: &[BlockId]) -> Vec<Result<Accepted, BlockError>> {
        ids.iter().map(|id| self.give(maker, *id)).collect()
    }

    fn send(&self, tx: &CheckedTx) -> Result<Admission, TxError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.chain.submit_tx(tx.clone()))
    }

    fn save_peers(&self, bytes: &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.chain.save_peers(bytes.to_vec())).unwrap();
    }

    fn seen(&self) -> Seen {
        Seen::of(&self.chain.shared)
    }

    fn verdict(&self, id: BlockId) -> Option<Verdict> {
        self.chain.shared.read().block(&id).map(|(_, entry)| entry.verdict.clone())
    }

    fn balance(&self, address: Address) -> u64 {
        Overlay::new(&self.chain.shared.read().state()).account(address).0
    }
}

/// What a node shows, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    tip: BlockId,
    root: StateRoot,
    seq: u64,
    pending: Vec<TxId>,
}

impl Seen {
    fn of(shared: &Shared) -> Self {
        let view = shared.read();
        let mut pending: Vec<TxId> = view.pending_all().map(|entry| entry.tx.id()).collect();
        pending.sort();
        crate::mempool::tests::assert_sound(&view.pool, &view.state);
        assert_eq!(view.state.root(), view.tip().header.state_root, "the state is the tip's");
        assert_eq!(view.pending_size(), (view.pool.len(), view.pool.bytes()));
        Self { tip: view.tip().id, root: view.state.root(), seq: view.seq(), pending }
    }

    /// But for the number of commits, which depends on how commands were grouped.
    fn without_seq(self) -> Self {
        Self { seq: 0, ..self }
    }
}

fn open_store(params: &Params, dir: &Path) -> Store {
    Store::open(&dir.join(STORE_FOLDER), &params.network_id()).unwrap()
}

/// Runs the chain thread's work here on commands that all wait before it starts, and gives what
/// is shown afterwards, which a start must show as well.
fn run_queued(params: &Params, dir: &Arc<TempDir>, commands: Vec<Command>) -> Seen {
    let store = Arc::new(open_store(params, dir.path()));
    let loaded = load(params.clone(), &store).unwrap();
    let shared = Arc::new(loaded.shared);
    let writer = Writer::new(Arc::clone(&shared), Arc::clone(&store), loaded.unsaved_records, None);
    let (sender, queue) = sync_channel(CHAIN_QUEUE_MAX);
    commands.into_iter().for_each(|command| sender.try_send(command).ok().unwrap());
    sender.try_send(Command::Stop).ok().unwrap();
    writer.run(&queue).unwrap();
    let seen = Seen::of(&shared);
    drop((shared, store));
    let node = Node::open(params, Arc::clone(dir)).unwrap();
    assert!(!node.rebuilt);
    assert_eq!(node.seen(), seen, "a start shows what was shown");
    node.stop();
    seen
}
