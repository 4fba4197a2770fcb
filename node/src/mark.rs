//! The mark beside the store: how far the store was, in a file of its own. sled opens a file that was cut
//! short as what it was some commits ago, without a word; the mark is how that is noticed. It is written
//! after the commit that it names is durable, so it may be behind, never ahead; and it is believed for
//! nothing but a warning: where it is missing, unreadable or of another network nothing is said. Must not
//! know what a commit holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steelyard_core::hash::{BlockId, NetworkId, sha256d};
use steelyard_runtime::dirs::sync_dir;
use steelyard_runtime::{failpoint, ready};

use crate::chain::index::Entry;
use crate::chain::view::Shared;
use crate::limits::MARK_MS;

/// Its file in the node's folder.
pub const MARK_FILE: &str = "chain.mark";
/// Of the file. Another one is not read.
const FORMAT: u32 = 1;
/// No commit has this number: nothing was written yet.
const NOTHING: u64 = u64::MAX;

/// How far a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last commit.
    pub seq: u64,
    /// Height of the tip.
    pub height: u64,
    /// The tip.
    pub id: BlockId,
    /// Work of the active chain.
    pub work: u128,
}

/// The file's content: JSON, the work in decimal because readers of JSON would round it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    network: NetworkId,
    seq: u64,
    height: u64,
    id: BlockId,
    work: String,
    checksum: String,
}

/// What a store does not hold any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The last commit that is there.
    pub commit: u64,
    /// The height at which the store opened.
    pub height: u64,
    /// The last commit that there was, as far as known.
    pub had_commit: u64,
    /// The height that it had.
    pub had_height: u64,
    /// The tip that it had.
    pub had_block: BlockId,
    /// Whether blocks are lost, which peers may have; else only what was pending.
    pub blocks_lost: bool,
}

impl Mark {
    /// How far a store is that ends with this commit and this tip.
    #[must_use]
    pub fn at(seq: u64, tip: &Entry) -> Self {
        Self { seq, height: tip.header.height, id: tip.id, work: tip.total_work }
    }

    /// How far the committed chain is.
    #[must_use]
    pub fn of(shared: &Shared) -> Self {
        let view = shared.read();
        Self::at(view.seq(), view.tip())
    }

    /// What the mark in a node's folder says, where it says anything of this network.
    #[must_use]
    pub fn read(data_dir: &Path, network: &NetworkId) -> Option<Self> {
        let path = data_dir.join(MARK_FILE);
        match ready::read_json::<Written>(&path) {
            Ok(written) => {
                let mark = written.mark(network);
                if mark.is_none() {
                    tracing::info!(file = %path.display(), "the mark beside the store is not this store's");
                }
                mark
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::info!(file = %path.display(), %error, "the mark beside the store is not used");
                None
            }
        }
    }

    /// What is lost of a store that was as far as this, and is now as far as `found`.
    #[must_use]
    pub fn loss(&self, found: &Self) -> Option<Loss> {
        let blocks_lost = found.work < self.work;
        (blocks_lost || found.seq < self.seq).then_some(Loss {
            commit: found.seq,
            height: found.height,
            had_commit: self.seq,
            had_height: self.height,
            had_block: self.id,
            blocks_lost,
        })
    }

    fn written(&self, network: NetworkId) -> Written {
        let Self { seq, height, id, work } = *self;
        let work = work.to_string();
        let mut written = Written { format: FORMAT, network, seq, height, id, work, checksum: String::new() };
        written.checksum = written.sum();
        written
    }
}

impl Written {
    fn sum(&self) -> String {
        let Self { format, network, seq, height, id, work, checksum: _ } = self;
        hex::encode(sha256d(format!("{format} {network} {seq} {height} {id} {work}").as_bytes()))
    }

    fn mark(&self, network: &NetworkId) -> Option<Mark> {
        let is_ours = self.format == FORMAT && self.network == *network && self.checksum == self.sum();
        let work = self.work.parse().ok()?;
        is_ours.then_some(Mark { seq: self.seq, height: self.height, id: self.id, work })
    }
}

impl Loss {
    /// In words, for an operator.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { commit, height, had_commit, had_height, had_block, blocks_lost } = self;
        let lost = if *blocks_lost {
            "its end was lost. Blocks are fetched from peers; what only this node had cannot be had again"
        } else {
            "what was pending since is lost unless it is sent again"
        };
        format!(
            "the store opened at height {height} (commit {commit}), it had block {had_block} at height \
             {had_height} (commit {had_commit}): {lost}"
        )
    }
}

