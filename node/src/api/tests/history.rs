//! Histories of addresses, assets, and what is refused without an index.

use std::collections::BTreeMap;

use super::*;
use crate::api::types::{
    AddressHistory, Asset, Assets, HistoryDirection, HistoryEntry, Status, Submitted, Tx, TxStatus,
};
use crate::chain::tests::maker::{self, Maker};

impl Stage {
    async fn history(&self, address: &Address, query: &str) -> AddressHistory {
        self.get(&format!("/address/{}/txs{query}", self.text(address))).await.typed()
    }
}

/// Amounts by asset, coins under nothing.
fn amounts(units: &[crate::api::types::Units]) -> BTreeMap<Option<AssetId>, String> {
    units.iter().map(|units| (units.asset, units.amount.clone())).collect()
}

fn coins(amount: &str) -> BTreeMap<Option<AssetId>, String> {
    BTreeMap::from([(None, amount.to_owned())])
}

fn issue(nonce: u64, symbol: &[u8], supply: u64) -> Transaction {
    let symbol = List::new(symbol.to_vec()).unwrap();
    act(nonce, 1_000, Action::Issue { symbol, decimals: 2, supply, mintable: true })
}

#[tokio::test]
async fn a_history_tells_what_each_transaction_was_to_the_address() {
    let stage = Stage::new();
    let payment = |to, coins: u64| Payment { asset: AssetId::COINS, to, amount: coins * COIN };
    let other = Address([8; 32]);
    let transfer =
        |nonce, payments| act(nonce, 1_000, Action::Transfer { payments: List::new(payments).unwrap() });
    let many =
        transfer(0, vec![payment(STRANGER, 2), payment(other, 1), payment(STRANGER, 1), payment(payer(), 5)]);
    let own = transfer(1, vec![payment(payer(), 7)]);
    let issued = issue(2, b"TEA", 1_250);
    let asset = steelyard_core::types::transaction::asset_id(&issued.body.id());
    for tx in [&many, &own, &issued] {
        assert_eq!(stage.submit(tx).await.status, StatusCode::OK);
    }
    stage.mine().await;
    let minted = act(3, 1_000, Action::Mint { asset, amount: 50 });
    let burned = act(4, 1_000, Action::Burn { asset, amount: 100 });
    let tokens = transfer(5, vec![Payment { asset, to: STRANGER, amount: 25 }]);
    for tx in [&minted, &burned, &tokens] {
        assert_eq!(stage.submit(tx).await.status, StatusCode::OK);
    }
    let block = stage.mine().await;

    let history = stage.history(&payer(), "").await;
    assert_eq!((history.height, history.indexed_height, history.next.clone()), (2, 2, None));
    let told: Vec<_> = history.txs.iter().map(|entry| (entry.id.unwrap(), entry.direction)).collect();
    let expected = [
        (&tokens, HistoryDirection::Out),
        (&burned, HistoryDirection::Burned),
        (&minted, HistoryDirection::Minted),
        (&issued, HistoryDirection::Issued),
        (&own, HistoryDirection::Own),
        (&many, HistoryDirection::Out),
    ];
    assert_eq!(told, expected.map(|(tx, direction)| (tx.body.id(), direction)));
    let fee = "0.00001";
    let with_asset = |amount: &str| BTreeMap::from([(Some(asset), amount.to_owned())]);
    let both = |amount: &str| BTreeMap::from([(None, fee.to_owned()), (Some(asset), amount.to_owned())]);
    let moved = |place: usize| (amounts(&history.txs[place].incoming), amounts(&history.txs[place].outgoing));
    assert_eq!(moved(0), (BTreeMap::new(), both("0.25")));
    assert_eq!(moved(1), (BTreeMap::new(), both("1")));
    assert_eq!(moved(2), (with_asset("0.5"), coins(fee)));
    assert_eq!(moved(3), (with_asset("12.5"), coins(fee)));
    assert_eq!(moved(4), (coins("7"), coins("7.00001")));
    assert_eq!(moved(5), (coins("5"), coins("9.00001")));
    let mut others = vec![stage.text(&other), stage.text(&STRANGER)];
    others.sort();
    let mut told = history.txs[5].counterparties.clone();
    told.sort();
    assert_eq!(told, others);
    let first = &history.txs[0];
    assert_eq!((first.block, first.height, first.confirmations), (block, 2, 1));
    let shown: Tx = stage.get(&format!("/tx/{}", tokens.body.id())).await.typed();
    assert_eq!(first.tx.as_ref(), Some(&shown));

    // The stranger mines, is paid twice by one, and gets tokens.
    let history = stage.history(&STRANGER, "").await;
    let told: Vec<_> = history.txs.iter().map(|entry| (entry.height, entry.index, entry.direction)).collect();
    let (paid, mined) = (HistoryDirection::In, HistoryDirection::Mined);
    let last_index = history.txs[0].index;
    assert_eq!(told, [(2, last_index, paid), (2, 0, mined), (1, history.txs[2].index, paid), (1, 0, mined)]);
    assert_eq!(amounts(&history.txs[0].incoming), with_asset("0.25"));
    assert_eq!(amounts(&history.txs[2].incoming), coins("3"));
    assert_eq!(history.txs[2].counterparties, [stage.text(&payer())]);
    assert_eq!(amounts(&history.txs[3].incoming), coins("10.00003"));
    assert!(history.txs[1].id.is_none() && history.txs[1].tx.is_none());
    assert!(stage.history(&Address([77; 32]), "").await.txs.is_empty());
}

