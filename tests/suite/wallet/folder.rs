//! The wallet keeps no chain: its folder is as small after 10,000 blocks as after 10.

use std::path::Path;

use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::store::STORE_FOLDER;
use steelyard_tests::chain::Chain;
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::wallet::Wallet;

/// Blocks before the first look, and before the second.
const FEW: u64 = 10;
const MANY: u64 = 10_000;

fn bytes(folder: &Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    std::fs::read_dir(folder).unwrap().map(size).sum()
}

/// Puts the chain's blocks from `from` on into a node's folder.
fn store(chain: &Chain, data_dir: &Path, from: u64) {
    let mut inside = InProcess::open(chain.params(), &data_dir.join(STORE_FOLDER));
    let blocks = chain.blocks().filter(|block| block.header.height >= from.max(1));
    let blocks: Vec<_> =
        blocks.map(|block| UncheckedBlock { header: block.header, body: block.body.clone() }).collect();
    for group in blocks.chunks(128) {
        let verdicts = inside.chain.submit_blocks(group.to_vec(), u64::MAX / 2);
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    }
    inside.stop();
}

fn follow(wallet: &Wallet, node: &Node, height: u64) -> u64 {
    let daemon = wallet.start();
    let balance = wallet.wait_for(&["balance"], |balance| balance["as_of"]["height"] == height);
    assert_eq!(balance["as_of"]["id"], node.ready["tip"]);
    drop(daemon);
    // A stop that is asked for, so that all that would be written is.
    let mut last = wallet.start();
    assert_eq!(last.terminate().0, Some(0));
    bytes(&wallet.data_dir)
}

#[test]
fn the_folder_does_not_grow_with_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    std::fs::create_dir_all(&data_dir).unwrap();
    let mut chain = Chain::dev();
    chain.mine(FEW);
    store(&chain, &data_dir, 1);
    let mut node = Launch::dev(&data_dir, &["--mine", "off"]).start();
    let mut wallet = super::dev_wallet(folder.path(), &node);
    let few = follow(&wallet, &node, FEW);
    node.kill();
    chain.mine(MANY - FEW);
    store(&chain, &data_dir, FEW + 1);
    let node = Launch::dev(&data_dir, &["--mine", "off"]).start();
    wallet.nodes = vec![node.p2p];
    let many = follow(&wallet, &node, MANY);
    println!("the wallet's folder: {few} bytes at {FEW} blocks, {many} at {MANY}");
    assert!(many < few + 64 * 1024, "{few} bytes at {FEW} blocks, {many} at {MANY}");
}
