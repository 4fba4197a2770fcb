//! The chain: one thread owns every change, everybody else sees what is committed. Read
//! `writer` for the thread, [`view`] for what is seen, [`check`] for what is done before a
//! command, [`load`] for what happens at start.

pub mod check;
pub mod error;
pub(crate) mod gate;
mod group;
pub mod index;
pub mod load;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;
mod writer;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::BlockId;
use tokio::sync::oneshot;

use self::check::{Checked, Tail, UncheckedBlock, check_blocks};
use self::error::{Accepted, BlockError, ChainError, TxError};
use self::view::{Moment, Shared};
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
    /// Consecutive blocks, and why the one after them was found invalid before it came here.
    Blocks(Vec<CheckedBlock>, Option<(BlockId, String)>, oneshot::Sender<BlockVerdicts>),
    Peers(Vec<u8>, oneshot::Sender<()>),
    Moment(oneshot::Sender<Moment>),
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
        let (unsaved_records, prune) = (loaded.unsaved_records, loaded.prune);
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&store), unsaved_records, prune);
        let thread = std::thread::Builder::new().name("chain".into()).spawn(move || writer.run(&queue))?;
        Ok((Self { shared, store, commands }, thread))
    }

    /// Submits transactions, one verdict each, when those admitted are durable. For async callers:
    /// answers at once when the queue is full, or the disk.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn submit_txs(&self, txs: Vec<CheckedTx>) -> Result<TxVerdicts, ChainError> {
        if self.shared.is_disk_full() {
            return Err(ChainError::DiskFull);
        }
        let (reply, verdicts) = oneshot::channel();
        self.commands.try_send(Command::Txs(txs, reply)).map_err(refusal)?;
        verdicts.await.map_err(|_| ChainError::Unknown)
    }

    /// Submits one transaction.
    ///
    /// # Errors
    /// [`TxError`].
    pub async fn submit_tx(&self, tx: CheckedTx) -> Result<Admission, TxError> {
        let mut verdicts = self.submit_txs(vec![tx]).await?;
        Ok(verdicts.pop().unwrap_or(Err(PoolError::Full))?)
    }

    /// Keeps addresses of other nodes and bans in the store, in place of those before. They are durable
    /// when this returns. Also while the disk is full: they are small and change seldom.
    ///
    /// # Errors
    /// [`ChainError`]; what is kept may then be either.
    pub async fn save_peers(&self, bytes: Vec<u8>) -> Result<(), ChainError> {
        let (reply, done) = oneshot::channel();
        self.commands.try_send(Command::Peers(bytes, reply)).map_err(refusal)?;
        done.await.map_err(|_| ChainError::Unknown)
    }

    /// Everything as of the last commit, while nothing is staged: waits for the chain thread, which is
    /// held up for no longer than it takes to note what is pending. Not for async threads.
    ///
    /// # Errors
    /// [`ChainError::Stopping`].
    pub fn moment(&self) -> Result<Moment, ChainError> {
        let (reply, moment) = oneshot::channel();
        self.commands.send(Command::Moment(reply)).map_err(|_| ChainError::Stopping)?;
        moment.blocking_recv().map_err(|_| ChainError::Stopping)
    }

    /// Checks and submits consecutive blocks, waiting for room and for the commit: not for async
    /// threads.
    ///
    /// # Errors
    /// One verdict for each block up to the first that fails.
    pub fn submit_blocks(&self, blocks: Vec<UncheckedBlock>, now: u64) -> BlockVerdicts {
        self.begin_blocks(None, blocks, now).0.wait()
    }

    /// Checks and submits consecutive blocks, waiting for room but not for the commit. Gives the tail
    /// after which the next ones can be checked meanwhile; `tail` is that of those before, which may
    /// be on their way yet. Not for async threads.
    pub fn begin_blocks(
        &self,
        tail: Option<Tail>,
        blocks: Vec<UncheckedBlock>,
        now: u64,
    ) -> (Submission, Option<Tail>) {
        if self.shared.is_disk_full() {
            return (Submission::refused(ChainError::DiskFull), None);
        }
        let Checked { blocks, failed, tail } = check_blocks(&self.shared, tail, blocks, now);
        let refused = failed.as_ref().filter(|(_, error)| error.is_body_verdict());
        let refused = refused.map(|(id, error)| (*id, error.name().to_owned()));
        let (count, failed) = (blocks.len(), failed.map(|(_, error)| error));
        if count == 0 && refused.is_none() {
            return (Submission { count, committed: None, failed }, tail);
        }
        let (reply, committed) = oneshot::channel();
        if self.commands.send(Command::Blocks(blocks, refused, reply)).is_err() {
            return (Submission::refused(ChainError::Stopping), None);
        }
        (Submission { count, committed: Some(committed), failed }, tail)
    }

    /// Submits one block.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn submit_block(&self, block: UncheckedBlock, now: u64) -> Result<Accepted, BlockError> {
        self.submit_blocks(vec![block], now).pop().unwrap_or(Err(ChainError::Stopping.into()))
    }

    /// Asks the chain thread to end after what is queued.
    pub fn stop(&self) {
        self.shared.tick(|ticks| ticks.stopping = true);
        // A thread that is gone needs no word.
        let _ = self.commands.send(Command::Stop);
    }
}

/// Blocks on their way to a commit.
pub struct Submission {
    count: usize,
    committed: Option<oneshot::Receiver<BlockVerdicts>>,
    /// Why the block after them is not.
    failed: Option<BlockError>,
}

impl Submission {
    /// Of blocks that do not come to the chain thread: the first one's verdict stands for all.
    fn refused(error: ChainError) -> Self {
        Self { count: 0, committed: None, failed: Some(error.into()) }
    }

    /// Waits for the commit: one verdict for each block up to the first that fails.
    #[must_use]
    pub fn wait(self) -> BlockVerdicts {
        let count = self.count;
        let unknown = || vec![Err(ChainError::Unknown.into()); count];
        let verdicts =
            self.committed.map(|committed| committed.blocking_recv().unwrap_or_else(|_| unknown()));
        let mut verdicts = verdicts.unwrap_or_default();
        // Of those that a block before it kept from being judged nothing is said.
        if verdicts.iter().all(Result::is_ok) {
            verdicts.extend(self.failed.map(Err));
        }
        verdicts
    }
}

fn refusal(error: TrySendError<Command>) -> ChainError {
    match error {
        TrySendError::Full(_) => ChainError::Busy,
        TrySendError::Disconnected(_) => ChainError::Stopping,
    }
}
