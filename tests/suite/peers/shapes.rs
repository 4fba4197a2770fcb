//! Nodes that know only their neighbours: whatever the shape, blocks found at one end and payments
//! brought to the other reach all. `STEELYARD_NODES` says how many nodes (5 unless told).

use steelyard_core::amount::COIN;
use steelyard_tests::accounts::Account;
use steelyard_tests::network::{Network, account, peers, submit, text, wait_for_height, wait_for_peers};
use steelyard_tests::process::{Launch, Node, wait_until};

use super::times;

const TRIES: u64 = 1_000_000;
/// Payments of each of the two lots.
const PAYMENTS: u64 = 5;

/// Who names whom: the second of a pair is started before the first.
type Edges = Vec<(usize, usize)>;

fn line(count: usize) -> Edges {
    (1..count).map(|i| (i - 1, i)).collect()
}

fn star(count: usize) -> Edges {
    (0..count - 1).map(|i| (i, count - 1)).collect()
}

fn ring(count: usize) -> Edges {
    line(count).into_iter().chain([(0, count - 1)]).collect()
}

/// Launches of so many nodes, each told of those that its edges lead to.
fn launches(count: usize, edges: &Edges, node: impl Fn(&str) -> Launch) -> Vec<Launch> {
    let all: Vec<Launch> = (0..count).map(|i| node(&i.to_string())).collect();
    let named = |i: usize| edges.iter().filter(move |(from, _)| *from == i).map(|(_, to)| *to);
    (0..count).map(|i| named(i).fold(all[i].clone(), |launch, to| launch.connect(all[to].listen))).collect()
}

/// Node 0 mines; payments come in at `far`, the first of them before anybody mines.
fn reaches_all(shape: fn(usize) -> Edges, far: impl Fn(usize) -> usize) {
    let count = times("STEELYARD_NODES", 5);
    let (payer, receiver) = (Account::numbered(1), Account::numbered(2));
    let network = Network::new("1s", TRIES, std::slice::from_ref(&payer));
    let edges = shape(count);
    let mut launches = launches(count, &edges, |name| network.node(name));
    let miner = launches.remove(0).mine(&text(&Account::numbered(3).address));
    let mut nodes: Vec<Node> = launches.iter().rev().map(Launch::start).collect();
    nodes.reverse();
    let pay = |node: &Node, nonces: std::ops::Range<u64>| {
        for nonce in nonces {
            submit(node, &network.pay(&payer, nonce, receiver.address, COIN));
        }
    };
    // Node 0 is not there yet.
    pay(&nodes[far(count) - 1], 0..PAYMENTS);
    for node in &nodes {
        node.api.wait_for("/mempool", |answer| answer.json["txs"] == PAYMENTS);
    }
    nodes.insert(0, miner.start());
    let degree = |i: usize| edges.iter().filter(|(from, to)| *from == i || *to == i).count();
    for (i, node) in nodes.iter().enumerate() {
        wait_for_peers(node, degree(i));
    }
    wait_for_height(&nodes[far(count)], 1);
    pay(&nodes[far(count)], PAYMENTS..2 * PAYMENTS);
    let paid = (2 * PAYMENTS * COIN, 0);
    for node in &nodes {
        wait_until(
            || format!("{paid:?} at {}: {:?}", node.p2p, account(node, &receiver.address)),
            || (account(node, &receiver.address) == paid).then_some(()),
        );
        assert_eq!(account(node, &payer.address).1, 2 * PAYMENTS);
    }
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!(peers(node).len(), degree(i), "nobody knows more than its neighbours");
    }
}

#[test]
fn scenario_05_a_line() {
    reaches_all(line, |count| count - 1);
}

#[test]
fn scenario_05_a_star() {
    reaches_all(star, |_| 1);
}

#[test]
fn scenario_05_a_ring() {
    reaches_all(ring, |count| count / 2);
}

/// Each of a line knows only the next; the last to come ends up with more than the one it was told of.
#[test]
fn scenario_05_addresses_are_told_on() {
    let count = times("STEELYARD_NODES", 5);
    let network = Network::new("1s", TRIES, &[]);
    let launches = launches(count, &line(count), |name| network.discovering(name));
    let nodes: Vec<Node> = launches.iter().rev().map(Launch::start).collect();
    let (first, named) = (nodes.last().unwrap(), launches[1].listen.to_string());
    let found = wait_until(
        || format!("a peer that nobody named: {:?}", peers(first)),
        || {
            let all = peers(first);
            all.into_iter().find(|peer| peer["direction"] == "outbound" && peer["address"] != named.as_str())
        },
    );
    assert_eq!(found["manual"], false);
    assert!(launches.iter().any(|launch| found["address"] == launch.listen.to_string()), "{found}");
}
