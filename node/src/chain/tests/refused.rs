//! Blocks that are found invalid before they are stored: remembered with the rule, over starts, while
//! the rules are the same, and not without bound.

use super::*;
use crate::chain::index::Index;
use crate::chain::load::{genesis_entry, load_index, replay_log, stored_tip};
use crate::limits::REFUSED_BLOCKS_MAX;
use crate::store::Commit;
use crate::store::log::LogRecord;
use maker::params;
use steelyard_core::consensus::error::RULE_SET;
use steelyard_core::types::transaction::Transaction;

fn refused(node: &Node, id: &BlockId) -> Option<String> {
    node.chain.shared.read().refused(id).map(str::to_owned)
}

/// A block with a payment whose signature is another one's.
fn unsigned(maker: &mut Maker, parent: BlockId) -> BlockId {
    let tx = maker.pay(0, 0, 1, 5);
    let mut wrong = Transaction::from_bytes(tx.bytes()).unwrap();
    let other = Transaction::from_bytes(maker.pay(0, 1, 1, 5).bytes()).unwrap();
    wrong.authorization.signatures = other.authorization.signatures;
    maker.forge(parent, &[tx], |block| {
        block.body.items[1] = wrong.to_bytes();
        block.header.body_root = block.body.root();
    })
}

#[test]
fn a_wrong_signature_is_remembered_with_its_block_over_starts() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let good = maker.extend(maker.genesis, 2);
    let bad = unsigned(&mut maker, good[1]);
    let after = maker.make(bad, &[]);
    // With good blocks before it, which are taken.
    let blocks = [good[0], good[1], bad].map(|id| maker.block(id));
    let verdicts = node.chain.submit_blocks(blocks.to_vec(), LATE);
    assert_eq!(verdicts[..2], [Ok(Accepted::Active), Ok(Accepted::Active)]);
    let refusal = verdicts[2].clone().unwrap_err();
    assert!(refusal.is_verdict() && refusal.is_body_verdict());
    let reason = refusal.name().to_owned();
    let known = Err(BlockError::KnownInvalid { reason: reason.clone() });
    let check = |node: &Node| {
        assert_eq!(refused(node, &bad), Some(reason.clone()));
        assert_eq!(node.give_all(&maker, &[bad, after]), [known.clone(), known.clone()]);
        assert_eq!(node.seen().tip, good[1]);
    };
    check(&node);
    let seq = node.seen().seq;
    let node = node.reopened();
    check(&node);
    assert_eq!(node.seen().seq, seq, "what is known is not stored again");
    node.stop();
}

/// Alone, with nothing else to commit; and behind a block that is refused itself nothing is said of it.
#[test]
fn only_what_was_judged_is_remembered() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let genesis = maker.genesis;
    let alone = unsigned(&mut maker, genesis);
    assert!(node.give(&maker, alone).unwrap_err().is_body_verdict());
    let first = maker.make_bad(maker.genesis);
    let behind = unsigned(&mut maker, first);
    let verdicts = node.chain.submit_blocks(vec![maker.block(first), maker.block(behind)], LATE);
    assert_eq!(verdicts.len(), 1);
    // Faults of headers and of senders cost nothing to make and are not remembered.
    let headless = maker.forge(maker.genesis, &[], |block| block.header.elapsed += 1);
    let header = node.give(&maker, headless).unwrap_err();
    assert!(header.is_verdict() && !header.is_body_verdict());
    let fine = maker.make(maker.genesis, &[]);
    let mut stripped = maker.block(fine);
    stripped.body.items.clear();
    assert!(!node.chain.submit_block(stripped, LATE).unwrap_err().is_verdict());
    let node = node.reopened();
    for (id, is_refused) in [(alone, true), (first, true), (behind, false), (headless, false), (fine, false)]
    {
        assert_eq!(refused(&node, &id).is_some(), is_refused);
    }
    assert_eq!(node.give(&maker, fine), Ok(Accepted::Active));
}

/// What other rules refused is judged again, by these.
#[test]
fn marks_of_other_rules_are_tried_again() {
    let mut maker = Maker::new(params());
    let ids = [maker.make(maker.genesis, &[]), maker.make(maker.genesis, &[])];
    let node = Node::new(&maker.params);
    let params = node.chain.shared.params.clone();
    let dir = node.stop();
    let store = open_store(&params, dir.path());
    let marks = [(ids[0], RULE_SET, "state_root".to_owned()), (ids[1], RULE_SET + 1, "size".to_owned())];
    let tip = stored_tip(&Index::new(genesis_entry(&params.genesis())), 0);
    let log = LogRecord { tip, invalid: marks.to_vec(), ..LogRecord::default() };
    store.commit(1, &Commit { log, ..Commit::default() }).unwrap();
    drop(store);
    let node = Node::open(&params, dir).unwrap();
    assert_eq!(refused(&node, &ids[0]), Some("state_root".to_owned()));
    assert_eq!(refused(&node, &ids[1]), None);
    assert_eq!(node.give(&maker, ids[1]), Ok(Accepted::Active));
    assert_eq!(node.give(&maker, ids[0]).unwrap_err().name(), "known_invalid");
    // The mark stays beside the block that is stored now.
    let node = node.reopened();
    assert_eq!((node.seen().tip, refused(&node, &ids[1])), (ids[1], None));
    let (index, _) = load_index(&node.chain.shared.genesis, &node.chain.store).unwrap();
    assert!(index.refused(&ids[0]).is_some() && index.number(&ids[1]).is_some());
}

#[test]
fn no_more_than_so_many_are_remembered_and_the_oldest_goes_first() {
    let genesis = params().genesis();
    let mut index = Index::new(genesis_entry(&genesis));
    let id = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        BlockId(id)
    };
    let mark = |number| (id(number), RULE_SET, "size".to_owned());
    for from in [0, REFUSED_BLOCKS_MAX / 2] {
        let invalid = (from..from + REFUSED_BLOCKS_MAX).map(mark).collect();
        let tip = stored_tip(&index, 0);
        replay_log(&mut index, 1, LogRecord { tip, invalid, ..LogRecord::default() }).unwrap();
    }
    for number in 0..2 * REFUSED_BLOCKS_MAX {
        let is_kept = (REFUSED_BLOCKS_MAX / 2..REFUSED_BLOCKS_MAX / 2 + REFUSED_BLOCKS_MAX).contains(&number);
        assert_eq!(index.refused(&id(number)).is_some(), is_kept, "{number}");
    }
}
