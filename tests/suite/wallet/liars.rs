//! Nodes that hang or lie: no wrong figure is ever shown, the honest node is used, and reads do not
//! wait.

use steelyard_core::params::Params;
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::proxy::{Behaviour, Proxy};
use steelyard_tests::wallet::Wallet;

use super::{balance_at, receiver};

/// Each lie that is seen by itself, with the name under which the wallet reports it.
const LIES: [(Behaviour, &[&str]); 9] = [
    (Behaviour::OtherNetwork, &["wrong_network"]),
    (Behaviour::BrokenProof, &["invalid_proof"]),
    (Behaviour::OtherBalance, &["invalid_proof"]),
    (Behaviour::SwappedProofs, &["invalid_proof"]),
    // At the dev network's difficulty every other header passes for mined: then it is of no tip.
    (Behaviour::OtherHeader, &["invalid_header", "other_tip"]),
    (Behaviour::BrokenChain, &["invalid_header", "wrong_genesis"]),
    (Behaviour::ClaimedWork, &["wrong_work"]),
    (Behaviour::FalseConfirmation, &["not_in_body"]),
    (Behaviour::FalsePending, &["invalid_pending"]),
];

fn start_node(folder: &tempfile::TempDir) -> Node {
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    node.api.wait_for("/blocks/tip/height", |answer| answer.json.as_u64() >= Some(1));
    node
}

fn proxy(node: &Node, behaviour: Behaviour) -> Proxy {
    Proxy::start(node.p2p, Params::dev().network_id(), behaviour)
}

#[test]
fn a_lie_is_never_shown_and_its_node_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(&folder);
    for (behaviour, codes) in LIES {
        let liar = proxy(&node, behaviour);
        let wallet = Wallet::new(&folder.path().join(format!("{behaviour:?}")), &[liar.address]);
        let _ = wallet.run(&["import-dev"]).ok();
        if behaviour == Behaviour::FalseConfirmation {
            // Only who has something to ask about is lied to about it.
            let _ = wallet.json(&["send", "1", "--to", &receiver(40_000), "--id", "asked"]);
        }
        let status = wallet.wait_for(&["status"], |status| status["nodes"][0]["link"] == "banned");
        let failure = status["nodes"][0]["failure"]["code"].as_str().unwrap().to_owned();
        assert!(codes.contains(&failure.as_str()), "{behaviour:?}: {failure}");
        if behaviour == Behaviour::FalseConfirmation {
            let shown = wallet.json(&["tx", "show", "asked"]).ok().json();
            assert_ne!(shown["state"], "confirmed");
        } else {
            let balance = wallet.json(&["balance"]);
            assert_eq!(balance.code, Some(3), "{behaviour:?}: {balance:?}");
        }
        wallet.stop();
    }
}

#[test]
fn the_honest_node_is_used_beside_each_liar() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(&folder);
    let hung = [Behaviour::HangAtOnce, Behaviour::HangAfterHandshake];
    let liars = LIES.map(|(behaviour, _)| behaviour);
    for (number, behaviour) in (50_000..).zip(hung.into_iter().chain(liars)) {
        let liar = proxy(&node, behaviour);
        let wallet = Wallet::new(&folder.path().join(format!("{behaviour:?}")), &[liar.address, node.p2p]);
        let _ = wallet.run(&["import-dev"]).ok();
        let balance = wallet.wait_for(&["balance"], |balance| balance["as_of"]["synced"] == true);
        // That one lies only to who asks about a payment.
        if behaviour != Behaviour::FalseConfirmation {
            assert_eq!(balance["as_of"]["node"], node.p2p.to_string(), "{behaviour:?}");
        }
        let sent = wallet.json(&["send", "1", "--to", &receiver(number), "--wait", "1"]).ok().json();
        assert!(sent["confirmations"].as_u64() >= Some(1), "{behaviour:?}: {sent}");
        assert_eq!(balance_at(&node, &receiver(number)), "1", "{behaviour:?}");
        wallet.stop();
    }
}

/// The figure stays the one of before, and says that it is old; the next node is used.
#[test]
fn a_node_that_begins_to_lie_or_hang_changes_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    // Without blocks in between, so that before and after are the same moment.
    let node = Launch::dev(&folder.path().join("node"), &["--mine", "off"]).start();
    let each = |behaviour: Behaviour| {
        let turncoat = proxy(&node, Behaviour::Honest);
        let wallet = Wallet::new(&folder.path().join(format!("{behaviour:?}")), &[turncoat.address]);
        let _ = wallet.run(&["import-dev"]).ok();
        let before = wallet.wait_for(&["balance"], |balance| balance["as_of"]["synced"] == true);
        turncoat.behave(behaviour);
        let sees = |status: &serde_json::Value| status["nodes"][0]["link"] != "up";
        wallet.wait_for(&["status"], sees);
        let after = wallet.json(&["balance"]).ok().json();
        assert_eq!(after["total"], before["total"], "{behaviour:?}");
        assert_eq!(after["as_of"]["id"], before["as_of"]["id"], "{behaviour:?}");
        wallet.wait_for(&["balance"], |balance| balance["as_of"]["synced"] == false);
        wallet.stop();
    };
    let behaviours = [Behaviour::OtherBalance, Behaviour::BrokenChain, Behaviour::HangAfterHandshake];
    std::thread::scope(|scope| {
        for behaviour in behaviours {
            let each = &each;
            scope.spawn(move || each(behaviour));
        }
    });
}

/// The answer to a submission never comes: the outcome is unknown, and found out by itself.
#[test]
fn a_swallowed_verdict_is_an_unknown_outcome_and_paid_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(&folder);
    let swallower = proxy(&node, Behaviour::SwallowVerdicts);
    let mut wallet = Wallet::new(folder.path(), &[swallower.address]);
    let _ = wallet.run(&["import-dev"]).ok();
    let to = receiver(60_000);
    let sent = wallet.json(&["send", "1", "--to", &to, "--id", "swallowed"]);
    // The chain may have told of it before the time was over: then it is known.
    assert!(matches!(sent.code, Some(0 | 10)), "{sent:?}");
    assert!(swallower.submissions() >= 1);
    wallet.nodes.push(node.p2p);
    let again = wallet.json(&["send", "1", "--to", &to, "--id", "swallowed", "--wait", "1"]).ok().json();
    assert!(again["confirmations"].as_u64() >= Some(1));
    assert_eq!(balance_at(&node, &to), "1");
    wallet.stop();
}

/// A node that says "pending" and throws the payment away: once another node does not know it, the
/// same bytes go there.
#[test]
fn a_payment_that_a_node_threw_away_is_sent_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let node = start_node(&folder);
    let thrower = proxy(&node, Behaviour::SwallowSubmissions);
    let mut wallet = Wallet::new(folder.path(), &[thrower.address]);
    let _ = wallet.run(&["import-dev"]).ok();
    let to = receiver(61_000);
    let _ = wallet.json(&["send", "1", "--to", &to, "--id", "thrown"]);
    assert_eq!(balance_at(&node, &to), "0");
    wallet.nodes.push(node.p2p);
    let shown = wallet.json(&["tx", "wait", "thrown", "--timeout", "60"]).ok().json();
    assert!(shown["confirmations"].as_u64() >= Some(1), "{shown}");
    assert_eq!(balance_at(&node, &to), "1");
    wallet.stop();
}
