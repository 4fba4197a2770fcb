//! Two nodes that mine and are paid at, each killed again and again: nothing that either has
//! acknowledged is lost, and nothing is paid twice.
//!
//! `STEELYARD_KILLS` says how many kills (20 unless told). The moments are random; nothing is
//! asserted about how long anything takes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_core::hash::Address;
use steelyard_tests::accounts::Account;
use steelyard_tests::network::{
    FEE, FUNDS, Network, account, chain, count_in, stop, text, wait_for_empty_pool, wait_for_height,
    wait_for_one_tip,
};
use steelyard_tests::process::{Api, Launch, Node};
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
/// Between two payments of one sender.
const PAUSE: Duration = Duration::from_millis(10);

/// One of the two, through all its lives.
struct Place {
    launch: Launch,
    node: Mutex<Option<Node>>,
}

impl Place {
    fn new(launch: Launch) -> Self {
        let node = Mutex::new(Some(launch.start()));
        Self { launch, node }
    }

    fn api(&self) -> Option<Api> {
        self.node.lock().unwrap().as_ref().map(|node| node.api.clone())
    }

    /// SIGKILL, and a new life after so long.
    fn kill(&self, down: Duration) {
        let killed = self.node.lock().unwrap().take();
        killed.expect("it lives").kill();
        std::thread::sleep(down);
        let next = self.launch.start();
        *self.node.lock().unwrap() = Some(next);
    }

    fn end(self) -> Node {
        self.node.into_inner().unwrap().expect("it lives")
    }
}

/// One sender and what was acknowledged of it.
struct Payer<'a> {
    network: &'a Network,
    account: Account,
    to: Address,
    acknowledged: Vec<String>,
}

impl<'a> Payer<'a> {
    fn new(network: &'a Network, number: u64) -> Self {
        let to = Account::numbered((number + 1) % PAYERS).address;
        Self { network, account: Account::numbered(number), to, acknowledged: Vec::new() }
    }

    /// Pays until told to stop. A payment without an answer is sent again, the same bytes, until
    /// there is one.
    fn pay(&mut self, at: &Place, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let nonce = self.acknowledged.len() as u64;
            let bytes = self.network.pay(&self.account, nonce, self.to, AMOUNT).to_bytes();
            let answer = loop {
                let answer = at.api().and_then(|api| api.try_submit(&bytes));
                match answer.filter(|answer| answer.status != 503) {
                    Some(answer) => break answer,
                    None => std::thread::sleep(PAUSE),
                }
            };
            assert_eq!(answer.status, 200, "payment {nonce} of {}: {answer:?}", self.account.address);
            self.acknowledged.push(answer.json["id"].as_str().unwrap().to_owned());
            std::thread::sleep(PAUSE);
        }
    }
}

fn storm(places: &[Place; 2], payers: &mut [Payer<'_>], random: &mut Random) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (number, payer) in payers.iter_mut().enumerate() {
            let (at, stop) = (&places[number % 2], &stop);
            scope.spawn(move || payer.pay(at, stop));
        }
        for _ in 0..times("STEELYARD_KILLS", 20) {
            std::thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
            places[random.place(2)].kill(Duration::from_millis(random.below(DOWN_MS_MAX)));
        }
        stop.store(true, Ordering::SeqCst);
    });
}

/// That the chain of a node has every payment once, in its sender's order, and nothing else of them.
fn assert_paid(node: &Node, payers: &[Payer<'_>]) {
    let chain = chain(node);
    let counts: Vec<u64> = payers.iter().map(|payer| payer.acknowledged.len() as u64).collect();
    for (number, payer) in payers.iter().enumerate() {
        for id in &payer.acknowledged {
            assert_eq!(count_in(&chain, id), 1, "acknowledged payment {id}");
        }
        let (sent, got) = (counts[number], counts[(number + payers.len() - 1) % payers.len()]);
        let expected = (FUNDS + got * AMOUNT - sent * (AMOUNT + FEE), sent);
        assert_eq!(account(node, &payer.account.address), expected);
    }
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
    let mut payers: Vec<Payer<'_>> = (0..PAYERS).map(|number| Payer::new(&network, number)).collect();
    storm(&places, &mut payers, &mut random);
    // B mines no more; A mines what is pending anywhere, and one block more than B has.
    let [a, b] = places.map(Place::end);
    stop(b);
    let b = launch_b.start();
    wait_for_height(&a, b.ready["height"].as_u64().unwrap() + 1);
    wait_for_one_tip_but_for_what_is_mined(&a, &b);
    [&a, &b].into_iter().for_each(wait_for_empty_pool);
    stop(a);
    let a = launch_a.start();
    let (height, _) = wait_for_one_tip(&[&a, &b]);
    for node in [&a, &b] {
        wait_for_empty_pool(node);
        assert_paid(node, &payers);
    }
    stop(a);
    stop(b);
    network.verify(&plain_a);
    network.verify(&plain_b);
    let paid: usize = payers.iter().map(|payer| payer.acknowledged.len()).sum();
    println!("{paid} payments acknowledged, none lost and none made twice, in a chain of {height} blocks");
}

/// Waits until B follows A, which mines on: only then is an empty pool at both the end of all payments.
fn wait_for_one_tip_but_for_what_is_mined(a: &Node, b: &Node) {
    let (_, id) = steelyard_tests::network::tip(a);
    b.api.wait_for(&format!("/block/{id}"), |answer| answer.json["active"] == true);
}
