//! Writing blocks of the active chain, as it was when the export began. Must not change the chain.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_runtime::dirs::sync_dir;
use steelyard_runtime::failpoint;
use steelyard_runtime::lock::FolderLock;

use super::{BlockFileError, MAGIC, VERSION};
use crate::chain::check::load_right_body;
use crate::chain::index::Number;
use crate::chain::load;
use crate::chain::view::Shared;
use crate::limits::EXPORT_STEP_BLOCKS;
use crate::store::{PROGRAM, STORE_FOLDER, Store};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Height of the first block.
    pub from: u64,
    /// Blocks.
    pub blocks: u64,
    /// Height of the last one.
    pub height: u64,
    /// Its id.
    pub tip: BlockId,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Exports from the store in a node's folder, which no node may have open; see [`export`].
///
/// # Errors
/// [`BlockFileError`].
pub fn of_stopped<T>(
    params: Params,
    data_dir: &Path,
    write: impl FnOnce(&Shared, &Store) -> Result<T, BlockFileError>,
) -> Result<T, BlockFileError> {
    let folder = data_dir.join(STORE_FOLDER);
    if !Store::is_there(&folder) {
        return Err(BlockFileError::NoStore { dir: data_dir.to_path_buf() });
    }
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let genesis = params.genesis();
    let store = Store::open(&folder, &genesis.id.into())?;
    let loaded = load::load_from(params, genesis, &store)?;
    write(&loaded.shared, &store)
}

/// [`export`] into a file that is not there yet: written aside, and whole once it has its name.
///
/// # Errors
/// [`BlockFileError`]; nothing of it is left then.
pub fn to_file(
    (shared, store): (&Shared, &Store),
    from: u64,
    file: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, BlockFileError> {
    if file.exists() {
        return Err(BlockFileError::Exists { file: file.to_path_buf() });
    }
    let failed = |source| BlockFileError::Io { doing: "write", source };
    let aside = aside(file).map_err(failed)?;
    let written = File::create(&aside).map_err(failed).and_then(|created| {
        let mut out = BufWriter::new(created);
        let exported = export((shared, store), from, &mut out, progress)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
        failpoint::hit("export.before_rename");
        std::fs::rename(&aside, file).map_err(failed)?;
        Ok(exported)
    });
    if written.is_err() {
        // The failure is what is told.
        let _ = std::fs::remove_file(&aside);
    }
    let exported = written?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_dir(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    Ok(exported)
}

/// `FILE.partial`, which the next attempt writes anew.
fn aside(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut aside = OsString::from(name);
    aside.push(".partial");
    Ok(file.with_file_name(aside))
}

/// Writes the blocks from height `from` (1 at least) up to the tip of this moment, whatever becomes
/// of the chain meanwhile. `progress` hears how many are written, and of how many.
///
/// # Errors
/// [`BlockFileError`].
pub fn export(
    (shared, store): (&Shared, &Store),
    from: u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, BlockFileError> {
    let from = from.max(1);
    let blocks = active_from(shared, from)?;
    let count = blocks.len() as u64;
    let mut out = Hashed { out, hash: Sha256::new(), bytes: 0 };
    let head = [&VERSION.to_le_bytes()[..], &shared.network.0, &from.to_le_bytes(), &count.to_le_bytes()];
    out.put(&[&MAGIC[..], &head.concat()])?;
    let mut tip = shared.genesis.id;
    for (done, number) in (1..).zip(blocks) {
        let entry = shared.read().index().get(number).clone();
        let body = load_right_body(shared, store, &entry)?.to_bytes();
        let header = entry.header.to_bytes();
        let length = u32::try_from(header.len() + body.len()).expect("bounded by the network's block size");
        out.put(&[&length.to_le_bytes(), &header, &body])?;
        tip = entry.id;
        progress(done, count);
    }
    out.put(&[&0_u32.to_le_bytes(), &count.to_le_bytes(), &tip.0])?;
    let digest = out.hash.clone().finalize();
    out.put(&[&digest])?;
    Ok(Exported { from, blocks: count, height: from - 1 + count, tip, bytes: out.bytes })
}

/// Blocks of the active chain from a height on, all of one moment, read so many at a time that others
/// get their turn: numbers stay what they are, and a reorganisation meanwhile begins the list anew.
fn active_from(shared: &Shared, from: u64) -> Result<Vec<Number>, BlockFileError> {
    loop {
        let (height, reorgs) = {
            let view = shared.read();
            (view.tip().header.height, view.reorgs())
        };
        if from > height + 1 {
            return Err(BlockFileError::BeyondTip { height, from });
        }
        let mut numbers = Vec::new();
        for first in (from..=height).step_by(EXPORT_STEP_BLOCKS) {
            let view = shared.read();
            let heights = first..=height.min(first + EXPORT_STEP_BLOCKS as u64 - 1);
            numbers.extend(heights.map_while(|height| view.index().active(height)));
        }
        if shared.read().reorgs() == reorgs {
            return Ok(numbers);
        }
    }
}

/// A writer that knows the checksum of what it has written.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    bytes: u64,
}

impl Hashed<'_> {
    fn put(&mut self, parts: &[&[u8]]) -> Result<(), BlockFileError> {
        for part in parts {
            self.out.write_all(part).map_err(|source| BlockFileError::Io { doing: "write", source })?;
            self.hash.update(part);
            self.bytes += part.len() as u64;
        }
        Ok(())
    }
}
