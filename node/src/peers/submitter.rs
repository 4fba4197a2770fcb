//! Blocks on their way to the chain thread, off the peers' thread: checking signatures and waiting
//! for the disk take long. Must not know who sent them.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use steelyard_core::hash::BlockId;
use steelyard_runtime::clock;
use tokio::sync::mpsc;

use super::{HubEvent, SUBMITTER_THREAD};
use crate::chain::check::UncheckedBlock;
use crate::chain::{Chain, Submission};
use crate::limits::SYNC_SUBMISSIONS_MAX;

/// Starts the thread. It ends when the sender of blocks is dropped, or nobody wants its word.
///
/// # Errors
/// The machine has no thread left.
pub(super) fn start(
    chain: &Chain,
    events: mpsc::Sender<HubEvent>,
) -> std::io::Result<(SyncSender<Vec<UncheckedBlock>>, JoinHandle<()>)> {
    let (submissions, submitted) = sync_channel::<Vec<UncheckedBlock>>(SYNC_SUBMISSIONS_MAX);
    let chain = chain.clone();
    let thread = std::thread::Builder::new().name(SUBMITTER_THREAD.into());
    let thread = thread.spawn(move || run(&chain, &submitted, &events))?;
    Ok((submissions, thread))
}

/// While some are committed the next ones are checked: signatures take the cores, commits the disk.
fn run(chain: &Chain, submitted: &Receiver<Vec<UncheckedBlock>>, events: &mpsc::Sender<HubEvent>) {
    let (mut tail, mut before) = (None, None);
    loop {
        let next = match submitted.try_recv() {
            Err(TryRecvError::Empty) => {
                if !before.take().is_none_or(|before| tell(before, events)) {
                    return;
                }
                submitted.recv().ok()
            }
            next => next.ok(),
        };
        let Some(blocks) = next else { return };
        let ids: Vec<BlockId> = blocks.iter().map(|block| block.header.id()).collect();
        let (submission, after) = chain.begin_blocks(tail, blocks, clock::now_ms());
        tail = after;
        if !before.replace((ids, submission)).is_none_or(|before| tell(before, events)) {
            return;
        }
    }
}

/// Waits for the chain's word and passes it on; whether anybody wants it.
fn tell((ids, submission): (Vec<BlockId>, Submission), events: &mpsc::Sender<HubEvent>) -> bool {
    let judged = ids.into_iter().zip(submission.wait()).collect();
    events.blocking_send(HubEvent::Judged(judged)).is_ok()
}
