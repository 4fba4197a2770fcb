//! Sends: what is answered, for all that nodes may do.

use steelyard_core::params::dev_addresses;
use steelyard_core::wire::Text;

use super::*;

const COIN: u64 = 100_000_000;

fn to() -> String {
    steelyard_core::address::format("dsy", &dev_addresses()[1])
}

fn pay(id: &str, amount: &str) -> Value {
    json!({"id": id, "to": to(), "amount": amount})
}

/// The dev network's wallet, with coins and node 1.
async fn funded() -> Rig {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.read(5, 100 * COIN).await;
    rig
}

async fn answer(waits: tokio::task::JoinHandle<Answer>) -> Answer {
    // Shorter than the rig's own patience: what is known is answered at once.
    tokio::time::timeout(Duration::from_secs(10), waits).await.expect("an answer at once").unwrap()
}

fn refused(rule: &str) -> Verdict {
    Verdict::Refused { rule: Text::new(rule), reason: Text::new("not today") }
}

#[tokio::test]
async fn a_send_that_a_node_takes_is_pending() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1.5")));
    let id = rig.outgoing().await;
    rig.sending(id).await;
    rig.verdict(id, 1, Verdict::Pending {}).await;
    let tx = answer(waits).await.ok();
    assert_eq!((&tx["state"], &tx["is_final"], &tx["id"]), (&json!("pending"), &json!(false), &json!("a")));
    assert_eq!((&tx["amount"], &tx["to"], &tx["nonce"]), (&json!("1.5"), &json!(to()), &json!(0)));
    assert_eq!((&tx["tx_id"], &tx["confirmations"]), (&json!(id.to_string()), &json!(0)));
    assert!(tx["next_action"].as_str().unwrap().contains("tx wait a"), "{tx}");

    let again = rig.post("/wallet/dev/sends", pay("a", "1.5")).await.ok();
    assert_eq!(again["tx_id"], tx["tx_id"]);
    let other = rig.post("/wallet/dev/sends", pay("a", "1.6")).await;
    assert_eq!(other.refusal(), ("id_reused", 6, 409));
    assert_eq!(rig.get("/wallet/dev/tx/a").await.ok(), tx);
    assert_eq!(rig.get(&format!("/wallet/dev/tx/{id}")).await.ok(), tx);
    let listed = rig.get("/wallet/dev/txs").await.ok();
    assert_eq!(listed, json!({"wallet": "dev", "txs": [tx], "next": null}));
    let balance = rig.get("/wallet/dev/balance").await.ok();
    assert_eq!(balance["total"], "1000");
    assert_eq!(balance["pending_out"].as_str().unwrap().split('.').next(), Some("1"));
    assert_eq!(rig.delete("/wallet/dev/tx/a").await.refusal(), ("not_cancellable", 6, 422));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_and_not_kept() {
    let rig = funded().await;
    let with = |key: &str, value: Value| {
        let mut send = pay("a", "1");
        send[key] = value;
        send
    };
    let tutorial = steelyard_core::address::format("tsy", &dev_addresses()[0]);
    let cases = [
        (with("to", json!("dsy1nonsense")), "invalid_address"),
        (with("to", json!(tutorial)), "invalid_address"),
        (with("from", json!("me")), "invalid_address"),
        (with("amount", json!("0")), "invalid_amount"),
        (with("amount", json!("-1")), "invalid_amount"),
        (with("amount", json!("1.000000001")), "invalid_amount"),
        (with("amount", json!("all")), "invalid_amount"),
        (with("amount", json!(1)), "invalid_json"),
        (with("memo", json!("é".repeat(129))), "memo_too_long"),
        (with("id", json!("-a")), "invalid_json"),
        (with("more", json!(1)), "invalid_json"),
    ];
    for (send, code) in cases {
        for dry_run in [false, true] {
            let mut send = send.clone();
            send["dry_run"] = json!(dry_run);
            assert_eq!(rig.post("/wallet/dev/sends", send).await.refusal(), (code, 2, 400));
        }
    }
    assert_eq!(rig.get("/wallet/dev/txs").await.ok()["txs"], json!([]));
    assert_eq!(rig.get("/wallet/dev/tx/a").await.refusal(), ("unknown_tx", 2, 404));
    assert_eq!(rig.get("/wallet/dev/tx/-a").await.refusal(), ("invalid_id", 2, 400));
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_be_and_keeps_nothing() {
    let rig = funded().await;
    let mut send = pay("a", "2.5");
    (send["dry_run"], send["memo"]) = (json!(true), json!("hello"));
    let preview = rig.post("/wallet/dev/sends", send).await.ok();
    assert_eq!((&preview["amount"], &preview["to"]), (&json!("2.5"), &json!(to())));
    assert_eq!(preview["from"], steelyard_core::address::format("dsy", &dev_addresses()[0]));
    let coins = |key: &str| preview[key].as_str().unwrap().parse::<Coins>().unwrap().0;
    assert_eq!(coins("total"), coins("amount") + coins("fee"));
    assert_eq!((&preview["memo"], &preview["as_of"]["height"]), (&json!("hello"), &json!(5)));
    assert_eq!(rig.get("/wallet/dev/txs").await.ok()["txs"], json!([]));
    let mut much = pay("a", "101");
    much["dry_run"] = json!(true);
    assert_eq!(rig.post("/wallet/dev/sends", much).await.refusal(), ("insufficient_funds", 6, 422));
}

#[tokio::test]
async fn a_dry_run_without_a_reading_has_no_figures() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.down(1).await;
    let mut send = pay("a", "1");
    send["dry_run"] = json!(true);
    assert_eq!(rig.post("/wallet/dev/sends", send).await.refusal(), ("no_reading", 3, 503));
}

