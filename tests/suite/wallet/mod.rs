//! The wallet's own suite: real daemons and commands, before real nodes and lying ones.

mod crowd;
mod folder;
mod kills;
mod liars;
mod menu;
mod payments;
mod refusals;
mod secrets;

use std::path::Path;

use steelyard_core::address;
use steelyard_tests::accounts::Account;
use steelyard_tests::process::Node;
use steelyard_tests::wallet::Wallet;

/// An address nobody has been paid at before.
pub(crate) fn receiver(number: u64) -> String {
    address::format("dsy", &Account::numbered(number).address)
}

/// What the node says that an address has.
fn balance_at(node: &Node, address: &str) -> String {
    node.api.get(&format!("/address/{address}")).json["balance"].as_str().expect("a decimal").to_owned()
}

/// A wallet with the dev network's accounts, before this node. Its daemon does not run yet.
fn dev_wallet(folder: &Path, node: &Node) -> Wallet {
    let wallet = Wallet::new(folder, &[node.p2p]);
    let _ = wallet.run(&["import-dev"]).ok();
    wallet.stop();
    wallet
}
