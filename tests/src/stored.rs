//! Folders of nodes: that hold a chain before any node has run in them, and copies of them. Must not know
//! peers: what a node does with its chain is for whoever starts it.

use std::path::Path;

use steelyard_core::params::Params;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::limits::GROUP_BLOCKS_MAX;
use steelyard_node::store::STORE_FOLDER;

use crate::inprocess::InProcess;
use crate::tip::Block;

/// Has the node of a folder take these blocks, many in a commit, and stops it.
///
/// # Panics
/// A block is refused.
pub fn store_chain(params: &Params, data_dir: &Path, blocks: impl IntoIterator<Item = Block>) {
    std::fs::create_dir_all(data_dir).expect("the folder can be made");
    let node = InProcess::open(params, &data_dir.join(STORE_FOLDER));
    let mut blocks = blocks.into_iter().map(|Block { header, body }| UncheckedBlock { header, body });
    loop {
        let group: Vec<UncheckedBlock> = blocks.by_ref().take(GROUP_BLOCKS_MAX).collect();
        if group.is_empty() {
            return;
        }
        // Blocks of the test's making may be of any time.
        for verdict in node.chain.submit_blocks(group, u64::MAX / 2) {
            verdict.expect("a block of the test's making is good");
        }
    }
}

/// Copies a folder and all that is in it, in place of whatever is there.
///
/// # Panics
/// The file system does not do it.
pub fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("it is there").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("there is room");
        }
    }
}
