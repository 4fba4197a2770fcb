//! The daemon's store: every send that was ever asked for, how many addresses a wallet has, and the
//! last reading of the chain. No chain: its size follows from the sends. One thread commits, all may
//! read. Must not know keys, nodes or what moves an intent.
//!
//! | file | what |
//! |---|---|
//! | [`schema`] | the key-spaces |
//! | `record` | what stands in them, and the check behind each value |
//! | `mark` | a witness of how many commits there were |

mod mark;
mod record;
pub mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bincode::{Decode, Encode};
use steelyard_core::hash::{NetworkId, TxId};
use steelyard_migrations::road::{self, UpgradeError};
use steelyard_migrations::{Age, VersionError, wallet as migrations};
use steelyard_runtime::dirs::sync_dir;
use steelyard_runtime::exit::{CliError, ExitCode};
pub use steelyard_runtime::sled_door::StoreError;
use steelyard_runtime::sled_door::{Batch, Door, DoorOptions, OpenError, is_missing, make_whole};
use steelyard_runtime::version;

use self::mark::Mark;
use self::record::{StoredIntent, StoredSnapshot, from_value, to_value};
use self::schema::{META_NETWORK, Space, number_of, numbers, of_wallet, sentinels, single};
use crate::intent::{Intent, IntentId};
use crate::keystore::WalletId;
use crate::limits::SLED_CACHE_BYTES;
use crate::view::Snapshot;

/// Folder of the store inside the daemon's folder.
pub const STORE_FOLDER: &str = "store";
/// Number of COMMITS' and SNAPSHOT's one key.
const ONE: u8 = 1;
const DOOR: DoorOptions = DoorOptions { cache_bytes: SLED_CACHE_BYTES };

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// sled's folder does not open.
    #[error(transparent)]
    Door(#[from] OpenError),
    /// It opens but is damaged or cannot be read.
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
            StoreOpenError::Door(error) => hinted(error.into()),
            StoreOpenError::Store(error) => hinted(error.into()),
            StoreOpenError::Version(error) => Self::damaged("schema_version", error.to_string()),
            StoreOpenError::Upgrade(error) => error.into(),
            StoreOpenError::OtherNetwork { .. } => Self::usage("other_network", error.to_string())
                .with_hint("give another --data-dir, or the --network that this one was made for"),
        }
    }
}

/// What to do about damage. The keys lie elsewhere, so nothing is lost but what was noted of sends.
#[must_use]
pub fn hinted(error: CliError) -> CliError {
    if error.exit != ExitCode::Damaged {
        return error;
    }
    error.with_hint(
        "copy the wallet's folder, then move its store folder away: the keys are not in it. The wallet then \
         knows none of its earlier sends: look at balance and status before anything is sent again",
    )
}

