//! Payments as a user makes them: the README's own lines, then everything a send can be told.

use serde_json::Value;
use steelyard_tests::process::Launch;
use steelyard_tests::wallet::Wallet;

use super::{balance_at, dev_wallet, receiver};

#[test]
fn the_readmes_payment() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = Wallet::new(folder.path(), &[node.p2p]);
    let imported = wallet.json(&["import-dev"]).ok().json();
    assert!(imported["address"].as_str().unwrap().starts_with("dsy1"));
    let to = receiver(1);
    let sent = wallet.json(&["send", "1.5", "--to", &to, "--wait"]).ok();
    assert!(sent.stderr.contains("--id"), "the id is said before the send goes out: {sent:?}");
    let sent = sent.json();
    assert!(["confirmed", "settled"].contains(&sent["state"].as_str().unwrap()), "{sent}");
    assert_eq!((sent["amount"].as_str(), sent["to"].as_str()), (Some("1.5"), Some(to.as_str())));
    assert_eq!(balance_at(&node, &to), "1.5");
    let balance = wallet.json(&["balance"]).ok().json();
    let as_of = &balance["as_of"];
    assert_eq!(
        (as_of["proven"].as_bool(), as_of["synced"].as_bool()),
        (Some(false), Some(true)),
        "{balance}"
    );
    assert_eq!(as_of["trust"], "header");
    assert_eq!(balance["pending_out"], "0");
    let text = wallet.run(&["balance"]).ok().stdout;
    assert!(text.contains(balance["total"].as_str().unwrap()), "{text}");
    wallet.stop();
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_the_send_then_does() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let to = receiver(2);
    let args = ["send", "2.25", "--to", &to, "--memo", "rent", "--fee-rate", "7", "--expiry", "50"];
    let preview = wallet.json(&[&args[..], &["--dry-run"]].concat()).ok().json();
    assert_eq!(wallet.json(&["tx", "list"]).ok().json()["txs"], Value::Array(Vec::new()));
    assert_eq!(balance_at(&node, &to), "0");
    let sent = wallet.json(&[&args[..], &["--id", "rent-7", "--wait", "1"]].concat()).ok().json();
    for field in ["from", "to", "amount", "fee", "memo"] {
        assert_eq!(sent[field], preview[field], "{field}: {sent} {preview}");
    }
    let tx = node.api.get(&format!("/tx/{}", sent["tx_id"].as_str().unwrap())).json;
    assert_eq!((tx["fee"].as_str(), tx["memo_text"].as_str()), (preview["fee"].as_str(), Some("rent")));
    assert_eq!(tx["expiry"], sent["expiry"]);
    assert_eq!(balance_at(&node, &to), "2.25");
    wallet.stop();
}

#[test]
fn asked_again_by_the_same_id_it_is_the_same_payment_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let to = receiver(3);
    let args = ["send", "3", "--to", &to, "--id", "once"];
    let first = wallet.json(&[&args[..], &["--wait", "1"]].concat()).ok().json();
    for _ in 0..3 {
        assert_eq!(wallet.json(&args).ok().json()["tx_id"], first["tx_id"]);
    }
    wallet.stop();
    assert_eq!(wallet.json(&args).ok().json()["tx_id"], first["tx_id"], "after a restart too");
    for other in [
        &["send", "4", "--to", &to, "--id", "once"][..],
        &["send", "3", "--to", &receiver(4), "--id", "once"],
        &["send", "3", "--to", &to, "--id", "once", "--memo", "x"],
        &["send", "3", "--to", &to, "--id", "once", "--fee-rate", "9"],
    ] {
        let refused = wallet.json(other);
        assert_eq!((refused.code, refused.error().as_str()), (Some(6), "id_reused"), "{other:?}");
    }
    let shown = wallet.json(&["tx", "show", "once"]).ok().json();
    assert_eq!(shown["tx_id"], first["tx_id"]);
    let by_tx = wallet.json(&["tx", "show", first["tx_id"].as_str().unwrap()]).ok().json();
    assert_eq!(by_tx["id"], "once");
    assert_eq!(balance_at(&node, &to), "3");
    wallet.stop();
}

#[test]
fn everything_can_be_sent_and_then_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let addresses = wallet.json(&["address", "list"]).ok().json();
    let from = addresses["addresses"][5]["address"].as_str().unwrap().to_owned();
    let to = receiver(5);
    let args = ["send", "max", "--to", &to, "--from", &from, "--fee-rate", "3", "--wait", "1"];
    let sent = wallet.json(&args).ok().json();
    assert_eq!(balance_at(&node, &from), "0");
    assert_eq!(balance_at(&node, &to), sent["amount"].as_str().unwrap());
    let again = wallet.json(&args);
    assert_eq!((again.code, again.error().as_str()), (Some(6), "insufficient_funds"), "{again:?}");
    wallet.stop();
}

#[test]
fn a_new_wallet_is_paid_and_pays_and_its_words_restore_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let payer = dev_wallet(&folder.path().join("payer"), &node);
    let secret = folder.path().join("passphrase");
    std::fs::write(&secret, "correct horse\n").unwrap();
    let file = secret.to_str().unwrap();
    let wallet = Wallet::new(&folder.path().join("new"), &[node.p2p]);
    let made = wallet.json(&["create", "--passphrase-file", file, "--yes"]).ok().json();
    let address = made["address"].as_str().unwrap();
    let _ = payer.json(&["send", "20", "--to", address, "--wait", "1"]).ok();
    let paid = wallet.wait_for(&["balance"], |balance| balance["spendable"] == "20");
    assert_eq!(paid["total"], "20");
    let locked = wallet.json(&["send", "1", "--to", &receiver(6)]);
    assert_eq!((locked.code, locked.error().as_str()), (Some(5), "wallet_locked"), "{locked:?}");
    let _ = wallet.run(&["unlock", "--passphrase-file", file]).ok();
    let _ = wallet.json(&["send", "1", "--to", &receiver(6), "--wait", "1"]).ok();
    assert_eq!(balance_at(&node, &receiver(6)), "1");
    let _ = wallet.run(&["lock"]).ok();
    assert_eq!(wallet.json(&["send", "1", "--to", &receiver(6)]).code, Some(5));
    wallet.stop();
    let words = folder.path().join("words");
    std::fs::write(&words, made["words"].as_str().unwrap()).unwrap();
    let restored = Wallet::new(&folder.path().join("restored"), &[node.p2p]);
    let args = ["restore", "--words-file", words.to_str().unwrap(), "--passphrase-file", file];
    assert_eq!(restored.json(&args).ok().json()["address"], made["address"]);
    let balance = restored.wait_for(&["balance"], |balance| balance["total"] == "19");
    assert_eq!(balance["spendable"], "19");
    restored.stop();
    payer.stop();
}
