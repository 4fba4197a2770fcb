//! A node that prunes: what is gone is said to be, by name, and everything else answers as ever.

use super::*;
use crate::api::types::{Block, BlockSummary, Ready, Status};
use crate::finder::INDEX_FOLDER;
use crate::sync::SyncStatus;

const BOUND: &str = "127.0.0.1:9334";

fn pruning(folder: Arc<TempDir>) -> Stage {
    Stage::open(folder, Params::dev(), (PeersStatus::default(), BOUND), Some(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruned_blocks_answer_so_and_keep_their_headers() {
    let stage = pruning(Arc::new(tempfile::tempdir().unwrap()));
    assert_eq!(stage.get("/status").await.typed::<Status>().pruned_below, None);
    let (old, recent) = (pay(0, 1), pay(1, 1));
    assert_eq!(stage.submit(&old).await.status, StatusCode::OK);
    let first = stage.mine().await;
    // What the index has not read before it is pruned it can never have.
    assert_eq!(stage.get(&format!("/tx/{}", old.body.id())).await.status, StatusCode::OK);
    for _ in 0..60 {
        stage.mine().await;
    }
    assert_eq!(stage.submit(&recent).await.status, StatusCode::OK);
    let last = stage.mine().await;
    stage.chain.save_peers(Vec::new()).await.unwrap();
    let old = old.body.id();
    assert_eq!(stage.get(&format!("/tx/{old}")).await.refusal(), (410, "pruned".into()));
    assert_eq!(stage.get(&format!("/tx/{old}/proof")).await.refusal(), (410, "pruned".into()));
    let check = |stage: Stage| async move {
        let status: Status = stage.get("/status").await.typed();
        let from = status.pruned_below.unwrap();
        assert!(from > 1 && from <= 43, "{from}");
        assert_eq!(status.warnings.iter().filter(|warning| warning.code != "indexing").count(), 0);
        for path in ["raw", "txs"] {
            let answer = stage.get(&format!("/block/{first}/{path}")).await;
            assert_eq!(answer.refusal(), (410, "pruned".into()), "{path}");
            assert_eq!(stage.get(&format!("/block/{last}/{path}")).await.status, StatusCode::OK);
        }
        let block: Block = stage.get(&format!("/block/{first}")).await.typed();
        assert!(block.summary.pruned && block.summary.confirmations == 62 && block.txs.is_empty());
        let block: Block = stage.get("/blocks/tip").await.typed();
        assert!(!block.summary.pruned && block.txs.len() == 1);
        let list: Vec<BlockSummary> = stage.get("/blocks?from=1&limit=62").await.typed();
        assert!(list.iter().all(|block| block.pruned == (block.header.height < from)));
        assert_eq!(stage.get(&format!("/tx/{}", recent.body.id())).await.status, StatusCode::OK);
        assert_eq!(stage.get(&format!("/address/{}", stage.text(&payer()))).await.status, StatusCode::OK);
        stage
    };
    let stage = check(stage).await;
    let folder = Arc::clone(&stage.folder);
    drop(stage);
    // An index that is made again cannot have what is pruned.
    std::fs::remove_dir_all(folder.path().join(INDEX_FOLDER)).unwrap();
    let stage = pruning(folder);
    let answer = stage.get(&format!("/tx/{old}")).await;
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("earlier blocks are pruned"), "{message}");
    assert_eq!(answer.refusal(), (404, "unknown_transaction".into()));
}

#[tokio::test]
async fn what_only_an_operator_can_mend_is_a_warning_and_not_ready() {
    let sync = SyncStatus { unserved: Some(7), headers_height: 90, ..SyncStatus::default() };
    let stage = Stage::with_peers(PeersStatus { sync, ..PeersStatus::default() });
    let codes = |status: &Status| status.warnings.iter().map(|one| one.code.clone()).collect::<Vec<_>>();
    let not_ready = async |stage: &Stage| {
        let answer = stage.ask(get("/readyz")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let ready: Ready = serde_json::from_slice(&answer.bytes).unwrap();
        ready.reasons[0].clone()
    };
    assert_eq!(codes(&stage.get("/status").await.typed()), ["no_full_peer"]);
    let reason = not_ready(&stage).await;
    assert!(reason.code == "no_full_peer" && reason.message.contains("block 7"), "{reason:?}");
    stage.chain.shared.set_beyond_pruning(true);
    assert_eq!(codes(&stage.get("/status").await.typed()), ["reorg_beyond_pruning"]);
    let reason = not_ready(&stage).await;
    assert!(
        reason.code == "reorg_beyond_pruning" && reason.message.contains("empty --data-dir"),
        "{reason:?}"
    );
    stage.chain.shared.set_beyond_pruning(false);
}
