//! The store: what the node remembers, in one sled tree. One commit is one atomic, durable batch
//! ([`Store::commit`]); everything acknowledged was in one before. [`schema`] lists the
//! key-spaces. Must not know rules, and nobody else may know sled.

pub mod build;
pub(crate) mod bytes;
pub mod checkpoint;
pub mod delta;
pub mod entries;
pub mod figures;
pub mod log;
pub mod pending;
mod prune;
pub mod schema;
pub mod stream;

use std::path::Path;
use std::time::Duration;

use steelyard_core::hash::{FullId, NetworkId};
use steelyard_migrations::road::{self, UpgradeError};
use steelyard_migrations::{Age, VersionError, node as migrations};
use steelyard_runtime::exit::CliError;
use steelyard_runtime::sled_door::{Batch, Door, DoorOptions, OpenError, is_missing, make_whole};
pub use steelyard_runtime::sled_door::{StoreError, VALUE_BYTES_MAX};
use steelyard_runtime::{clock, failpoint, version};

use self::delta::Delta;
use self::figures::Figures;
use self::log::{LogRecord, StoredTip};
pub use self::prune::PRUNE_KEYS;
use self::schema::{META_NETWORK, PEERS_ALL, SENTINELS, SPACES, Space, key, range, split};
use crate::limits::SLED_CACHE_BYTES;
use steelyard_core::state::{Key, Record, Trie};

/// Who holds a node's folder, in locks and messages.
pub const PROGRAM: &str = "steelyard-node";
/// Folder of the store inside the node's folder.
pub const STORE_FOLDER: &str = "chain";
const DOOR: DoorOptions = DoorOptions { cache_bytes: SLED_CACHE_BYTES };

/// Who writes the store, for a program that is too old to read it.
fn writer() -> String {
    format!("{PROGRAM} {}", version::text())
}

/// Damage found above sled's own level.
#[must_use]
pub fn damaged(reason: String) -> StoreError {
    StoreError::Damaged { reason }
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// sled's folder does not open.
    #[error(transparent)]
    Door(#[from] OpenError),
    /// It opens but cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A later schema version, or none that can be told.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// An earlier schema version that could not be brought up to date.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// A store of another network.
    #[error("the store belongs to network {found}, not {expected}")]
    OtherNetwork {
        /// The store's.
        found: NetworkId,
        /// The one asked for.
        expected: NetworkId,
    },
}

impl From<StoreOpenError> for CliError {
    fn from(error: StoreOpenError) -> Self {
        match error {
            StoreOpenError::Door(error) => error.into(),
            StoreOpenError::Store(error) => error.into(),
            StoreOpenError::Version(error) => Self::damaged("schema_version", error.to_string()),
            StoreOpenError::Upgrade(error) => error.into(),
            StoreOpenError::OtherNetwork { .. } => Self::usage("other_network", error.to_string())
                .with_hint("give another --data-dir, or the --network that this one was made for"),
        }
    }
}

/// What one commit writes.
#[derive(Debug, Default)]
pub struct Commit<'a> {
    /// Blocks received and chain changed.
    pub log: LogRecord,
    /// Bodies of the blocks received, one after another.
    pub bodies: Vec<u8>,
    /// Records changed.
    pub delta: Delta,
    /// Transactions admitted.
    pub pending: Vec<(FullId, &'a [u8])>,
    /// MEMPOOL runs of which nothing is pending any more.
    pub dead_runs: Vec<u64>,
    /// Addresses of other nodes and bans, in place of those before; `None` to leave them.
    pub peers: Option<Vec<u8>>,
}

/// Where a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPlace {
    /// The commit that received it.
    pub seq: u64,
    /// Its first byte among that commit's bodies.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
}

/// The node's store. Cheap calls read, one thread commits.
pub struct Store {
    door: Door,
    figures: Figures,
}

impl Store {
    /// Opens or creates the store of a network in `dir`. One of an earlier schema version is brought up
    /// to date, and kept as it was beside it.
    ///
    /// # Errors
    /// [`StoreOpenError`]; nothing is changed then.
    pub fn open(dir: &Path, network: &NetworkId) -> Result<Self, StoreOpenError> {
        Self::settle(dir)?;
        if is_missing(dir) {
            Self::create(dir, network)?;
        }
        let mut door = Door::open(dir, DOOR)?;
        if migrations::LAYOUT.check(&door)? != Age::Current {
            drop(door);
            road::upgrade(dir, DOOR, &migrations::LAYOUT, &writer())?;
            door = Door::open(dir, DOOR)?;
        }
        let found = door.get(key(Space::Meta, META_NETWORK, 0))?;
        let found = found.and_then(|bytes| bytes.try_into().ok()).map(NetworkId);
        let found = found.ok_or_else(|| damaged("the network's id is missing".into()))?;
        if found != *network {
            return Err(StoreOpenError::OtherNetwork { found, expected: *network });
        }
        Ok(Self { door, figures: Figures::default() })
    }

