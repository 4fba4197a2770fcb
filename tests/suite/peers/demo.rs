//! The tutorial's demo, which broke in the tutorial's own code: two nodes mine, one is paid at, and
//! both have one ledger. `STEELYARD_REPEATS` says how often (3 unless told).

use steelyard_core::amount::COIN;
use steelyard_tests::accounts::Account;
use steelyard_tests::network::{
    FEE, FUNDS, Network, account, chain, count_in, stop, submit, text, wait_for_block, wait_for_empty_pool,
    wait_for_height, wait_for_one_tip, wait_for_peers,
};
use steelyard_tests::process::{Node, wait_until};

use super::times;

/// What the first block takes: some 0.1 s of one thread, so that two that mine at once do meet.
const TRIES: u64 = 1_000_000;
const AMOUNT: u64 = 5 * COIN;

/// Waits until blocks of both miners are in a node's active chain.
fn wait_for_miners(node: &Node, miners: [&str; 2]) {
    let mut seen = [false; 2];
    let mut next = 1;
    wait_until(
        || format!("blocks of both miners at {}", node.p2p),
        || {
            let blocks = node.api.get(&format!("/blocks?from={next}&limit=100")).json;
            for block in blocks.as_array().expect("a list") {
                let place = miners.iter().position(|miner| block["miner"] == *miner).expect("one of the two");
                (seen[place], next) = (true, next + 1);
            }
            (seen == [true; 2]).then_some(())
        },
    );
}

fn demo() {
    let (payer, receiver) = (Account::numbered(1), Account::numbered(2));
    let miners = [Account::numbered(3), Account::numbered(4)].map(|account| text(&account.address));
    let network = Network::new("1s", TRIES, std::slice::from_ref(&payer));
    let launch_a = network.node("a");
    let launch_b = network.node("b").connect(launch_a.listen);
    let a = launch_a.clone().mine(&miners[0]).start();
    let b = launch_b.clone().mine(&miners[1]).start();
    let id = submit(&a, &network.pay(&payer, 0, receiver.address, AMOUNT));
    wait_for_block(&a, &id);
    wait_for_block(&b, &id);
    wait_for_miners(&a, [&miners[0], &miners[1]]);
    // One of two tips of equal work may stand for ever: B stops mining, A mines one more.
    stop(b);
    let b = launch_b.start();
    wait_for_height(&a, b.ready["height"].as_u64().unwrap() + 1);
    stop(a);
    let a = launch_a.clone().connect(launch_b.listen).start();
    let (height, _) = wait_for_one_tip(&[&a, &b]);
    let blocks = [&a, &b].map(|node| wait_for_block(node, &id));
    assert_eq!(blocks[0], blocks[1]);
    for node in [&a, &b] {
        let chain = chain(node);
        assert_eq!(count_in(&chain, &id), 1, "in one block");
        for miner in &miners {
            assert!(chain.iter().any(|block| block["miner"] == miner.as_str()), "{miner} is in the chain");
        }
        assert_eq!(account(node, &receiver.address), (AMOUNT, 0));
        assert_eq!(account(node, &payer.address), (FUNDS - AMOUNT - FEE, 1));
        wait_for_empty_pool(node);
    }
    stop(a);
    stop(b);
    network.verify(&launch_a);
    network.verify(&launch_b);
    println!("one chain of {height} blocks");
}

#[test]
fn scenario_02_two_that_mine_have_one_chain_and_a_payment_once() {
    for _ in 0..times("STEELYARD_REPEATS", 3) {
        demo();
    }
}

#[test]
fn scenario_04_a_payment_is_brought_to_one_mined_by_another_and_seen_by_all() {
    let (payer, receiver) = (Account::numbered(1), Account::numbered(2));
    let miner = text(&Account::numbered(3).address);
    let network = Network::new("1s", TRIES, std::slice::from_ref(&payer));
    let launch_a = network.node("a");
    let a = launch_a.start();
    let b = network.node("b").connect(launch_a.listen).mine(&miner).start();
    let c = network.node("c").connect(launch_a.listen).start();
    wait_for_peers(&a, 2);
    let tx = network.pay(&payer, 0, receiver.address, AMOUNT);
    let id = submit(&a, &tx);
    let nodes = [&a, &b, &c];
    let blocks = nodes.map(|node| wait_for_block(node, &id));
    assert!(blocks.iter().all(|block| *block == blocks[0]), "{blocks:?}");
    assert_eq!(a.api.get(&format!("/block/{}", blocks[0])).json["miner"], miner.as_str());
    for node in nodes {
        wait_for_empty_pool(node);
        assert_eq!(account(node, &receiver.address), (AMOUNT, 0));
        assert_eq!(account(node, &payer.address), (FUNDS - AMOUNT - FEE, 1));
        // The same bytes again, anywhere, are no second payment.
        let again = node.api.submit(&tx.to_bytes());
        assert_eq!((again.status, again.json["status"].as_str()), (200, Some("confirmed")), "{again:?}");
    }
    let (height, _) = steelyard_tests::network::tip(&b);
    nodes.iter().for_each(|node| wait_for_height(node, height + 1));
    for node in nodes {
        assert_eq!(count_in(&chain(node), &id), 1);
        assert_eq!(account(node, &receiver.address), (AMOUNT, 0));
    }
}
