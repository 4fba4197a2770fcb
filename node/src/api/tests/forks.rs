//! Branches: where they end, and the blocks near the tip, over every way in which a block can stand.

use super::*;
use crate::api::types::{BranchStatus, ChainTips, Forks};
use crate::chain::tests::maker::{self, Maker};
use crate::limits::{API_FORKS_DEPTH_MAX, API_FORKS_MAX, API_PAGE_MAX};

/// Later than any block's time.
const LATE: u64 = u64::MAX;

/// Gives blocks that the maker made, whatever is said of them.
async fn give(stage: &Stage, maker: &Maker, ids: &[BlockId]) {
    let (chain, blocks) = (stage.chain.clone(), ids.iter().map(|id| maker.block(*id)).collect::<Vec<_>>());
    let given = move || blocks.into_iter().for_each(|block| drop(chain.submit_block(block, LATE)));
    tokio::task::spawn_blocking(given).await.unwrap();
}

async fn tips(stage: &Stage) -> ChainTips {
    stage.get("/chain-tips").await.typed()
}

#[tokio::test]
async fn every_branch_ends_somewhere_and_stands_somehow() {
    let stage = Stage::of(maker::params());
    let mut maker = Maker::new(maker::params());
    let genesis = maker.genesis;
    let alone = tips(&stage).await;
    assert_eq!((alone.tips.len(), alone.tips[0].id, alone.more), (1, genesis, 0));

    let (left, side) = (maker.make(genesis, &[]), maker.make(genesis, &[]));
    let active = maker.extend(genesis, 3);
    let bad = maker.make_bad(active[0]);
    let on_bad = maker.extend(bad, 2);
    give(&stage, &maker, &[left]).await;
    give(&stage, &maker, &active).await;
    give(&stage, &maker, &[side, bad]).await;
    let told = tips(&stage).await;
    let short = |tip: &crate::api::types::ChainTip| {
        (tip.id, tip.height, tip.branch_length, tip.fork_height, tip.status)
    };
    assert_eq!(
        told.tips.iter().map(short).collect::<Vec<_>>(),
        [
            (active[2], 3, 0, 3, BranchStatus::Active),
            (bad, 2, 1, 1, BranchStatus::ValidHeaders),
            (left, 1, 1, 0, BranchStatus::ValidFork),
            (side, 1, 1, 0, BranchStatus::ValidHeaders),
        ]
    );
    // Now it has most work, is executed, and found out.
    give(&stage, &maker, &on_bad).await;
    let told = tips(&stage).await;
    assert_eq!(short(&told.tips[0]), (active[2], 3, 0, 3, BranchStatus::Active));
    let end = &told.tips[1];
    assert_eq!(
        (end.status, end.fork_height, end.invalid.as_deref()),
        (BranchStatus::Invalid, 1, Some("state_root"))
    );
    let json = stage.get("/chain-tips").await.json();
    assert_eq!(
        (&json["tips"][1]["status"], &json["tips"][2]["status"]),
        (&"invalid".into(), &"valid-fork".into())
    );

    let forks: Forks = stage.get("/forks").await.typed();
    let heights: Vec<u64> = forks.blocks.iter().map(|block| block.height).collect();
    assert_eq!((forks.from, forks.tip, forks.more), (0, active[2], false));
    assert!(heights.is_sorted() && heights[0] == 0, "{heights:?}");
    let status = |id: BlockId| forks.blocks.iter().find(|block| block.id == id).map(|block| block.status);
    assert_eq!(status(active[0]), Some(BranchStatus::Active));
    assert_eq!(status(left), Some(BranchStatus::ValidFork));
    assert_eq!(status(side), Some(BranchStatus::ValidHeaders));
    assert_eq!(status(bad), Some(BranchStatus::Invalid));
    // Whole and once: each has its parent.
    for block in forks.blocks.iter().filter(|block| block.height > 0) {
        assert_eq!(forks.blocks.iter().filter(|parent| parent.id == block.prev).count(), 1, "{}", block.id);
    }

    let near: Forks = stage.get("/forks?depth=1").await.typed();
    assert!(near.from == 2 && near.blocks.iter().all(|block| block.height >= 2), "{near:?}");
    assert!(
        near.blocks.iter().any(|block| block.id == bad) && near.blocks.iter().all(|block| block.id != left)
    );
    for query in [format!("?depth={}", API_FORKS_DEPTH_MAX + 1), "?depth=x".into()] {
        assert_eq!(stage.get(&format!("/forks{query}")).await.refusal(), (400, "invalid_depth".into()));
    }
}

#[tokio::test]
async fn what_is_left_out_is_said() {
    let stage = Stage::of(maker::params());
    let mut maker = Maker::new(maker::params());
    let genesis = maker.genesis;
    let active = maker.extend(genesis, 30);
    give(&stage, &maker, &active).await;
    // Branches of 20 blocks, more of them than there is room for.
    let count = API_FORKS_MAX / 20 + 1;
    for _ in 0..count {
        let branch = maker.extend(active[9], 20);
        give(&stage, &maker, &branch[..20]).await;
    }
    let told = tips(&stage).await;
    assert_eq!(told.tips.len() as u64, API_PAGE_MAX);
    assert_eq!(told.tips.len() as u64 + told.more, count as u64 + 1);
    let forks: Forks = stage.get("/forks").await.typed();
    assert!(forks.more && forks.blocks.len() <= API_FORKS_MAX && forks.blocks.len() > API_FORKS_MAX - 20);
    let active = forks.blocks.iter().filter(|block| block.status == BranchStatus::Active).count();
    assert_eq!(active, 31, "the active chain is whole");
    let ids: std::collections::HashSet<BlockId> = forks.blocks.iter().map(|block| block.id).collect();
    assert!(
        forks.blocks.iter().all(|block| block.height == 0 || ids.contains(&block.prev)),
        "branches are whole"
    );
}
