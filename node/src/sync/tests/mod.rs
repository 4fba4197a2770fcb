//! The machine against networks of machines, honest and lying, over chains in memory.

mod bench;
mod direct;
mod forest;
mod memory;
mod prune;
mod serve;
pub(crate) mod world;

use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_core::work::from_bits;

use self::world::{Lie, Random, World};
use crate::chain::check::UncheckedBlock;
use crate::limits::{SYNC_CATCH_UP_MS, SYNC_HELD_PER_PEER_MAX, SYNC_INVALID_MAX};
use crate::sync::{ChainRead, Sync};

/// The seeds of a test: that of the environment, or these.
fn seeds(ours: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let given = std::env::var("STEELYARD_SEED").ok().map(|seed| vec![seed.parse().unwrap()]);
    given.unwrap_or_else(|| ours.into_iter().collect())
}

fn one_seed() -> u64 {
    let seed = seeds([0x5eed])[0];
    println!("STEELYARD_SEED={seed}");
    seed
}

impl Sync {
    /// What is counted twice agrees, and what `status` does not show is bounded.
    pub(super) fn check(&self) {
        let flights: usize = self.peers.values().map(|peer| peer.flights.len()).sum();
        assert_eq!(flights, self.tree.load().1);
        assert!(self.invalid.len() <= SYNC_INVALID_MAX && self.invalid.len() == self.invalid_ids.len());
        for id in self.peers.keys() {
            let held = self.held.iter().filter(|held| held.peer == *id).count();
            assert!(held <= SYNC_HELD_PER_PEER_MAX);
        }
    }
}

#[test]
fn a_thousand_blocks_cost_little_more_than_their_bodies() {
    let mut world = World::new(1);
    let blocks = world.maker.extend(world.maker.genesis, 1_000);
    let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
    world.connect(empty, full);
    world.run(60_000);
    world.assert_agreed([full, empty]);
    assert_eq!(world.sent["body"], 1_000);
    // Each end asks once more when the tip has stood for long.
    assert!(world.sent["get_headers"] <= 4 && world.sent["get_bodies"] <= 130, "{:?}", world.sent);
    assert!(world.sent.values().sum::<usize>() < 1_160, "{:?}", world.sent);
}

/// More blocks than headers are kept ahead, and a new one twice a second: announcements that connect
/// to nothing yet are nobody's fault.
#[test]
fn a_long_sync_beside_a_busy_miner_drops_nobody() {
    let mut world = World::new(9);
    let blocks = world.maker.extend(world.maker.genesis, 8_500);
    let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
    let other = world.add(&blocks, None);
    for machine in [full, other] {
        world.connect(empty, machine);
    }
    world.connect(full, other);
    for _ in 0..60 {
        world.run(500);
        world.mine(full);
    }
    world.run(60_000);
    world.assert_agreed([full, empty, other]);
    assert!(world.sent["body"] < 8_500 + 60 + 200, "{:?}", world.sent);
}

#[test]
fn an_interrupted_sync_resumes() {
    let mut world = World::new(2);
    let blocks = world.maker.extend(world.maker.genesis, 600);
    let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
    world.connect(empty, full);
    let mut most = 0;
    for round in 0..30 {
        world.run(900);
        let height = world.maker.height(world.machines[empty].chain.tip_id());
        assert!(height >= most);
        most = height;
        if round % 2 == 0 { world.crash(empty) } else { world.crash(full) }
    }
    assert!(most > 0);
    world.run(60_000);
    world.assert_agreed([full, empty]);
    assert!(world.sent["body"] < 1_400, "{:?}", world.sent);
}

#[test]
fn a_machine_that_takes_no_blocks_follows_headers_and_drops_nobody() {
    let mut world = World::new(8);
    let blocks = world.maker.extend(world.maker.genesis, 300);
    let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
    world.takes(empty, false);
    world.connect(empty, full);
    world.run(60_000);
    world.mine(full);
    world.run(60_000);
    let status = world.machines[empty].sync.as_ref().unwrap().status();
    assert_eq!((status.tip_height, status.headers_height, status.in_flight), (0, 301, 0));
    assert_eq!((status.peers.len(), world.sent.get("get_bodies")), (1, None));
    assert!(!status.is_catching_up, "nothing is coming");
    world.takes(empty, true);
    world.run(30_000);
    world.assert_agreed([full, empty]);
    // In the middle of a sync what is here is kept.
    let more = world.maker.extend(world.machines[full].chain.tip_id(), 500);
    let longer = world.add(&[&blocks[..], &[world.machines[full].chain.tip_id()], &more[..]].concat(), None);
    world.connect(empty, longer);
    world.run(1_500);
    world.takes(empty, false);
    world.run(120_000);
    assert!(world.machines[empty].sync.as_ref().unwrap().status().in_flight == 0);
    world.takes(empty, true);
    world.run(60_000);
    world.assert_agreed([longer, empty]);
    assert!(world.dropped.is_empty());
}

