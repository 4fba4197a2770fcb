//! Wallets, their addresses, their locks and their balances.

use steelyard_core::params::{DEV_WORDS, dev_addresses};

use super::*;

#[tokio::test]
async fn a_created_wallet_shows_its_words_once() {
    let rig = Rig::new(0);
    let new = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": "", "birthday": 7});
    let made = rig.post("/wallets", new.clone()).await.ok();
    let words = made["words"].as_str().unwrap();
    assert_eq!(words.split(' ').count(), 12);
    assert_eq!(made["encrypted"], false);
    let file = rig.dir.path().join("wallets/a.keys");
    assert_eq!(made["file"], file.display().to_string());
    assert!(file.exists());
    let addresses = rig.get("/wallet/a/addresses").await.ok();
    assert_eq!(addresses["addresses"], json!([{"index": 0, "address": made["address"], "balance": null}]));
    let listed = rig.get("/wallets").await.ok();
    assert_eq!(listed[0]["birthday"], 7);
    assert_eq!(listed[0]["unlocked"], true);
    assert!(!listed.to_string().contains(words));
    assert_eq!(rig.post("/wallets", new).await.refusal().0, "wallet_exists");
}

#[tokio::test]
async fn a_restored_wallet_is_the_same_and_not_twice_there() {
    let (one, other) = (Rig::new(0), Rig::new(0));
    let made =
        one.post("/wallets", json!({"name": "a", "source": {"create": {"words": 24}}, "passphrase": ""}));
    let made = made.await.ok();
    let restore =
        |name: &str| json!({"name": name, "source": {"restore": {"words": made["words"]}}, "passphrase": ""});
    let restored = other.post("/wallets", restore("b")).await.ok();
    assert_eq!(restored["address"], made["address"]);
    assert_eq!(restored.get("words"), None);
    assert_eq!(one.post("/wallets", restore("b")).await.refusal().0, "same_keys");
    assert!(!one.dir.path().join("wallets/b.keys").exists());
}

