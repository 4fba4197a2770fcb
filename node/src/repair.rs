//! A store made again from its own blocks: whatever is readable and right goes through the same door
//! as blocks from peers into a new store, with all rules checked, in the order in which it arrived.
//! The damaged store is kept under another name. Where it cannot even be opened it is only put
//! aside: its blocks come from peers, a backup or a file. Must not know commands or sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::BlockId;
use steelyard_core::params::{BLOCK_BYTES_LIMIT, Genesis, Params};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_migrations::VersionError;
use steelyard_migrations::road::{StepError, UpgradeError};
use steelyard_runtime::failpoint;
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::sled_door::OpenError;

use crate::chain::check::{Tail, UncheckedBlock};
use crate::chain::error::{BlockError, LoadError};
use crate::chain::{Chain, Submission, load};
use crate::limits::{GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, REPAIR_GAP_MAX, REPAIR_TXS_AT_ONCE};
use crate::mark;
use crate::store::build::{self, Build};
use crate::store::schema::Space;
use crate::store::{BodyPlace, PROGRAM, STORE_FOLDER, Store, StoreError, StoreOpenError, damaged};
use crate::verify::{self, Failure};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The store is judged, block by block.
    Judge,
    /// A new store is made, commit by commit.
    Rebuild,
}

/// What a repair found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether anything was changed.
    pub repaired: bool,
    /// What was wrong.
    pub found: Option<String>,
    /// Blocks in the store now, those of other branches among them.
    pub blocks: u64,
    /// Height of the tip now.
    pub height: u64,
    /// The tip now.
    pub tip: BlockId,
    /// Blocks that the old store names or held and that could not be kept.
    pub lost: u64,
    /// The lowest of their heights.
    pub first_lost: Option<u64>,
    /// Commits of the old store whose log could not be read.
    pub unreadable: u64,
    /// Pending transactions in the store now.
    pub pending: u64,
    /// Whether the addresses of other nodes were kept.
    pub peers: bool,
    /// Where the old store is.
    pub kept: Option<PathBuf>,
    /// Its bytes.
    pub kept_bytes: u64,
}

