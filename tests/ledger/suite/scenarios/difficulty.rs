//! Scenario 7: difficulty follows hash power. Headers only: blocks come at random, as often as
//! the hash power and the difficulty make them, and nothing is hashed.

use steelyard_core::consensus::header::{Parent, child_bits, expected_child};
use steelyard_core::hash::{BlockId, HistoryRoot};
use steelyard_core::params::{LIMIT_BITS_MAX, Params, TARGET_FLOOR_SHIFT};
use steelyard_core::types::header::Header;
use steelyard_core::work::{U256, from_bits, work_of};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Headers from genesis on, mined by imagined machines.
struct Headers {
    params: Params,
    headers: Vec<Header>,
    random: Random,
}

impl Headers {
    fn new(random: Random) -> Self {
        let params = Params::tutorial();
        Self { headers: vec![params.genesis().header], params, random }
    }

    fn tip(&self) -> &Header {
        self.headers.last().unwrap()
    }

    fn child(&self) -> Header {
        let (id, history_root) = (BlockId::ZERO, HistoryRoot::ZERO);
        expected_child(&self.params, &Parent { header: self.tip(), id, total_work: 0, history_root })
    }

    /// The next block, `gap` ms after the tip.
    fn push_after(&mut self, gap: u64) {
        let child = self.child();
        self.headers.push(Header { time: child.prev_time + gap, ..child });
    }

    /// So many blocks at a power of so many machines, of which one suits the start bits.
    fn mine(&mut self, blocks: usize, machines: f64) {
        let tries_per_ms = machines * tries(self.params.start_bits) / self.params.spacing as f64;
        for _ in 0..blocks {
            let mean = tries(self.child().bits) / tries_per_ms;
            // A cast of a float saturates, which suits hopeless miners.
            let gap = self.random.exponential(mean) as u64;
            self.push_after(gap.clamp(1, 1 << 45));
        }
    }

    /// Mean time between the last blocks, in spacings.
    fn mean_of_last(&self, blocks: usize) -> f64 {
        let first = &self.headers[self.headers.len() - 1 - blocks];
        (self.tip().time - first.time) as f64 / blocks as f64 / self.params.spacing as f64
    }
}

fn tries(bits: u32) -> f64 {
    work_of(from_bits(bits).unwrap()).unwrap() as f64
}

/// How much easier one target is than another.
fn easing(from: u32, to: u32) -> f64 {
    tries(from) / tries(to)
}

#[test]
fn scenario_07_difficulty_follows_hash_power() {
    let mut chain = Headers::new(Random::for_test(71));
    let limit = from_bits(chain.params.limit_bits).unwrap();
    for machines in [1.0, 4.0, 1.0, 0.25, 1.0] {
        chain.mine(50, machines);
        println!("{machines} machines: {:.2} spacings at first", chain.mean_of_last(50));
        chain.mine(4_000, machines);
        let mean = chain.mean_of_last(1_500);
        println!("{machines} machines: {mean:.3} spacings later, {:.3e} tries", tries(chain.tip().bits));
        assert!((0.92..1.08).contains(&mean), "{machines} machines: {mean} spacings");
        let found = tries(chain.tip().bits) / tries(chain.params.start_bits) / machines;
        assert!((0.7..1.4).contains(&found), "{machines} machines: {found} of the tries they can do");
    }
    assert!(chain.headers.iter().all(|header| from_bits(header.bits).unwrap() <= limit));
}

#[test]
fn scenario_07_difficulty_stays_within_its_bounds() {
    let mut chain = Headers::new(Random::for_test(72));
    let limit = from_bits(chain.params.limit_bits).unwrap();
    chain.mine(100, 1e-12);
    assert_eq!(chain.tip().bits, chain.params.limit_bits);
    assert!(chain.headers.iter().all(|header| from_bits(header.bits).unwrap() <= limit));
    // From there on, a millisecond a block, for ever: never below the floor.
    let floor = U256::one() << TARGET_FLOOR_SHIFT;
    for _ in 0..60_000 {
        chain.push_after(1);
    }
    assert_eq!(from_bits(chain.tip().bits), Ok(floor));
}

