//! One branch: blocks with payments, refusals that say nothing about a block, stopping.

use super::*;
use crate::chain::error::ChainError;
use maker::{account, params};
use steelyard_core::consensus::error::{BlockRule, RuleError};
use steelyard_runtime::sled_door::OpenError;

#[test]
fn twenty_blocks_with_payments_are_the_same_after_a_start() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let mut tip = maker.genesis;
    for height in 0..20 {
        let txs: Vec<_> = (0..3).map(|from| maker.pay(from, height, 7, 10 + height)).collect();
        assert_eq!(node.send(&txs[0]), Ok(Admission::Added));
        tip = maker.make(tip, &txs);
        assert_eq!(node.give(&maker, tip), Ok(Accepted::Active));
        assert_eq!(node.seen().pending, []);
    }
    let waiting = [maker.pay(0, 20, 1, 5), maker.pay(0, 21, 1, 5), maker.pay(4, 9, 1, 5)];
    for tx in &waiting {
        assert_eq!(node.send(tx), Ok(Admission::Added));
        assert_eq!(node.send(tx), Ok(Admission::Known));
    }
    let seen = node.seen();
    assert_eq!((seen.tip, seen.pending.len()), (tip, 3));
    assert_eq!(seen.root, maker.state(tip).root());
    assert_eq!(node.balance(account(200).address), 20 * maker.params.reward);
    let node = node.reopened();
    assert_eq!(node.seen(), seen);
    assert!(!node.rebuilt);
    let next: Vec<_> = node.chain.shared.read().select(u64::MAX).iter().map(|tx| tx.id()).collect();
    assert_eq!(next, [waiting[0].id(), waiting[1].id()], "the one with a gap waits");
}

#[test]
fn a_block_is_taken_once_and_only_after_its_parent_and_its_time() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let ids = maker.extend(maker.genesis, 2);
    assert_eq!(node.give(&maker, ids[1]), Err(BlockError::UnknownParent(ids[0])));
    let block = maker.block(ids[0]);
    let drift_ms = maker.params.drift;
    let early = block.header.time - drift_ms - 1;
    let ahead = BlockError::AheadOfTime { ahead_ms: drift_ms + 1, drift_ms };
    assert_eq!(node.chain.submit_block(block.clone(), early), Err(ahead));
    assert_eq!(node.chain.submit_block(block, early + 1), Ok(Accepted::Active));
    assert_eq!(node.give(&maker, ids[0]), Ok(Accepted::Known));
    assert_eq!(node.give(&maker, ids[1]), Ok(Accepted::Active));
    let node = node.reopened();
    assert_eq!(node.give_all(&maker, &ids), [Ok(Accepted::Known), Ok(Accepted::Known)]);
}

#[test]
fn a_wrong_body_says_nothing_about_the_header() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let id = maker.make(maker.genesis, &[maker.pay(0, 0, 1, 5)]);
    let right = maker.block(id);
    let mut wrong = right.clone();
    wrong.body.items.pop();
    let refusal = node.chain.submit_block(wrong, LATE).unwrap_err();
    assert!(matches!(refusal, BlockError::Rule(RuleError::Block(BlockRule::BodyRoot { .. }))), "{refusal}");
    assert!(!refusal.is_verdict());
    assert_eq!(node.chain.submit_block(right, LATE), Ok(Accepted::Active));
}

#[test]
fn many_blocks_at_once_are_answered_up_to_the_first_that_fails() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let good = maker.extend(maker.genesis, 3);
    let bad = maker.make_bad(good[2]);
    let after = maker.extend(bad, 2);
    let mut blocks: Vec<_> = good.iter().chain([&bad]).chain(&after).map(|id| maker.block(*id)).collect();
    // The last fails before it comes to the chain thread, and is not what is answered.
    blocks[5].body.items.clear();
    let verdicts = node.chain.submit_blocks(blocks, LATE);
    assert_eq!(verdicts[..3], [Ok(Accepted::Active), Ok(Accepted::Active), Ok(Accepted::Active)]);
    assert_eq!(verdicts[3].as_ref().unwrap_err().name(), "state_root");
    assert_eq!(verdicts.len(), 4);
    assert_eq!(node.seen().tip, good[2]);
}

#[test]
fn after_a_stop_nothing_is_taken_any_more() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let chain = node.chain.clone();
    let id = maker.make(maker.genesis, &[]);
    node.stop();
    let stopping = BlockError::Chain(ChainError::Stopping);
    assert_eq!(chain.submit_blocks(vec![maker.block(id)], LATE), [Err(stopping)]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(chain.submit_tx(maker.pay(0, 0, 1, 5)));
    assert_eq!(answer, Err(TxError::Chain(ChainError::Stopping)));
    assert!(chain.shared.ticks().stopping);
}

#[test]
fn a_full_disk_is_told_at_the_door_and_peers_are_kept() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let (block, tx) = (maker.make(maker.genesis, &[]), maker.pay(0, 0, 5, 1));
    let seq = || node.chain.shared.read().seq();
    node.chain.shared.tick(|ticks| ticks.disk_full = true);
    assert_eq!(node.give(&maker, block), Err(BlockError::Chain(ChainError::DiskFull)));
    assert_eq!(node.send(&tx), Err(TxError::Chain(ChainError::DiskFull)));
    assert_eq!(seq(), 0);
    node.save_peers(b"somebody");
    assert_eq!(seq(), 1);
    node.chain.shared.tick(|ticks| ticks.disk_full = false);
    assert_eq!(node.give(&maker, block), Ok(Accepted::Active));
    assert!(node.send(&tx).is_ok());
}

/// Whoever waits when the store fails is not told that it was refused: a commit that failed may be there
/// after a restart.
#[test]
fn who_waits_for_a_commit_that_fails_hears_that_nobody_knows() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let (block, tx) = (maker.make(maker.genesis, &[]), maker.pay(0, 0, 5, 1));
    // A reopening that fails leaves it closed.
    std::fs::write(node.dir.path().join(STORE_FOLDER).join("unreadable"), "").unwrap();
    assert!(matches!(node.chain.store.reopen(), Err(OpenError::Damaged { .. })));
    assert_eq!(node.give(&maker, block), Err(BlockError::Chain(ChainError::Unknown)));
    assert!(matches!(node.thread.join().unwrap(), Err(StoreError::Closed)));
    assert!(node.chain.shared.ticks().stopping);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let late = runtime.block_on(node.chain.submit_tx(tx));
    assert_eq!(late, Err(TxError::Chain(ChainError::Stopping)), "what did not reach it was not taken");
}

#[test]
fn large_blocks_never_reach_the_folder_that_is_not_durable() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let network = maker.network;
    let full = |from: u8, nonce: u64| {
        use steelyard_core::encode::List;
        use steelyard_core::hash::AssetId;
        use steelyard_core::types::transaction::{Action, Payment};
        let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
        let action = Action::Transfer { payments: List::new(vec![payment; 256]).unwrap() };
        maker::act(network, (from, nonce, 0), (0, vec![7; 256]), action)
    };
    let mut tip = maker.genesis;
    for height in 0..3 {
        let txs: Vec<_> = (0..56).map(|nonce| full(0, height * 56 + nonce)).collect();
        tip = maker.make(tip, &txs);
        assert!(maker.block(tip).body.block_bytes() > 1 << 20);
        assert_eq!(node.give(&maker, tip), Ok(Accepted::Active));
    }
    assert!(node.chain.store.door().blobs_empty());
    let node = node.reopened();
    assert_eq!(node.seen().tip, tip);
    assert!(node.chain.store.door().blobs_empty());
}
