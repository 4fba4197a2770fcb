//! Undo is exact, and where a chain has been makes no difference to where it is.

use steelyard_core::consensus::transition::{apply_changes, disconnect_changes};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::state::{Trie, record};
use steelyard_core::work::{from_bits, work_of};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

/// Every record as it is stored and hashed, in order.
fn bytes_of(state: &Trie) -> Vec<Vec<u8>> {
    state.iter().map(|(key, value)| record::encode(&key, value).unwrap()).collect()
}

#[test]
fn disconnecting_what_was_connected_gives_the_state_before() {
    let mut story = Story::new(Random::for_test(21));
    let mut chain = Story::chain();
    for _ in 0..40 {
        let block = story.next_block(&chain);
        let before = chain.state().clone();
        let connected = chain.check_and_connect(&block).unwrap();
        let undone = disconnect_changes(connected.state(), connected.changes());
        assert_eq!((undone.root(), undone.len()), (before.root(), before.len()));
        assert!(undone.iter().eq(before.iter()));
        assert_eq!(bytes_of(&undone), bytes_of(&before));
        assert_eq!(apply_changes(&before, connected.changes()).root(), connected.state().root());
        let changes = connected.changes();
        assert!(changes.windows(2).all(|pair| pair[0].key < pair[1].key));
        assert!(changes.iter().all(|change| change.old != change.new));
        chain.connect(&block).unwrap();
    }
    let roots: Vec<_> = (0..=40).map(|height| chain.tip_at(height).state.root()).collect();
    for height in (0..40).rev() {
        chain.undo().unwrap();
        assert_eq!(chain.state().root(), roots[height]);
    }
}

/// Takes back to `height`, then follows the other chain to its tip, as a node would.
fn reorganise(chain: &mut Chain, other: &Chain, height: u64) {
    while chain.height() > height {
        chain.undo().unwrap();
    }
    for block in other.blocks().skip(usize::try_from(height).unwrap()) {
        chain.connect(block).unwrap();
    }
}

#[test]
fn a_reorganisation_ends_where_a_fresh_start_ends() {
    let mut random = Random::for_test(22);
    let mut story = Story::new(random.clone());
    let mut main = Story::chain();
    story.go_on(&mut main, 12);
    let mut walker = main.clone();
    let mut forks = vec![(0, main.clone())];
    for _ in 0..8 {
        let height = random.below(main.height());
        let mut fork = main.fork_at(height);
        let blocks = 1 + random.below(8);
        story.go_on(&mut fork, blocks);
        forks.push((height, fork));
    }
    for _ in 0..24 {
        let (_, fork) = &forks[random.place(forks.len())];
        let common =
            walker.ids().iter().zip(fork.ids()).take_while(|(one, other)| **one == *other).count() as u64 - 1;
        reorganise(&mut walker, fork, common);
        let mut fresh = Story::chain();
        reorganise(&mut fresh, fork, 0);
        assert_eq!(walker.ids(), fork.ids());
        assert_eq!(walker.tip().total_work, fresh.tip().total_work);
        assert_eq!(walker.state().root(), fresh.state().root());
        assert!(walker.state().iter().eq(fresh.state().iter()));
    }
}

/// Blocks of one branch are nothing on another: the parent, the history and mostly the state differ.
#[test]
fn a_block_fits_nowhere_but_on_its_parent() {
    let mut story = Story::new(Random::for_test(23));
    let mut chain = Story::chain();
    story.go_on(&mut chain, 6);
    for at in 0..=6 {
        let fork = chain.fork_at(at);
        for height in 1..=6 {
            let verdict = fork.check_and_connect(chain.block(height));
            assert_eq!(verdict.is_ok(), height == at + 1, "block {height} on {at}");
        }
    }
}

#[test]
fn every_header_commits_to_all_before_it_and_their_work() {
    let mut story = Story::new(Random::for_test(24));
    let mut chain = Story::chain();
    story.go_on(&mut chain, 20);
    let (mut frontier, mut total) = (HistoryFrontier::default(), 0);
    for height in 0..=chain.height() {
        let tip = chain.tip_at(height);
        assert_eq!(tip.header.history_root, history::root(&frontier));
        let work = work_of(from_bits(tip.header.bits).unwrap()).unwrap();
        frontier.push(HistoryNode::leaf(&tip.id, work));
        total += work;
        assert_eq!((tip.total_work, frontier.top().unwrap().work), (total, total));
    }
}
