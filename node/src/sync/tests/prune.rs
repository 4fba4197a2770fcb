//! Peers that have pruned old bodies: used for what they have, never punished for what they said, and
//! no reason to wait in silence. And the machine of a node that has pruned its own.

use super::world::{Lie, World};
use super::{one_seed, seeds};
use crate::sync::{ChainRead, SyncStatus};

fn status(world: &World, machine: usize) -> SyncStatus {
    world.machines[machine].sync.as_ref().unwrap().status()
}

/// Those that prune go on doing so while the fresh one syncs, and say no more of it.
#[test]
fn a_fresh_node_syncs_from_full_and_pruned_peers_together() {
    for seed in seeds(20..26) {
        println!("STEELYARD_SEED={seed}");
        let mut world = World::new(seed);
        let blocks = world.maker.extend(world.maker.genesis, 600);
        let (full, fresh) = (world.add(&blocks, None), world.add(&[], None));
        let pruned = [40, 300].map(|depth| {
            let machine = world.add(&blocks, None);
            world.machines[machine].chain.prune(depth);
            world.connect(fresh, machine);
            world.connect(full, machine);
            machine
        });
        world.connect(fresh, full);
        for _ in 0..60 {
            world.run(400);
            world.mine(full);
        }
        world.run(60_000);
        world.assert_agreed([full, fresh, pruned[0], pruned[1]]);
        assert_eq!(status(&world, fresh).unserved, None);
        assert!(world.dropped.is_empty());
        assert!(world.sent["body"] < 600 + 3 * 60 + 50, "{:?}", world.sent);
    }
}

#[test]
fn pruned_peers_alone_are_said_to_be_so_until_a_full_one_comes() {
    let mut world = World::new(one_seed());
    let blocks = world.maker.extend(world.maker.genesis, 200);
    let (pruned, fresh) = (world.add(&blocks, None), world.add(&[], None));
    world.machines[pruned].chain.prune(50);
    world.connect(fresh, pruned);
    world.run(60_000);
    assert_eq!((status(&world, fresh).unserved, status(&world, fresh).headers_height), (Some(1), 200));
    assert_eq!(world.sent.get("get_bodies"), None, "what leads nowhere is not fetched");
    world.mine(pruned);
    world.run(60_000);
    assert_eq!(status(&world, fresh).unserved, Some(1));
    let full = world.add(&blocks, None);
    world.connect(fresh, full);
    world.run(60_000);
    world.assert_agreed([fresh, pruned]);
    assert_eq!(status(&world, fresh).unserved, None);
}

/// It said that it has all so far and prunes; by the time it is asked the first ones are gone.
#[test]
fn a_peer_that_pruned_since_it_spoke_is_asked_once_and_keeps_its_place() {
    let mut world = World::new(one_seed());
    let blocks = world.maker.extend(world.maker.genesis, 200);
    let (pruned, fresh) = (world.add(&blocks, None), world.add(&[], None));
    world.machines[pruned].chain.prune(200);
    world.connect(fresh, pruned);
    world.run(0);
    world.machines[pruned].chain.prune(60);
    world.run(60_000);
    assert_eq!(status(&world, fresh).unserved, Some(1));
    assert!(world.sent["get_bodies"] < 40, "{:?}", world.sent);
    let (asked, full) = (world.sent["get_bodies"], world.add(&blocks[..150], None));
    world.run(60_000);
    assert_eq!(world.sent["get_bodies"], asked);
    world.connect(fresh, full);
    world.run(60_000);
    world.assert_agreed([fresh, pruned]);
}

/// Who says that it prunes and then has nothing is asked for each body once, and nobody waits for it.
#[test]
fn who_only_says_that_it_prunes_holds_up_nobody() {
    let mut world = World::new(one_seed());
    let blocks = world.maker.extend(world.maker.genesis, 300);
    let (full, fresh) = (world.add(&blocks, None), world.add(&[], None));
    let liar = world.add(&blocks, Some(Lie::Misses));
    world.machines[liar].chain.prune(300);
    world.connect(fresh, liar);
    world.run(30_000);
    assert_eq!(status(&world, fresh).unserved, Some(1));
    assert!(world.sent["get_bodies"] <= 300, "{:?}", world.sent);
    world.connect(fresh, full);
    world.run(60_000);
    world.assert_agreed([fresh, full]);
}

#[test]
fn a_branch_that_cannot_be_followed_is_said_and_none_of_its_bodies_fetched() {
    let mut world = World::new(one_seed());
    let base = world.maker.extend(world.maker.genesis, 100);
    let (ours, theirs) = (world.maker.extend(base[99], 60), world.maker.extend(base[99], 70));
    let own = world.add(&[&base[..], &ours[..]].concat(), None);
    let other = world.add(&[&base[..], &theirs[..]].concat(), None);
    let same = world.add(&[&base[..], &ours[..]].concat(), None);
    world.machines[own].chain.prune(50);
    world.connect(own, other);
    world.connect(own, same);
    world.run(60_000);
    assert!(status(&world, own).is_beyond_pruning && !status(&world, same).is_beyond_pruning);
    assert_eq!(world.machines[own].chain.tip_id(), ours[59]);
    assert!(theirs.iter().all(|id| world.machines[own].chain.block(id).is_none()));
    assert!(world.dropped.is_empty());
    // The chain that is here goes on, and once it has more work all is well.
    for _ in 0..12 {
        world.mine(same);
        world.run(2_000);
    }
    world.connect(other, same);
    world.run(60_000);
    world.assert_agreed([own, same, other]);
    assert!(!status(&world, own).is_beyond_pruning);
}
