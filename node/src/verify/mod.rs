//! Judges what is stored without believing any of it: quick looks at the ends, full replays
//! everything from genesis and names the first fault. Reads only: no chain data is ever written.
//! Must not know commands or sockets. Read `walk` for the full way, `quick` for the other, `pruned` for
//! the full way where bodies were deleted.

mod failure;
mod index;
mod pruned;
mod quick;
mod walk;

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use steelyard_core::consensus::block::Verdicts;
use steelyard_core::consensus::transaction::{ShapedTx, shape};
use steelyard_core::hash::{NetworkId, StateRoot};
use steelyard_core::params::{BLOCK_BYTES_LIMIT, Genesis, Params};
use steelyard_core::state::Trie;
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::full_id;
use steelyard_runtime::lock::FolderLock;

pub use self::failure::{Failure, Fault, FaultyTx};

use self::index::Sampled;
use crate::chain::Chain;
use crate::chain::index::{Entry, Index};
use crate::chain::view::Shared;
use crate::finder::{Finder, INDEX_FOLDER};
use crate::mark::{Loss, Mark};
use crate::mempool::Mempool;
use crate::store::schema::Space;
use crate::store::{PROGRAM, STORE_FOLDER, Store, StoreError, checkpoint, damaged};

/// What was found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Blocks of the active chain that were judged, genesis not counted.
    pub blocks: u64,
    /// Their transactions, coinbases not counted.
    pub transactions: u64,
    /// Records of the state after the tip.
    pub records: u64,
    /// Blocks of other branches: judged by the full way, counted by the quick one.
    pub side_blocks: u64,
    /// Pending transactions.
    pub pending: u64,
    /// What the store is known to have held beyond that, and does not any more: no fault of what is there.
    pub rolled_back: Option<Loss>,
    /// Height from which on blocks were executed: 1, or above what is pruned; `None` in the quick way.
    pub executed_from: Option<u64>,
}