#[tokio::test]
async fn a_history_comes_in_pages() {
    let stage = Stage::new();
    for nonce in 0..7 {
        stage.submit(&pay(nonce, 1)).await;
        stage.mine().await;
    }
    let all = stage.history(&STRANGER, "").await.txs;
    assert_eq!(all.len(), 14);
    for limit in [1, 3, 14] {
        let (mut seen, mut query): (Vec<HistoryEntry>, _) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = stage.history(&STRANGER, &query).await;
            assert!(page.txs.len() <= limit);
            seen.extend(page.txs);
            let Some(next) = page.next else { break };
            query = format!("?limit={limit}&before={next}");
        }
        assert_eq!(seen, all);
    }
    let path = format!("/address/{}/txs", stage.text(&STRANGER));
    for (query, code) in [
        ("?before=7", "invalid_before"),
        ("?before=1-x", "invalid_before"),
        ("?limit=0", "invalid_limit"),
        ("?limit=101", "invalid_limit"),
        ("?after=1-0", "unknown_query_key"),
    ] {
        assert_eq!(stage.get(&format!("{path}{query}")).await.refusal(), (400, code.into()), "{query}");
    }
    assert_eq!(stage.history(&STRANGER, "?before=0-0").await.txs, []);
    assert_eq!(stage.get("/address/nobody/txs").await.refusal(), (400, "invalid_address".into()));
}

#[tokio::test]
async fn assets_are_listed_as_they_were_issued_and_shown_as_they_are() {
    let stage = Stage::new();
    let (first, second, third) = (issue(0, b"TEA", 500), issue(1, b"TEA", 9), issue(2, b"RICE", 1));
    stage.submit(&first).await;
    stage.submit(&second).await;
    stage.mine().await;
    let asset = |tx: &Transaction| steelyard_core::types::transaction::asset_id(&tx.body.id());
    stage.submit(&third).await;
    stage.submit(&act(3, 1_000, Action::Mint { asset: asset(&first), amount: 7 })).await;
    let block = stage.mine().await;
    let all: Assets = stage.get("/assets").await.typed();
    let told: Vec<_> =
        all.assets.iter().map(|one| (one.asset, one.symbol.as_str(), one.supply.as_str())).collect();
    let expected =
        [(asset(&first), "TEA", "5.07"), (asset(&second), "TEA", "0.09"), (asset(&third), "RICE", "0.01")];
    assert_eq!(told, expected);
    assert_eq!((all.height, all.indexed_height, all.next), (2, 2, None));
    let last = &all.assets[2];
    assert_eq!((last.block, last.height, last.tx, last.decimals), (block, 2, third.body.id(), 2));
    assert_eq!((last.issuer.clone(), last.mintable), (stage.text(&payer()), true));
    let page: Assets = stage.get("/assets?limit=2").await.typed();
    assert_eq!(page.assets, all.assets[..2]);
    let page: Assets = stage.get(&format!("/assets?limit=2&after={}", page.next.unwrap())).await.typed();
    assert_eq!((page.assets, page.next), (all.assets[2..].to_vec(), None));
    for one in &all.assets {
        assert_eq!(stage.get(&format!("/asset/{}", one.asset)).await.typed::<Asset>(), *one);
    }
    let unknown = stage.get(&format!("/asset/{}", AssetId([7; 32]))).await;
    assert_eq!(unknown.refusal(), (404, "unknown_asset".into()));
    assert_eq!(stage.get("/assets?after=x").await.refusal(), (400, "invalid_after".into()));
}