#[test]
fn scenario_07_a_pause_of_a_week_floods_nothing() {
    let mut chain = Headers::new(Random::for_test(73));
    chain.mine(3_000, 1.0);
    let before = chain.child().bits;
    chain.push_after(7 * DAY_MS);
    let after = chain.child().bits;
    println!("eased by {:.3}", easing(before, after));
    assert!(easing(before, after) <= 2.0, "by two at most");
    assert!(easing(before, after) > 1.9, "and the network wakes up");

    let waking = chain.tip().time;
    chain.mine(100, 1.0);
    let mean = chain.mean_of_last(100);
    println!("{mean:.3} spacings for 100 blocks");
    // A schedule that goes on through the pause would have 20,160 blocks to catch up with.
    assert!((0.33..1.0).contains(&mean), "no flood: {mean}");
    chain.mine(4_000, 1.0);
    let blocks_of_a_day =
        chain.headers.iter().filter(|h| h.time > waking && h.time <= waking + DAY_MS).count();
    assert!((2_880..2_880 + 600).contains(&blocks_of_a_day), "{blocks_of_a_day} blocks in a day");
    let mean = chain.mean_of_last(1_500);
    assert!((0.92..1.08).contains(&mean), "back: {mean} spacings");
}

#[test]
fn scenario_07_a_first_start_long_after_genesis_is_no_pause_at_all() {
    let mut chain = Headers::new(Random::for_test(74));
    chain.push_after(365 * DAY_MS);
    assert_eq!(chain.child().bits, chain.params.start_bits);
    chain.mine(300, 1.0);
    let mean = chain.mean_of_last(300);
    assert!((0.75..1.3).contains(&mean), "{mean} spacings");
}

/// Whoever has the times alone gets every difficulty: by the definition, not by the code.
#[test]
fn scenario_07_every_node_computes_the_same_from_the_chain() {
    let mut chain = Headers::new(Random::for_test(75));
    for machines in [1.0, 30.0, 0.01] {
        chain.mine(400, machines);
        chain.push_after(3 * DAY_MS);
    }
    let (spacing, half_life) = (chain.params.spacing, chain.params.half_life);
    let times: Vec<u64> = chain.headers.iter().map(|header| header.time).collect();
    for (height, header) in chain.headers.iter().enumerate().skip(1) {
        let gaps = times[1..height].windows(2).map(|pair| (pair[1] - pair[0]).min(half_life));
        let elapsed = if height == 1 { 0 } else { spacing + gaps.sum::<u64>() };
        assert_eq!(header.elapsed, elapsed, "height {height}");
        assert_eq!(header.bits, child_bits(&chain.params, height as u64, elapsed), "height {height}");
    }
}

/// The same with real blocks: their own proof of work, checked by the rules, and on a branch too.
#[test]
fn scenario_07_real_blocks_get_harder_and_easier() {
    let mut chain =
        Chain::new(Params { half_life: 300_000, drift: 0, start_bits: LIMIT_BITS_MAX, ..Params::tutorial() });
    let start = chain.tip().header.bits;
    let mut branch = chain.clone();
    for _ in 0..70 {
        let time = chain.tip().header.time + 1_000;
        chain.mine_block_at(time, &[]);
    }
    let hard = tries(chain.tip().header.bits) / tries(start);
    assert!((64.0..128.0).contains(&hard), "seven half-lives ahead: {hard}");
    for _ in 0..8 {
        let time = chain.tip().header.time + DAY_MS;
        chain.mine_block_at(time, &[]);
    }
    assert!(tries(chain.tip().header.bits) < 2.0 * tries(start));
    chain.blocks().for_each(|block| branch.connect(block).unwrap());
    assert_eq!(branch.ids(), chain.ids());
}
