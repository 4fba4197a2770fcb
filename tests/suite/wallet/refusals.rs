//! Everything that can be wrong, each with its exit code and its name, in text and as JSON.

use std::process::Stdio;

use steelyard_tests::process::Launch;
use steelyard_tests::wallet::Wallet;

use super::{dev_wallet, receiver};

/// The command fails with this code and name, in both forms, and says what to do.
fn refused(wallet: &Wallet, args: &[&str], exit: i32, code: &str) -> String {
    let json = wallet.json(args);
    assert_eq!((json.code, json.error().as_str()), (Some(exit), code), "{args:?}: {json:?}");
    let text = wallet.run(args);
    assert_eq!(text.code, Some(exit), "{args:?}: {text:?}");
    assert!(text.stderr.contains("error:") && text.stdout.is_empty(), "{args:?}: {text:?}");
    let message = json.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(!message.is_empty() && !message.contains('\n'));
    message
}

#[test]
fn wrong_usage_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let to = receiver(1);
    let mut wrong = to.clone().into_bytes();
    wrong[20] = if wrong[20] == b'q' { b'p' } else { b'q' };
    let wrong = String::from_utf8(wrong).unwrap();
    for address in [wrong.as_str(), "dsy1", "nonsense", &to.replace("dsy1", "tsy1")] {
        let _ = refused(&wallet, &["send", "1", "--to", address], 2, "invalid_address");
    }
    for amount in ["0", "1.123456789", "1e3", "-1", "1,5", "", "99999999999999999999"] {
        let _ = refused(&wallet, &["send", amount, "--to", &to], 2, "invalid_amount");
    }
    let _ = refused(&wallet, &["send", "1", "--to", &to, "--wallet", "nobody"], 2, "unknown_wallet");
    assert_eq!(wallet.run(&["sned"]).code, Some(2));
    assert_eq!(wallet.run(&["create", "--passphrase", "secret"]).code, Some(2));
    wallet.stop();
}

#[test]
fn too_much_is_6_with_have_and_need() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let said = refused(&wallet, &["send", "1000.5", "--to", &receiver(1)], 6, "insufficient_funds");
    assert!(said.contains("1000") && said.contains("1000.5"), "{said}");
    assert_eq!(wallet.json(&["tx", "list"]).ok().json()["txs"].as_array().unwrap().len(), 0);
    wallet.stop();
}

#[test]
fn no_node_is_3_and_the_intent_is_kept_and_can_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let node = Launch::dev(&data_dir, &["--mine-on-tx"]).start();
    let mut wallet = dev_wallet(folder.path(), &node);
    let mut node = node;
    node.kill();
    for id in ["kept", "dropped"] {
        let args = ["send", "1", "--to", &receiver(70_000), "--id", id];
        let said = refused(&wallet, &args, 3, "node_unreachable");
        assert!(said.contains(id), "{said}");
        assert_eq!(wallet.json(&["tx", "show", id]).ok().json()["state"], "intended");
    }
    let _ = wallet.run(&["tx", "cancel", "dropped"]).ok();
    assert_eq!(wallet.json(&["tx", "show", "dropped"]).ok().json()["state"], "cancelled");
    // When a node is there again, what was kept goes out by itself, and what was dropped does not.
    let node = Launch::dev(&data_dir, &["--mine-on-tx"]).start();
    wallet.nodes = vec![node.p2p];
    let kept = wallet.json(&["tx", "wait", "kept", "--timeout", "60"]).ok().json();
    assert!(kept["confirmations"].as_u64() >= Some(1), "{kept}");
    assert_eq!(super::balance_at(&node, &receiver(70_000)), "1");
    assert_eq!(wallet.json(&["tx", "show", "dropped"]).ok().json()["state"], "cancelled");
    wallet.stop();
}

#[test]
fn a_wrong_passphrase_and_a_locked_wallet_are_5() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    std::fs::write(&right, "right\n").unwrap();
    std::fs::write(&wrong, "wrong\n").unwrap();
    let _ = wallet.run(&["create", "--passphrase-file", right.to_str().unwrap(), "--yes"]).ok();
    let _ =
        refused(&wallet, &["unlock", "--passphrase-file", wrong.to_str().unwrap()], 5, "wrong_passphrase");
    let _ = refused(&wallet, &["send", "1", "--to", &receiver(1)], 5, "wallet_locked");
    let _ = wallet.run(&["unlock", "--passphrase-file", right.to_str().unwrap()]).ok();
    let status = wallet.json(&["status"]).ok().json();
    assert_eq!(status["wallets"][0]["unlocked"], true);
    wallet.stop();
}

#[test]
fn a_second_daemon_is_7() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    let mut first = wallet.start();
    let second = wallet.try_start().map(|_| ()).unwrap_err();
    assert_eq!((second.code, second.error().as_str()), (Some(7), "folder_in_use"), "{second:?}");
    let text = wallet.run(&["daemon"]);
    assert_eq!(text.code, Some(7));
    assert!(text.stderr.contains(&first.pid().to_string()), "it says who holds the folder: {text:?}");
    assert_eq!(first.terminate().0, Some(0));
}

#[test]
fn damage_is_8_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    let secret = folder.path().join("empty");
    std::fs::write(&secret, "").unwrap();
    let made = wallet.json(&["create", "--passphrase-file", secret.to_str().unwrap(), "--yes"]).ok().json();
    wallet.stop();
    let file = std::path::PathBuf::from(made["file"].as_str().unwrap());
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..10], &[], &flipped] {
        std::fs::write(&file, damaged).unwrap();
        let said = refused(&wallet, &["balance"], 8, "keystore_damaged");
        assert!(said.contains("main"), "{said}");
    }
    std::fs::write(&file, &whole).unwrap();
    let _ = wallet.run(&["address"]).ok();
    wallet.stop();
    let store = wallet.data_dir.join("store/db");
    let length = std::fs::metadata(&store).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(length / 2).unwrap();
    let truncated = wallet.json(&["address"]);
    // Half of the file may be all that was ever written of it; a tenth is not.
    if truncated.code == Some(0) {
        wallet.stop();
        std::fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(512).unwrap();
    }
    let said = wallet.json(&["address"]);
    assert_eq!(said.code, Some(8), "{said:?}");
    assert!(!said.json()["error"]["hint"].as_str().unwrap().is_empty(), "{said:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    for args in [&["balance"][..], &["balance", "--json"], &["address", "list"], &["tx", "list"], &["status"]]
    {
        let mut child =
            wallet.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code().is_some() && !stderr.contains("panic"), "{args:?}: {stderr}");
    }
    wallet.stop();
}

#[test]
fn flags_stand_before_and_after_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    let before = wallet.run(&["--json", "--no-autostart", "status"]);
    let after = wallet.run(&["status", "--no-autostart", "--json"]);
    assert_eq!((before.code, after.code), (Some(3), Some(3)));
    assert_eq!(before.error(), after.error());
}