/// A payment that is mined in one block, left, and mined again at another height.
#[tokio::test]
async fn after_a_reorganisation_only_the_active_chain_is_told() {
    let stage = Stage::of(maker::params());
    let mut maker = Maker::new(maker::params());
    let (stays, goes) = (maker.pay(0, 0, 9, 5), maker.pay(1, 0, 9, 6));
    let left = maker.make(maker.genesis, &[goes.clone(), stays.clone()]);
    let first = maker.make(maker.genesis, &[]);
    let second = maker.make(first, std::slice::from_ref(&stays));
    let payee = maker::account(9).address;
    let told = async || -> Vec<_> {
        let history = stage.history(&payee, "").await;
        assert_eq!(history.indexed_height, history.height);
        history.txs.iter().map(|entry| (entry.id.unwrap(), entry.height, entry.index)).collect()
    };
    let give = async |id| {
        let (chain, block) = (stage.chain.clone(), maker.block(id));
        tokio::task::spawn_blocking(move || chain.submit_block(block, u64::MAX)).await.unwrap().unwrap();
    };
    give(left).await;
    assert_eq!(told().await, [(stays.id(), 1, 2), (goes.id(), 1, 1)]);
    give(first).await;
    give(second).await;
    assert_eq!(told().await, [(stays.id(), 2, 1)]);
    assert_eq!(stage.get(&format!("/tx/{}", goes.id())).await.typed::<Tx>().status, TxStatus::Pending);
    assert_eq!(stage.get(&format!("/tx/{}", stays.id())).await.typed::<Tx>().height, Some(2));
}

#[tokio::test]
async fn without_an_index_what_needs_it_is_refused_by_name() {
    let stage = Stage::without_index();
    let tx = pay(0, 1);
    stage.submit(&tx).await;
    let path = format!("/tx/{}", tx.body.id());
    assert_eq!(stage.get(&path).await.typed::<Tx>().status, TxStatus::Pending);
    let again: Submitted = stage.submit(&tx).await.typed();
    assert_eq!(again.status, TxStatus::Pending);
    stage.mine().await;
    let history = format!("/address/{}/txs", stage.text(&payer()));
    stage.submit(&issue(1, b"TEA", 1)).await;
    stage.mine().await;
    let asset = steelyard_core::types::transaction::asset_id(&issue(1, b"TEA", 1).body.id());
    let asset = format!("/asset/{asset}");
    for path in [&path, &format!("{path}/raw"), &format!("{path}/proof"), &history, "/assets", &asset] {
        let answer = stage.get(path).await;
        assert_eq!(answer.refusal(), (501, "index_off".into()), "{path}");
        assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("--index on"));
    }
    // Whether it was this one that used the nonce cannot be said.
    assert_eq!(stage.submit(&tx).await.refusal(), (501, "index_off".into()));
    let status: Status = stage.get("/status").await.typed();
    assert!(status.indexed_height.is_none() && status.warnings.is_empty(), "{:?}", status.warnings);
    assert_eq!(stage.get(&format!("/address/{}", stage.text(&payer()))).await.status, StatusCode::OK);
}