    /// Whether there is a store, in its place or waiting for it; what it holds is not looked at.
    #[must_use]
    pub fn is_there(dir: &Path) -> bool {
        !is_missing(dir) || road::is_waiting(dir)
    }

    /// Puts a store in its place that was brought up to date when a kill came before it took it.
    ///
    /// # Errors
    /// [`StoreOpenError`].
    pub fn settle(dir: &Path) -> Result<(), StoreOpenError> {
        Ok(road::settle(dir, DOOR, &migrations::LAYOUT)?)
    }

    fn create(dir: &Path, network: &NetworkId) -> Result<(), StoreOpenError> {
        let mut batch = Batch::new();
        for space in SPACES {
            for (a, chunk) in
                [0, u64::MAX].into_iter().flat_map(|a| (0..SENTINELS).map(move |chunk| (a, chunk)))
            {
                batch.put(key(space, a, chunk), []);
            }
        }
        batch.put(key(Space::Meta, META_NETWORK, 0), network.0);
        for (key, value) in migrations::LAYOUT.entries(&writer()) {
            batch.put(key, value);
        }
        Ok(make_whole(dir, DOOR, batch, |_| Ok(()))?)
    }

    /// Writes one commit: bodies first when they are long, then everything in one batch, then
    /// flush and fdatasync. When it returns, all of it survives a power cut.
    ///
    /// # Errors
    /// [`StoreError`]: the store takes no more writes, and the process should stop.
    pub fn commit(&self, seq: u64, commit: &Commit<'_>) -> Result<(), StoreError> {
        let started = clock::start();
        let mut batch = Batch::new();
        if commit.bodies.len() > VALUE_BYTES_MAX {
            stream::write_ahead(&self.door, Space::Body, seq, &commit.bodies)?;
            failpoint::hit("store.after_bodies");
        } else if !commit.bodies.is_empty() {
            stream::put(&mut batch, Space::Body, seq, &commit.bodies);
        }
        stream::put(&mut batch, Space::Log, seq, &commit.log.to_bytes());
        if !commit.delta.is_empty() {
            stream::put(&mut batch, Space::Delta, seq, &commit.delta.to_bytes());
        }
        if !commit.pending.is_empty() {
            let run = pending::to_bytes(commit.pending.iter().copied());
            stream::put(&mut batch, Space::Mempool, seq, &run);
        }
        for run in &commit.dead_runs {
            for (found, _) in self.door.scan(range(Space::Mempool, *run, *run), usize::MAX)? {
                batch.remove(found);
            }
        }
        if let Some(peers) = &commit.peers {
            stream::put(&mut batch, Space::Peers, PEERS_ALL, peers);
        }
        self.door.commit(batch)?;
        self.figures.commits.count(started.elapsed());
        Ok(())
    }

    /// Addresses of other nodes and bans, as the last commit that had any wrote them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are not whole, or the disk's error.
    pub fn peers(&self) -> Result<Option<Vec<u8>>, StoreError> {
        stream::read(&self.door, Space::Peers, PEERS_ALL)
    }

    /// Every commit's log, first to last.
    ///
    /// # Errors
    /// [`StoreError`], or that of `each`.
    pub fn for_each_log(
        &self,
        mut each: impl FnMut(u64, LogRecord) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        stream::for_each(&self.door, Space::Log, 0, |seq, bytes| each(seq, LogRecord::from_bytes(&bytes)?))
    }

    /// Every delta after commit `seq`.
    ///
    /// # Errors
    /// [`StoreError`], or that of `each`.
    pub fn for_each_delta_after(
        &self,
        seq: u64,
        mut each: impl FnMut(u64, Delta) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        stream::for_each(&self.door, Space::Delta, seq + 1, |seq, bytes| {
            each(seq, Delta::from_bytes(&bytes)?)
        })
    }

    /// Every run of pending transactions: its commit, its transactions' bytes, its size, how many were damaged.
    ///
    /// # Errors
    /// [`StoreError`], or that of `each`.
    pub fn for_each_run(
        &self,
        mut each: impl FnMut(u64, Vec<Vec<u8>>, u64, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        stream::for_each(&self.door, Space::Mempool, 0, |seq, bytes| {
            let (txs, damaged) = pending::from_bytes(&bytes)?;
            each(seq, txs, bytes.len() as u64, damaged)
        })
    }

    /// What one commit did.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there.
    pub fn log(&self, seq: u64) -> Result<LogRecord, StoreError> {
        let bytes = stream::read(&self.door, Space::Log, seq)?;
        LogRecord::from_bytes(&bytes.ok_or_else(|| damaged(format!("the log of commit {seq} is missing")))?)
    }

    /// The tip after the last commit; `None` while there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tip(&self) -> Result<Option<StoredTip>, StoreError> {
        match self.last(Space::Log)? {
            0 => Ok(None),
            seq => self.log(seq).map(|log| Some(log.tip)),
        }
    }

