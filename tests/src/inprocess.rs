//! A node's chain inside the test's own process: store, chain thread, no sockets. For what needs
//! exact control of blocks and moments. Must not know HTTP.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use steelyard_core::consensus::pow::search;
use steelyard_core::consensus::template::Payout;
use steelyard_core::encode::List;
use steelyard_core::hash::Address;
use steelyard_core::params::Params;
use steelyard_core::work::from_bits;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::error::Accepted;
use steelyard_node::chain::{Chain, load};
use steelyard_node::miner;
use steelyard_node::store::{Store, StoreError};
use steelyard_runtime::clock;

/// A chain that runs; stopped when dropped.
pub struct InProcess {
    /// The door to it.
    pub chain: Chain,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
}

impl InProcess {
    /// Opens or creates the chain of a network in a folder.
    #[must_use]
    pub fn open(params: &Params, folder: &Path) -> Self {
        Self::open_pruning(params, folder, None)
    }

    /// The same, keeping so many bodies.
    #[must_use]
    pub fn open_pruning(params: &Params, folder: &Path, prune: Option<u64>) -> Self {
        let store = Arc::new(Store::open(folder, &params.network_id()).expect("the store opens"));
        let loaded = load::load(params.clone(), &store).expect("the store holds a chain");
        let loaded = load::Loaded { prune, ..loaded };
        let (chain, writer) = Chain::start(loaded, store).expect("there is a thread left");
        Self { chain, writer: Some(writer) }
    }

    /// Searches for a block on the tip, with what is pending.
    #[must_use]
    pub fn find_block(&self, miner: Address) -> UncheckedBlock {
        let payout = Payout { miner, extra: List::default() };
        let template = miner::template(&self.chain, &payout, clock::now_ms());
        let target = from_bits(template.header.bits).expect("computed bits are canonical");
        let mut header = template.header;
        header.nonce = search(&header, target, 0, u64::MAX).expect("there is a nonce");
        UncheckedBlock { header, body: template.body }
    }

    /// Mines a block on the tip and gives its transactions' bytes.
    pub fn mine(&self, miner: Address) -> Vec<Vec<u8>> {
        let block = self.find_block(miner);
        let txs = block.body.items[1..].to_vec();
        assert_eq!(self.chain.submit_block(block, clock::now_ms()), Ok(Accepted::Active));
        txs
    }

    /// Stops the chain thread and waits for it.
    pub fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.chain.stop();
            writer.join().expect("the chain thread does not panic").expect("the store does not fail");
        }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.stop();
    }
}