/// Judges the store in a node's folder, which no node may have open.
///
/// # Errors
/// [`Failure`], the first there is.
pub fn run(
    params: Params,
    data_dir: &Path,
    full: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Failure> {
    let folder = data_dir.join(STORE_FOLDER);
    if !Store::is_there(&folder) {
        return Err(Failure::NoStore { dir: data_dir.to_path_buf() });
    }
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let genesis = params.genesis();
    let store = Store::open(&folder, &genesis.id.into())?;
    let network = genesis.id.into();
    // Without an index, or with one that the next start makes again, there is nothing to judge.
    let finder = Finder::stored(&data_dir.join(INDEX_FOLDER), &network);
    let (report, reached) = stopped((&params, &genesis), (&store, finder.as_ref()), full, progress)?;
    let rolled_back = Mark::read(data_dir, &network).and_then(|had| had.loss(&reached));
    Ok(Report { rolled_back, ..report })
}

/// Judges a store that no node has open, by whoever has opened it.
///
/// # Errors
/// [`Failure`], the first there is.
pub fn of_stopped(
    network: (&Params, &Genesis),
    store: &Store,
    full: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Failure> {
    stopped(network, (store, None), full, progress).map(|(report, _)| report)
}

/// What is found in order, and how far the store is.
fn stopped(
    (params, genesis): (&Params, &Genesis),
    (store, finder): (&Store, Option<&Finder>),
    full: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Report, Mark), Failure> {
    let (checkpoint, until) = (Checkpoint::read(store)?, store.last(Space::Log)?);
    let (network, bodies_from) = (genesis.id.into(), store.bodies_from()?);
    let sampled = finder.map(|finder| Sampled { finder, shared: None });
    let source = Source { params, network, genesis, store, checkpoint, until, bodies_from, sampled };
    source.check_ends()?;
    let judged = source.judge(full, progress)?;
    let pending = stored_pending(&source, &judged, full)?;
    Ok((Report { pending, ..judged.report }, judged.reached))
}

/// Judges the store of a running node, up to its last commit at this moment.
///
/// # Errors
/// [`Failure`], the first there is.
pub fn check(
    chain: &Chain,
    finder: &Finder,
    full: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Failure> {
    // Nothing is pruned before all is judged.
    let _reading = chain.shared.pruning.read();
    let (shared, store): (&Shared, &Store) = (&chain.shared, &chain.store);
    // In this order: a checkpoint that is written meanwhile may be of a later commit than the last
    // one at this moment, and would be taken for damage.
    let checkpoint = Checkpoint::read(store)?;
    let (until, bodies_from) = {
        let view = shared.read();
        (view.seq(), view.bodies_from())
    };
    let (params, genesis) = (&shared.params, &shared.genesis);
    let (network, sampled) = (shared.network, Some(Sampled { finder, shared: Some(shared) }));
    let source = Source { params, network, genesis, store, checkpoint, until, bodies_from, sampled };
    let report = source.judge(full, progress)?.report;
    let pending: Vec<_> = shared.read().pending_all().map(|entry| entry.tx.clone()).collect();
    if let Some(tx) = pending.iter().find(|tx| full_id(tx.bytes()) != tx.full_id()) {
        return Err(damaged(format!("pending transaction {} is not what was admitted", tx.id())).into());
    }
    Ok(Report { pending: pending.len() as u64, ..report })
}

/// What was judged, and the state that came out.
struct Judged {
    report: Report,
    /// How far the store is.
    reached: Mark,
    /// Height of the next block.
    next: u64,
    state: Trie,
}

/// What is judged, and by what.
struct Source<'a> {
    params: &'a Params,
    network: NetworkId,
    genesis: &'a Genesis,
    store: &'a Store,
    /// The newest checkpoint.
    checkpoint: Option<Checkpoint>,
    /// The last commit that is looked at: that of the checkpoint, or later.
    until: u64,
    /// Height below which bodies and undo may be missing; 0 or 1 for none.
    bodies_from: u64,
    /// The index of the chain, where there is one.
    sampled: Option<Sampled<'a>>,
}

impl Source<'_> {
    fn judge(&self, full: bool, progress: &mut dyn FnMut(u64, u64)) -> Result<Judged, Failure> {
        match (full, self.bodies_from) {
            (false, _) => quick::judge(self, progress),
            (true, 0 | 1) => walk::judge(self, progress),
            (true, _) => pruned::judge(self, progress),
        }
    }

    /// Nothing may lie beyond the last commit but bodies, which are written ahead of theirs.
    fn check_ends(&self) -> Result<(), StoreError> {
        for space in [Space::Delta, Space::Mempool] {
            let last = self.store.last(space)?;
            if last > self.until {
                return Err(damaged(format!("{space:?} {last} is of a commit that is not in the log")));
            }
        }
        Ok(())
    }

    /// A stored body, or in words why there is none.
    fn body(&self, entry: &Entry) -> Result<Body, Failure> {
        let Some(place) = &entry.body else { return Ok(Body::default()) };
        // Of any network's length: that this one allows less is a rule of the block.
        let max = usize::try_from(BLOCK_BYTES_LIMIT).unwrap_or(usize::MAX);
        let bytes = match self.store.body(place) {
            Ok(bytes) => bytes,
            Err(StoreError::Damaged { reason }) => {
                return Err(Failure::of_block(entry, "stored_body", reason));
            }
            Err(error) => return Err(error.into()),
        };
        Body::from_bytes(&bytes, max).map_err(|error| {
            Failure::of_block(entry, "stored_body", format!("the body cannot be read: {error}"))
        })
    }

    /// The active chain has the most work of what is valid.
    fn check_choice(&self, index: &Index) -> Result<(), Failure> {
        let tip = index.get(index.tip());
        let Some(best) = index.best_above(tip.total_work) else { return Ok(()) };
        let message = format!("it has more work than the tip {} and was not connected", tip.id);
        Err(Failure::of_block(index.get(best), "fork_choice", message))
    }
}

/// A checkpoint as it was found.
struct Checkpoint {
    /// The commit whose state it should be.
    seq: u64,
    /// The state, or why there is none.
    content: Result<Trie, String>,
}

impl Checkpoint {
    /// Reads the newest one, which a node that runs may replace meanwhile.
    fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        loop {
            let Some(mark) = checkpoint::mark(store.door())? else { return Ok(None) };
            let state = checkpoint::load(store.door(), &mark);
            if checkpoint::mark(store.door())? != Some(mark) {
                continue;
            }
            let content = match state {
                Ok(state) => Ok(state),
                Err(StoreError::Damaged { reason }) => Err(reason),
                Err(error) => return Err(error),
            };
            return Ok(Some(Self { seq: mark.seq, content }));
        }
    }

    /// It is the state with this root, after block `tip`.
    fn check(&self, tip: &Entry, expected: StateRoot) -> Result<(), Failure> {
        let message = match &self.content {
            Ok(state) if state.root() == expected => return Ok(()),
            Ok(state) => format!("the checkpoint after it has root {}, not {expected}", state.root()),
            Err(reason) => format!("the checkpoint after it: {reason}"),
        };
        Err(Failure::of_block(tip, "checkpoint", message))
    }
}

/// Checks signatures on all cores; the first that fails is reported, whichever core was first.
fn verify_parallel(shaped: Vec<ShapedTx>) -> Verdicts {
    let verdicts: Vec<_> = shaped.into_par_iter().map(ShapedTx::verify).collect();
    verdicts.into_iter().enumerate().map(|(place, verdict)| verdict.map_err(|rule| (place, rule))).collect()
}

/// Stored pending transactions are as they were admitted; in the full way their forms and
/// signatures are judged too. Counts those that a start would find still wanted.
fn stored_pending(source: &Source<'_>, judged: &Judged, full: bool) -> Result<u64, StoreError> {
    let mut pool = Mempool::default();
    source.store.for_each_run(|seq, txs, _, lost| {
        if lost > 0 {
            return Err(damaged(format!(
                "{lost} pending transactions of commit {seq} are not what was admitted"
            )));
        }
        let judge = |bytes: &Vec<u8>| {
            let shaped = shape(&source.network, bytes)?;
            if full { shaped.verify() } else { Ok(shaped.known_to_verify()) }
        };
        let txs: Vec<_> = txs.par_iter().map(judge).collect();
        for tx in txs {
            let tx = tx.map_err(|rule| damaged(format!("a pending transaction of commit {seq}: {rule}")))?;
            // Refused means: confirmed, replaced, expired or no longer covered.
            let _ = pool.admit(source.params, (&judged.state, judged.next), tx, seq);
        }
        Ok(())
    })?;
    Ok(pool.len() as u64)
}
