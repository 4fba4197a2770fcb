//! Catches up the index of transactions after a start, from the tip downwards, behind everything
//! else: new blocks are indexed by the chain thread. Must not change anything else.

use std::thread::JoinHandle;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::BlockId;

use crate::chain::Chain;
use crate::chain::check::load_block;
use crate::chain::error::LoadError;

/// Starts the thread; it ends when all is indexed or the node stops.
///
/// # Errors
/// The machine has no thread left.
pub fn start(chain: &Chain) -> std::io::Result<JoinHandle<()>> {
    let chain = chain.clone();
    std::thread::Builder::new().name("indexer".into()).spawn(move || {
        while !chain.shared.ticks().stopping {
            let next = {
                let view = chain.shared.read();
                let height = view.txs().next_missing().filter(|height| *height > 0);
                height.map(|height| (height, view.active(height).cloned()))
            };
            let Some((height, entry)) = next else { break };
            let Some(entry) = entry else {
                // A reorganisation to fewer blocks with more work: nothing is there any more.
                chain.shared.index_block(height, BlockId::ZERO, []);
                continue;
            };
            if height < chain.shared.read().bodies_from() {
                // Nobody can look into it any more.
                chain.shared.index_block(height, entry.id, []);
                continue;
            }
            match load_block(&chain.shared, &chain.store, &entry) {
                Ok(block) => {
                    chain.shared.index_block(height, entry.id, block.txs().iter().map(CheckedTx::id));
                }
                // Pruned since it was looked at.
                Err(LoadError::Pruned { .. }) => chain.shared.index_block(height, entry.id, []),
                Err(error) => {
                    tracing::error!(%error, height, "this block's transactions cannot be looked up");
                    chain.shared.index_block(height, entry.id, []);
                }
            }
        }
    })
}
