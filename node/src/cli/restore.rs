//! `restore`: makes the chain of a folder that has none from a backup. Must not know how it is done.

use std::path::Path;

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::config::Resolved;
use crate::backup;

/// The command.
///
/// # Errors
/// The backup is damaged or of another network; the folder has a chain or is held.
pub fn run(resolved: &Resolved, dir: &Path, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let bar = Progress::new("bytes checked and written", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let restored = backup::restore(resolved.params.clone(), dir, &data_dir, &mut progress);
    bar.finish();
    let manifest = restored?;
    let height = words::grouped(manifest.height);
    out.line(&format!("{} holds the chain up to height {height}", data_dir.display()));
    out.line(&format!("  tip {}, {} pending", manifest.tip, words::grouped(manifest.pending)));
    out.json(&manifest);
    Ok(())
}
