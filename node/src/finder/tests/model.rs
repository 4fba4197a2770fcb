//! Runs, merges, filters and pages against a sorted set, with random entries.

use std::collections::BTreeSet;

use steelyard_runtime::sled_door::{Door, DoorOptions};

use super::super::entry::Entry;
use super::super::merge::{Merge, Step};
use super::super::run::RunWriter;
use super::super::schema::{CHUNK_ENTRIES, key, sealed};
use super::*;
use steelyard_runtime::sled_door::Batch;

/// A few prefixes with many entries, and many with few.
fn random_entry(random: &mut Random) -> Entry {
    let prefix = match random.below(3) {
        0 => random.below(4),
        1 => 1 << 40 | random.below(1_000),
        _ => random.below(u64::MAX),
    };
    Entry { prefix, position: random.below(1 << 20) }
}

fn written(door: &Door, number: u64, entries: &BTreeSet<Entry>) -> Arc<Run> {
    let mut writer = RunWriter::new(number, entries.len() as u64);
    entries.iter().for_each(|entry| writer.push(door, *entry).unwrap());
    Arc::new(writer.finish(door, 0).unwrap())
}

fn open(dir: &TempDir) -> Door {
    Door::open(&dir.path().join("index"), DoorOptions { cache_bytes: 1 << 20 }).unwrap()
}

/// Compares pages of random prefixes and ranges, in both orders.
fn compare(door: &Door, runs: &[Arc<Run>], model: &BTreeSet<Entry>, random: &mut Random) {
    for _ in 0..200 {
        let prefix = random_entry(random).prefix;
        let (one, other) = (random.below(1 << 20), random.below(1 << 20));
        let (from, to) = if random.below(4) == 0 { (0, u64::MAX) } else { (one, other) };
        let order = [Order::OldestFirst, Order::NewestFirst][random.below(2) as usize];
        let max = [1, 7, 3_000, usize::MAX][random.below(4) as usize];
        let [from, to] = [from, to].map(Position::from_bits);
        let query = Query { key: Key::Assets, from, to, order, max };
        let found = places(door, runs, &query, prefix, Vec::new()).unwrap();
        let inside = |entry: &&Entry| {
            entry.prefix == prefix && (from.to_bits()..=to.to_bits()).contains(&entry.position)
        };
        let mut expected: Vec<_> =
            model.iter().filter(inside).map(|entry| Position::from_bits(entry.position)).collect();
        if order == Order::NewestFirst {
            expected.reverse();
        }
        expected.truncate(max);
        assert_eq!(found, expected, "{prefix} {from}..={to} {order:?} {max}");
    }
}

#[test]
fn runs_and_their_merges_hold_what_a_set_does() {
    let mut random = Random::for_test(7);
    let dir = tempfile::tempdir().unwrap();
    let mut door = open(&dir);
    let (mut runs, mut model, mut number) = (Vec::new(), BTreeSet::new(), 0);
    // Of one entry, of whole chunks exactly, of one more, and of any number.
    let chunk = CHUNK_ENTRIES as u64;
    let any: Vec<u64> = (0..6).map(|_| 1 + random.below(3 * chunk)).collect();
    for count in [1, chunk, chunk + 1, 2 * chunk].into_iter().chain(any) {
        let mut entries = BTreeSet::new();
        while (entries.len() as u64) < count {
            entries.insert(random_entry(&mut random));
            // What another run holds already: it is found once.
            entries.extend(runs.is_empty().then_some(Entry { prefix: 1, position: 5 }));
        }
        if entries.len() as u64 > count {
            entries.pop_last();
        }
        number += 1;
        runs.push(written(&door, number, &entries));
        model.extend(entries);
        compare(&door, &runs, &model, &mut random);
        if runs.len() == 4 {
            number += 1;
            let mut merge = Merge::new(&door, &runs, number).unwrap();
            let merged = loop {
                match merge.step(&door).unwrap() {
                    Step::More(more) => merge = more,
                    Step::Done(run) => break run,
                }
            };
            assert_eq!((merged.mark.level > 0, merged.mark.entries), (true, model.len() as u64));
            runs = vec![Arc::new(merged)];
            compare(&door, &runs, &model, &mut random);
        }
        door.sync().unwrap();
        drop(door);
        door = open(&dir);
        runs = runs.iter().map(|run| Arc::new(Run::load(&door, run.mark).unwrap())).collect();
        compare(&door, &runs, &model, &mut random);
    }
    assert!(door.blobs_empty());
}

#[test]
fn any_value_that_is_another_is_met_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    let door = open(&dir);
    let entries: BTreeSet<Entry> =
        (0..3 * CHUNK_ENTRIES as u64).map(|prefix| Entry { prefix, position: 9 }).collect();
    let run = written(&door, 1, &entries);
    let look = || {
        let run = Run::load(&door, run.mark)?;
        (0..3).try_for_each(|chunk| {
            let prefix = chunk * CHUNK_ENTRIES as u64;
            let found = run.positions(&door, prefix, &(0..=u64::MAX), (Order::OldestFirst, 9))?;
            assert_eq!(found, [9]);
            Ok::<_, StoreError>(())
        })
    };
    look().unwrap();
    for at in run.mark.keys() {
        let good = door.get(at).unwrap().unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        // The last is what another key holds, which is whole in itself.
        let moved = sealed(&key(schema::Space::Run, 9, 9), good[..good.len() - 8].to_vec());
        for bad in [None, Some(flipped), Some(good[..7].to_vec()), Some(moved)] {
            let mut batch = Batch::new();
            match bad {
                Some(bad) => batch.put(at, bad),
                None => batch.remove(at),
            }
            door.write(batch).unwrap();
            assert!(matches!(look(), Err(StoreError::Damaged { .. })), "{at:?}");
        }
        let mut batch = Batch::new();
        batch.put(at, good);
        door.write(batch).unwrap();
    }
    look().unwrap();
}
