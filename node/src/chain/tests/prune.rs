//! Pruning: what is promised is there, the rest goes, and a reorganisation that would need it is set
//! aside without a word against it.

use super::*;
use crate::chain::check::load_body;
use crate::finder::Finder;
use crate::limits::PRUNE_STEP;
use crate::store::schema::{Space, key, range, split};
use crate::verify;
use maker::params;
use steelyard_runtime::sled_door::Batch;

const DEPTH: u64 = 50;

impl Node {
    fn pruning(params: &Params, depth: u64) -> Self {
        Self::open_pruning(params, Arc::new(tempfile::tempdir().unwrap()), Some(depth)).unwrap()
    }

    fn reopened_pruning(self, depth: Option<u64>) -> Self {
        let params = self.chain.shared.params.clone();
        Self::open_pruning(&params, self.stop(), depth).unwrap()
    }

    /// Waits until a pause after the last command is over: the next one is taken after it. After a start
    /// the first pause is that of this method's own first command.
    fn settle(&self) {
        self.save_peers(b"settled");
        self.save_peers(b"settled");
    }

    fn bodies_from(&self) -> u64 {
        self.chain.shared.read().bodies_from()
    }

    /// Commits of which a space holds anything.
    fn commits(&self, space: Space) -> Vec<u64> {
        let found = self.chain.store.door().scan(range(space, 0, u64::MAX), usize::MAX).unwrap();
        let mut commits: Vec<u64> = found.iter().map(|(key, _)| split(key).unwrap().0).collect();
        commits.dedup();
        commits
    }

    fn body(&self, id: BlockId) -> Result<steelyard_core::types::body::Body, LoadError> {
        let entry = self.chain.shared.read().block(&id).unwrap().1.clone();
        load_body(&self.chain.shared, &self.chain.store, &entry)
    }

    fn is_stuck(&self) -> bool {
        self.chain.shared.is_beyond_pruning()
    }
}

/// A chain of so many blocks, each with a payment.
fn chain(maker: &mut Maker, count: u64) -> Vec<BlockId> {
    let mut ids = vec![maker.genesis];
    for nonce in 0..count {
        let tx = maker.pay(0, nonce, 1, 1);
        ids.push(maker.make(ids[ids.len() - 1], &[tx]));
    }
    ids
}

fn verified(params: &Params, dir: &Path) -> verify::Report {
    verify::run(params.clone(), dir, false, &mut |_, _| ()).unwrap();
    verify::run(params.clone(), dir, true, &mut |_, _| ()).unwrap()
}

#[test]
fn bodies_below_the_depth_go_and_everything_else_stays() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 200);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &ids[1..]);
    node.settle();
    let from = node.bodies_from();
    assert!(from <= 201 - DEPTH && from + PRUNE_STEP > 201 - DEPTH, "{from}");
    assert_eq!(node.commits(Space::Body), (from..=200).collect::<Vec<_>>(), "a block is a commit here");
    assert_eq!(node.commits(Space::Delta).len(), 200, "without a checkpoint a start needs them all");
    assert!((1..=200).all(|seq| node.chain.store.log(seq).is_ok()));
    let check = |node: &Node| {
        for (height, id) in (0..).zip(&ids) {
            match node.body(*id) {
                Ok(body) => {
                    assert!(height >= from || height == 0);
                    assert_eq!(body, maker.block(*id).body);
                }
                Err(LoadError::Pruned { height: named, from: kept, .. }) => {
                    assert!((named, kept) == (height, from) && height < from);
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(node.bodies_from(), from);
    };
    check(&node);
    let node = node.reopened_pruning(Some(DEPTH));
    check(&node);
    assert_eq!(node.seen().tip, ids[200]);
    let report = verified(&maker.params, node.stop().path());
    assert_eq!((report.blocks, report.transactions, report.executed_from), (200, 201 - from, Some(from)));
}

#[test]
fn turned_off_or_deeper_nothing_more_goes_until_it_is_too_deep_again() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 300);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &ids[1..=100]);
    node.settle();
    let (from, kept) = (node.bodies_from(), node.commits(Space::Body));
    assert!(from > 0);
    let node = node.reopened_pruning(None);
    node.give_all(&maker, &ids[101..=200]);
    node.settle();
    assert_eq!((node.bodies_from(), &node.commits(Space::Body)[..kept.len()]), (from, &kept[..]));
    let node = node.reopened_pruning(Some(170));
    node.settle();
    assert_eq!(node.bodies_from(), from);
    node.give_all(&maker, &ids[201..]);
    node.settle();
    let later = node.bodies_from();
    assert!(later <= 301 - 170 && later + PRUNE_STEP > 301 - 170, "{later} after {from}");
    assert_eq!(verified(&maker.params, node.stop().path()).executed_from, Some(later));
}

