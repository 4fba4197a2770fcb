//! The index: where in the chain a transaction is, what touched an address, which assets there are.
//! Behind the tip, on a thread of its own, in a store of its own that is made again from blocks whenever
//! it is not fit. Its answers are places where something may be: the reader holds them against the
//! bodies, so what a reorganisation left behind does no harm. Must not know who asks.
//!
//! | file | what |
//! |---|---|
//! | `entry` | what is held: keyed prefixes and places; what a block gives |
//! | `memory` | entries that are in no run yet |
//! | `run`, `bloom` | sorted runs on disk |
//! | `merge` | several runs into one |
//! | `schema` | the key-spaces |
//! | `shelf` | the store: opened, made, thrown away |
//! | `keeper` | the thread |

mod bloom;
mod entry;
mod keeper;
mod memory;
mod merge;
mod run;
mod schema;
mod shelf;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::hash::{NetworkId, TxId};
use steelyard_runtime::sled_door::Door;
use tokio::sync::watch;

pub use self::entry::{Key, Mark, ParsePositionError, Position};
pub use self::run::Order;
pub use self::shelf::{INDEX_FOLDER, IndexFault, discard};

use self::entry::Secret;
use self::keeper::Keeper;
use self::memory::Memory;
use self::run::Run;
use self::shelf::Shelf;
use crate::chain::Chain;
use crate::chain::view::View;
use crate::limits::{INDEX_FAN_OUT, INDEX_MEMORY_BLOCKS, INDEX_MEMORY_ENTRIES, INDEX_RETRY_MS};
use crate::store::StoreError;

/// The bounds of the index, which tests make small.
#[derive(Clone, Copy, Debug)]
pub struct FinderLimits {
    /// Entries in memory after which they become a run…
    pub memory_entries: usize,
    /// …as they do after so many blocks.
    pub memory_blocks: u64,
    /// Runs of one level that become one of the next.
    pub fan_out: usize,
    /// Pause after a failure of the store.
    pub retry: Duration,
}

impl FinderLimits {
    /// Those of a node.
    pub const NODE: Self = Self {
        memory_entries: INDEX_MEMORY_ENTRIES,
        memory_blocks: INDEX_MEMORY_BLOCKS,
        fan_out: INDEX_FAN_OUT,
        retry: Duration::from_millis(INDEX_RETRY_MS),
    };
}

/// Why the index has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinderError {
    /// The operator wants none.
    #[error("this node keeps no index of transactions, addresses and assets")]
    Off,
    /// Its store failed. It is tried again.
    #[error("the index cannot be used and is tried again soon: {0}")]
    Failed(String),
}

impl FinderError {
    /// Stable name: `error.code` of the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "index_off",
            Self::Failed(_) => "index_failed",
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// By what.
    pub key: Key,
    /// From this place on…
    pub from: Position,
    /// …to this one.
    pub to: Position,
    /// From which end.
    pub order: Order,
    /// How many places at most.
    pub max: usize,
}

impl Query {
    /// The last places of a key, at most so many, the newest first.
    #[must_use]
    pub fn newest(key: Key, max: usize) -> Self {
        Self { key, from: Position::FIRST, to: Position::LAST, order: Order::NewestFirst, max }
    }
}

/// What the index holds, at one moment.
#[derive(Clone, Debug)]
pub struct Found {
    /// The last block that it had read, as all before it.
    pub mark: Mark,
    /// Places for each query, in the order that it asked for, none twice.
    pub places: Vec<Vec<Position>>,
}

/// The index as everybody but its thread sees it.
pub struct Finder {
    condition: RwLock<Condition>,
    /// The last block read; `None` while there is no index to ask.
    progress: watch::Sender<Option<Mark>>,
    /// What a reader met, for the thread to act on.
    fault: Mutex<Option<IndexFault>>,
}

/// How the index is.
enum Condition {
    Off,
    Opening,
    Failed(String),
    Open(Box<Live>),
}

/// An index that answers.
struct Live {
    door: Arc<Door>,
    secret: Secret,
    runs: Arc<[Arc<Run>]>,
    memory: Memory,
    mark: Mark,
}

impl Finder {
    /// No index.
    #[must_use]
    pub fn off() -> Arc<Self> {
        Arc::new(Self::new(Condition::Off))
    }

