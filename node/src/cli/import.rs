//! `import`: takes the blocks of a file into the store of a folder in which no node runs. Must not
//! know how it is done.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::config::Resolved;
use crate::blockfile;

/// The name that means stdin.
const STDIN: &str = "-";

/// The command.
///
/// # Errors
/// The file cannot be read or is not right; a node runs in the folder.
pub fn run(resolved: &Resolved, file: &Path, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let mut input: Box<dyn Read> = if file == Path::new(STDIN) {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).map_err(|error| {
            CliError::usage("file_unreadable", format!("cannot read {}: {error}", file.display()))
        });
        Box::new(BufReader::new(opened?))
    };
    let bar = Progress::new("blocks read", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let read = blockfile::into_stopped(resolved.params.clone(), &data_dir, &mut input, &mut progress);
    bar.finish();
    let imported = read?;
    let (blocks, new) = (words::count(imported.blocks, "block"), words::grouped(imported.new));
    out.line(&format!("{blocks} read, {new} of them new"));
    out.line(&format!("  the tip is {} at height {}", imported.tip, words::grouped(imported.height)));
    out.json(&imported);
    Ok(())
}
