//! Random trees of blocks, some bad, with payments that conflict between branches, in random
//! orders and groups: every order ends where the tree says.

use std::collections::HashSet;

use super::*;
use crate::chain::check::check_blocks;
use maker::{ACCOUNTS, Pay, params, pay};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

const BLOCKS: usize = 60;

/// A seed that a failure shows and `STEELYARD_SEED` sets.
pub fn seed(default: u64) -> u64 {
    let seed = std::env::var("STEELYARD_SEED").map_or(default, |text| text.parse().unwrap());
    println!("STEELYARD_SEED={seed}");
    seed
}

struct Forest {
    maker: Maker,
    /// Parents first.
    ids: Vec<BlockId>,
    /// Bad blocks and what stands on them.
    invalid: HashSet<BlockId>,
    txs: Vec<CheckedTx>,
}

impl Forest {
    fn grow(random: &mut StdRng, bad_percent: u32) -> Self {
        let maker = Maker::new(params());
        let mut forest = Self { ids: vec![maker.genesis], maker, invalid: HashSet::new(), txs: Vec::new() };
        while forest.ids.len() <= BLOCKS {
            // Mostly near the end, so that branches get long.
            let back = random.random_range(0..forest.ids.len().min(6));
            let parent = forest.ids[forest.ids.len() - 1 - back];
            let is_bad = random.random_ratio(bad_percent, 100);
            let id = if is_bad { forest.maker.make_bad(parent) } else { forest.good(random, parent) };
            if is_bad || forest.invalid.contains(&parent) {
                forest.invalid.insert(id);
            }
            forest.ids.push(id);
        }
        forest.ids.remove(0);
        forest
    }

    fn good(&mut self, random: &mut StdRng, parent: BlockId) -> BlockId {
        let mut txs: Vec<CheckedTx> = Vec::new();
        for from in 0..ACCOUNTS {
            let mut nonce = self.maker.nonce(parent, from);
            while random.random_ratio(1, 4) {
                let (to, amount) = (random.random_range(0..ACCOUNTS), random.random_range(1..3));
                txs.push(pay(self.maker.network, Pay::new(from, nonce, to, amount)));
                nonce += 1;
            }
        }
        self.txs.extend(txs.iter().cloned());
        self.maker.make(parent, &txs)
    }

    /// The valid blocks with most work, which is height on this network.
    fn best(&self) -> Vec<BlockId> {
        let all = || self.ids.iter().chain([&self.maker.genesis]);
        let valid = || all().filter(|id| !self.invalid.contains(id));
        let highest = valid().map(|id| self.maker.height(*id)).max();
        valid().filter(|id| Some(self.maker.height(**id)) == highest).copied().collect()
    }

    /// Parents before children, else in any order.
    fn shuffled(&self, random: &mut StdRng) -> Vec<BlockId> {
        let mut left = self.ids.clone();
        left.shuffle(random);
        let (mut order, mut there) = (Vec::new(), HashSet::from([self.maker.genesis]));
        while !left.is_empty() {
            let ready = left.iter().position(|id| there.contains(&self.maker.parent(*id))).unwrap();
            let id = left.remove(ready);
            there.insert(id);
            order.push(id);
        }
        order
    }

    fn check(&self, seen: &Seen) {
        let best = self.best();
        assert!(best.contains(&seen.tip), "the tip is a valid block with most work");
        assert_eq!(seen.root, self.maker.state(seen.tip).root());
    }
}

#[test]
fn every_order_of_a_forest_ends_at_the_same_state() {
    let mut random = StdRng::seed_from_u64(seed(1));
    for _ in 0..3 {
        let forest = Forest::grow(&mut random, 0);
        let mut roots = HashSet::new();
        for _ in 0..3 {
            let node = Node::new(&forest.maker.params);
            for id in forest.shuffled(&mut random) {
                assert!(node.give(&forest.maker, id).is_ok());
            }
            let seen = node.seen();
            forest.check(&seen);
            roots.insert(seen.root);
            assert_eq!(node.reopened().seen(), seen);
        }
        if let [best] = forest.best()[..] {
            assert_eq!(roots.len(), 1);
            assert_eq!(fresh_sync(&forest, best), roots.into_iter().next().unwrap());
        }
    }
}

/// One branch alone, at once.
fn fresh_sync(forest: &Forest, to: BlockId) -> StateRoot {
    let mut branch = vec![to];
    while forest.maker.parent(branch[0]) != forest.maker.genesis {
        branch.insert(0, forest.maker.parent(branch[0]));
    }
    let node = Node::new(&forest.maker.params);
    let blocks: Vec<_> = branch.iter().map(|id| forest.maker.block(*id)).collect();
    assert_eq!(check_blocks(&node.chain.shared, None, blocks.clone(), LATE).blocks.len(), branch.len());
    assert!(node.chain.submit_blocks(blocks, LATE).iter().all(Result::is_ok));
    node.seen().root
}

#[test]
fn forests_with_bad_blocks_end_at_the_best_valid_one() {
    let mut random = StdRng::seed_from_u64(seed(2));
    for _ in 0..6 {
        let forest = Forest::grow(&mut random, 12);
        let node = Node::new(&forest.maker.params);
        for id in forest.shuffled(&mut random) {
            // Whether a bad block is refused or lies aside depends on the order; a good one never is.
            let verdict = node.give(&forest.maker, id);
            assert!(verdict.is_ok() || forest.invalid.contains(&id), "{verdict:?}");
        }
        let seen = node.seen();
        forest.check(&seen);
        assert_eq!(node.reopened().seen(), seen);
    }
}

/// Everything waits before the thread starts: reorganisations, refusals and admissions within one
/// group, in groups of random sizes over several starts.
#[test]
fn groups_of_anything_end_where_the_tree_says() {
    let mut random = StdRng::seed_from_u64(seed(3));
    for _ in 0..8 {
        let forest = Forest::grow(&mut random, 10);
        let mut order = forest.shuffled(&mut random);
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut last = None;
        while !order.is_empty() {
            let rest = order.split_off(random.random_range(1..=order.len()));
            let mut commands = Vec::new();
            for id in order {
                commands.push(Command::Blocks(vec![forest.maker.checked(id)], None, oneshot::channel().0));
                let txs = rand::seq::IndexedRandom::choose_multiple(&*forest.txs, &mut random, 4)
                    .cloned()
                    .collect();
                commands.push(Command::Txs(txs, oneshot::channel().0));
            }
            last = Some(run_queued(&forest.maker.params, &dir, commands));
            order = rest;
        }
        forest.check(&last.unwrap());
    }
}
