//! Blocks on their way in: everything that needs no state, on the caller's thread and all cores.
//! Must not change anything.

use rayon::prelude::*;
use steelyard_core::consensus::block::{CheckedBlock, Verdicts, check_block};
use steelyard_core::consensus::error::RuleError;
use steelyard_core::consensus::header::{CheckedHeader, Drift, Parent, check_header, drift};
use steelyard_core::consensus::transaction::{CheckedTx, ShapedTx};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;

use super::error::{BlockError, LoadError};
use super::index::Entry;
use super::view::Shared;
use crate::store::{Store, damaged};

/// A block as it was received.
#[derive(Clone, Debug)]
pub struct UncheckedBlock {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Body,
}

/// Checks consecutive blocks, of which the first one's parent is known, at the moment `now`.
///
/// # Errors
/// The place of the first block that fails, and why; the blocks before it are right.
pub fn check_blocks(
    shared: &Shared,
    blocks: Vec<UncheckedBlock>,
    now: u64,
) -> (Vec<CheckedBlock>, Option<BlockError>) {
    let mut checked: Vec<CheckedBlock> = Vec::with_capacity(blocks.len());
    let mut frontier = None;
    for block in blocks {
        match check_one(shared, checked.last(), &mut frontier, block, now) {
            Ok(block) => checked.push(block),
            Err(error) => return (checked, Some(error)),
        }
    }
    (checked, None)
}

fn check_one(
    shared: &Shared,
    before: Option<&CheckedBlock>,
    frontier: &mut Option<HistoryFrontier>,
    block: UncheckedBlock,
    now: u64,
) -> Result<CheckedBlock, BlockError> {
    let parent = match before.map(|before| *before.header()).filter(|before| before.id == block.header.prev) {
        Some(parent) => parent,
        None => {
            let view = shared.read();
            let unknown = || BlockError::UnknownParent(block.header.prev);
            let number = view.index().number(&block.header.prev).ok_or_else(unknown)?;
            let entry = view.index().get(number);
            *frontier = Some(view.index().frontier(number));
            CheckedHeader {
                header: entry.header,
                id: entry.id,
                work: entry.work,
                total_work: entry.total_work,
            }
        }
    };
    let history = frontier.get_or_insert_default();
    let context = Parent {
        header: &parent.header,
        id: parent.id,
        total_work: parent.total_work,
        history_root: history::root(history),
    };
    let header = check_header(&shared.params, &context, &block.header).map_err(RuleError::from)?;
    if drift(&shared.params, header.header.time, now) != Drift::Within {
        let ahead_ms = header.header.time.saturating_sub(now);
        return Err(BlockError::AheadOfTime { ahead_ms, drift_ms: shared.params.drift });
    }
    history.push(HistoryNode::leaf(&header.id, header.work));
    let verify = |shaped| verify_parallel(shared, shaped);
    Ok(check_block(&shared.params, &shared.network, header, block.body, verify)?)
}

/// Checks signatures on all cores, those of pending transactions not again.
fn verify_parallel(shared: &Shared, shaped: Vec<ShapedTx>) -> Verdicts {
    let known: Vec<bool> = {
        let view = shared.read();
        shaped.iter().map(|tx| view.is_verified(&tx.id(), &tx.full_id())).collect()
    };
    let verify = |(tx, known): (ShapedTx, bool)| if known { Ok(tx.known_to_verify()) } else { tx.verify() };
    let verdicts: Vec<Result<CheckedTx, _>> = shaped.into_par_iter().zip(known).map(verify).collect();
    // In order: the first that fails is reported, whichever core was first.
    verdicts.into_iter().enumerate().map(|(place, verdict)| verdict.map_err(|rule| (place, rule))).collect()
}

/// A stored block, whose header and signatures were checked when it was received: only held
/// against its header again, because disks err.
///
/// # Errors
/// [`LoadError`] when the body is not there or not the header's.
pub fn load_block(shared: &Shared, store: &Store, entry: &Entry) -> Result<CheckedBlock, LoadError> {
    let body = load_body(shared, store, entry)?;
    let header =
        CheckedHeader { header: entry.header, id: entry.id, work: entry.work, total_work: entry.total_work };
    let trust = |shaped: Vec<ShapedTx>| Ok(shaped.into_iter().map(ShapedTx::known_to_verify).collect());
    check_block(&shared.params, &shared.network, header, body, trust).map_err(|rule| LoadError::Rule {
        id: entry.id,
        height: entry.header.height,
        rule,
    })
}

/// A stored body, not yet held against its header. Genesis has none.
///
/// # Errors
/// [`LoadError::Store`] when the bytes are not there or no body.
pub fn load_body(shared: &Shared, store: &Store, entry: &Entry) -> Result<Body, LoadError> {
    let Some(place) = &entry.body else { return Ok(Body::default()) };
    let bytes = store.body(place)?;
    let max = usize::try_from(shared.params.block_bytes_max).unwrap_or(usize::MAX);
    Body::from_bytes(&bytes, max).map_err(|error| {
        damaged(format!("the body of block {} at height {}: {error}", entry.id, entry.header.height)).into()
    })
}