    /// The last number under which a space holds anything; 0 for none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last(&self, space: Space) -> Result<u64, StoreError> {
        let last = self.door.last_in(range(space, 0, u64::MAX))?;
        Ok(last.and_then(|(found, _)| split(&found)).map_or(0, |(a, _)| a))
    }

    /// The delta of one commit.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there.
    pub fn delta(&self, seq: u64) -> Result<Delta, StoreError> {
        self.find_delta(seq)?.ok_or_else(|| damaged(format!("the delta of commit {seq} is missing")))
    }

    /// The delta of a commit, if it has one: commits that leave the active chain as it is have none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be read.
    pub fn find_delta(&self, seq: u64) -> Result<Option<Delta>, StoreError> {
        stream::read(&self.door, Space::Delta, seq)?.map(|bytes| Delta::from_bytes(&bytes)).transpose()
    }

    /// A body's bytes, not yet held against its header.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there.
    pub fn body(&self, place: &BodyPlace) -> Result<Vec<u8>, StoreError> {
        stream::read_part(&self.door, place.seq, (place.offset, u64::from(place.length)))
    }

    /// Which checkpoint is the newest; `None` for none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&self) -> Result<Option<checkpoint::Mark>, StoreError> {
        checkpoint::mark(&self.door)
    }

    /// The records of a checkpoint, ascending by path.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint_records(&self, mark: &checkpoint::Mark) -> Result<Vec<(Key, Record)>, StoreError> {
        checkpoint::records(&self.door, mark)
    }

    /// Writes a checkpoint of the state after commit `seq`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_checkpoint(&self, state: &Trie, seq: u64) -> Result<(), StoreError> {
        let started = clock::start();
        let mark = checkpoint::write(&self.door, state, seq)?;
        self.figures.checkpoint(started.elapsed(), mark.records);
        Ok(())
    }

    /// Bytes written since sled was opened last.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.door.bytes_written()
    }

    /// Closes and opens sled while readers wait: the only moment in which it writes its snapshot.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn reopen(&self) -> Result<Duration, OpenError> {
        let before = self.door.bytes_written();
        let took = self.door.reopen()?;
        self.figures.reopened(took, before);
        Ok(took)
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Bytes of keys and values written since it was opened, reopened or not.
    #[must_use]
    pub fn bytes_written_in_all(&self) -> u64 {
        self.figures.bytes_before() + self.door.bytes_written()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.door.disk_bytes()
    }

    /// sled, for tests that tamper and tools that look.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.door
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId([1; 32]);

    /// What a kill during the first open can leave: sled would refuse it for ever.
    #[test]
    fn a_half_made_store_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, aside) = (folder.path().join("chain"), folder.path().join("chain.new"));
        std::fs::create_dir(&aside).unwrap();
        std::fs::write(aside.join("conf"), [0xff; 3]).unwrap();
        std::fs::write(aside.join("db"), [7; 5_000]).unwrap();
        drop(Store::open(&dir, &NETWORK).unwrap());
        assert!(!aside.exists());
        drop(Store::open(&dir, &NETWORK).unwrap());
    }

    #[test]
    fn peers_are_replaced_whole_and_by_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("chain");
        let mut store = Store::open(&dir, &NETWORK).unwrap();
        assert_eq!(store.peers().unwrap(), None);
        // Several chunks, then fewer: what is left of the longer ones is no content.
        for (seq, length) in (1..).zip([3 * VALUE_BYTES_MAX, VALUE_BYTES_MAX - 8, 5, 0]) {
            let peers = vec![seq as u8; length];
            store.commit(seq, &Commit { peers: Some(peers.clone()), ..Commit::default() }).unwrap();
            store.commit(seq, &Commit::default()).unwrap();
            drop(store);
            store = Store::open(&dir, &NETWORK).unwrap();
            assert_eq!(store.peers().unwrap(), Some(peers));
        }
    }

    #[test]
    fn a_store_that_lost_its_content_is_no_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("chain");
        drop(Door::open(&dir, DoorOptions { cache_bytes: SLED_CACHE_BYTES }).unwrap());
        let refused = Store::open(&dir, &NETWORK).err().unwrap();
        assert!(matches!(refused, StoreOpenError::Version(VersionError::Unreadable)), "{refused}");
    }
}
