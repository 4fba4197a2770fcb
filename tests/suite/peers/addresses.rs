//! Addresses of all kinds: those where nobody is, who never answers, the node's own, one twice; and
//! those that outlive a kill.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use steelyard_tests::accounts::Account;
use steelyard_tests::network::{
    Network, free_address, peers, text, tip, wait_for_connection, wait_for_height, wait_for_peers,
};
use steelyard_tests::process::wait_until;

use super::times;

const TRIES: u64 = 1_000_000;

#[test]
fn scenario_14_a_node_mines_and_answers_whatever_it_is_told_to_connect_to() {
    let network = Network::new("1s", TRIES, &[]);
    let good = network.node("good").start();
    // The system takes connections for it, and nobody ever says a word on them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let launch = network.node("node").mine(&text(&Account::numbered(1).address));
    let own = launch.listen;
    // An address that is never anybody's (RFC 5737).
    let nowhere = "192.0.2.1:9".parse().unwrap();
    let all = [free_address(), silent.local_addr().unwrap(), nowhere, own, good.p2p, good.p2p];
    let node = all.into_iter().fold(launch, |launch, address| launch.connect(address)).start();
    wait_for_connection(&node, good.p2p);
    let (height, _) = tip(&node);
    wait_for_height(&node, height + 3);
    wait_for_height(&good, height + 3);
    // Told again, and to the other end as well: there is one connection between two nodes.
    let again = node.add_peer(good.p2p);
    assert_eq!((again.status, &again.json["changed"]), (200, &false.into()), "{again:?}");
    assert_eq!(good.add_peer(own).status, 200);
    wait_for_height(&good, height + 5);
    for (of, other) in [(&node, &good), (&good, &node)] {
        wait_for_peers(of, 1);
        assert_eq!(of.api.get("/status").json["peers"], 1, "{} and {}", of.p2p, other.p2p);
    }
    // It has met itself and says so.
    let told = wait_until(
        || "the own address to be known".to_owned(),
        || Some(node.add_peer(own)).filter(|answer| answer.status != 200),
    );
    assert_eq!(told.code(), "not_an_address", "{told:?}");
    assert!(peers(&node).iter().all(|peer| peer["address"] != own.to_string()));
}

#[test]
fn scenario_14_who_comes_later_is_connected_and_dialled_ever_less_often_until_then() {
    let network = Network::new("1s", TRIES, &[]);
    let later = network.node("later").mine(&text(&Account::numbered(1).address));
    // Counts who knocks, until the node comes.
    let door = TcpListener::bind(later.listen).unwrap();
    let knocks = AtomicU32::new(0);
    let started = Instant::now();
    let node = network.node("node").connect(later.listen).start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while knocks.load(Ordering::SeqCst) < 3 {
                drop(door.accept().unwrap());
                knocks.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    // Rests are of 1, 2, 4… s: however late this looks, there were no more attempts than that allows.
    let rested = started.elapsed().as_millis();
    assert!(rested >= 2_900, "three attempts within {rested} ms");
    drop(door);
    let later = later.start();
    wait_for_connection(&node, later.p2p);
    wait_for_height(&node, 1);
}

/// What `POST /peers` has answered is kept, whatever comes after the answer.
#[test]
fn an_address_that_the_operator_named_outlives_a_kill() {
    let network = Network::new("1s", TRIES, &[]);
    let other = network.node("other").start();
    for round in 0..times("STEELYARD_KILLS", 3) {
        let launch = network.node(&format!("node-{round}"));
        let mut node = launch.start();
        assert_eq!(node.add_peer(other.p2p).status, 200);
        node.kill();
        let mut node = launch.start();
        wait_for_connection(&node, other.p2p);
        assert_eq!(peers(&node)[0]["manual"], true);
        // And what it was told to forget is forgotten.
        assert_eq!(node.remove_peer(other.p2p).status, 200);
        node.kill();
        let node = launch.start();
        let list = node.api.get("/peers").json;
        assert_eq!((&list["manual"], &list["known"]), (&serde_json::json!([]), &0.into()), "{list}");
    }
}

/// An address to which a connection succeeded is kept once the connection is shown.
#[test]
fn an_address_that_answered_outlives_a_kill() {
    let network = Network::new("1s", TRIES, &[]);
    let other = network.discovering("other").mine(&text(&Account::numbered(1).address)).start();
    for round in 0..times("STEELYARD_KILLS", 3) {
        let launch = network.discovering(&format!("node-{round}"));
        let mut node = launch.clone().connect(other.p2p).start();
        wait_for_connection(&node, other.p2p);
        node.kill();
        let node = launch.start();
        wait_for_connection(&node, other.p2p);
        assert_eq!(peers(&node)[0]["manual"], false);
        let (height, _) = tip(&other);
        wait_for_height(&node, height);
    }
}