#[tokio::test]
async fn too_much_is_refused_with_have_and_need() {
    let rig = funded().await;
    let answer = rig.post("/wallet/dev/sends", pay("a", "101")).await;
    assert_eq!(answer.refusal(), ("insufficient_funds", 6, 422));
    let message = answer.message();
    assert!(message.contains("have 100") && message.contains("need 101"), "{message}");
}

#[tokio::test]
async fn with_no_node_a_send_is_kept_and_can_be_dropped() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.down(1).await;
    let kept = rig.post("/wallet/dev/sends", pay("a", "1")).await;
    assert_eq!(kept.refusal(), ("node_unreachable", 3, 503));
    assert_eq!(kept.body["error"]["intent"], "a");
    assert!(kept.message().contains("kept as a: it goes out when a node answers"), "{}", kept.message());
    assert!(kept.message().contains("connection refused"), "{}", kept.message());
    assert_eq!(kept.hint(), "steelyard-wallet tx cancel a drops it");
    let tx = rig.get("/wallet/dev/tx/a").await.ok();
    assert_eq!((&tx["state"], &tx["amount"]), (&json!("intended"), &json!("1")));
    assert!(tx["next_action"].as_str().unwrap().contains("tx cancel a"), "{tx}");
    let dropped = rig.delete("/wallet/dev/tx/a").await.ok();
    assert_eq!((&dropped["state"], &dropped["is_final"]), (&json!("cancelled"), &json!(true)));
    let again = rig.post("/wallet/dev/sends", pay("a", "1")).await;
    assert_eq!(again.refusal(), ("cancelled", 6, 422));
    assert!(again.message().contains("nothing was paid"), "{}", again.message());
    assert_eq!(again.hint(), "use another id to send again");
}

#[tokio::test]
async fn a_daemon_that_has_just_started_waits_for_its_first_node() {
    let mut rig = Rig::new(1);
    rig.import_dev("dev").await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    rig.read(5, 100 * COIN).await;
    let id = rig.outgoing().await;
    rig.sending(id).await;
    rig.verdict(id, 1, Verdict::Pending {}).await;
    assert_eq!(answer(waits).await.ok()["state"], "pending");
}

