//! A payment through the node's own door, from signing to the balance, and every refusal of one.

use steelyard_core::amount::COIN;
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::{Action, Payment, TxBody};
use steelyard_core::{address, encode::List};
use steelyard_tests::accounts::{Account, Terms};
use steelyard_tests::process::{Launch, Node};

fn coins(to: Address, amount: u64) -> Vec<Payment> {
    vec![Payment { asset: AssetId::COINS, to, amount }]
}

fn text(address: &Address) -> String {
    address::format("dsy", address)
}

fn balance(node: &Node, address: &Address) -> String {
    let answer = node.api.get(&format!("/address/{}", text(address)));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["balance"].as_str().unwrap().to_owned()
}

/// Scenario 15 at the API: and what a wallet's user sees of a payment that is fine.
#[test]
fn a_payment_is_posted_mined_confirmed_and_seen() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let network = Params::dev().network_id();
    let (payer, receiver) = (Account::dev(1), Account::numbered(1));
    let tx = payer.pay(network, Terms::of_nonce(0).fee(5_000), coins(receiver.address, 150_000_000));
    let posted = node.api.submit(&tx.to_bytes());
    assert_eq!(
        (posted.status, posted.json["id"].as_str().unwrap()),
        (200, tx.body.id().to_string().as_str())
    );
    let path = format!("/tx/{}", tx.body.id());
    let seen = node.api.wait_for(&path, |answer| answer.json["status"] == "confirmed");
    assert!(seen.json["confirmations"].as_u64().unwrap() >= 1);
    assert_eq!(balance(&node, &receiver.address), "1.5");
    assert_eq!(balance(&node, &payer.address), "998.49995");
    // The same bytes again are the same payment.
    assert_eq!(node.api.submit(&tx.to_bytes()).status, 200);
    assert_eq!(balance(&node, &receiver.address), "1.5");
    // To oneself only the fee leaves.
    let own = payer.pay(network, Terms::of_nonce(1).fee(5_000), coins(payer.address, 20 * COIN));
    assert_eq!(node.api.submit(&own.to_bytes()).status, 200);
    node.api.wait_for(&format!("/tx/{}", own.body.id()), |answer| answer.json["status"] == "confirmed");
    assert_eq!(balance(&node, &payer.address), "998.4999");
}

#[test]
fn scenario_15_every_refusal_of_a_payment_has_its_rules_name() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let network = Params::dev().network_id();
    let (payer, stranger) = (Account::dev(2), Account::numbered(9));
    let first = payer.pay(network, Terms::of_nonce(0), coins(stranger.address, COIN));
    assert_eq!(node.api.submit(&first.to_bytes()).status, 200);
    node.api.wait_for(&format!("/tx/{}", first.body.id()), |answer| answer.json["status"] == "confirmed");
    node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(2));

    let pay = |terms: Terms, payments: Vec<Payment>| payer.pay(network, terms, payments).to_bytes();
    let next = || Terms::of_nonce(1);
    let edited = |edit: &dyn Fn(&mut TxBody)| {
        let mut tx = payer.pay(network, next(), coins(stranger.address, COIN));
        edit(&mut tx.body);
        tx.to_bytes()
    };
    let mut forged_signature = payer.pay(network, next(), coins(stranger.address, COIN));
    forged_signature.authorization = stranger.pay(network, next(), coins(payer.address, COIN)).authorization;
    let mut truncated = pay(next(), coins(stranger.address, COIN));
    truncated.pop();
    let no_payments =
        payer.act(network, next(), Action::Transfer { payments: List::new(Vec::new()).unwrap() }).to_bytes();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("more than there is", pay(next(), coins(stranger.address, 1_000 * COIN)), "insufficient_funds"),
        (
            "a fee above the rest",
            pay(next().fee(999 * COIN), coins(stranger.address, 1)),
            "insufficient_funds",
        ),
        ("sums past u64", pay(next().fee(u64::MAX), coins(stranger.address, u64::MAX)), "insufficient_funds"),
        ("a used nonce", pay(Terms::of_nonce(0), coins(stranger.address, 1)), "nonce_used"),
        ("a far nonce", pay(Terms::of_nonce(1 << 40), coins(stranger.address, 1)), "nonce_gap"),
        ("an amount changed after signing", edited(&|body| body.fee += 1), "invalid_signature"),
        (
            "another network",
            payer.pay_bytes(NetworkId([7; 32]), next(), coins(stranger.address, 1)),
            "wrong_network",
        ),
        ("an expiry that has passed", pay(next().expiry(1), coins(stranger.address, 1)), "expired"),
        ("an amount of zero", pay(next(), coins(stranger.address, 0)), "zero_amount"),
        ("nobody paid", no_payments, "no_payments"),
        (
            "a sender whose policy is another",
            edited(&|body| body.sender = Account::dev(3).address),
            "wrong_sender",
        ),
        ("a stranger's authorization", forged_signature.to_bytes(), "wrong_sender"),
        ("a byte short", truncated, "malformed"),
        ("rubbish", vec![0x80, 4, b']', b'.'], "malformed"),
        (
            "an asset one has nothing of",
            {
                let payment = Payment { asset: AssetId([1; 32]), to: stranger.address, amount: 1 };
                pay(next(), vec![payment])
            },
            "insufficient_asset",
        ),
    ];
    for (what, bytes, code) in cases {
        let answer = node.api.submit(&bytes);
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        assert_eq!(answer.code(), code, "{what}: {answer:?}");
    }
    assert_eq!(node.api.get("/status").json["mempool_txs"], 0);
    assert_eq!(balance(&node, &payer.address), "999");
}
