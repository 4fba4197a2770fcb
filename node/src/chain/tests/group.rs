//! Commands that share a commit: what waits together is written together, and whatever happens
//! within a group, what is shown afterwards is what its commands one by one would have given.

use super::*;
use crate::limits::GROUP_BLOCKS_MAX;
use maker::params;
use tokio::sync::oneshot;

fn blocks(maker: &Maker, ids: &[BlockId]) -> Command {
    Command::Blocks(ids.iter().map(|id| maker.checked(*id)).collect(), None, oneshot::channel().0)
}

fn txs(txs: &[CheckedTx]) -> Command {
    Command::Txs(txs.to_vec(), oneshot::channel().0)
}

fn new_dir() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[test]
fn commands_that_wait_share_a_commit_of_bounded_size() {
    let mut maker = Maker::new(params());
    let ids = maker.extend(maker.genesis, 300);
    let one_by_one: Vec<Command> = ids.iter().map(|id| blocks(&maker, &[*id])).collect();
    let commits = ids.len().div_ceil(GROUP_BLOCKS_MAX) as u64;
    assert_eq!(run_queued(&maker.params, &new_dir(), one_by_one).seq, commits);
    let at_once = vec![blocks(&maker, &ids)];
    assert_eq!(run_queued(&maker.params, &new_dir(), at_once).seq, commits);
    let txs: Vec<Command> = (0..500).map(|nonce| txs(&[maker.pay(0, nonce, 1, 1)])).collect();
    let seen = run_queued(&maker.params, &new_dir(), txs);
    assert_eq!((seen.seq, seen.pending.len()), (1, 500));
}

#[test]
fn nothing_new_makes_no_commit() {
    let mut maker = Maker::new(params());
    let dir = new_dir();
    let ids = maker.extend(maker.genesis, 2);
    let seen = run_queued(&maker.params, &dir, vec![blocks(&maker, &ids)]);
    let again = vec![blocks(&maker, &ids), txs(&[maker.pay(0, 5_000, 1, 1)])];
    assert_eq!(run_queued(&maker.params, &dir, again), seen);
}

/// A block that was put on and taken back within one group was never shown; its transactions are
/// pending all the same, as if each block had had a commit of its own.
#[test]
fn a_branch_that_lives_and_dies_in_one_group_returns_its_transactions() {
    let mut maker = Maker::new(params());
    let (one, two) = (maker.pay(0, 0, 5, 1), maker.pay(0, 1, 5, 1));
    let a1 = maker.make(maker.genesis, std::slice::from_ref(&one));
    let b1 = maker.make(maker.genesis, &[]);
    let b2 = maker.make(b1, &[]);
    let commands = || vec![blocks(&maker, &[a1]), txs(std::slice::from_ref(&two)), blocks(&maker, &[b1, b2])];
    let grouped = run_queued(&maker.params, &new_dir(), commands());
    let dir = new_dir();
    let single = commands().into_iter().map(|command| run_queued(&maker.params, &dir, vec![command])).last();
    assert_eq!(Some(grouped.clone().without_seq()), single.map(Seen::without_seq));
    assert_eq!((grouped.tip, grouped.pending.len(), grouped.seq), (b2, 2, 1));
}

/// The block confirms what is pending; in the same group its sender goes on spending.
#[test]
fn what_a_block_of_the_same_group_confirms_is_not_counted_twice() {
    let mut maker = Maker::new(params());
    let dir = new_dir();
    let most = 900 * steelyard_core::amount::COIN;
    let (large, small) = (maker.pay(0, 0, 5, most), maker.pay(0, 1, 5, 50));
    run_queued(&maker.params, &dir, vec![txs(std::slice::from_ref(&large))]);
    let a1 = maker.make(maker.genesis, &[large]);
    let also = maker.pay(0, 2, 5, most / 10);
    let seen =
        run_queued(&maker.params, &dir, vec![blocks(&maker, &[a1]), txs(&[small.clone(), also.clone()])]);
    let mut both = vec![small.id(), also.id()];
    both.sort();
    assert_eq!(seen.pending, both);
}