/// A checkpoint lets the deltas before it go, but for those that take back a block that is kept.
#[test]
fn deltas_go_that_neither_a_start_nor_a_reorganisation_needs() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 200);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &ids[1..=60]);
    let (state, seq) = {
        let view = node.chain.shared.read();
        (view.state(), view.seq())
    };
    node.chain.store.write_checkpoint(&state, seq).unwrap();
    node.give_all(&maker, &ids[61..=70]);
    node.settle();
    assert_eq!((node.bodies_from(), node.commits(Space::Delta)[0]), (0, 1));
    node.give_all(&maker, &ids[71..=90]);
    node.settle();
    assert_eq!(node.commits(Space::Delta)[0], node.bodies_from(), "those that take back");
    node.give_all(&maker, &ids[91..]);
    node.settle();
    assert_eq!(node.commits(Space::Delta)[0], seq + 1, "those that a start replays");
    let seen = node.seen();
    let node = node.reopened_pruning(Some(DEPTH));
    assert!(!node.rebuilt);
    assert_eq!(node.seen(), seen);
    verified(&maker.params, node.stop().path());
}

#[test]
fn a_reorganisation_of_what_is_kept_is_followed_and_a_deeper_one_set_aside() {
    let mut maker = Maker::new(params());
    let a = chain(&mut maker, 120);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &a[1..]);
    node.settle();
    let from = node.bodies_from();
    assert!(from > 2);
    // Its first block stands on the last one that has no undo: one too deep.
    let deep = maker.extend(a[from as usize - 2], 140);
    let verdicts = node.give_all(&maker, &deep);
    assert!(verdicts.iter().all(|verdict| *verdict == Ok(Accepted::Side)), "{verdicts:?}");
    assert_eq!((node.seen().tip, node.is_stuck()), (a[120], true));
    let check = |node: &Node| {
        assert_eq!((node.seen().tip, node.is_stuck()), (a[120], true));
        assert!(deep.iter().all(|id| node.verdict(*id) == Some(Verdict::Unexecuted)));
        let reasons = |id: &BlockId| node.chain.shared.read().refused(id).map(str::to_owned);
        assert!(deep.iter().all(|id| reasons(id).is_none()));
    };
    let node = node.reopened_pruning(Some(DEPTH));
    check(&node);
    // Not even to a node that prunes no more.
    let node = node.reopened_pruning(None);
    check(&node);
    let node = node.reopened_pruning(Some(DEPTH));
    // One block less deep is followed, and its own work ends the trouble.
    let kept = maker.extend(a[from as usize - 1], 160);
    node.give_all(&maker, &kept);
    assert_eq!((node.seen().tip, node.is_stuck()), (kept[159], false));
    assert_eq!(node.seen().root, maker.state(kept[159]).root());
    let node = node.reopened_pruning(Some(DEPTH));
    assert_eq!((node.seen().tip, node.is_stuck()), (kept[159], false));
    verified(&maker.params, node.stop().path());
}

/// Whatever else is damaged: where blocks are pruned the state is not made again from them, and the
/// words say so.
#[test]
fn a_state_that_cannot_be_made_again_says_why() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 120);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &ids[1..]);
    node.settle();
    let from = node.bodies_from();
    let dir = node.stop();
    let store = open_store(&maker.params, dir.path());
    let mut batch = Batch::new();
    batch.remove(key(Space::Delta, 120, 0));
    store.door().commit(batch).unwrap();
    drop(store);
    let Err(error) = Node::open(&maker.params, dir) else { panic!("it opened") };
    assert!(matches!(error, LoadError::PrunedState { from: named } if named == from), "{error}");
    let shown = crate::node::load_error(error);
    assert_eq!((shown.exit, shown.code.as_str()), (steelyard_runtime::exit::ExitCode::Damaged, "pruned"));
    assert!(shown.hint.unwrap().contains("--data-dir"));
}