/// Judges the store in a node's folder, which no node may have open, and makes a new one where it is
/// damaged, or in any case with `force`. A kill at any moment leaves the old one or the new one.
///
/// # Errors
/// [`Failure`] but for damage, which is what this is for.
pub fn run(
    params: &Params,
    data_dir: &Path,
    force: bool,
    progress: &mut dyn FnMut(Step, u64, u64),
) -> Result<Report, Failure> {
    let folder = data_dir.join(STORE_FOLDER);
    if !Store::is_there(&folder) {
        return Err(Failure::NoStore { dir: data_dir.to_path_buf() });
    }
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let genesis = params.genesis();
    let store = match Store::open(&folder, &genesis.id.into()) {
        Ok(store) => store,
        Err(error) if is_damage(&error) => return put_aside(data_dir, &genesis, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let judged = verify::of_stopped((params, &genesis), &store, true, &mut |done, total| {
        progress(Step::Judge, done, total);
    });
    // Without the blocks that are pruned no state can be made again.
    let is_pruned = store.bodies_from()? > 1;
    let found = match judged {
        Ok(report) if !force || is_pruned => return sound(&store, &genesis, &report),
        Ok(_) => "nothing: it was made again because that was asked for".to_owned(),
        Err(failure @ (Failure::Fault(_) | Failure::Store(StoreError::Damaged { .. }))) => {
            failure.to_string()
        }
        Err(failure) => return Err(failure),
    };
    failpoint::hit("repair.judged");
    if is_pruned {
        drop(store);
        return put_aside(data_dir, &genesis, format!("{found}; the blocks to make it again of are pruned"));
    }
    let build = Build::begin(data_dir).map_err(|source| io("clear", source))?;
    let report = rebuild((params, &genesis), &store, &build, progress)?;
    let kept_bytes = store.disk_bytes();
    // Closed before it moves.
    drop(store);
    if report.blocks == 0 && report.pending == 0 {
        // An empty chain in its place would only be in the way of a restore.
        let Report { lost, first_lost, unreadable, .. } = report;
        let aside = put_aside(data_dir, &genesis, found)?;
        return Ok(Report { kept_bytes, lost, first_lost, unreadable, ..aside });
    }
    failpoint::hit("repair.rebuilt");
    // It is of the store that goes: of the new one it would tell of a loss.
    mark::remove(data_dir).map_err(|source| io("remove the mark of", source))?;
    let kept = build.replace().map_err(|source| io("replace", source))?;
    Ok(Report { found: Some(found), kept: Some(kept), kept_bytes, ..report })
}

/// A store that is there and cannot be read, as opposed to one of another kind.
fn is_damage(error: &StoreOpenError) -> bool {
    matches!(
        error,
        StoreOpenError::Door(OpenError::Damaged { .. })
            | StoreOpenError::Store(StoreError::Damaged { .. })
            | StoreOpenError::Version(VersionError::Unreadable)
            | StoreOpenError::Upgrade(UpgradeError::Step {
                source: StepError::Store(StoreError::Damaged { .. }),
                ..
            })
    )
}

fn sound(store: &Store, genesis: &Genesis, judged: &verify::Report) -> Result<Report, Failure> {
    let (index, _) = load::load_index(genesis, store)?;
    let tip = index.get(index.tip());
    Ok(Report {
        repaired: false,
        blocks: judged.blocks + judged.side_blocks,
        height: tip.header.height,
        tip: tip.id,
        pending: judged.pending,
        peers: true,
        ..nothing(genesis)
    })
}

fn put_aside(data_dir: &Path, genesis: &Genesis, found: String) -> Result<Report, Failure> {
    // Nothing that was begun is of use.
    Build::begin(data_dir).map_err(|source| io("clear", source))?;
    mark::remove(data_dir).map_err(|source| io("remove the mark of", source))?;
    let kept = build::set_aside(data_dir).map_err(|source| io("put aside", source))?;
    let kept_bytes = steelyard_runtime::disk::files_bytes(&kept);
    Ok(Report { found: Some(found), kept: Some(kept), kept_bytes, ..nothing(genesis) })
}

/// A repair after which there is nothing.
fn nothing(genesis: &Genesis) -> Report {
    Report {
        repaired: true,
        found: None,
        blocks: 0,
        height: 0,
        tip: genesis.id,
        lost: 0,
        first_lost: None,
        unreadable: 0,
        pending: 0,
        peers: false,
        kept: None,
        kept_bytes: 0,
    }
}

/// Makes a store of what the old one gives, durable and closed when this returns.
fn rebuild(
    (params, genesis): (&Params, &Genesis),
    old: &Store,
    build: &Build,
    progress: &mut dyn FnMut(Step, u64, u64),
) -> Result<Report, Failure> {
    let store = Arc::new(Store::open(&build.dir(), &genesis.id.into())?);
    let loaded = load::load_from(params.clone(), genesis.clone(), &store).map_err(|error| match error {
        LoadError::Store(error) => error,
        other => damaged(other.to_string()),
    })?;
    let (chain, writer) = Chain::start(loaded, store).map_err(|source| io("start a thread for", source))?;
    let salvaged = Salvage::new(&chain, old).run(progress);
    chain.stop();
    writer.join().unwrap_or_else(|_| Err(damaged("the chain's thread ended early".into())))?;
    let salvaged = salvaged?;
    let view = chain.shared.read();
    let lost: Vec<u64> = salvaged.lost.values().copied().collect();
    Ok(Report {
        blocks: u64::from(view.index().next_number()) - 1,
        height: view.tip().header.height,
        tip: view.tip().id,
        lost: lost.len() as u64,
        first_lost: lost.into_iter().min(),
        unreadable: salvaged.unreadable,
        pending: view.pending_size().0 as u64,
        peers: salvaged.peers,
        ..nothing(genesis)
    })
}

/// What a damaged store still gives, on its way into a new one.
struct Salvage<'a> {
    chain: &'a Chain,
    old: &'a Store,
    /// Consecutive blocks that are submitted together, their bodies' bytes, and the ids and heights.
    group: Vec<UncheckedBlock>,
    group_bytes: usize,
    tail: Option<Tail>,
    waiting: Option<(Submission, Vec<Header>)>,
    /// Blocks that could not be kept, by id, with their heights.
    lost: BTreeMap<BlockId, u64>,
    /// Blocks that the old store itself calls invalid.
    invalid: BTreeSet<BlockId>,
    unreadable: u64,
    peers: bool,
}

impl<'a> Salvage<'a> {
    fn new(chain: &'a Chain, old: &'a Store) -> Self {
        Self {
            chain,
            old,
            group: Vec::new(),
            group_bytes: 0,
            tail: None,
            waiting: None,
            lost: BTreeMap::new(),
            invalid: BTreeSet::new(),
            unreadable: 0,
            peers: false,
        }
    }

    fn run(mut self, progress: &mut dyn FnMut(Step, u64, u64)) -> Result<Self, Failure> {
        // Where even the end cannot be read, how much there is is not known.
        let total = readable(self.old.last(Space::Log))?.unwrap_or(0);
        let mut walk = Commits::new(self.old, Space::Log);
        while let Some((seq, is_known)) = walk.next()? {
            match readable(self.old.log(seq))? {
                Some(log) => self.take_commit(seq, log)?,
                None => self.unreadable += u64::from(is_known),
            }
            progress(Step::Rebuild, seq.min(total), total);
            failpoint::hit("repair.commit_read");
        }
        self.flush()?;
        self.settle()?;
        self.take_pending()?;
        if let Some(Some(peers)) = readable(self.old.peers())? {
            self.peers = wait(self.chain.save_peers(peers))?.is_ok();
        }
        let Self { chain, lost, invalid, .. } = &mut self;
        lost.retain(|id, _| !invalid.contains(id) && chain.shared.read().block(id).is_none());
        Ok(self)
    }

    /// The blocks that a commit received.
    fn take_commit(&mut self, seq: u64, log: crate::store::log::LogRecord) -> Result<(), Failure> {
        self.invalid.extend(log.invalid.iter().map(|(id, ..)| *id));
        let mut offset = 0;
        for (header, length) in log.received {
            let place = BodyPlace { seq, offset, length };
            offset += u64::from(length);
            let bytes = readable(self.old.body(&place))?;
            let max = usize::try_from(BLOCK_BYTES_LIMIT).unwrap_or(usize::MAX);
            match bytes.and_then(|bytes| Body::from_bytes(&bytes, max).ok()) {
                Some(body) => self.take(UncheckedBlock { header, body }, length as usize)?,
                None => self.lose(header.id(), header.height),
            }
        }
        Ok(())
    }

    fn lose(&mut self, id: BlockId, height: u64) {
        self.lost.insert(id, height);
    }

    fn take(&mut self, block: UncheckedBlock, bytes: usize) -> Result<(), Failure> {
        if self.group.last().is_some_and(|last| last.header.id() != block.header.prev) {
            self.flush()?;
            // The next one's parent must be there, on whichever branch it is.
            self.settle()?;
        }
        self.group.push(block);
        self.group_bytes += bytes;
        if self.group.len() >= GROUP_BLOCKS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Submits what has come together, and waits for what was submitted before.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.group.is_empty() {
            return Ok(());
        }
        let blocks = std::mem::take(&mut self.group);
        self.group_bytes = 0;
        let headers = blocks.iter().map(|block| block.header).collect();
        // That none came from the future was seen when they came.
        let (submission, tail) = self.chain.begin_blocks(self.tail.take(), blocks, u64::MAX);
        self.settle()?;
        self.tail = tail;
        self.waiting = Some((submission, headers));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Failure> {
        let Some((submission, headers)) = self.waiting.take() else { return Ok(()) };
        let mut verdicts = submission.wait().into_iter();
        for header in headers {
            match verdicts.next() {
                Some(Ok(_)) => {}
                Some(Err(BlockError::Chain(error))) => return Err(damaged(error.to_string()).into()),
                Some(Err(BlockError::UnknownParent(parent))) => {
                    self.lose(parent, header.height.saturating_sub(1));
                    self.lose(header.id(), header.height);
                }
                // Without a verdict it comes after one that is not right.
                Some(Err(_)) | None => self.lose(header.id(), header.height),
            }
        }
        Ok(())
    }

    /// Pending transactions, in the order in which they were stored, all rules checked.
    fn take_pending(&mut self) -> Result<(), Failure> {
        let mut walk = Commits::new(self.old, Space::Mempool);
        while let Some((seq, _)) = walk.next()? {
            let Some(Some(txs)) = readable(self.old.run(seq))? else { continue };
            let network = &self.chain.shared.network;
            let check = |bytes: &Vec<u8>| shape(network, bytes).and_then(|tx| tx.verify()).ok();
            for part in txs.chunks(REPAIR_TXS_AT_ONCE) {
                let txs: Vec<CheckedTx> = part.iter().filter_map(check).collect();
                // Refused means: confirmed, replaced, expired or no longer covered.
                let _ = wait(self.chain.submit_txs(txs))?.map_err(|error| damaged(error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// The numbers of commits that a space holds anything of, ascending, also across damage.
struct Commits<'a> {
    old: &'a Store,
    space: Space,
    seq: u64,
    gap: u64,
}

impl<'a> Commits<'a> {
    fn new(old: &'a Store, space: Space) -> Self {
        Self { old, space, seq: 0, gap: 0 }
    }

    /// The next one, and whether it is known to be there: where numbers cannot be read, the next are tried.
    fn next(&mut self) -> Result<Option<(u64, bool)>, StoreError> {
        let (found, is_known) = match readable(self.old.next_after(self.space, self.seq))? {
            Some(found) => {
                self.gap = 0;
                (found, true)
            }
            None if self.gap < REPAIR_GAP_MAX => {
                self.gap += 1;
                (self.seq.checked_add(1), false)
            }
            None => (None, false),
        };
        self.seq = found.unwrap_or(self.seq);
        Ok(found.map(|seq| (seq, is_known)))
    }
}

/// `None` for what is damaged.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged { reason }) => {
            tracing::warn!(reason, "not readable, left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits for the chain thread.
fn wait<T>(answer: impl Future<Output = T>) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|source| io("wait for", source))?.block_on(answer))
}

fn io(doing: &'static str, source: std::io::Error) -> StoreError {
    StoreError::Io { doing, source }
}