/// The same error once more: many wait for one commit.
#[must_use]
pub fn same_error(error: &StoreError) -> StoreError {
    match error {
        StoreError::Damaged { reason } => StoreError::Damaged { reason: reason.clone() },
        StoreError::Io { doing, source } => {
            StoreError::Io { doing, source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        StoreError::Poisoned => StoreError::Poisoned,
        StoreError::ValueTooLarge { bytes } => StoreError::ValueTooLarge { bytes: *bytes },
        StoreError::Closed => StoreError::Closed,
    }
}

/// Who writes the store, for a program that is too old to read it.
fn writer() -> String {
    format!("steelyard-wallet {}", version::text())
}

fn damaged(reason: String) -> StoreError {
    StoreError::Damaged { reason }
}

/// What one commit writes.
#[derive(Debug, Default)]
pub struct Changes {
    batch: Batch,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// How many addresses a wallet has.
    pub fn put_addresses(&mut self, wallet: &WalletId, count: u32) {
        self.put(of_wallet(Space::Wallet, wallet, &[]), &count);
    }

    /// A new intent: findable by its id from now on, for ever.
    pub fn put_new_intent(&mut self, wallet: &WalletId, intent: &Intent) {
        self.put(of_wallet(Space::Id, wallet, intent.id.as_str().as_bytes()), &intent.seq);
        self.put(of_wallet(Space::Live, wallet, &intent.seq.to_be_bytes()), &());
        self.put_intent(wallet, intent);
    }

    /// An intent that has just been signed: findable by its transaction from now on.
    pub fn put_signed_intent(&mut self, wallet: &WalletId, intent: &Intent) {
        if let Some(signed) = &intent.signed {
            self.put(of_wallet(Space::Tx, wallet, &signed.id.0), &intent.seq);
        }
        self.put_intent(wallet, intent);
    }

    /// An intent that moved on; a final one is loaded no more at the start.
    pub fn put_intent(&mut self, wallet: &WalletId, intent: &Intent) {
        let number = intent.seq.to_be_bytes();
        self.put(of_wallet(Space::Intent, wallet, &number), &StoredIntent::from(intent));
        if intent.state.is_final() {
            self.batch.remove(of_wallet(Space::Live, wallet, &number));
        }
    }

    /// The last reading of the chain.
    pub fn put_snapshot(&mut self, snapshot: &Snapshot) {
        self.put(single(Space::Snapshot, ONE), &StoredSnapshot::from(snapshot));
    }

    fn put<T: Encode>(&mut self, key: Vec<u8>, content: &T) {
        let value = to_value(&key, content);
        self.batch.put(key, value);
    }
}

/// The store. Cheap calls read, one thread commits.
pub struct Store {
    door: Door,
    mark: Mutex<(Mark, u64)>,
}

impl Store {
    /// Opens or creates the store of a network in `dir`. One of an earlier schema version is brought up
    /// to date, and kept as it was beside it.
    ///
    /// # Errors
    /// [`StoreOpenError`]; nothing is changed then.
    pub fn open(dir: &Path, network: &NetworkId) -> Result<Self, StoreOpenError> {
        road::settle(dir, DOOR, &migrations::LAYOUT)?;
        if is_missing(dir) {
            create(dir, network)?;
        }
        let mut door = Door::open(dir, DOOR)?;
        if migrations::LAYOUT.check(&door)? != Age::Current {
            drop(door);
            road::upgrade(dir, DOOR, &migrations::LAYOUT, &writer())?;
            door = Door::open(dir, DOOR)?;
        }
        let found: Option<[u8; 32]> = get(&door, &single(Space::Meta, META_NETWORK), network_record)?;
        let found =
            found.map(NetworkId).ok_or_else(|| damaged(format!("{} is missing", network_record())))?;
        if found != *network {
            return Err(StoreOpenError::OtherNetwork { found, expected: *network });
        }
        let (mark, said) = Mark::open(dir).map_err(|source| io_error(dir, "open", source))?;
        let commits: Option<u64> =
            get(&door, &single(Space::Commits, ONE), || "the number of commits".to_owned())?;
        let commits = commits.ok_or_else(|| damaged("the number of commits is missing".to_owned()))?;
        if let Some(said) = said.filter(|said| *said > commits) {
            let reason = format!("it holds {commits} of {said} commits: a part of its files is gone");
            return Err(damaged(reason).into());
        }
        if said.is_none() {
            tracing::warn!("the store's mark is missing: whether commits were lost cannot be told this time");
        }
        Ok(Self { door, mark: Mutex::new((mark, commits)) })
    }

    /// Makes these changes durable, all or none. When it returns, they survive a power cut.
    ///
    /// # Errors
    /// [`StoreError`]: the store takes no more writes, and the process should stop.
    pub fn commit(&self, mut changes: Changes) -> Result<(), StoreError> {
        let (mark, commits) = &mut *self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let next = *commits + 1;
        changes.put(single(Space::Commits, ONE), &next);
        self.door.commit(changes.batch)?;
        *commits = next;
        mark.set(next).map_err(|source| StoreError::Io { doing: "mark", source })
    }

    /// Writes these changes without making them durable: for what a node would say again. They are
    /// durable no later than the next commit, and never after a later one.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn write(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() { Ok(()) } else { self.door.write(changes.batch) }
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn sync(&self) -> Result<(), StoreError> {
        self.door.sync()
    }

    /// How many addresses a wallet has; `None` for one that the store does not know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn addresses(&self, wallet: &WalletId) -> Result<Option<u32>, StoreError> {
        get(&self.door, &of_wallet(Space::Wallet, wallet, &[]), || format!("the record of wallet {wallet}"))
    }

    /// The number of a wallet's next intent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_seq(&self, wallet: &WalletId) -> Result<u64, StoreError> {
        let last = self.door.last_in(numbers(Space::Intent, wallet, 0, u64::MAX))?;
        Ok(last.and_then(|(key, _)| number_of(&key)).map_or(1, |seq| seq.saturating_add(1)))
    }

    /// A wallet's intents that are not final, in the order of their making.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn live(&self, wallet: &WalletId) -> Result<Vec<Intent>, StoreError> {
        let found = self.door.scan(numbers(Space::Live, wallet, 0, u64::MAX), usize::MAX)?;
        let live = found.iter().map(|(key, _)| {
            let seq = number_of(key).ok_or_else(|| damaged(format!("a number of wallet {wallet}")))?;
            let intent = self.numbered(wallet, seq)?;
            if intent.state.is_final() {
                return Err(damaged(format!("intent {seq} of wallet {wallet} is final and not")));
            }
            Ok(intent)
        });
        live.collect()
    }

    /// The intent that the caller calls so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn by_id(&self, wallet: &WalletId, id: &IntentId) -> Result<Option<Intent>, StoreError> {
        let key = of_wallet(Space::Id, wallet, id.as_str().as_bytes());
        let seq: Option<u64> = get(&self.door, &key, || format!("id {id} of wallet {wallet}"))?;
        let Some(intent) = seq.map(|seq| self.numbered(wallet, seq)).transpose()? else { return Ok(None) };
        if intent.id != *id {
            return Err(damaged(format!("id {id} of wallet {wallet} leads to {}", intent.id)));
        }
        Ok(Some(intent))
    }

    /// The intent whose transaction has this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn by_tx(&self, wallet: &WalletId, tx: &TxId) -> Result<Option<Intent>, StoreError> {
        let key = of_wallet(Space::Tx, wallet, &tx.0);
        let seq: Option<u64> = get(&self.door, &key, || format!("transaction {tx} of wallet {wallet}"))?;
        seq.map(|seq| self.numbered(wallet, seq)).transpose()
    }

    /// Up to `limit` intents with a number below `before`, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(
        &self,
        wallet: &WalletId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Intent>, StoreError> {
        let next = self.next_seq(wallet)?;
        let end = before.map_or(next, |before| before.min(next));
        let start = end.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX)).max(1);
        (start..end).rev().map(|seq| self.numbered(wallet, seq)).collect()
    }

    /// The last reading of the chain that was written down.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let name = || "the last reading of the chain".to_owned();
        let stored: Option<StoredSnapshot> = get(&self.door, &single(Space::Snapshot, ONE), name)?;
        let Some(stored) = stored else { return Ok(None) };
        stored.checked().map(Some).ok_or_else(|| unreadable(&name()))
    }

    fn numbered(&self, wallet: &WalletId, seq: u64) -> Result<Intent, StoreError> {
        let name = || format!("intent {seq} of wallet {wallet}");
        let key = of_wallet(Space::Intent, wallet, &seq.to_be_bytes());
        let stored: Option<StoredIntent> = get(&self.door, &key, name)?;
        let stored = stored.ok_or_else(|| damaged(format!("{} is missing", name())))?;
        stored.checked().filter(|intent| intent.seq == seq).ok_or_else(|| unreadable(&name()))
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
        self.door.reopen()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.door.disk_bytes()
    }

    /// sled, for tests that tamper.
    #[cfg(test)]
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }
}