    /// Starts the index in a folder of its own. Its thread ends when the node stops.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(
        chain: &Chain,
        dir: &Path,
        limits: FinderLimits,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let finder = Arc::new(Self::new(Condition::Opening));
        let keeper = Keeper::new(chain.clone(), dir.to_owned(), limits, Arc::clone(&finder));
        let thread = std::thread::Builder::new().name("index".into()).spawn(move || keeper.run())?;
        Ok((finder, thread))
    }

    /// The index in a folder as it stands, without a thread and with nothing changed in it; `None`
    /// where none can be opened. Whether the chain knows its mark is for the caller to see.
    #[must_use]
    pub fn stored(dir: &Path, network: &NetworkId) -> Option<Self> {
        let shelf = Shelf::open(dir, network, |_| true).ok()?;
        let finder = Self::new(Condition::Opening);
        finder.open(&shelf);
        Some(finder)
    }

    fn new(condition: Condition) -> Self {
        Self {
            condition: RwLock::new(condition),
            progress: watch::Sender::new(None),
            fault: Mutex::default(),
        }
    }

    /// Whether there is to be an index.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(*self.read(), Condition::Off)
    }

    /// Why it cannot be used, where that is so although it should be.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match &*self.read() {
            Condition::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Tells of each block that has been read; `None` while there is nothing to ask.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Option<Mark>> {
        self.progress.subscribe()
    }

    /// Height of the last block of the active chain that has been read, as all before it; `None`
    /// while there is nothing to ask.
    #[must_use]
    pub fn indexed_height(&self, view: &View) -> Option<u64> {
        let mark = *self.progress.borrow();
        mark.map(|mark| indexed_height(view, &mark))
    }

    /// Where these may be, `None` while the store is being opened. Reads the disk.
    ///
    /// # Errors
    /// [`FinderError`].
    pub fn find(&self, queries: &[Query]) -> Result<Option<Found>, FinderError> {
        let (mark, door, runs, asked) = {
            let condition = self.read();
            let live = match &*condition {
                Condition::Off => return Err(FinderError::Off),
                Condition::Failed(reason) => return Err(FinderError::Failed(reason.clone())),
                Condition::Opening => return Ok(None),
                Condition::Open(live) => live,
            };
            let ask = |query: &Query| {
                let prefix = live.secret.prefix(&query.key);
                (prefix, live.memory.positions(prefix, query))
            };
            let asked: Vec<_> = queries.iter().map(ask).collect();
            (live.mark, Arc::clone(&live.door), Arc::clone(&live.runs), asked)
        };
        let look =
            |(query, (prefix, found)): (&Query, (u64, Vec<u64>))| places(&door, &runs, query, prefix, found);
        let places = queries.iter().zip(asked).map(look).collect::<Result<_, StoreError>>();
        places.map(|places| Some(Found { mark, places })).map_err(|error| {
            let reason = error.to_string();
            self.note_fault(error.into());
            FinderError::Failed(reason)
        })
    }

    /// Whether a transaction was in one of the last blocks, as far as they are in memory.
    #[must_use]
    pub fn is_recent(&self, id: &TxId) -> bool {
        match &*self.read() {
            Condition::Open(live) => live.memory.is_recent(live.secret.prefix(&Key::Tx(*id))),
            _ => false,
        }
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let door = match &*self.read() {
            Condition::Open(live) => Some(Arc::clone(&live.door)),
            _ => None,
        };
        door.map_or(0, |door| door.disk_bytes())
    }

    fn read(&self) -> RwLockReadGuard<'_, Condition> {
        self.condition.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, condition: Condition) {
        let before = std::mem::replace(
            &mut *self.condition.write().unwrap_or_else(PoisonError::into_inner),
            condition,
        );
        // Closing a store takes long: not under the lock.
        drop(before);
    }

    /// Changes an index that answers.
    fn change<T>(&self, change: impl FnOnce(&mut Live) -> T) -> Option<T> {
        match &mut *self.condition.write().unwrap_or_else(PoisonError::into_inner) {
            Condition::Open(live) => Some(change(live)),
            _ => None,
        }
    }

    /// From now on what is on this shelf is found.
    fn open(&self, shelf: &Shelf) {
        let (door, runs) = (Arc::clone(&shelf.door), shelf.runs.clone().into());
        let (secret, mark, memory) = (shelf.secret, shelf.mark, Memory::default());
        self.set(Condition::Open(Box::new(Live { door, secret, runs, memory, mark })));
        self.progress.send_replace(Some(mark));
    }

    /// Notes that there is nothing to ask, and why.
    fn fail(&self, reason: String) {
        self.set(Condition::Failed(reason));
        self.progress.send_replace(None);
    }

    fn note_fault(&self, fault: IndexFault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    fn take_fault(&self) -> Option<IndexFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Height of the last block of the active chain up to which a mark counts.
#[must_use]
pub fn indexed_height(view: &View, mark: &Mark) -> u64 {
    let number = view.block(&mark.id).map(|(number, _)| view.index().active_ancestor(number));
    number.map_or(0, |number| view.index().get(number).header.height)
}

/// Places of all runs and of memory, where some were `found`, as the query wants them.
fn places(
    door: &Door,
    runs: &[Arc<Run>],
    query: &Query,
    prefix: u64,
    mut found: Vec<u64>,
) -> Result<Vec<Position>, StoreError> {
    let range = query.from.to_bits()..=query.to.to_bits();
    // The first of all are among the first of each.
    for run in runs {
        found.extend(run.positions(door, prefix, &range, (query.order, query.max))?);
    }
    found.sort_unstable();
    found.dedup();
    if query.order == Order::NewestFirst {
        found.reverse();
    }
    found.truncate(query.max);
    Ok(found.into_iter().map(Position::from_bits).collect())
}
