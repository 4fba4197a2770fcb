//! `backup`: copies the chain into a folder. Where a node runs in the node's folder, it is asked to.
//! Must not know how it is done.

use std::path::{Path, absolute};

use serde_json::json;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::ask::order_holder;
use super::config::Resolved;
use crate::backup::{self, BackupError, NETWORK_FILE};

/// The command.
///
/// # Errors
/// There is no chain, or no room; the folder for it is not empty; the node does not do it.
pub fn run(resolved: &Resolved, dir: &Path, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let dir = absolute(dir).map_err(|error| CliError::usage("invalid_path", error.to_string()))?;
    let bar = Progress::new("commits copied", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let manifest = match backup::of_stopped(resolved.params.clone(), &data_dir, &dir, &mut progress) {
        Err(BackupError::Held(held)) => {
            order_holder(&data_dir, held, ("/backup", Some(&json!({ "dir": dir }))))?
        }
        made => {
            bar.finish();
            made?
        }
    };
    let network = manifest.files.iter().any(|file| file.name == NETWORK_FILE);
    let network =
        if network { dir.join(NETWORK_FILE).display().to_string() } else { manifest.network.clone() };
    let size = words::bytes(manifest.bytes());
    out.line(&format!("{} holds the chain up to height {} ({size})", dir.display(), manifest.height));
    out.line(&format!("  tip {}, {} pending", manifest.tip, words::grouped(manifest.pending)));
    let (network, shown) = (words::shell(&network), dir.display().to_string());
    out.line(&format!(
        "  steelyard-node restore {} --network {network} --data-dir DIR",
        words::shell(&shown)
    ));
    out.json(&manifest);
    Ok(())
}
