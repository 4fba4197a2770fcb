//! What is submitted: pending, mined, confirmed; and what is refused, by its rule's name.

use serde_json::json;

use super::*;
use crate::api::types::{self, AddressInfo, Submitted, Tx, TxStatus, TxVerdict};
use crate::limits::{API_BODY_BYTES_MAX, API_TX_BODY_BYTES_MAX};

#[tokio::test]
async fn a_payment_is_pending_then_confirmed_and_moves_the_balance() {
    let stage = Stage::new();
    let tx = pay(0, 5);
    let id = tx.body.id();
    let address = |who: &Address| format!("/address/{}", stage.text(who));

    let posted: Submitted = stage.submit(&tx).await.typed();
    assert_eq!(posted, Submitted { id, status: TxStatus::Pending });
    let pending: Tx = stage.get(&format!("/tx/{id}")).await.typed();
    assert_eq!(
        (pending.status, pending.block, pending.memo_text.as_deref()),
        (TxStatus::Pending, None, Some("for tea"))
    );
    assert_eq!((pending.sender, pending.fee.to_string().as_str()), (stage.text(&payer()), "0.00001"));
    assert_eq!(stage.get(&format!("/tx/{id}/proof")).await.refusal(), (404, "not_confirmed".into()));
    let before: AddressInfo = stage.get(&address(&payer())).await.typed();
    assert_eq!((before.balance.to_string().as_str(), before.nonce, before.pending_txs), ("1000", 0, 1));
    assert_eq!(before.pending_out.to_string(), "5.00001");
    let receiver: AddressInfo = stage.get(&address(&STRANGER)).await.typed();
    assert_eq!((receiver.balance.0, receiver.pending_in.to_string().as_str()), (0, "5"));

    let block = stage.mine().await;
    stage.mine().await;

    let confirmed: Tx = stage.get(&format!("/tx/{id}")).await.typed();
    assert_eq!(
        (confirmed.status, confirmed.confirmations, confirmed.index),
        (TxStatus::Confirmed, 2, Some(1))
    );
    assert_eq!((confirmed.block, confirmed.height), (Some(block), Some(1)));
    let types::Action::Transfer { payments } = confirmed.action else { panic!("a transfer") };
    assert_eq!((payments[0].to.clone(), payments[0].units.amount.as_str()), (stage.text(&STRANGER), "5"));
    let after: AddressInfo = stage.get(&address(&payer())).await.typed();
    assert_eq!((after.balance.to_string().as_str(), after.nonce), ("994.99999", 1));
    assert_eq!((after.pending_out.0, after.height), (0, 2));
    assert_eq!(stage.get(&address(&STRANGER)).await.json()["balance"], "25.00001");
}

#[tokio::test]
async fn who_asks_again_hears_how_it_stands() {
    let stage = Stage::new();
    let tx = pay(0, 5);
    let status = async || stage.submit(&tx).await.typed::<Submitted>().status;
    assert_eq!((status().await, status().await), (TxStatus::Pending, TxStatus::Pending));
    stage.mine().await;
    assert_eq!(status().await, TxStatus::Confirmed);
    // Another transaction with the nonce is another matter.
    assert_eq!(stage.submit(&pay(0, 6)).await.refusal(), (422, "nonce_used".into()));
}

#[tokio::test]
async fn a_token_is_shown_in_its_own_decimals() {
    let stage = Stage::new();
    let symbol = List::new(b"TEA".to_vec()).unwrap();
    let issue = act(0, 0, Action::Issue { symbol, decimals: 2, supply: 12_345, mintable: false });
    let asset = steelyard_core::types::transaction::asset_id(&issue.body.id());
    assert_eq!(stage.submit(&issue).await.status, StatusCode::OK);
    stage.mine().await;
    let burn = act(1, 0, Action::Burn { asset, amount: 45 });
    assert_eq!(stage.submit(&burn).await.status, StatusCode::OK);
    let shown = stage.get(&format!("/tx/{}", burn.body.id())).await.json()["action"].clone();
    assert_eq!(shown, json!({"type": "burn", "asset": asset, "amount": "0.45", "decimals": 2}));
    let shown = stage.get(&format!("/tx/{}", issue.body.id())).await.json()["action"].clone();
    assert_eq!((&shown["supply"], &shown["asset"]), (&json!("123.45"), &json!(asset)));
    stage.mine().await;
    let holder = stage.get(&format!("/address/{}", stage.text(&payer()))).await.json();
    assert_eq!(holder["assets"], json!([{"asset": asset, "symbol": "TEA", "decimals": 2, "amount": "123"}]));
}

