//! `export`: writes blocks into a file. Where a node runs in the folder, it is asked to. Must not
//! know how it is done.

use std::io::{self, BufWriter, Write};
use std::path::{Path, absolute};

use serde_json::json;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::args::ExportArgs;
use super::ask::order_holder;
use super::config::Resolved;
use crate::blockfile::{self, BlockFileError, Exported};

/// The name that means stdout.
const STDOUT: &str = "-";

/// The command.
///
/// # Errors
/// There is no chain, or a file of that name; the node does not do it.
pub fn run(resolved: &Resolved, args: &ExportArgs, out: Output) -> Result<(), CliError> {
    let (data_dir, from) = (resolved.data_dir()?, args.from);
    let is_stdout = args.file == Path::new(STDOUT);
    let file = absolute(&args.file).map_err(|error| CliError::usage("invalid_path", error.to_string()))?;
    let bar = Progress::new("blocks written", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let written = blockfile::of_stopped(resolved.params.clone(), &data_dir, |shared, store| {
        if !is_stdout {
            return blockfile::to_file((shared, store), from, &file, &mut progress);
        }
        let mut stdout = BufWriter::new(io::stdout().lock());
        let exported = blockfile::export((shared, store), from, &mut stdout, &mut progress)?;
        stdout.flush().map_err(|source| BlockFileError::Io { doing: "write", source })?;
        Ok(exported)
    });
    let exported: Exported = match written {
        Err(BlockFileError::Held(held)) if is_stdout => {
            return Err(
                CliError::from(held).with_hint("name a FILE, which the node writes, or stop the node")
            );
        }
        Err(BlockFileError::Held(held)) => {
            let order = json!({ "file": file, "from": from });
            order_holder(&data_dir, held, ("/export", Some(&order)))?
        }
        written => {
            bar.finish();
            written?
        }
    };
    if is_stdout {
        return Ok(());
    }
    let (blocks, size) = (words::count(exported.blocks, "block"), words::bytes(exported.bytes));
    out.line(&format!("{} holds {blocks} from height {} on ({size})", file.display(), exported.from));
    out.line(&format!("  the last is {} at height {}", exported.tip, exported.height));
    out.json(&exported);
    Ok(())
}
