//! Two nodes that mine and are paid at, each killed again and again: nothing that either has
//! acknowledged is lost, and nothing is paid twice.
//!
//! `STEELYARD_KILLS` says how many kills (20 unless told). The moments are random; nothing is
//! asserted about how long anything takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_tests::accounts::Account;
use steelyard_tests::lives::{Payer, Place, assert_paid};
use steelyard_tests::network::{
    FUNDS, Network, stop, text, wait_for_empty_pool, wait_for_height, wait_for_one_tip, wait_until_followed,
};
use steelyard_tests::random::Random;

use super::times;

/// Some 0.1 s of one thread for a block: both find many in a life.
const TRIES: u64 = 1_000_000;
const AMOUNT: u64 = COIN / 100;
/// Who pays, half of them at each node.
const PAYERS: u64 = 4;
/// Longest life of a node, and longest time that it stays down, in ms.
const LIFE_MS_MAX: u64 = 600;
const DOWN_MS_MAX: u64 = 200;

fn storm(places: &[Place; 2], payers: &[Payer], random: &mut Random) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (number, payer) in payers.iter().enumerate() {
            let (at, stop) = (&places[number % 2], &stop);
            scope.spawn(move || payer.pay(at, stop));
        }
        for _ in 0..times("STEELYARD_KILLS", 20) {
            std::thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
            let place = &places[random.place(2)];
            place.kill();
            std::thread::sleep(Duration::from_millis(random.below(DOWN_MS_MAX)));
            place.start();
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn two_that_mine_and_are_killed_again_and_again_lose_nothing_acknowledged() {
    let mut random = Random::for_test(18);
    let funded: Vec<Account> = (0..PAYERS).map(Account::numbered).collect();
    let network = Network::new("200ms", TRIES, &funded);
    let miners = [PAYERS, PAYERS + 1].map(|number| text(&Account::numbered(number).address));
    let (plain_a, plain_b) = (network.node("a"), network.node("b"));
    let launch_a = plain_a.clone().connect(plain_b.listen);
    let launch_b = plain_b.clone().connect(plain_a.listen);
    let places = [launch_a.clone().mine(&miners[0]), launch_b.clone().mine(&miners[1])].map(Place::new);
    let payers = Payer::ring(network.id, PAYERS, AMOUNT);
    storm(&places, &payers, &mut random);
    // B mines no more; A mines what is pending anywhere, and one block more than B has.
    let [a, b] = places.map(Place::end);
    stop(b);
    let b = launch_b.start();
    wait_for_height(&a, b.ready["height"].as_u64().unwrap() + 1);
    wait_until_followed(&a, &b);
    [&a, &b].into_iter().for_each(wait_for_empty_pool);
    stop(a);
    let a = launch_a.start();
    let (height, _) = wait_for_one_tip(&[&a, &b]);
    for node in [&a, &b] {
        wait_for_empty_pool(node);
        assert_paid(node, &payers, FUNDS);
    }
    stop(a);
    stop(b);
    network.verify(&plain_a);
    network.verify(&plain_b);
    let paid: usize = payers.iter().map(|payer| payer.acknowledged().len()).sum();
    println!("{paid} payments acknowledged, none lost and none made twice, in a chain of {height} blocks");
}
