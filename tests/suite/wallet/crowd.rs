//! Many callers at once: every payment is made, once, and no nonce is given twice.

use std::collections::BTreeSet;

use serde_json::json;
use steelyard_tests::process::Launch;

use super::{balance_at, dev_wallet, receiver};

const CALLERS: u64 = 8;
const SENDS: u64 = 100;

#[test]
fn eight_callers_send_a_hundred_payments_each_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let daemon = wallet.start();
    // The first reading, so that nobody has to wait for it.
    let _ = wallet.json(&["balance"]).ok();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let mut rpc = daemon.rpc();
            scope.spawn(move || {
                for send in 0..SENDS {
                    let number = 30_000 + caller * SENDS + send;
                    let body = json!({ "id": format!("s{number}"), "to": receiver(number), "amount": "0.5" });
                    let (status, answer) = rpc.post("/wallet/dev/sends", &body);
                    assert_eq!(status, 200, "{answer}");
                }
            });
        }
    });
    let mut seen = BTreeSet::new();
    for number in 30_000..30_000 + CALLERS * SENDS {
        let id = format!("s{number}");
        let args = ["tx", "wait", &id, "--timeout", "120"];
        // Most are confirmed long before their turn: the socket is asked first.
        let (status, tx) = daemon.rpc().get(&format!("/wallet/dev/tx/{id}"));
        assert_eq!(status, 200);
        let tx = if tx["confirmations"].as_u64() >= Some(1) { tx } else { wallet.json(&args).ok().json() };
        assert!(tx["confirmations"].as_u64() >= Some(1), "{tx}");
        let place = (tx["from"].as_str().unwrap().to_owned(), tx["nonce"].as_u64().unwrap());
        assert!(seen.insert(place), "a nonce was given twice: {tx}");
        assert_eq!(balance_at(&node, &receiver(number)), "0.5", "{id}");
    }
    let status = wallet.json(&["status"]).ok().json();
    wallet.wait_for(&["balance"], |balance| balance["pending_out"] == "0");
    assert_eq!(status["wallets"][0]["name"], "dev");
}