#[tokio::test]
async fn what_was_signed_and_never_sent_goes_out_by_itself() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    rig.outgoing().await;
    rig.down(1).await;
    let kept = answer(waits).await;
    assert_eq!(kept.refusal(), ("node_unreachable", 3, 503));
    assert_eq!(kept.body["error"]["intent"], "a");
    assert!(
        kept.message().contains("goes out by itself when a node answers, until block"),
        "{}",
        kept.message()
    );
    let tx = rig.get("/wallet/dev/tx/a").await.ok();
    assert_eq!(tx["state"], "signed");
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_outcome_unknown() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    let id = rig.outgoing().await;
    rig.sending(id).await;
    // The same send, asked for where nobody has patience.
    let mut state = rig.state();
    state.times.outcome = Duration::from_millis(1);
    rig.serve_at("hasty", own_uid().unwrap(), state);
    let hasty = rig.dir.path().join("hasty");
    let again =
        async || rig.ask_at(hasty.clone(), Method::POST, "/wallet/dev/sends", Some(pay("a", "1"))).await;
    let unknown = again().await;
    assert_eq!(unknown.refusal(), ("outcome_unknown", 10, 504));
    assert_eq!(unknown.body["error"]["intent"], "a");
    assert_eq!(unknown.hint(), "steelyard-wallet tx wait a; asking again with the same id pays once");
    // A node that has gone away may have it all the same.
    rig.down(1).await;
    assert_eq!(again().await.refusal(), ("outcome_unknown", 10, 504));
    assert!(!waits.is_finished());
    rig.up(1, 5).await;
    rig.verdict(id, 1, Verdict::Pending {}).await;
    let paid = answer(waits).await.ok();
    assert_eq!((&paid["state"], &paid["tx_id"]), (&json!("pending"), &json!(id.to_string())));
    assert_eq!(rig.get("/wallet/dev/tx/a?confirmations=0").await.ok(), paid);
}

#[tokio::test]
async fn what_no_node_was_sent_is_not_unknown() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    rig.outgoing().await;
    let mut state = rig.state();
    state.times.outcome = Duration::from_millis(1);
    rig.serve_at("hasty", own_uid().unwrap(), state);
    let hasty = rig.dir.path().join("hasty");
    let kept = rig.ask_at(hasty, Method::POST, "/wallet/dev/sends", Some(pay("a", "1"))).await;
    assert_eq!(kept.refusal(), ("node_unreachable", 3, 503));
    waits.abort();
}

#[tokio::test]
async fn a_node_that_refuses_is_quoted_and_the_send_is_kept() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    let id = rig.outgoing().await;
    rig.sending(id).await;
    rig.verdict(id, 1, refused("fee_too_low")).await;
    let kept = answer(waits).await;
    assert_eq!(kept.refusal(), ("fee_too_low", 6, 422));
    assert_eq!(kept.body["error"]["intent"], "a");
    assert!(
        kept.message().contains("not today") && kept.message().contains("kept as a"),
        "{}",
        kept.message()
    );
    assert!(kept.hint().contains("offered again") && kept.hint().contains("until block"), "{}", kept.hint());
}

#[tokio::test]
async fn one_nodes_refusal_does_not_hide_that_another_took_it() {
    let mut rig = Rig::new(2);
    rig.import_dev("dev").await;
    rig.up(2, 5).await;
    rig.read(5, 100 * COIN).await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    let id = rig.outgoing().await;
    rig.sending(id).await;
    rig.verdict(id, 1, refused("nonce_gap")).await;
    rig.verdict(id, 2, Verdict::Pending {}).await;
    assert_eq!(answer(waits).await.ok()["state"], "pending");
}

