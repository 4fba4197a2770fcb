//! The chain: one thread owns every change, everybody else sees what is committed. Read
//! `writer` for the thread, [`view`] for what is seen, [`check`] for what is done before a
//! command, [`load`] for what happens at start.

pub mod check;
pub mod error;
mod group;
pub mod index;
pub mod load;
#[cfg(test)]
pub(crate) mod tests;
pub mod txindex;
pub mod view;
mod writer;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::transaction::CheckedTx;
use tokio::sync::oneshot;

use self::check::{UncheckedBlock, check_blocks};
use self::error::{Accepted, BlockError, ChainError, TxError};
use self::view::Shared;
use self::writer::Writer;
use crate::limits::CHAIN_QUEUE_MAX;
use crate::mempool::{Admission, PoolError};
use crate::store::{Store, StoreError};

/// One verdict a transaction.
pub type TxVerdicts = Vec<Result<Admission, PoolError>>;
/// One verdict a block.
pub type BlockVerdicts = Vec<Result<Accepted, BlockError>>;

/// What the chain thread is asked for. Answered when durable.
enum Command {
    Txs(Vec<CheckedTx>, oneshot::Sender<TxVerdicts>),
    Blocks(Vec<CheckedBlock>, oneshot::Sender<BlockVerdicts>),
    Stop,
}

/// The door to the chain thread.
#[derive(Clone)]
pub struct Chain {
    /// What is committed.
    pub shared: Arc<Shared>,
    /// Where it is.
    pub store: Arc<Store>,
    commands: SyncSender<Command>,
}

impl Chain {
    /// Starts the chain thread on what [`load::load`] gave. It ends when asked to, or when the
    /// store fails, which is returned by its handle.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(
        loaded: load::Loaded,
        store: Arc<Store>,
    ) -> std::io::Result<(Self, JoinHandle<Result<(), StoreError>>)> {
        let (commands, queue) = sync_channel(CHAIN_QUEUE_MAX);
        let shared = Arc::new(loaded.shared);
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&store), loaded.unsaved_records);
        let thread = std::thread::Builder::new().name("chain".into()).spawn(move || writer.run(&queue))?;
        Ok((Self { shared, store, commands }, thread))
    }

    /// Submits transactions, one verdict each, when those admitted are durable. For async callers:
    /// answers at once when the queue is full.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn submit_txs(&self, txs: Vec<CheckedTx>) -> Result<TxVerdicts, ChainError> {
        let (reply, verdicts) = oneshot::channel();
        self.commands.try_send(Command::Txs(txs, reply)).map_err(refusal)?;
        verdicts.await.map_err(|_| ChainError::Stopping)
    }

    /// Submits one transaction.
    ///
    /// # Errors
    /// [`TxError`].
    pub async fn submit_tx(&self, tx: CheckedTx) -> Result<Admission, TxError> {
        let mut verdicts = self.submit_txs(vec![tx]).await?;
        Ok(verdicts.pop().unwrap_or(Err(PoolError::Full))?)
    }

    /// Checks and submits consecutive blocks, waiting for room and for the commit: not for async
    /// threads.
    ///
    /// # Errors
    /// One verdict for each block up to the first that fails.
    pub fn submit_blocks(&self, blocks: Vec<UncheckedBlock>, now: u64) -> BlockVerdicts {
        let (checked, failed) = check_blocks(&self.shared, blocks, now);
        let mut verdicts = if checked.is_empty() { Vec::new() } else { self.submit_checked(checked) };
        // Of those that a block before it kept from being judged nothing is said.
        if verdicts.iter().all(Result::is_ok) {
            verdicts.extend(failed.map(Err));
        }
        verdicts
    }

    /// Submits one block.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn submit_block(&self, block: UncheckedBlock, now: u64) -> Result<Accepted, BlockError> {
        self.submit_blocks(vec![block], now).pop().unwrap_or(Err(ChainError::Stopping.into()))
    }

    fn submit_checked(&self, blocks: Vec<CheckedBlock>) -> BlockVerdicts {
        let count = blocks.len();
        let (reply, verdicts) = oneshot::channel();
        let sent = self.commands.send(Command::Blocks(blocks, reply)).is_ok();
        let verdicts = if sent { verdicts.blocking_recv().ok() } else { None };
        verdicts.unwrap_or_else(|| vec![Err(ChainError::Stopping.into()); count])
    }

    /// Asks the chain thread to end after what is queued.
    pub fn stop(&self) {
        self.shared.tick(|ticks| ticks.stopping = true);
        // A thread that is gone needs no word.
        let _ = self.commands.send(Command::Stop);
    }
}

fn refusal(error: TrySendError<Command>) -> ChainError {
    match error {
        TrySendError::Full(_) => ChainError::Busy,
        TrySendError::Disconnected(_) => ChainError::Stopping,
    }
}
