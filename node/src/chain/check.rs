//! Blocks on their way in: everything that needs no state, on the caller's thread and all cores.
//! Must not change anything.

use std::sync::Arc;

use rayon::prelude::*;
use steelyard_core::consensus::block::{CheckedBlock, Verdicts, check_block, check_block_by};
use steelyard_core::consensus::error::{BlockRule, RuleError, TxRule};
use steelyard_core::consensus::header::{CheckedHeader, Drift, Parent, check_header, drift};
use steelyard_core::consensus::transaction::{CheckedTx, ShapedTx, shape};
use steelyard_core::hash::{BlockId, FullId};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::full_id;

use super::error::{BlockError, LoadError};
use super::index::{Entry, Verdict};
use super::view::Shared;
use crate::store::{Store, StoreError, damaged};

/// Items of bodies that are worth a piece of work of their own.
const PIECE_ITEMS: usize = 16;

/// A block as it was received.
#[derive(Clone, Debug)]
pub struct UncheckedBlock {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Body,
}

/// The last of some checked blocks, with all that its child is judged against: the child can be
/// checked before these are committed.
#[derive(Clone, Debug)]
pub struct Tail {
    header: CheckedHeader,
    frontier: HistoryFrontier,
}

/// What checking some blocks gave.
pub struct Checked {
    /// Those before the first that fails.
    pub blocks: Vec<CheckedBlock>,
    /// That one, and why.
    pub failed: Option<(BlockId, BlockError)>,
    /// The last of them, when none failed.
    pub tail: Option<Tail>,
}

/// Checks consecutive blocks, of which the first one's parent is known or the `tail` of those before,
/// at the moment `now`: headers one after another, then bodies on all cores.
pub fn check_blocks(shared: &Shared, tail: Option<Tail>, blocks: Vec<UncheckedBlock>, now: u64) -> Checked {
    let (mut headers, mut failed) = (Vec::with_capacity(blocks.len()), None);
    let mut tail = tail;
    for block in &blocks {
        match check_next(shared, tail, &block.header, now) {
            Ok(next) => {
                headers.push(next.header);
                tail = Some(next);
            }
            Err(error) => {
                (tail, failed) = (None, Some((block.header.id(), error)));
                break;
            }
        }
    }
    let check = |(header, block): (CheckedHeader, UncheckedBlock)| {
        check_block_by(&shared.params, header, block.body, |items| check_txs(shared, items))
            .map_err(|rule| (header.id, BlockError::from(rule)))
    };
    // Spreading the work costs some 10 us a piece: a piece is several blocks where they are small.
    let items: usize = blocks.iter().map(|block| block.body.items.len()).sum();
    let piece = 1 + PIECE_ITEMS * headers.len() / items.max(1);
    let checked: Vec<Result<CheckedBlock, _>> =
        headers.into_par_iter().zip(blocks).with_min_len(piece).map(check).collect();
    let mut good = Vec::with_capacity(checked.len());
    for checked in checked {
        match checked {
            Ok(block) => good.push(block),
            // In order: the first that fails is reported, whichever core was first.
            Err(error) => {
                return Checked { blocks: good, failed: Some(error), tail: None };
            }
        }
    }
    Checked { blocks: good, failed, tail }
}

/// Checks a header on the tail if it is its child, else on its parent in the chain.
fn check_next(shared: &Shared, tail: Option<Tail>, header: &Header, now: u64) -> Result<Tail, BlockError> {
    if let Some(reason) = marked(shared, header) {
        return Err(BlockError::KnownInvalid { reason });
    }
    let mut tail = match tail.filter(|tail| tail.header.id == header.prev) {
        Some(tail) => tail,
        None => stand_on(shared, header)?,
    };
    let context = Parent {
        header: &tail.header.header,
        id: tail.header.id,
        total_work: tail.header.total_work,
        history_root: history::root(&tail.frontier),
    };
    let checked = check_header(&shared.params, &context, header).map_err(RuleError::from)?;
    if drift(&shared.params, header.time, now) != Drift::Within {
        let ahead_ms = header.time.saturating_sub(now);
        return Err(BlockError::AheadOfTime { ahead_ms, drift_ms: shared.params.drift });
    }
    tail.frontier.push(HistoryNode::leaf(&checked.id, checked.work));
    tail.header = checked;
    Ok(tail)
}