#[tokio::test]
async fn the_published_words_have_ten_addresses_on_the_dev_network_and_are_refused_elsewhere() {
    let rig = Rig::new(0);
    let made = rig.import_dev("dev").await;
    assert_eq!(made.get("words"), None);
    let addresses = rig.get("/wallet/dev/addresses").await.ok();
    let found: Vec<&str> = addresses["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["address"].as_str().unwrap())
        .collect();
    let expected: Vec<String> =
        dev_addresses().iter().map(|address| steelyard_core::address::format("dsy", address)).collect();
    assert_eq!(found, expected);

    let elsewhere = Rig::on(Params::tutorial(), 0);
    let restore = json!({"restore": {"words": DEV_WORDS}});
    for source in [json!("dev"), restore] {
        let new = json!({"name": "dev", "source": source, "passphrase": ""});
        assert_eq!(elsewhere.post("/wallets", new).await.refusal(), ("dev_words", 2, 400));
    }
    assert!(!elsewhere.dir.path().join("wallets/dev.keys").exists());
}

#[tokio::test]
async fn wrong_words_and_counts_are_refused() {
    let rig = Rig::new(0);
    let cases = [
        (json!({"create": {"words": 13}}), "word_count"),
        (json!({"restore": {"words": "abandon about"}}), "word_count"),
        (json!({"restore": {"words": (["abandon"; 12].join(" "))}}), "words_checksum"),
        (json!({"restore": {"words": (DEV_WORDS.replace("about", "abowt"))}}), "unknown_word"),
    ];
    for (source, code) in cases {
        let answer = rig.post("/wallets", json!({"name": "a", "source": source, "passphrase": ""})).await;
        assert_eq!(answer.refusal(), (code, 2, 400));
    }
    assert_eq!(std::fs::read_dir(rig.dir.path().join("wallets")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_encrypted_wallet_is_locked_until_its_passphrase_and_after_a_lock() {
    let rig = Rig::new(0);
    let new = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": "right"});
    assert_eq!(rig.post("/wallets", new).await.ok()["encrypted"], true);
    let state = async || rig.get("/wallets").await.ok()[0].clone();
    assert_eq!(state().await["unlocked"], false);
    let wrong = rig.post("/wallet/a/unlock", json!({"passphrase": "wrong", "seconds": null})).await;
    assert_eq!(wrong.refusal(), ("wrong_passphrase", 5, 423));
    let none = rig.post("/wallet/a/unlock", json!({"passphrase": "", "seconds": null})).await;
    assert_eq!(none.refusal(), ("wallet_locked", 5, 423));
    assert_eq!(state().await["unlocked"], false);
    let zero = rig.post("/wallet/a/unlock", json!({"passphrase": "right", "seconds": 0})).await;
    assert_eq!(zero.refusal(), ("invalid_seconds", 2, 400));
    rig.post("/wallet/a/unlock", json!({"passphrase": "right", "seconds": 600})).await.ok();
    let unlocked = state().await;
    assert_eq!(unlocked["unlocked"], true);
    let until = unlocked["unlocked_until"].as_u64().unwrap();
    assert!(until.abs_diff(clock::now_ms() + 600_000) < 60_000);
    rig.ask(Method::POST, "/wallet/a/lock", None).await.ok();
    assert_eq!(state().await["unlocked"], false);
}

#[tokio::test]
async fn what_has_no_passphrase_is_never_locked() {
    let rig = Rig::new(0);
    rig.import_dev("dev").await;
    assert_eq!(rig.ask(Method::POST, "/wallet/dev/lock", None).await.refusal().0, "not_encrypted");
    rig.post("/wallet/dev/unlock", json!({"passphrase": "any", "seconds": 1})).await.ok();
    assert_eq!(rig.get("/wallets").await.ok()[0]["unlocked_until"], Value::Null);
}

#[tokio::test]
async fn a_keystore_that_changed_under_the_daemon_unlocks_nothing() {
    let rig = Rig::new(0);
    let new = |name| json!({"name": name, "source": {"create": {"words": 12}}, "passphrase": "same"});
    rig.post("/wallets", new("a")).await.ok();
    rig.post("/wallets", new("b")).await.ok();
    let folder = rig.dir.path().join("wallets");
    std::fs::copy(folder.join("b.keys"), folder.join("a.keys")).unwrap();
    let unlock = json!({"passphrase": "same", "seconds": null});
    let answer = rig.post("/wallet/a/unlock", unlock.clone()).await;
    assert_eq!(answer.refusal(), ("keystore_replaced", 8, 500));
    std::fs::write(folder.join("a.keys"), "x").unwrap();
    assert_eq!(rig.post("/wallet/a/unlock", unlock).await.refusal(), ("keystore_damaged", 8, 500));
}

#[tokio::test]
async fn another_address_is_the_next_one() {
    let rig = Rig::new(0);
    rig.import_dev("dev").await;
    let more = rig.ask(Method::POST, "/wallet/dev/addresses", None).await.ok();
    assert_eq!(more["addresses"][0]["index"], 10);
    assert_eq!(more["addresses"].as_array().unwrap().len(), 1);
    let all = rig.get("/wallet/dev/addresses").await.ok();
    assert_eq!(all["addresses"][10], more["addresses"][0]);
}

#[tokio::test]
async fn a_wallet_that_is_not_there_is_unknown_to_every_route() {
    let rig = Rig::new(0);
    let send =
        json!({"id": "x", "to": steelyard_core::address::format("dsy", &dev_addresses()[0]), "amount": "1"});
    let answers = [
        rig.get("/wallet/a/addresses").await,
        rig.ask(Method::POST, "/wallet/a/addresses", None).await,
        rig.get("/wallet/a/balance").await,
        rig.get("/wallet/a/txs").await,
        rig.get("/wallet/a/tx/x").await,
        rig.delete("/wallet/a/tx/x").await,
        rig.post("/wallet/a/sends", send).await,
        rig.post("/wallet/a/unlock", json!({"passphrase": "", "seconds": null})).await,
        rig.ask(Method::POST, "/wallet/a/lock", None).await,
    ];
    for answer in answers {
        assert_eq!(answer.refusal(), ("unknown_wallet", 2, 404));
    }
}

#[tokio::test]
async fn without_a_reading_there_is_no_balance_and_no_wait() {
    let rig = Rig::new(2);
    rig.import_dev("dev").await;
    rig.down(1).await;
    // Node 2 has not been tried: an answer that waited would wait for it, longer than the test may take.
    let answer = tokio::time::timeout(Duration::from_secs(10), rig.get("/wallet/dev/balance")).await.unwrap();
    assert_eq!(answer.refusal(), ("no_reading", 3, 503));
    assert!(answer.message().contains("127.0.0.1:1: connection refused"), "{}", answer.message());
    assert!(answer.message().contains("127.0.0.1:2: connecting"), "{}", answer.message());
    let waits = rig.later("/wallet/dev/balance?settle=true", None);
    rig.down(2).await;
    let answer = tokio::time::timeout(Duration::from_secs(10), waits).await.unwrap().unwrap();
    assert_eq!(answer.refusal(), ("no_reading", 3, 503));
    assert!(answer.message().contains("127.0.0.1:2: connection refused"), "{}", answer.message());
}

#[tokio::test]
async fn a_balance_says_of_which_moment_it_is() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    let waits = rig.later("/wallet/dev/balance?settle=true", None);
    rig.read(5, 3 * 100_000_000).await;
    let balance = tokio::time::timeout(Duration::from_secs(10), waits).await.unwrap().unwrap().ok();
    assert_eq!((&balance["total"], &balance["spendable"]), (&json!("30"), &json!("30")));
    assert_eq!((&balance["pending_in"], &balance["pending_out"]), (&json!("0"), &json!("0")));
    let as_of = &balance["as_of"];
    assert_eq!((&as_of["height"], &as_of["id"]), (&json!(5), &json!(block(5, 0).to_string())));
    assert_eq!(
        (&as_of["depth"], &as_of["synced"], &as_of["proven"]),
        (&json!(0), &json!(true), &json!(false))
    );
    assert_eq!((&as_of["trust"], &as_of["node"]), (&json!("header"), &json!("127.0.0.1:1")));
    rig.up(2, 8).await;
    rig.down(3).await;
    let address = steelyard_core::address::format("dsy", &dev_addresses()[0]);
    let one = rig.get(&format!("/wallet/dev/balance?address={address}")).await.ok();
    assert_eq!((&one["total"], &one["address"]), (&json!("3"), &json!(address)));
    assert_eq!(one["as_of"]["depth"], 3);
}

#[tokio::test]
async fn a_balance_of_what_is_not_the_wallets_is_refused() {
    let rig = Rig::new(1);
    let new = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": ""});
    rig.post("/wallets", new).await.ok();
    rig.read(5, 1).await;
    let dev = steelyard_core::address::format("dsy", &dev_addresses()[0]);
    let foreign = rig.get(&format!("/wallet/a/balance?address={dev}")).await;
    assert_eq!(foreign.refusal(), ("foreign_address", 2, 400));
    let broken = rig.get(&format!("/wallet/a/balance?address={}", dev.replace("dsy1", "tsy1"))).await;
    assert_eq!(broken.refusal(), ("invalid_address", 2, 400));
}

#[tokio::test]
async fn a_new_address_is_not_called_synced_before_a_node_was_asked_about_it() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.read(5, 1).await;
    assert_eq!(rig.get("/wallet/dev/balance").await.ok()["as_of"]["synced"], true);
    rig.ask(Method::POST, "/wallet/dev/addresses", None).await.ok();
    assert_eq!(rig.get("/wallet/dev/balance").await.ok()["as_of"]["synced"], false);
    rig.read(6, 1).await;
    assert_eq!(rig.get("/wallet/dev/balance").await.ok()["as_of"]["synced"], true);
}

#[tokio::test]
async fn what_was_read_before_the_start_is_shown_and_not_settled_for() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    let mut before = rig.snapshot(4, 1);
    before.taken -= 10_000;
    rig.tell(LightEvent::Reading(Box::new(Reading { snapshot: before, standings: Vec::new() }))).await;
    // As a start leaves it: there is a reading, and it is not of this run.
    rig.desk.shared.change(|view| view.is_read = false);
    let shown = rig.get("/wallet/dev/balance").await.ok();
    assert_eq!((&shown["as_of"]["height"], &shown["as_of"]["synced"]), (&json!(4), &json!(false)));
    let waits = rig.later("/wallet/dev/balance?settle=true", None);
    rig.read(5, 1).await;
    let settled = tokio::time::timeout(Duration::from_secs(10), waits).await.unwrap().unwrap().ok();
    assert_eq!(settled["as_of"]["height"], 5);
}
