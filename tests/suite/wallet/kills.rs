//! The daemon killed at each step of a send, and the node at each of its own: asked again with the
//! same id, it is paid exactly once. `STEELYARD_KILLS` says how often at each step (3 unless told).

use std::time::Duration;

use serde_json::json;
use steelyard_core::amount::Coins;
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::random::Random;
use steelyard_tests::wallet::{Daemon, Wallet};

use super::{balance_at, dev_wallet, receiver};

/// Before and after every write, submission and answer of a send.
const WALLET_STEPS: [&str; 10] = [
    "send.before_intent",
    "send.after_intent",
    "send.before_signed",
    "send.after_signed",
    "send.before_submit",
    "send.after_submit",
    "send.after_answer",
    "send.before_verdict",
    "send.after_verdict",
    "send.before_reply",
];
/// The node's steps from the submission to its answer.
const NODE_STEPS: [&str; 6] = [
    "light.before_submit",
    "commit.before_apply",
    "commit.after_apply",
    "commit.after_flush",
    "commit.after_fdatasync",
    "light.after_submit",
];

fn times() -> u64 {
    std::env::var("STEELYARD_KILLS").map_or(3, |text| text.parse().expect("STEELYARD_KILLS is a number"))
}

/// The sender's nonce: how many of its payments the chain has.
fn payments(node: &Node, sender: &str) -> u64 {
    node.api.get(&format!("/address/{sender}")).json["nonce"].as_u64().expect("a number")
}

/// Asked again, the send ends well, and the chain has it once.
fn assert_paid_once(node: &Node, wallet: &Wallet, (to, id): (&str, &str), before: u64) {
    let again = wallet.json(&["send", "1.5", "--to", to, "--id", id, "--wait", "1"]).ok().json();
    assert!(again["confirmations"].as_u64() >= Some(1), "{again}");
    let sender = again["from"].as_str().unwrap();
    // One more payment, so that whatever else was under way would have been mined with it.
    let _ = wallet.json(&["send", "0.1", "--to", &receiver(999), "--wait", "1"]).ok();
    assert_eq!(balance_at(node, to), "1.5", "{id}");
    assert_eq!(payments(node, sender), before + 2, "{id}");
    let last = wallet.json(&["send", "1.5", "--to", to, "--id", id]).ok().json();
    assert_eq!(last["tx_id"], again["tx_id"]);
    let other = wallet.json(&["send", "1.6", "--to", to, "--id", id]);
    assert_eq!((other.code, other.error().as_str()), (Some(6), "id_reused"));
}

#[test]
fn the_daemon_is_killed_at_each_step_of_a_send() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let mut number = 10_000;
    for step in WALLET_STEPS {
        for _ in 0..times() {
            number += 1;
            let (to, id) = (receiver(number), format!("{step}-{number}"));
            let mut doomed = wallet.clone().env("STEELYARD_FAILPOINT", step).start();
            let before = {
                let list = wallet.json(&["address", "list"]).ok().json();
                payments(&node, list["addresses"][0]["address"].as_str().unwrap())
            };
            let sent = wallet.json(&["send", "1.5", "--to", &to, "--id", &id, "--no-autostart"]);
            assert!(matches!(sent.code, Some(0 | 3 | 10)), "{step}: {sent:?}");
            assert_eq!(doomed.wait(), None, "{step} is not passed by a send");
            let mut daemon = wallet.start();
            assert_paid_once(&node, &wallet, (&to, &id), before);
            daemon.kill();
        }
    }
}

