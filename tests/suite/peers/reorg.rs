//! Deep reorganisations over the network: the node ends where a fresh one does, and what only its old
//! branch had confirmed waits again. `STEELYARD_BLOCKS` sets the depth.

use steelyard_core::params::Params;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chain::Chain;
use steelyard_tests::network::tip;
use steelyard_tests::process::{Launch, run_node, wait_until};
use steelyard_tests::stored::store_chain;

use super::times;

/// A payment in every so many blocks of a branch.
const EVERY: u64 = 10;

/// A branch of so many blocks, some with a payment by the account, to whom nobody else pays.
fn mine_and_pay(chain: &mut Chain, blocks: u64, payer: &Account) {
    for block in 0..blocks {
        if block % EVERY == 0 {
            let terms = Terms::of_nonce(chain.next_nonce(payer)).fee(1_000);
            let to = Account::numbered(block).address;
            chain.wait(payer.pay(chain.network(), terms, vec![coins(to, 1 + block)]));
        }
        chain.mine(1);
    }
}

/// As it is written on the `dev` network.
fn address(account: &Account) -> String {
    steelyard_core::address::format(&Params::dev().prefix, &account.address)
}

fn verify(data_dir: &std::path::Path) {
    let folder = data_dir.to_str().expect("a plain path");
    let output = run_node(&["verify", "--full", "--json", "--network", "dev", "--data-dir", folder]);
    assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_reorganisation_of_1000_blocks_ends_where_a_fresh_sync_does() {
    let depth = u64::try_from(times("STEELYARD_BLOCKS", 1_000)).expect("a number of blocks");
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut common = Chain::dev();
    common.pay(&alice, bob.address, 5);
    common.mine(1);
    // Payments by alice are in the lighter branch only; of bob's each branch has its own.
    let mut lighter = common.clone().mined_by(&Account::numbered(1));
    mine_and_pay(&mut lighter, depth, &alice);
    lighter.pay(&bob, alice.address, 1);
    lighter.pay(&bob, alice.address, 2);
    lighter.mine(1);
    let mut heavier = common.mined_by(&Account::numbered(2));
    mine_and_pay(&mut heavier, depth + 2, &bob);

    let folder = tempfile::tempdir().unwrap();
    let dir = |name: &str| folder.path().join(name);
    store_chain(&Params::dev(), &dir("lighter"), lighter.blocks().cloned());
    store_chain(&Params::dev(), &dir("heavier"), heavier.blocks().cloned());
    let launch = |name: &str| Launch::run("dev".as_ref(), &dir(name), &["--discover", "off"]);
    let serving = launch("heavier").start();
    let moved = launch("lighter").connect(serving.p2p).start();
    let fresh = launch("fresh").connect(serving.p2p).start();
    let expected = (heavier.height(), heavier.tip().id.to_string());
    for node in [&moved, &fresh] {
        let describe = || format!("{expected:?} is not {:?}", tip(node));
        wait_until(describe, || Some(tip(node)).filter(|tip| *tip == expected));
        let block = node.api.get(&format!("/block/{}", expected.1)).json;
        assert_eq!(block["state_root"], heavier.state().root().to_string());
    }
    // All of alice's, and none of bob's: their nonces are used.
    let returned = depth.div_ceil(EVERY);
    let pool = moved.api.wait_for("/mempool", |answer| answer.json["txs"] == returned);
    assert_eq!(pool.json["txs"], returned, "{pool:?}");
    for (payer, nonce) in [(&alice, 1), (&bob, heavier.nonce(bob.address))] {
        let account = moved.api.get(&format!("/address/{}", address(payer))).json;
        assert_eq!(account["nonce"], nonce, "{account}");
    }
    drop((moved, fresh, serving));
    let miner = address(&Account::numbered(3));
    let mining = launch("lighter").mine(&miner).start();
    mining.api.wait_for("/mempool", |answer| answer.json["txs"] == 0);
    // What waited was paid once, on the other branch.
    let paid = &mining.api.get(&format!("/address/{}", address(&alice))).json;
    assert_eq!(paid["nonce"], 1 + returned, "{paid}");
    drop(mining);
    for name in ["lighter", "fresh"] {
        verify(&dir(name));
    }
}