#[test]
fn liars_are_dropped_or_harmless() {
    for lie in [Lie::WrongBody, Lie::RubbishBody, Lie::Withholds, Lie::Misses, Lie::Silent, Lie::Unconnected]
    {
        let mut world = World::new(3);
        let blocks = world.maker.extend(world.maker.genesis, 60);
        let fork = world.maker.extend(blocks[40], 30);
        let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
        let liar = world.add(&[&blocks[..=40], &fork[..]].concat(), Some(lie));
        world.connect(empty, liar);
        world.connect(empty, full);
        world.run(120_000);
        world.assert_agreed([full, empty]);
        assert!(lie == Lie::Misses || world.dropped.iter().any(|(who, _)| *who == liar), "{lie:?}");
    }
}

/// The code that a forged block brings its sender.
fn code_of(change: impl FnOnce(&mut UncheckedBlock)) -> Vec<&'static str> {
    let mut world = World::new(4);
    let blocks = world.maker.extend(world.maker.genesis, 20);
    let bad = world.maker.forge(blocks[19], &[], change);
    let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
    let liar = world.add(&[&blocks[..], &[bad]].concat(), Some(Lie::Chain));
    for honest in [full, empty] {
        world.connect(honest, liar);
    }
    world.connect(full, empty);
    world.run(60_000);
    world.assert_agreed([full, empty]);
    assert_eq!(world.machines[full].chain.tip_id(), blocks[19]);
    world.mine(full);
    world.run(10_000);
    world.assert_agreed([full, empty]);
    world.dropped.iter().map(|(_, code)| *code).collect()
}

#[test]
fn each_forged_header_and_body_is_named() {
    assert_eq!(code_of(|block| block.header.bits -= 1), ["header_bits"; 2]);
    assert_eq!(code_of(|block| block.header.history_root.0[0] ^= 1), ["history_root"; 2]);
    assert_eq!(code_of(|block| block.header.elapsed += 1), ["header_elapsed"; 2]);
    assert_eq!(code_of(|block| block.header.time = block.header.prev_time), ["header_time"; 2]);
    assert_eq!(code_of(|block| block.header.state_root.0[0] ^= 1), ["invalid_block"; 2]);
    let undecodable = |block: &mut UncheckedBlock| {
        block.body.items[0] = vec![1, 2, 3];
        block.header.body_root = block.body.root();
    };
    assert_eq!(code_of(undecodable), ["invalid_block"; 2]);
}

/// The bad block and those on it are with the chain thread at once, in more than one submission.
#[test]
fn an_invalid_block_takes_all_that_stands_on_it_along() {
    for seed in seeds(10..20) {
        println!("STEELYARD_SEED={seed}");
        let mut world = World::new(seed);
        let blocks = world.maker.extend(world.maker.genesis, 60);
        let bad = world.maker.make_bad(blocks[49]);
        let after = world.maker.extend(bad, 400);
        let (full, empty) = (world.add(&blocks, None), world.add(&[], None));
        let forged = [&blocks[..50], &[bad], &after[..]].concat();
        let liars = [(); 3].map(|()| world.add(&forged, Some(Lie::Chain)));
        for liar in liars {
            world.connect(empty, liar);
        }
        world.run(60_000);
        assert_eq!(world.dropped.iter().filter(|(_, code)| *code == "invalid_block").count(), 3);
        let status = world.machines[empty].sync.as_ref().unwrap().status();
        assert_eq!((status.headers_ahead, status.in_flight, status.body_bytes), (0, 0, 0));
        world.connect(empty, full);
        world.run(60_000);
        world.assert_agreed([full, empty]);
    }
}