/// Reads a value; one that is there and is not what was written is damage, and says of what.
fn get<T: Encode + Decode<()>>(
    door: &Door,
    key: &[u8],
    name: impl Fn() -> String,
) -> Result<Option<T>, StoreError> {
    let Some(value) = door.get(key)? else { return Ok(None) };
    from_value(key, &value).map(Some).ok_or_else(|| unreadable(&name()))
}

fn unreadable(name: &str) -> StoreError {
    damaged(format!("{name} cannot be read"))
}

fn network_record() -> String {
    "the network's id".to_owned()
}

fn io_error(dir: &Path, doing: &'static str, source: std::io::Error) -> OpenError {
    OpenError::Io { dir: dir.to_path_buf(), doing, source }
}

fn create(dir: &Path, network: &NetworkId) -> Result<(), StoreOpenError> {
    let mut changes = Changes::default();
    for sentinel in sentinels() {
        changes.batch.put(sentinel, []);
    }
    changes.put(single(Space::Meta, META_NETWORK), &network.0);
    changes.put(single(Space::Commits, ONE), &1_u64);
    for (key, value) in migrations::LAYOUT.entries(&writer()) {
        changes.batch.put(key, value);
    }
    let marked = |folder: &Path| {
        let (mut mark, _) = Mark::open(folder)?;
        mark.set(1).and_then(|()| mark.sync()).and_then(|()| sync_dir(folder))
    };
    Ok(make_whole(dir, DOOR, changes.batch, marked)?)
}