#[test]
fn the_node_is_killed_at_each_step_of_a_submission() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let first = Launch::dev(&data_dir, &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let mut wallet = dev_wallet(folder.path(), &first);
    drop(first);
    let mut number = 20_000;
    for step in NODE_STEPS {
        for _ in 0..times() {
            number += 1;
            let (to, id) = (receiver(number), format!("{step}-{number}"));
            let mut doomed =
                Launch::dev(&data_dir, &["--mine", "off"]).env("STEELYARD_FAILPOINT", step).start();
            wallet.nodes = vec![doomed.p2p];
            let mut daemon = wallet.start();
            let list = wallet.json(&["address", "list"]).ok().json();
            let before = payments(&doomed, list["addresses"][0]["address"].as_str().unwrap());
            let sent = wallet.json(&["send", "1.5", "--to", &to, "--id", &id]);
            assert!(matches!(sent.code, Some(3 | 10)), "{step}: {sent:?}");
            assert_eq!(doomed.wait(), None, "{step} is not passed by a submission");
            let node = Launch::dev(&data_dir, &["--mine-on-tx", "--mine", &receiver(0)]).start();
            wallet.nodes = vec![node.p2p];
            assert_paid_once(&node, &wallet, (&to, &id), before);
            daemon.kill();
        }
    }
}

/// A daemon killed while its store is being made leaves nothing that the next start stumbles over.
#[test]
fn the_daemon_is_killed_at_each_step_of_its_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let steps = ["commit.before_apply", "commit.after_apply", "commit.after_flush", "commit.after_fdatasync"];
    for step in steps {
        let wallet = Wallet::new(&folder.path().join(step), &[]);
        let doomed = wallet.clone().env("STEELYARD_FAILPOINT", step);
        assert_eq!(
            doomed.try_start().map(|_| ()).unwrap_err().code,
            None,
            "{step} is not passed by a first start"
        );
        let mut daemon = wallet.start();
        let _ = wallet.run(&["import-dev"]).ok();
        daemon.kill();
        let listed = wallet.start();
        assert_eq!(listed.rpc().get("/wallets").0, 200);
    }
}

/// SIGKILL of the daemon at random moments while four callers send: whoever heard no answer asks
/// again by the same id, and in the end each payment was made once.
#[test]
fn the_daemon_is_killed_at_random_moments_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let mut random = Random::for_test(31);
    let mut next = [0u64; 4];
    for round in 0..=times() {
        let mut daemon = wallet.start();
        let alive = if round == times() { 2_000 } else { 20 + random.below(400) };
        std::thread::scope(|scope| {
            for (caller, sent) in (0..).zip(&mut next) {
                let mut rpc = daemon.rpc();
                scope.spawn(move || {
                    // A caller goes on where it was not answered, at most so far in a life.
                    for _ in 0..50 {
                        let number = 100_000 + 10_000 * caller + *sent;
                        let body =
                            json!({ "id": format!("k{number}"), "to": receiver(number), "amount": "0.25" });
                        match rpc.try_post("/wallet/dev/sends", &body) {
                            Some((200, _)) => *sent += 1,
                            Some((503 | 504, answer)) => {
                                assert!(answer["error"]["intent"].is_string(), "{answer}")
                            }
                            Some(other) => panic!("{other:?}"),
                            None => return,
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(alive));
            kill(&daemon);
        });
        daemon.kill();
    }
    let _daemon = wallet.start();
    assert!(next.iter().sum::<u64>() > 0, "nothing was sent at all");
    for (caller, sent) in (0..).zip(next) {
        // The one that may have been under way when the last life ended is asked for too.
        for send in 0..=sent {
            let number = 100_000 + 10_000 * caller + send;
            let (to, id) = (receiver(number), format!("k{number}"));
            let _ = wallet.json(&["send", "0.25", "--to", &to, "--id", &id, "--wait", "1"]).ok();
            assert_eq!(balance_at(&node, &to), "0.25", "{id}");
        }
    }
    let all = wallet.wait_for(&["balance"], |balance| balance["pending_out"] == "0");
    let paid = next.iter().map(|sent| sent + 1).sum::<u64>();
    let spent = coins("10000") - coins(all["total"].as_str().unwrap());
    assert_eq!(spent, paid * coins("0.25"), "{paid} payments");
}

fn coins(text: &str) -> u64 {
    text.parse::<Coins>().unwrap().0
}

/// SIGKILL, while others still hold connections to it.
fn kill(daemon: &Daemon) {
    let killed = std::process::Command::new("kill").args(["-KILL", &daemon.pid().to_string()]).status();
    assert!(killed.unwrap().success());
}