#[tokio::test]
async fn every_refusal_has_its_rules_name() {
    let stage = Stage::new();
    let edited = |edit: &dyn Fn(&mut TxBody)| {
        let mut body = pay(0, 1).body;
        edit(&mut body);
        sign(body)
    };
    let mut forged = pay(0, 1);
    forged.body.fee += 1;
    for (tx, status, code) in [
        (pay(0, 1_000), 422, "insufficient_funds"),
        (pay(9_999, 1), 422, "nonce_gap"),
        (edited(&|body| body.network.0[0] ^= 1), 422, "wrong_network"),
        (edited(&|body| body.sender = STRANGER), 422, "wrong_sender"),
        (forged, 422, "invalid_signature"),
    ] {
        assert_eq!(stage.submit(&tx).await.refusal(), (status, code.to_owned()));
    }
    let octets = "application/octet-stream";
    let mut cut = pay(0, 1).to_bytes();
    cut.pop();
    for bytes in [cut, Vec::new(), b"rubbish".to_vec()] {
        assert_eq!(stage.post("/tx", octets, bytes).await.refusal(), (400, "malformed".into()));
    }
    for (path, kind, body, status, code) in [
        ("/tx", "text/plain", String::new(), 415, "unsupported_media_type"),
        ("/tx", "application/json", "{".into(), 400, "invalid_json"),
        ("/tx", "application/json", json!({"tx": "00", "x": 1}).to_string(), 400, "invalid_json"),
        ("/tx", "application/json; charset=utf-8", json!({"tx": "0x00"}).to_string(), 400, "malformed"),
        ("/tx", octets, "x".repeat(API_TX_BODY_BYTES_MAX + 1), 413, "body_too_large"),
        ("/txs", octets, "xxxxx".into(), 400, "malformed_batch"),
        (
            "/txs",
            "application/json",
            json!({"txs": vec!["00"; 1_001]}).to_string(),
            400,
            "too_many_transactions",
        ),
        ("/tx?wait=1", octets, String::new(), 400, "unknown_query_key"),
    ] {
        let answer = stage.post(path, kind, body).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{path} {kind}");
    }
    let mut large = post("/api/v1/txs", octets, Body::empty());
    large.headers_mut().insert("content-length", (API_BODY_BYTES_MAX + 1).into());
    assert_eq!(stage.ask(large).await.refusal(), (413, "body_too_large".into()));
    assert_eq!(stage.get("/status").await.json()["mempool_txs"], 0);
}

#[tokio::test]
async fn a_batch_gets_one_verdict_each() {
    let stage = Stage::new();
    let first = pay(0, 1);
    stage.submit(&first).await;
    stage.mine().await;
    let txs = [
        pay(1, 1).to_bytes(),
        b"rubbish".to_vec(),
        first.to_bytes(),
        pay(0, 2).to_bytes(),
        pay(2, 1).to_bytes(),
    ];
    let told = |answer: Answer| -> Vec<String> {
        let verdicts: Vec<TxVerdict> = answer.typed();
        let tell = |verdict: TxVerdict| match verdict {
            TxVerdict::Submitted(submitted) => format!("{:?}", submitted.status),
            TxVerdict::Refused(refused) => refused.error.code,
        };
        verdicts.into_iter().map(tell).collect()
    };
    let expected = ["Pending", "malformed", "Confirmed", "nonce_used", "Pending"];
    let json = json!({"txs": txs.iter().map(hex::encode).collect::<Vec<_>>()}).to_string();
    assert_eq!(told(stage.post("/txs", "application/json", json).await), expected);
    let frame = |tx: &Vec<u8>| [&u32::try_from(tx.len()).unwrap().to_le_bytes()[..], tx].concat();
    let framed: Vec<u8> = txs.iter().flat_map(frame).collect();
    assert_eq!(told(stage.post("/txs", "application/octet-stream", framed).await), expected);
    assert!(told(stage.post("/txs", "application/octet-stream", Vec::new()).await).is_empty());
    assert_eq!(stage.get("/status").await.json()["mempool_txs"], 2);
}

#[tokio::test]
async fn nothing_is_taken_while_it_stops() {
    let stage = Stage::new();
    stage.chain.stop();
    for _ in 0..100 {
        let answer = stage.submit(&pay(0, 1)).await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.headers["retry-after"], "1");
            match answer.refusal() {
                // It waited when the thread ended.
                (503, code) if code == "outcome_unknown" => continue,
                refusal => assert_eq!(refusal, (503, "stopping".into())),
            }
            return;
        }
    }
    panic!("a stopped chain still takes transactions");
}