#[tokio::test]
async fn a_locked_wallet_says_that_it_is_locked() {
    let rig = Rig::new(1);
    let new = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": "right"});
    rig.post("/wallets", new).await.ok();
    rig.read(5, 100 * COIN).await;
    let answer = rig.post("/wallet/a/sends", pay("x", "1")).await;
    assert_eq!(answer.refusal(), ("wallet_locked", 5, 423));
    assert!(answer.hint().contains("unlock"), "{}", answer.hint());
}

#[tokio::test]
async fn a_wait_ends_with_the_block_or_with_its_time() {
    let mut rig = funded().await;
    let waits = rig.later("/wallet/dev/sends", Some(pay("a", "1")));
    let id = rig.outgoing().await;
    rig.verdict(id, 1, Verdict::Pending {}).await;
    answer(waits).await.ok();
    let early = rig.get("/wallet/dev/tx/a?confirmations=1&timeout_ms=1").await;
    assert_eq!(early.refusal(), ("timed_out", 9, 504));
    assert!(early.message().contains("pending with 0 of 1 confirmations"), "{}", early.message());
    let waits = rig.later("/wallet/dev/tx/a?confirmations=2&timeout_ms=600000", None);
    rig.mined(id, 6, 6).await;
    let one = rig.get("/wallet/dev/tx/a?confirmations=1&timeout_ms=600000").await.ok();
    assert_eq!(
        (&one["state"], &one["height"], &one["confirmations"]),
        (&json!("confirmed"), &json!(6), &json!(1))
    );
    assert!(!waits.is_finished());
    rig.mined(id, 6, 7).await;
    let two = answer(waits).await.ok();
    assert_eq!((&two["confirmations"], &two["block"]), (&json!(2), &json!(block(6, 0).to_string())));
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.down(1).await;
    for id in ["a", "b", "c"] {
        rig.post("/wallet/dev/sends", pay(id, "1")).await;
    }
    let ids = |page: &Value| -> Vec<String> {
        page["txs"].as_array().unwrap().iter().map(|tx| tx["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = rig.get("/wallet/dev/txs?limit=2").await.ok();
    assert_eq!(ids(&first), ["c", "b"]);
    let second = rig.get(&format!("/wallet/dev/txs?limit=2&before={}", first["next"])).await.ok();
    assert_eq!((ids(&second), &second["next"]), (vec!["a".to_owned()], &Value::Null));
    let whole = rig.get("/wallet/dev/txs?limit=3").await.ok();
    assert_eq!((ids(&whole).len(), &whole["next"]), (3, &Value::Null));
}

#[tokio::test]
async fn an_operator_is_told_of_sends_that_wait_for_a_passphrase() {
    let rig = Rig::new(1);
    let new = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": "right"});
    rig.post("/wallets", new).await.ok();
    rig.post("/wallet/a/unlock", json!({"passphrase": "right", "seconds": null})).await.ok();
    rig.down(1).await;
    assert_eq!(rig.post("/wallet/a/sends", pay("x", "1")).await.refusal().0, "node_unreachable");
    rig.ask(Method::POST, "/wallet/a/lock", None).await.ok();
    let status = rig.get("/status").await.ok();
    let warnings = status["warnings"].as_array().unwrap();
    let told = "wallet a is locked with sends waiting: 1; steelyard-wallet unlock --wallet a";
    assert!(warnings.iter().any(|warning| warning == told), "{status}");
    let tx = rig.get("/wallet/a/tx/x").await.ok();
    assert_eq!(tx["reason"], "the wallet is locked");
    assert!(tx["next_action"].as_str().unwrap().starts_with("steelyard-wallet unlock --wallet a"), "{tx}");
    // Asked again, the wait is for the keys, not for a node.
    rig.read(5, 100 * COIN).await;
    let again = rig.post("/wallet/a/sends", pay("x", "1")).await;
    assert_eq!(again.refusal(), ("wallet_locked", 5, 423));
    assert_eq!(again.body["error"]["intent"], "x");
}