/// Of a pruned store too: a header that is long without its body, and everything that is kept.
#[test]
fn tampering_with_a_pruned_store_is_found() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 120);
    let node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &ids[1..]);
    node.settle();
    let (from, dir) = (node.bodies_from(), node.stop());
    // Changes the last byte of a value, and back.
    let tamper = |space, seq| {
        let store = open_store(&maker.params, dir.path());
        let mut value = store.door().get(key(space, seq, 0)).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        let mut batch = Batch::new();
        batch.put(key(space, seq, 0), value);
        store.door().commit(batch).unwrap();
    };
    for (space, seq) in [
        (Space::Log, 5),
        (Space::Log, 119),
        (Space::Body, from),
        (Space::Body, 120),
        (Space::Delta, from),
        (Space::Delta, 120),
    ] {
        tamper(space, seq);
        let judged = verify::run(maker.params.clone(), dir.path(), true, &mut |_, _| ());
        assert!(judged.is_err(), "{space:?} {seq}: {judged:?}");
        tamper(space, seq);
    }
    assert_eq!(verified(&maker.params, dir.path()).executed_from, Some(from));
}

/// While a verification reads, nothing goes.
#[test]
fn nothing_is_pruned_while_all_is_read() {
    let mut maker = Maker::new(params());
    let ids = chain(&mut maker, 120);
    let node = Node::pruning(&maker.params, DEPTH);
    {
        let _reading = node.chain.shared.pruning.read();
        node.give_all(&maker, &ids[1..]);
        node.settle();
        assert_eq!((node.bodies_from(), node.commits(Space::Body).len()), (0, 120));
    }
    node.settle();
    assert!(node.bodies_from() > 0);
    let report = verify::check(&node.chain, &Finder::off(), true, &mut |_, _| ()).unwrap();
    assert_eq!(report.executed_from, Some(node.bodies_from()));
}

/// The order of steps is drawn: growth in commits of one and of many, branches from within what is
/// kept, side blocks far below, starts with pruning on and off. After each what is promised is there.
#[test]
fn whatever_happens_the_promised_bodies_are_there() {
    let seed = std::env::var("STEELYARD_SEED").map_or(0x9e57, |seed| seed.parse().unwrap());
    println!("STEELYARD_SEED={seed}");
    let mut random = crate::sync::tests::world::Random(seed);
    let mut maker = Maker::new(params());
    let mut active = maker.extend(maker.genesis, 30);
    active.insert(0, maker.genesis);
    let mut node = Node::pruning(&maker.params, DEPTH);
    node.give_all(&maker, &active[1..]);
    let mut all = active.clone();
    for _ in 0..60 {
        match random.below(6) {
            0 | 1 => {
                let more = maker.extend(active[active.len() - 1], 1 + random.below(70) as usize);
                let blocks = more.iter().map(|id| maker.block(*id)).collect();
                node.chain.submit_blocks(blocks, LATE);
                active.extend(&more);
                all.extend(&more);
            }
            2 => {
                let more = maker.extend(active[active.len() - 1], 1 + random.below(5) as usize);
                node.give_all(&maker, &more);
                active.extend(&more);
                all.extend(&more);
            }
            3 => {
                let depth = 1 + random.below(DEPTH.min(active.len() as u64 - 1));
                active.truncate(active.len() - depth as usize);
                let branch = maker.extend(active[active.len() - 1], depth as usize + 1);
                node.give_all(&maker, &branch);
                active.extend(&branch);
                all.extend(&branch);
            }
            4 => {
                let side = maker.extend(active[random.below(active.len() as u64) as usize], 1);
                node.give_all(&maker, &side);
                all.extend(&side);
            }
            _ => node = node.reopened_pruning(Some(DEPTH).filter(|_| random.below(3) > 0)),
        }
        node.settle();
        let (tip, from) = (active.len() as u64 - 1, node.bodies_from());
        assert_eq!((node.seen().tip, node.is_stuck()), (active[tip as usize], false));
        assert!(from == 0 || from + DEPTH <= tip + 1, "{from} of {tip}");
        assert_eq!(node.chain.store.bodies_from().unwrap(), from);
        for id in all.iter().filter(|id| maker.height(**id) >= from) {
            assert_eq!(node.body(*id).unwrap(), maker.block(*id).body);
        }
    }
    let node = node.reopened_pruning(Some(DEPTH));
    let more = maker.extend(active[active.len() - 1], 2 * DEPTH as usize);
    node.give_all(&maker, &more);
    node.settle();
    let tip = active.len() as u64 - 1 + 2 * DEPTH;
    assert!(node.commits(Space::Body).len() as u64 <= DEPTH + PRUNE_STEP, "all that is deep is gone");
    let report = verified(&maker.params, node.stop().path());
    assert_eq!((report.blocks, report.side_blocks), (tip, all.len() as u64 - active.len() as u64));
}