/// The rule by which a block or its parent is known to be invalid: nothing else of it is looked at.
fn marked(shared: &Shared, header: &Header) -> Option<String> {
    let view = shared.read();
    let mark = |id: &BlockId| match view.index().number(id).map(|number| &view.index().get(number).verdict) {
        Some(Verdict::Invalid { reason }) => Some(reason.clone()),
        _ => view.refused(id).map(str::to_owned),
    };
    mark(&header.id()).or_else(|| mark(&header.prev))
}

/// The parent of a header, in the chain.
fn stand_on(shared: &Shared, header: &Header) -> Result<Tail, BlockError> {
    let view = shared.read();
    let unknown = || BlockError::UnknownParent(header.prev);
    let number = view.index().number(&header.prev).ok_or_else(unknown)?;
    let entry = view.index().get(number);
    let frontier = view.index().frontier(number);
    let header =
        CheckedHeader { header: entry.header, id: entry.id, work: entry.work, total_work: entry.total_work };
    Ok(Tail { header, frontier })
}

/// Checks transactions on all cores, form before signatures; those that are pending in exactly these
/// bytes passed both before.
fn check_txs(shared: &Shared, items: &[Vec<u8>]) -> Verdicts {
    let ids: Vec<FullId> = items.par_iter().with_min_len(PIECE_ITEMS).map(|bytes| full_id(bytes)).collect();
    let known: Vec<Option<Arc<CheckedTx>>> = {
        let view = shared.read();
        ids.iter().map(|id| view.verified(id)).collect()
    };
    let shape = |(bytes, known): (&Vec<u8>, Option<Arc<CheckedTx>>)| match known {
        Some(known) => Ok(Either::Known(known)),
        None => shape(&shared.network, bytes).map(|shaped| Either::Shaped(Box::new(shaped))),
    };
    let pairs = items.par_iter().zip(known).with_min_len(PIECE_ITEMS);
    let shaped: Vec<Either> = in_order(pairs.map(shape).collect())?;
    let verify = |tx: Either| match tx {
        Either::Known(tx) => Ok((*tx).clone()),
        Either::Shaped(shaped) => shaped.verify(),
    };
    in_order(shaped.into_par_iter().map(verify).collect())
}

/// A transaction on its way through [`check_txs`].
enum Either {
    Known(Arc<CheckedTx>),
    Shaped(Box<ShapedTx>),
}

/// The first that fails is reported, whichever core was first.
fn in_order<T>(checked: Vec<Result<T, TxRule>>) -> Result<Vec<T>, (usize, TxRule)> {
    checked.into_iter().enumerate().map(|(place, checked)| checked.map_err(|rule| (place, rule))).collect()
}

/// A stored block, whose header and signatures were checked when it was received: only held
/// against its header again, because disks err.
///
/// # Errors
/// [`LoadError`] when the body is not there, not the header's, or pruned.
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

/// A stored body, which is what its header says.
///
/// # Errors
/// [`LoadError`] when it is not there, another, or pruned.
pub fn load_right_body(shared: &Shared, store: &Store, entry: &Entry) -> Result<Body, LoadError> {
    let body = load_body(shared, store, entry)?;
    let (got, expected) = (body.root(), entry.header.body_root);
    if got != expected {
        let rule = RuleError::from(BlockRule::BodyRoot { got, expected });
        return Err(LoadError::Rule { id: entry.id, height: entry.header.height, rule });
    }
    Ok(body)
}

/// A stored body, not yet held against its header. Genesis has none.
///
/// # Errors
/// [`LoadError::Pruned`] when it was deleted on purpose; [`LoadError::Store`] when the bytes are not
/// there or no body.
pub fn load_body(shared: &Shared, store: &Store, entry: &Entry) -> Result<Body, LoadError> {
    let Some(place) = &entry.body else { return Ok(Body::default()) };
    // What may be deleted is said before any of it is.
    let bytes = store.body(place).map_err(|error| match (error, shared.read().index().bodies_from()) {
        (StoreError::Damaged { .. }, from) if entry.header.height < from => {
            LoadError::Pruned { id: entry.id, height: entry.header.height, from }
        }
        (error, _) => error.into(),
    })?;
    let max = usize::try_from(shared.params.block_bytes_max).unwrap_or(usize::MAX);
    Body::from_bytes(&bytes, max).map_err(|error| {
        damaged(format!("the body of block {} at height {}: {error}", entry.id, entry.header.height)).into()
    })
}
