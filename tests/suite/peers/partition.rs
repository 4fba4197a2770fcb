//! Two sides that mined apart and meet again: the one with less work gives its blocks up, and nothing
//! that was paid is lost or paid twice.

use std::collections::BTreeMap;

use serde_json::Value;
use steelyard_core::amount::COIN;
use steelyard_core::hash::Address;
use steelyard_tests::accounts::Account;
use steelyard_tests::network::{
    FUNDS, Network, account, base_units, chain, count_in, stop, submit, text, tip, wait_for_block,
    wait_for_connection, wait_for_empty_pool, wait_for_height, wait_for_one_tip, wait_for_peers, work,
};
use steelyard_tests::process::{Node, wait_until};

const TRIES: u64 = 1_000_000;
const REWARD: u64 = 10 * COIN;
/// Blocks that A finds alone, and by how many more B is to be ahead.
const APART: u64 = 4;

/// That each block of the active chain made its reward and no more, and who was paid for it what.
fn assert_rewards(node: &Node) -> BTreeMap<String, u64> {
    let mut earned = BTreeMap::new();
    for block in &chain(node)[1..] {
        let id = block["id"].as_str().unwrap();
        let txs = node.api.get(&format!("/block/{id}/txs")).json;
        let fees: u64 = txs.as_array().unwrap().iter().map(|tx| base_units(&tx["fee"])).sum();
        assert_eq!(base_units(&block["reward"]), REWARD + fees, "{block}");
        *earned.entry(block["miner"].as_str().unwrap().to_owned()).or_default() += REWARD + fees;
    }
    earned
}

/// That all accounts together have what was allocated and earned, and every miner what it earned.
fn assert_supply(node: &Node, all: &[&Account], allocated: u64) {
    let (height, _) = tip(node);
    let balance = |address: &Address| account(node, address).0;
    assert_eq!(all.iter().map(|of| balance(&of.address)).sum::<u64>(), allocated + REWARD * height);
    for (miner, earned) in assert_rewards(node) {
        let of = all.iter().find(|of| text(&of.address) == miner).expect("a miner of this test");
        assert_eq!(balance(&of.address), earned, "{miner} pays nothing");
    }
}

/// Waits until a node is ahead of a work by some blocks more.
fn wait_for_lead(node: &Node, other: u128) {
    wait_until(|| format!("more work than {other}: {}", work(node)), || (work(node) > other).then_some(()));
    let (height, _) = tip(node);
    wait_for_height(node, height + APART);
}

#[test]
fn scenario_11_less_work_gives_way_and_its_payments_confirm_once() {
    let [payer, other, receiver, miner_a, miner_b] = [1, 2, 3, 4, 5].map(Account::numbered);
    let network = Network::new("1s", TRIES, &[Account::numbered(1), Account::numbered(2)]);
    let (launch_a, launch_b) = (network.node("a"), network.node("b"));
    // A joint beginning.
    let a = launch_a.clone().mine(&text(&miner_a.address)).start();
    let b = launch_b.clone().connect(launch_a.listen).start();
    wait_for_height(&b, 2);
    // Cut: B hangs up, and A knows nobody to dial.
    assert_eq!(b.remove_peer(launch_a.listen).status, 200);
    wait_for_peers(&a, 0);
    stop(b);
    // A's side: a payment in a block, one block more, and a payment that A's miner never sees.
    let mined = submit(&a, &network.pay(&payer, 0, receiver.address, COIN));
    wait_for_block(&a, &mined);
    let (height, _) = tip(&a);
    wait_for_height(&a, height + APART);
    stop(a);
    let a = launch_a.start();
    let pending = submit(&a, &network.pay(&payer, 1, receiver.address, 2 * COIN));
    let (branch, left) = (tip(&a).0, chain(&a));
    // B's side: a payment of its own, and more work.
    let b = launch_b.clone().mine(&text(&miner_b.address)).start();
    let own = submit(&b, &network.pay(&other, 0, receiver.address, 4 * COIN));
    wait_for_block(&b, &own);
    wait_for_lead(&b, work(&a));
    stop(b);
    let b = launch_b.start();
    let longer = chain(&b);
    assert_eq!(count_in(&longer, &mined), 0);
    // Joined, and nobody mines: A has B's chain, and both of its payments wait at both.
    assert_eq!(b.add_peer(launch_a.listen).status, 200);
    wait_for_connection(&b, launch_a.listen);
    assert_eq!(wait_for_one_tip(&[&a, &b]).1, longer.last().unwrap()["id"].as_str().unwrap());
    assert_eq!(chain(&a), longer);
    assert_left(&a, &left);
    for node in [&a, &b] {
        node.api.wait_for("/mempool", |answer| answer.json["txs"] == 2);
        assert_eq!(account(node, &receiver.address), (4 * COIN, 0));
        let all = [&payer, &other, &receiver, &miner_a, &miner_b];
        assert_supply(node, &all, 2 * FUNDS);
    }
    // One of them mines again: each payment is confirmed once on the joint chain.
    stop(b);
    let b = launch_b.mine(&text(&miner_b.address)).start();
    for node in [&a, &b] {
        for id in [&mined, &pending, &own] {
            wait_for_block(node, id);
        }
        wait_for_empty_pool(node);
    }
    stop(b);
    let all = [&payer, &other, &receiver, &miner_a, &miner_b];
    assert_supply(&a, &all, 2 * FUNDS);
    let joint = chain(&a);
    assert!([&mined, &pending, &own].iter().all(|id| count_in(&joint, id) == 1));
    assert_eq!(account(&a, &receiver.address), (7 * COIN, 0));
    assert_eq!(account(&a, &payer.address).1, 2);
    println!("A gave up a branch that ended at {branch} for one of {}", longer.len() - 1);
    stop(a);
    network.verify(&launch_a);
}

/// That the branch which a node had is still there as one that is not active.
fn assert_left(node: &Node, branch: &[Value]) {
    let (last, tips) = (&branch.last().unwrap()["id"], node.api.get("/chain-tips").json);
    let found = tips["tips"].as_array().unwrap().iter().find(|tip| tip["id"] == *last);
    let found = found.unwrap_or_else(|| panic!("{last} in {tips}"));
    assert_eq!(found["status"], "valid-fork", "{tips}");
    assert!(found["branch_length"].as_u64() >= Some(APART), "{tips}");
}
