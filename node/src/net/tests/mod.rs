//! The framed protocol over a real chain in a folder of its own. The files below tell what is
//! answered, and how connections are treated.

mod answers;
mod connections;

use std::sync::Arc;
use std::thread::JoinHandle;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::BlockId;
use steelyard_core::wire::{Failure, Message};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::read;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::light::bounded;
use super::requests::Desk;
use crate::chain::error::Accepted;
use crate::chain::tests::maker::{Maker, params};
use crate::chain::{Chain, load};
use crate::finder::{self, Finder};
use crate::store::{Store, StoreError};

/// A node without its sockets, and a maker of its blocks.
struct Stage {
    chain: Chain,
    maker: Maker,
    desk: Arc<Desk>,
    runtime: Runtime,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
    finder: Arc<Finder>,
    keeper: Option<JoinHandle<()>>,
    folder: Arc<TempDir>,
}

impl Stage {
    fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), Maker::new(params()))
    }

    fn open(folder: Arc<TempDir>, maker: Maker) -> Self {
        Self::open_pruning(folder, maker, None)
    }

    /// That keeps the bodies of so many blocks.
    fn open_pruning(folder: Arc<TempDir>, maker: Maker, prune: Option<u64>) -> Self {
        let mut stage = Self::whole((folder, prune), maker, finder::tests::opening());
        stage.keep_index();
        stage
    }

    /// An index that nobody keeps yet.
    fn with(folder: Arc<TempDir>, maker: Maker, finder: Arc<Finder>) -> Self {
        Self::whole((folder, None), maker, finder)
    }

    fn whole((folder, prune): (Arc<TempDir>, Option<u64>), maker: Maker, finder: Arc<Finder>) -> Self {
        let store = Store::open(&folder.path().join("chain"), &params().network_id()).unwrap();
        let mut loaded = load::load(params(), &store).unwrap();
        loaded.prune = prune;
        let (chain, writer) = Chain::start(loaded, Arc::new(store)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let desk = Arc::new(Desk::new(chain.clone(), Arc::clone(&finder)));
        let (runtime, writer) = (runtime.unwrap(), Some(writer));
        Self { chain, maker, desk, runtime, writer, finder, keeper: None, folder }
    }

    fn keep_index(&mut self) {
        let folder = self.folder.path().join(finder::INDEX_FOLDER);
        self.keeper = Some(finder::tests::keep(&self.finder, &self.chain, &folder));
    }

    fn tip(&self) -> BlockId {
        self.chain.shared.read().tip().id
    }

    /// A block of these transactions on the tip.
    fn mine(&mut self, txs: &[CheckedTx]) -> BlockId {
        let id = self.maker.make(self.tip(), txs);
        assert_eq!(self.give(id), Accepted::Active);
        id
    }

    fn give(&self, id: BlockId) -> Accepted {
        self.chain.submit_block(self.maker.block(id), u64::MAX).unwrap()
    }

    fn send(&self, tx: &CheckedTx) {
        self.runtime.block_on(self.chain.submit_tx(tx.clone())).unwrap();
    }

    fn frame(&self, request: &impl Message) -> Frame {
        self.runtime.block_on(self.desk.answer(&Frame::of(7, request).unwrap())).unwrap()
    }

    /// The answer to a request, with its number.
    fn ask<M: Message>(&self, request: &impl Message) -> M {
        let answer = self.frame(request);
        assert_eq!(answer.request, 7);
        read(&answer).unwrap()
    }

    fn failure(&self, request: &impl Message) -> String {
        self.ask::<Failure>(request).code.to_string()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.chain.stop();
        self.writer.take().unwrap().join().unwrap().unwrap();
        self.keeper.take().into_iter().for_each(|keeper| keeper.join().unwrap());
    }
}
