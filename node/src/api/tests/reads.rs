//! What is read: every route's answer, and its refusals.

use steelyard_core::amount::{self, Coins};
use steelyard_core::hash::BodyRoot;
use steelyard_core::merkle::top_of_path;
use steelyard_core::state::{Excerpt, Key, Proof, Record};
use steelyard_core::types::body::{BodyNode, leaf, root_of};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_runtime::sled_door::Batch;

use super::*;
use crate::api::types::{
    AddressHoldings, AddressInfo, AddressProof, Block, BlockSummary, Mempool, PendingTx, Status, Tx, TxProof,
};
use crate::limits::API_PAGE_MAX;
use crate::store::schema::{Space, key};

#[tokio::test]
async fn status_says_what_the_contract_names() {
    let stage = Stage::new();
    stage.mine().await;
    stage.submit(&pay(0, 1)).await;
    let answer = stage.get("/status").await;
    let status: Status = answer.typed();
    assert_eq!((status.network.as_str(), status.height, status.headers_height), ("dev", 1, 1));
    assert_eq!((status.mempool_txs, status.peers, status.hash_rate), (1, 0, 0));
    assert!(
        status.disk_bytes > 0 && status.mempool_bytes > 0 && !status.mining && status.warnings.is_empty()
    );
    let names: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
    for name in [
        "network",
        "network_id",
        "version",
        "height",
        "tip",
        "work",
        "tip_time",
        "elapsed",
        "syncing",
        "sync_progress",
        "headers_height",
        "peers",
        "mempool_txs",
        "mempool_bytes",
        "mining",
        "hash_rate",
        "disk_bytes",
        "indexed_height",
        "warnings",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    assert_eq!(answer.json()["work"], status.work.0.to_string());
}

#[tokio::test]
async fn a_block_is_the_same_by_every_path() {
    let stage = Stage::new();
    stage.mine().await;
    let id = stage.mine().await;
    let block: Block = stage.get(&format!("/block/{id}")).await.typed();
    for path in ["/blocks/tip", "/block-height/2"] {
        assert_eq!(stage.get(path).await.typed::<Block>(), block, "{path}");
    }
    assert_eq!(stage.get("/blocks/tip/height").await.bytes, b"2");
    let summary = &block.summary;
    assert_eq!(
        (summary.header.id, summary.header.height, summary.confirmations, summary.active),
        (id, 2, 1, true)
    );
    assert_eq!((summary.tx_count, summary.reward.to_string().as_str()), (0, "10"));
    assert_eq!((summary.miner.clone(), block.extra.as_str()), (Some(stage.text(&STRANGER)), "3c623e6869"));
    let header = hex::decode(&summary.header.header).unwrap();
    let header = Header::from_bytes(&header.try_into().unwrap());
    assert_eq!((header.id(), header.nonce), (id, summary.header.nonce.0));

    let raw = stage.get(&format!("/block/{id}/raw")).await;
    assert_eq!(raw.headers["content-type"], "application/octet-stream");
    assert_eq!((raw.bytes.len() as u64, &raw.bytes[..HEADER_BYTES]), (summary.bytes, &header.to_bytes()[..]));

    let genesis: Block = stage.get("/block-height/0").await.typed();
    assert_eq!((genesis.summary.miner, genesis.summary.confirmations, genesis.txs.len()), (None, 3, 0));
    let raw = stage.get(&format!("/block/{}/raw", genesis.summary.header.id)).await;
    assert_eq!(raw.bytes.len() as u64, genesis.summary.bytes);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let stage = Stage::new();
    let id = stage.mine().await;
    let path = format!("/api/v1/block/{id}");
    let first = stage.ask(get(&path)).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = |tag: &str| {
        let mut request = get(&path);
        request.headers_mut().insert("if-none-match", format!("\"x\", W/{tag}").parse().unwrap());
        request
    };
    let same = stage.ask(again(&tag)).await;
    assert_eq!((same.status, same.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
    stage.mine().await;
    let confirmed: Block = stage.ask(again(&tag)).await.typed();
    assert_eq!(confirmed.summary.confirmations, 2);
    let raw = stage.get(&format!("/block/{id}/raw")).await;
    assert!(
        raw.headers["cache-control"].to_str().unwrap().contains("immutable")
            && raw.headers.contains_key("etag")
    );
}

#[tokio::test]
async fn lists_are_ascending_and_bounded() {
    let stage = Stage::new();
    for _ in 0..5 {
        stage.mine().await;
    }
    let heights = async |query: &str| -> Vec<u64> {
        let blocks: Vec<BlockSummary> = stage.get(&format!("/blocks{query}")).await.typed();
        let headers: Vec<crate::api::types::Header> = stage.get(&format!("/headers{query}")).await.typed();
        assert!(blocks.iter().map(|block| &block.header).eq(&headers));
        blocks.iter().map(|block| block.header.height).collect()
    };
    assert_eq!(heights("").await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(heights("?limit=2").await, [4, 5]);
    assert_eq!(heights("?from=1&limit=3").await, [1, 2, 3]);
    assert_eq!(heights("?from=4").await, [4, 5]);
    assert!(heights("?from=18446744073709551615").await.is_empty());
    for (query, code) in [
        (format!("?limit={}", API_PAGE_MAX + 1), "invalid_limit"),
        ("?limit=0".into(), "invalid_limit"),
        ("?limit=x".into(), "invalid_limit"),
        ("?from=-1".into(), "invalid_from"),
        ("?from=".into(), "invalid_from"),
        ("?from=1&from=2".into(), "invalid_query"),
        ("?form=1".into(), "unknown_query_key"),
    ] {
        let answer = stage.get(&format!("/blocks{query}")).await;
        assert_eq!(answer.refusal(), (400, code.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn what_is_malformed_or_not_there_is_told_apart() {
    let stage = Stage::new();
    let (none, address) = ("ab".repeat(32), stage.text(&STRANGER));
    let other_network = address::format("tsy", &STRANGER);
    for (path, status, code) in [
        ("/block/xyz".into(), 400, "invalid_id"),
        (format!("/block/{}", none.to_uppercase()), 400, "invalid_id"),
        ("/block/%ff".into(), 400, "invalid_path"),
        (format!("/block/{none}"), 404, "unknown_block"),
        (format!("/block/{none}/raw"), 404, "unknown_block"),
        (format!("/block/{none}/txs"), 404, "unknown_block"),
        ("/block-height/+1".into(), 400, "invalid_height"),
        ("/block-height/99999999999999999999".into(), 400, "invalid_height"),
        ("/block-height/1".into(), 404, "unknown_height"),
        ("/tx/1".into(), 400, "invalid_id"),
        (format!("/tx/{none}"), 404, "unknown_transaction"),
        (format!("/tx/{none}/raw"), 404, "unknown_transaction"),
        (format!("/tx/{none}/proof"), 404, "unknown_transaction"),
        ("/address/dsy1qqq".into(), 400, "invalid_address"),
        (format!("/address/{other_network}"), 400, "invalid_address"),
        (format!("/address/{address}/proof?asset=1"), 400, "invalid_id"),
        (format!("/address/{address}?asset={none}"), 400, "unknown_query_key"),
        ("/status?pretty".into(), 400, "unknown_query_key"),
        ("/nothing".into(), 404, "unknown_path"),
        ("/block/".into(), 404, "unknown_path"),
    ] {
        assert_eq!(stage.get(&path).await.refusal(), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn proofs_lead_to_the_header() {
    let stage = Stage::new();
    let txs: Vec<Transaction> = (0..5).map(|nonce| pay(nonce, 1)).collect();
    for tx in &txs {
        assert_eq!(stage.submit(tx).await.status, StatusCode::OK);
    }
    let block = stage.mine().await;
    let full: Vec<Tx> = stage.get(&format!("/block/{block}/txs")).await.typed();
    assert_eq!(full.len(), 5);
    for tx in &txs {
        let id = tx.body.id();
        let proof: TxProof = stage.get(&format!("/tx/{id}/proof")).await.typed();
        let header = Header::from_bytes(&hex::decode(&proof.header).unwrap().try_into().unwrap());
        assert_eq!((header.id(), proof.block, proof.height), (block, block, 1));
        let node = |text: &String| BodyNode(hex::decode(text).unwrap().try_into().unwrap());
        let path: Vec<BodyNode> = proof.siblings.iter().map(node).collect();
        let bytes = hex::decode(&proof.leaf).unwrap();
        let (index, count) = (u64::from(proof.index), u64::from(proof.count));
        let root: BodyRoot = root_of(proof.count, top_of_path(&leaf(index, &bytes), index, count, &path));
        assert_eq!((root, bytes), (header.body_root, tx.to_bytes()));
        assert!(full.contains(&stage.get(&format!("/tx/{id}")).await.typed()));
        assert_eq!(stage.get(&format!("/tx/{id}/raw")).await.bytes, tx.to_bytes());
    }
    let address = stage.text(&payer());
    let proof: AddressProof = stage.get(&format!("/address/{address}/proof")).await.typed();
    let header = Header::from_bytes(&hex::decode(&proof.header).unwrap().try_into().unwrap());
    let state = Proof::from_bytes(&hex::decode(&proof.proof).unwrap()).unwrap();
    let proven = state.verify(&header.state_root, &Key::Account(payer())).unwrap();
    assert!(matches!(proven, Some(Record::Account { nonce: 5, .. })), "{proven:?}");
    let asset = AssetId([7; 32]);
    let absent: AddressProof = stage.get(&format!("/address/{address}/proof?asset={asset}")).await.typed();
    let absent = Proof::from_bytes(&hex::decode(&absent.proof).unwrap()).unwrap();
    assert_eq!(absent.verify(&header.state_root, &Key::Holding(payer(), asset)), Ok(None));
}

/// Assets come in pages, and each page with one proof of all that it says.
#[tokio::test]
async fn all_that_an_address_holds_is_proven() {
    let stage = Stage::new();
    let issue = |number: u8| Action::Issue {
        symbol: List::new(vec![b'A' + number; 3]).unwrap(),
        decimals: number,
        supply: 1_000 + u64::from(number),
        mintable: false,
    };
    for nonce in 0..5u8 {
        assert_eq!(stage.submit(&act(nonce.into(), 1_000, issue(nonce))).await.status, StatusCode::OK);
    }
    stage.mine().await;
    let address = stage.text(&payer());
    let (mut seen, mut after, mut pages) = (Vec::new(), None::<AssetId>, 0);
    loop {
        let cursor = after.map(|asset| format!("&after={asset}")).unwrap_or_default();
        let path = format!("/address/{address}/holdings?limit=2{cursor}");
        let page: AddressHoldings = stage.get(&path).await.typed();
        let header = Header::from_bytes(&hex::decode(&page.header).unwrap().try_into().unwrap());
        let excerpt = Excerpt::from_bytes(&hex::decode(&page.excerpt).unwrap()).unwrap();
        let shown = excerpt.open(&header.state_root).unwrap();
        let proven = shown.holdings(&payer(), after).unwrap();
        assert_eq!(proven.is_complete, page.is_complete);
        let told: Vec<AssetId> = page.assets.iter().map(|held| held.asset).collect();
        assert_eq!(proven.held.iter().map(|(asset, _)| *asset).collect::<Vec<_>>(), told);
        for (held, (asset, units)) in page.assets.iter().zip(&proven.held) {
            let Ok(Some(Record::Asset(description))) = shown.record(&Key::Asset(*asset)) else {
                panic!("the description is shown too")
            };
            assert_eq!((&description.symbol, description.decimals), (&held.symbol, held.decimals));
            assert_eq!(amount::format(*units, held.decimals), held.amount);
        }
        let Ok(Some(Record::Account { balance, nonce: 5 })) = shown.record(&Key::Account(payer())) else {
            panic!("the account is shown too")
        };
        assert_eq!(Coins(*balance), page.balance);
        (after, pages) = (told.last().copied(), pages + 1);
        seen.extend(told);
        if page.is_complete {
            break;
        }
    }
    let info: AddressInfo = stage.get(&format!("/address/{address}")).await.typed();
    assert_eq!(seen, info.assets.iter().map(|held| held.asset).collect::<Vec<_>>());
    assert_eq!((seen.len(), pages), (5, 3));
    let stranger = stage.text(&Address([0x44; 32]));
    let nothing: AddressHoldings = stage.get(&format!("/address/{stranger}/holdings")).await.typed();
    assert!(nothing.assets.is_empty() && nothing.is_complete && nothing.balance == Coins(0));
    let wrong = format!("/address/{address}/holdings?after=1");
    assert_eq!(stage.get(&wrong).await.refusal(), (400, "invalid_id".to_owned()));
}

#[tokio::test]
async fn the_pool_is_told_in_figures_and_pages() {
    let stage = Stage::new();
    for nonce in [0, 1, 2, 4] {
        assert_eq!(stage.submit(&pay(nonce, 1)).await.status, StatusCode::OK);
    }
    let pool: Mempool = stage.get("/mempool").await.typed();
    assert_eq!((pool.txs, pool.queued, pool.next_block.txs), (4, 1, 3));
    assert_eq!(pool.next_block.fees.to_string(), "0.00003");
    assert_eq!(pool.fee_histogram.iter().map(|row| row.txs).sum::<u64>(), 4);
    let first: Vec<PendingTx> = stage.get("/mempool/txs?limit=3").await.typed();
    assert_eq!(first.iter().map(|tx| tx.nonce).collect::<Vec<_>>(), [4, 2, 1]);
    let next: Vec<PendingTx> = stage.get(&format!("/mempool/txs?before={}", first[2].arrival)).await.typed();
    assert_eq!(next.iter().map(|tx| (tx.nonce, tx.queued)).collect::<Vec<_>>(), [(0, false)]);
    stage.mine().await;
    assert_eq!(stage.get("/mempool").await.typed::<Mempool>().txs, 1);
}

#[tokio::test]
async fn a_damaged_body_is_never_served() {
    let stage = Stage::new();
    let id = stage.mine().await;
    let place = stage.chain.shared.read().tip().body.unwrap();
    let door = stage.chain.store.door();
    let stored = key(Space::Body, place.seq, 0);
    let mut value = door.get(stored).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    let mut batch = Batch::new();
    batch.put(stored, value);
    door.commit(batch).unwrap();
    for path in
        [format!("/block/{id}"), format!("/block/{id}/raw"), format!("/block/{id}/txs"), "/blocks".into()]
    {
        assert_eq!(stage.get(&path).await.refusal(), (500, "damaged".into()), "{path}");
    }
    assert_eq!(stage.get("/headers").await.status, StatusCode::OK);
}