#[test]
fn a_header_without_work_is_refused() {
    let mut world = World::new(5);
    let blocks = world.maker.extend(world.maker.genesis, 5);
    let next = world.maker.make(blocks[4], &[]);
    let (honest, liar) = (world.add(&blocks, None), world.add(&blocks, Some(Lie::Chain)));
    let mut block = world.maker.block(next);
    while block.header.pow_hash() <= from_bits(block.header.bits).unwrap() {
        block.header.nonce += 1;
    }
    world.machines[liar].chain.force(block);
    world.connect(honest, liar);
    world.run(5_000);
    assert_eq!(world.dropped, [(liar, "proof_of_work")]);
}

#[test]
fn a_header_ahead_of_the_clock_waits_for_its_time() {
    let mut world = World::new(6);
    let (drift, unix) = (Params::dev().drift, world.unix());
    let blocks = world.maker.extend(world.maker.genesis, 5);
    let at = |time| move |block: &mut UncheckedBlock| block.header.time = time;
    let soon = world.maker.forge(blocks[4], &[], at(unix + drift + 10_000));
    let later = world.maker.forge(soon, &[], at(unix + 4 * drift));
    let honest = world.add(&blocks, None);
    let early = world.add(&[&blocks[..], &[soon, later]].concat(), Some(Lie::Chain));
    world.connect(honest, early);
    world.run(9_000);
    assert_eq!(world.machines[honest].chain.tip_id(), blocks[4]);
    world.run(4_000);
    assert_eq!(world.machines[honest].chain.tip_id(), soon);
    world.run(4 * drift);
    assert_eq!(world.machines[honest].chain.tip_id(), later);
    assert_eq!(world.dropped, []);
}

/// A branch from far back: with less work nothing of it is kept, with more it is followed.
#[test]
fn a_branch_from_far_back_is_measured_before_any_of_it_is_kept() {
    for (height, wins) in [(2_200, false), (2_500, true)] {
        let mut world = World::new(7);
        let ours = world.maker.extend(world.maker.genesis, 2_400);
        let theirs = world.maker.extend(world.maker.genesis, height);
        let (a, b) = (world.add(&ours, None), world.add(&theirs, None));
        // The lighter one is kept from seeing the heavier chain, and so stays as it is.
        let liar = if wins { b } else { world.add(&theirs, Some(Lie::Chain)) };
        world.connect(a, liar);
        world.run(100);
        let mut most = 0;
        for _ in 0..300 {
            world.run(100);
            most = most.max(world.machines[a].sync.as_ref().unwrap().status().headers_ahead);
        }
        let tip = world.machines[a].chain.tip_id();
        assert_eq!(tip, *if wins { &theirs } else { &ours }.last().unwrap());
        assert_eq!(most > 0, wins);
        assert_eq!(world.dropped, []);
    }
}

#[test]
fn competing_tips_of_equal_work_are_fetched() {
    let mut world = World::new(8);
    let base = world.maker.extend(world.maker.genesis, 10);
    let tips = [world.maker.make(base[9], &[]), world.maker.make(base[9], &[])];
    let a = world.add(&[&base[..], &tips[..1]].concat(), None);
    let b = world.add(&[&base[..], &tips[1..]].concat(), None);
    world.connect(a, b);
    world.run(5_000);
    for (machine, own) in [(a, 0), (b, 1)] {
        let chain = &world.machines[machine].chain;
        assert_eq!(chain.tip_id(), tips[own]);
        assert!(chain.block(&tips[1 - own]).is_some());
    }
}

/// Two who mine at the same moment hear of each other's block and keep it beside their own.
#[test]
fn tips_of_equal_work_are_announced() {
    let mut world = World::new(11);
    let base = world.maker.extend(world.maker.genesis, 10);
    let (a, b) = (world.add(&base, None), world.add(&base, None));
    world.connect(a, b);
    world.run(5_000);
    assert_eq!(world.sent.get("announce"), None);
    let tips = [world.mine(a), world.mine(b)];
    world.run(5_000);
    assert_eq!(world.sent["announce"], 2);
    for (machine, own) in [(a, 0), (b, 1)] {
        assert_eq!(world.machines[machine].chain.tip_id(), tips[own]);
        assert!(world.machines[machine].chain.block(&tips[1 - own]).is_some());
    }
}