#[test]
fn a_bad_branch_in_a_group_leaves_the_rest_of_the_group_whole() {
    let mut maker = Maker::new(params());
    let a = maker.extend(maker.genesis, 2);
    let b1 = maker.make(maker.genesis, &[maker.pay(2, 0, 5, 1)]);
    let bad = maker.make_bad(b1);
    let after = maker.extend(bad, 2);
    let on_tip = maker.make_bad(a[1]);
    let c = maker.make(a[1], &[maker.pay(3, 0, 5, 1)]);
    let commands = vec![
        blocks(&maker, &[a[0], a[1]]),
        blocks(&maker, &[b1, bad, after[0], after[1]]),
        blocks(&maker, &[on_tip]),
        blocks(&maker, &[c]),
    ];
    let dir = new_dir();
    let seen = run_queued(&maker.params, &dir, commands);
    assert_eq!((seen.tip, seen.seq), (c, 1));
    assert_eq!(seen.pending, [], "transactions of a branch that never was are not taken for pending");
    let node = Node::open(&maker.params, dir).unwrap();
    assert_eq!(node.verdict(b1), Some(Verdict::Unexecuted));
    assert_eq!(node.verdict(bad), Some(Verdict::Invalid { reason: "state_root".into() }));
    assert_eq!(node.verdict(after[0]), Some(Verdict::Invalid { reason: "state_root".into() }));
    assert_eq!((node.verdict(after[1]), node.verdict(on_tip)), (None, None));
}

/// To the other branch and back within one group: the published blocks keep their place.
#[test]
fn there_and_back_within_a_group_changes_only_what_is_new() {
    let mut maker = Maker::new(params());
    let dir = new_dir();
    let tx = maker.pay(0, 0, 5, 1);
    let a1 = maker.make(maker.genesis, std::slice::from_ref(&tx));
    let a = [vec![a1], maker.extend(a1, 3)].concat();
    let b = maker.extend(maker.genesis, 3);
    run_queued(&maker.params, &dir, vec![blocks(&maker, &a[..2])]);
    let seen = run_queued(&maker.params, &dir, vec![blocks(&maker, &b), blocks(&maker, &a[2..])]);
    assert_eq!((seen.tip, seen.pending.len()), (a[3], 0));
    // And taken back for good later, over that commit.
    let more = maker.extend(b[2], 2);
    let seen = run_queued(&maker.params, &dir, vec![blocks(&maker, &more)]);
    assert_eq!((seen.tip, seen.pending), (more[1], vec![tx.id()]));
}

/// The first block of branch A is connected, left and met again before any commit holds it.
#[test]
fn a_block_of_this_group_can_be_left_and_put_on_again() {
    let mut maker = Maker::new(params());
    let tx = maker.pay(0, 0, 5, 1);
    let a1 = maker.make(maker.genesis, std::slice::from_ref(&tx));
    let a = [vec![a1], maker.extend(a1, 2)].concat();
    let b = maker.extend(maker.genesis, 2);
    let commands = vec![blocks(&maker, &a[..1]), blocks(&maker, &b), blocks(&maker, &a[1..])];
    let seen = run_queued(&maker.params, &new_dir(), commands);
    assert_eq!((seen.tip, seen.seq, seen.pending), (a[2], 1, vec![]));
}

/// What is kept of other nodes shares the commit of whatever waits with it; the last word counts.
#[test]
fn peers_that_are_saved_share_a_commit_and_the_last_ones_stay() {
    let mut maker = Maker::new(params());
    let (dir, tip) = (new_dir(), maker.genesis);
    let ids = maker.extend(tip, 1);
    let stored = |dir: &TempDir| open_store(&params(), dir.path()).peers().unwrap();
    let (replies, commands): (Vec<_>, Vec<_>) = [&b"first"[..], b"second"]
        .into_iter()
        .map(|bytes| {
            let (reply, done) = oneshot::channel();
            (done, Command::Peers(bytes.to_vec(), reply))
        })
        .unzip();
    let commands = commands.into_iter().chain([blocks(&maker, &ids)]).collect();
    assert_eq!(run_queued(&maker.params, &dir, commands).seq, 1);
    assert!(replies.into_iter().all(|mut done| done.try_recv() == Ok(())));
    assert_eq!(stored(&dir), Some(b"second".to_vec()));
    let node = Node::open(&maker.params, dir).unwrap();
    node.save_peers(&[3; 100_000]);
    assert_eq!(node.chain.store.peers().unwrap(), Some(vec![3; 100_000]));
    assert_eq!((node.seen().seq, node.seen().tip), (2, ids[0]));
    let (seen, node) = (node.seen(), node.reopened());
    assert_eq!(node.seen(), seen);
    assert_eq!(stored(&node.stop()), Some(vec![3; 100_000]));
}