/// Removes the mark of a node's folder: whoever removes or replaces the chain does, before it.
///
/// # Errors
/// The machine's; that there is none is no error.
pub fn remove(data_dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(data_dir.join(MARK_FILE)) {
        Ok(()) => sync_dir(data_dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Keeps the mark of a running node.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    shared: Arc<Shared>,
    /// The mark that was found at the start, and what is not there of it.
    lost: Option<(Mark, Loss)>,
    /// The commit that the file names.
    written: AtomicU64,
    /// It could not be written the last time.
    is_failing: AtomicBool,
}

impl Keeper {
    /// Holds the mark in a node's folder against the store that was opened, and says so in the log where
    /// something is lost.
    #[must_use]
    pub fn open(data_dir: &Path, shared: &Arc<Shared>) -> Self {
        let had = Mark::read(data_dir, &shared.network);
        let lost = had.and_then(|had| Some((had, had.loss(&Mark::of(shared))?)));
        if let Some((_, loss)) = &lost {
            tracing::warn!(code = "store_rolled_back", "{}", loss.text());
        }
        let path = data_dir.join(MARK_FILE);
        if let Err(error) = ready::remove_leftovers(&path) {
            tracing::info!(%error, "cannot remove what an earlier writing of the mark left behind");
        }
        let (written, is_failing) = (AtomicU64::new(NOTHING), AtomicBool::new(false));
        Self { path, shared: Arc::clone(shared), lost, written, is_failing }
    }

    /// Keeps it up with the chain until the node stops.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let keeper = Arc::clone(self);
        std::thread::Builder::new().name("mark".into()).spawn(move || {
            while keeper.shared.rest(Duration::from_millis(MARK_MS)) {
                keeper.save();
            }
        })
    }

    /// What the store lost and the chain has not made up for. Only blocks can be made up for.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        let (had, loss) = self.lost.as_ref()?;
        let is_made_up = loss.blocks_lost && Mark::of(&self.shared).work >= had.work;
        (!is_made_up).then_some(*loss)
    }

    /// Writes the mark, if the chain has gone on since. As long as blocks are missing the old one stays:
    /// the next start is to know of them. That it cannot be written harms nobody.
    pub fn save(&self) {
        let mark = Mark::of(&self.shared);
        let is_behind = self.lost.as_ref().is_some_and(|(had, _)| mark.work < had.work);
        if is_behind || self.written.swap(mark.seq, Ordering::Relaxed) == mark.seq {
            return;
        }
        failpoint::hit("mark.before_write");
        let written = ready::write_json(&self.path, &mark.written(self.shared.network));
        let was_failing = self.is_failing.swap(written.is_err(), Ordering::Relaxed);
        if let Some(error) = written.err().filter(|_| !was_failing) {
            tracing::warn!(file = %self.path.display(), %error, "the mark beside the store is not written");
        }
        failpoint::hit("mark.after_write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId([1; 32]);
    const MARK: Mark = Mark { seq: 9, height: 7, id: BlockId([2; 32]), work: u128::MAX };

    fn write(dir: &Path, text: &str) {
        std::fs::write(dir.join(MARK_FILE), text).unwrap();
    }

    #[test]
    fn a_mark_is_read_back_and_nothing_else_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Mark::read(dir.path(), &NETWORK);
        assert_eq!(read(), None);
        let path = dir.path().join(MARK_FILE);
        ready::write_json(&path, &MARK.written(NETWORK)).unwrap();
        assert_eq!(read(), Some(MARK));
        assert_eq!(Mark::read(dir.path(), &NetworkId([3; 32])), None);
        let text = std::fs::read_to_string(&path).unwrap();
        for (old, new) in
            [("\"seq\":9", "\"seq\":8"), ("\"format\":1", "\"format\":2"), ("\"height\"", "\"hight\"")]
        {
            assert!(text.contains(old));
            write(dir.path(), &text.replace(old, new));
            assert_eq!(read(), None, "{new}");
        }
        for length in 0..text.trim_end().len() {
            write(dir.path(), &text[..length]);
            assert_eq!(read(), None, "cut at {length}");
        }
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn fewer_commits_or_less_work_is_a_loss() {
        let mark = |seq, height, work| Mark { seq, height, id: BlockId([2; 32]), work };
        let had = mark(9, 7, 70);
        for found in [had, mark(10, 7, 70), mark(10, 6, 71)] {
            assert_eq!(had.loss(&found), None);
        }
        let blocks = had.loss(&mark(5, 4, 40)).unwrap();
        assert!(blocks.text().contains("at height 4 (commit 5), it had block 0202"), "{}", blocks.text());
        assert!(blocks.text().contains("Blocks are fetched from peers"));
        // Rolled back, and then some commits of other things.
        assert!(had.loss(&mark(12, 4, 40)).is_some());
        assert!(had.loss(&mark(8, 7, 70)).unwrap().text().contains("what was pending since"));
    }
}