/// A fork so far below the tip that more blocks lie between it and the block that both chains'
/// locators share than an answer holds.
#[test]
fn a_fork_between_distant_ids_of_a_locator_is_found() {
    let mut world = World::new(12);
    let ours = world.maker.extend(world.maker.genesis, 4_200);
    let theirs = world.maker.extend(ours[2_130], 2_100);
    let a = world.add(&ours, None);
    let b = world.add(&[&ours[..=2_130], &theirs[..]].concat(), None);
    world.connect(a, b);
    world.run(60_000);
    world.assert_agreed([a, b]);
    assert!(world.sent["get_headers"] < 20, "{:?}", world.sent);
}

/// Headers of real work whose bodies nobody sends: the chain that is there grows on, and is mined on.
#[test]
fn a_withheld_branch_keeps_nobody_from_going_on() {
    for (seed, lie) in [(13, Lie::Withholds), (14, Lie::Misses)] {
        let mut world = World::new(seed);
        let base = world.maker.extend(world.maker.genesis, 30);
        let withheld = world.maker.extend(base[29], 60);
        let (a, b) = (world.add(&base, None), world.add(&base, None));
        world.connect(a, b);
        for _ in 0..3 {
            let liar = world.add(&[&base[..], &withheld[..]].concat(), Some(lie));
            world.connect(a, liar);
            world.connect(b, liar);
        }
        world.run(SYNC_CATCH_UP_MS + 1_000);
        for _ in 0..20 {
            for machine in [a, b] {
                let status = world.machines[machine].sync.as_ref().unwrap().status();
                assert!(!status.is_catching_up, "{status:?}");
            }
            world.mine(a);
            world.run(2_000);
            world.assert_agreed([a, b]);
        }
        assert_eq!(world.maker.height(world.machines[b].chain.tip_id()), 50);
        // Six pairs, each of one or two requests in each of few periods.
        assert!(world.sent["get_bodies"] < 20 + 6 * 16, "{:?}", world.sent);
    }
}

/// A network of random machines, liars and accidents; at its end all honest machines agree.
fn random_network(seed: u64) {
    let mut world = World::new(seed);
    let honest = 2 + world.random.below(4) as usize;
    let base = world.maker.extend(world.maker.genesis, 40);
    for _ in 0..honest {
        let height = world.random.below(41) as usize;
        world.add(&base[..height], None);
    }
    for _ in 0..world.random.below(4) {
        let chain = forged(&mut world, &base);
        let lies = [
            Lie::Chain,
            Lie::WrongBody,
            Lie::RubbishBody,
            Lie::Withholds,
            Lie::Misses,
            Lie::Silent,
            Lie::Unconnected,
        ];
        let lie = lies[world.random.below(lies.len() as u64) as usize];
        let liar = world.add(&chain, Some(lie));
        for machine in 0..honest {
            world.connect(machine, liar);
        }
    }
    for machine in 0..honest {
        world.connect(machine, (machine + 1) % honest);
    }
    for _ in 0..30 {
        let ms = world.random.below(1_500);
        world.run(ms);
        let machine = world.random.below(honest as u64) as usize;
        match world.random.below(8) {
            0 => world.cut_any(),
            1 => world.crash(machine),
            2 => world.part(machine, (machine + 1) % honest),
            3 => world.parted.clear(),
            _ => drop(world.mine(machine)),
        }
    }
    world.parted.clear();
    world.run(100_000);
    // Of equal tips each machine keeps its first: one more block decides.
    world.mine(0);
    world.run(20_000);
    let before = world.machines[0].chain.tip_id();
    world.mine(honest - 1);
    world.run(20_000);
    assert_ne!(world.machines[0].chain.tip_id(), before);
    world.assert_agreed(0..honest);
}

/// A liar's chain: a branch of the base with an invalid block in it, or without.
fn forged(world: &mut World, base: &[BlockId]) -> Vec<BlockId> {
    let fork = 1 + world.random.below(39) as usize;
    let mut chain = base[..fork].to_vec();
    let bad = world.random.below(20);
    for place in 0..world.random.below(50) {
        let parent = chain[chain.len() - 1];
        let block = if place == bad { world.maker.make_bad(parent) } else { world.maker.make(parent, &[]) };
        chain.push(block);
    }
    chain
}

#[test]
fn random_networks_agree() {
    let mut random = Random(0x5eed);
    for seed in seeds((0..200).map(|_| random.number())) {
        println!("STEELYARD_SEED={seed}");
        random_network(seed);
    }
}
