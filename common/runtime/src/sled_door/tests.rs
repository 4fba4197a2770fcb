//! The door against what it guards from: cut snapshots, damaged files, lost syncs, reopens.

use super::*;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const OPTIONS: DoorOptions = DoorOptions { cache_bytes: 16 * 1024 * 1024 };

fn opened(dir: &Path) -> Door {
    Door::open(dir, OPTIONS).unwrap()
}

fn key(number: u64) -> [u8; 9] {
    let mut key = [0x50; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn batch_of(numbers: std::ops::Range<u64>, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    for number in numbers {
        batch.put(key(number), value);
    }
    batch
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill(bytes.as_mut_slice());
    bytes
}

#[test]
fn what_is_committed_is_there_after_drop_and_open() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/store");
    let door = opened(&folder);
    door.write(batch_of(0..1, b"body")).unwrap();
    let mut batch = Batch::new();
    batch.put(b"tip", b"1");
    batch.put(b"gone", b"x");
    batch.remove(b"gone");
    assert_eq!((batch.len(), batch.bytes()), (3, 13));
    door.commit(batch).unwrap();
    assert_eq!(door.bytes_written(), 13 + 13);
    drop(door);
    let door = opened(&folder);
    assert_eq!(door.get(b"tip").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(door.get(key(0)).unwrap().as_deref(), Some(&b"body"[..]));
    assert_eq!(door.get(b"gone").unwrap(), None);
    assert_eq!(door.bytes_written(), 0);
    assert!(door.disk_bytes() > 0);
    assert_eq!(door.dir(), folder);
}

#[test]
fn pages_and_last_entries_agree_with_a_map() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    let mut random = StdRng::seed_from_u64(7);
    let mut map = BTreeMap::new();
    for _ in 0..40 {
        let mut batch = Batch::new();
        for _ in 0..50 {
            let key = key(random.random_range(0..500));
            if random.random_bool(0.3) {
                map.remove(&key);
                batch.remove(key);
            } else {
                let value = noise(random.random(), random.random_range(0..300));
                map.insert(key, value.clone());
                batch.put(key, value);
            }
        }
        door.commit(batch).unwrap();
        let (from, to) = (key(random.random_range(0..600)), key(random.random_range(0..600)));
        let within = |from: [u8; 9], to: [u8; 9]| -> Vec<Entry> {
            let inside = map.iter().filter(|(key, _)| **key >= from && **key <= to);
            inside.map(|(key, value)| (key.to_vec(), value.clone())).collect()
        };
        let limit = random.random_range(0..200);
        let page: Vec<Entry> = within(from, to).into_iter().take(limit).collect();
        assert_eq!(door.scan(from..=to, limit).unwrap(), page);
        assert_eq!(door.last_in(from..=to).unwrap(), within(from, to).pop());
        assert_eq!(door.get(from).unwrap().as_ref(), map.get(&from));
    }
}

#[test]
fn a_snapshot_cut_short_does_not_brick_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    door.commit(batch_of(0..100, b"value")).unwrap();
    drop(door);
    let cut = dir.path().join("snap.00000000FFFFFFFF.generating");
    fs::write(&cut, b"half").unwrap();
    let door = opened(dir.path());
    assert!(!cut.exists());
    assert_eq!(door.scan(key(0)..=key(u64::MAX), 1000).unwrap().len(), 100);
    fs::write(&cut, b"half").unwrap();
    door.reopen().unwrap();
    assert!(!cut.exists());
    assert_eq!(door.get(key(99)).unwrap().as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_file_of_garbage_is_damage_and_stays_damage() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), noise(1, 100_000)).unwrap();
    for _ in 0..2 {
        let error = Door::open(dir.path(), OPTIONS).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}

#[test]
fn damaged_pages_and_settings_never_panic() {
    let mut refused = 0;
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let door = opened(dir.path());
        for number in 0..20 {
            door.commit(batch_of(number * 50..number * 50 + 50, &noise(number, 500))).unwrap();
        }
        // The snapshot of the reopen vouches for these pages; without one sled would roll back.
        door.reopen().unwrap();
        drop(door);
        for hit in 0..20 {
            overwrite(&dir.path().join("db"), 20_000 + 25_000 * hit + 997 * seed, &noise(seed, 4096));
        }
        match Door::open(dir.path(), OPTIONS) {
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(door) => match door.scan(key(0)..=key(u64::MAX), 10_000) {
                Err(StoreError::Damaged { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
                Ok(entries) => assert!(entries.len() <= 1000),
            },
        }
    }
    assert!(refused > 0);
    let dir = tempfile::tempdir().unwrap();
    drop(opened(dir.path()));
    overwrite(&dir.path().join("conf"), 0, b"\xff\xff\xff");
    assert!(matches!(Door::open(dir.path(), OPTIONS), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_file_of_zeros_is_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), vec![0; 10_000]).unwrap();
    assert_eq!(opened(dir.path()).scan(key(0)..=key(u64::MAX), 1).unwrap(), []);
}

#[test]
fn a_store_in_use_is_locked_and_its_files_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    let being_written = dir.path().join("snap.00000000FFFFFFFF.generating");
    fs::write(&being_written, b"half").unwrap();
    assert!(matches!(Door::open(dir.path(), OPTIONS), Err(OpenError::Locked { .. })));
    assert!(being_written.exists());
    drop(door);
    opened(dir.path());
}

#[test]
fn what_the_machine_refuses_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    fs::write(&taken, "a file").unwrap();
    assert!(matches!(Door::open(&taken, OPTIONS), Err(OpenError::Io { .. })));
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let sorted = OpenError::from_engine(&taken, sled::Error::Io(denied));
    assert!(matches!(sorted, OpenError::Io { .. }));
}

#[test]
fn a_reopen_keeps_content_and_starts_the_count_again() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    for round in 0..3 {
        door.write(batch_of(round * 10..round * 10 + 10, &[7; 1000])).unwrap();
        assert!(door.bytes_written() > 10_000);
        door.reopen().unwrap();
        assert_eq!(door.bytes_written(), 0);
        let count = door.scan(key(0)..=key(u64::MAX), 1000).unwrap().len();
        assert_eq!(count as u64, round * 10 + 10);
    }
}

/// All of it was read, and is more than sled was told to keep.
#[cfg(target_os = "linux")]
#[test]
fn what_is_read_does_not_stay() {
    const MIB: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    let values: u64 = 448 * MIB / VALUE_BYTES_MAX as u64;
    for first in (0..values).step_by(64) {
        door.write(batch_of(first..(first + 64).min(values), &[7; VALUE_BYTES_MAX])).unwrap();
    }
    door.reopen().unwrap();
    let resident = || {
        crate::process::give_memory_back();
        crate::process::resident_bytes().expect("this system says it") / MIB
    };
    let before = resident();
    for number in (0..values).rev() {
        assert!(door.get(key(number)).unwrap().is_some());
    }
    let after_gets = resident();
    let pages = (0..values).step_by(16);
    let read = pages.map(|first| door.scan(key(first)..=key(values), 16).unwrap().len() as u64).sum::<u64>();
    assert_eq!(read, values);
    let after_scans = resident();
    println!("{before}, then {after_gets} and {after_scans} MiB");
    assert!(after_gets < before + 300 && after_scans < before + 300);
}

#[test]
fn readers_and_a_writer_go_on_through_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    door.commit(batch_of(0..100, b"old")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    assert_eq!(door.scan(key(0)..=key(99), 1000).unwrap().len(), 100);
                    assert!(door.get(key(42)).unwrap().is_some());
                }
            });
        }
        let writer = scope.spawn(|| {
            for number in 100..150 {
                door.commit(batch_of(number..number + 1, b"new")).unwrap();
            }
        });
        for _ in 0..5 {
            door.reopen().unwrap();
        }
        writer.join().unwrap();
        stop.store(true, Ordering::Release);
    });
    assert_eq!(door.scan(key(0)..=key(u64::MAX), 1000).unwrap().len(), 150);
}

#[test]
fn a_failed_commit_closes_the_door_for_writing() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    door.commit(batch_of(0..1, b"safe")).unwrap();
    door.fail_next_sync.store(true, Ordering::Release);
    assert!(matches!(door.commit(batch_of(1..2, b"lost?")), Err(StoreError::Io { .. })));
    assert!(door.is_poisoned());
    assert!(matches!(door.commit(batch_of(2..3, b"x")), Err(StoreError::Poisoned)));
    assert!(matches!(door.write(batch_of(2..3, b"x")), Err(StoreError::Poisoned)));
    assert!(matches!(door.sync(), Err(StoreError::Poisoned)));
    assert!(matches!(door.reopen(), Err(OpenError::Poisoned { .. })));
    assert_eq!(door.get(key(0)).unwrap().as_deref(), Some(&b"safe"[..]));
    drop(door);
    let door = opened(dir.path());
    assert_eq!(door.get(key(0)).unwrap().as_deref(), Some(&b"safe"[..]));
    assert_eq!(door.get(key(2)).unwrap(), None);
    door.commit(batch_of(2..3, b"x")).unwrap();
}

#[test]
fn too_large_a_value_refuses_its_whole_batch_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    let refused = door.commit(Batch::oversized(b"k"));
    assert!(matches!(refused, Err(StoreError::ValueTooLarge { .. })));
    assert_eq!(door.get(b"k").unwrap(), None);
    door.commit(batch_of(0..1, &[1; VALUE_BYTES_MAX])).unwrap();
}

#[test]
#[should_panic(expected = "a value of 32769 bytes")]
#[cfg(debug_assertions)]
fn too_large_a_value_stops_a_debug_build() {
    Batch::new().put(b"k", [0; VALUE_BYTES_MAX + 1]);
}

#[test]
fn the_largest_values_never_reach_the_blobs_folder() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    for round in 0..30 {
        door.write(batch_of(round * 32..round * 32 + 32, &noise(round, VALUE_BYTES_MAX))).unwrap();
    }
    for round in 0..10 {
        door.write(batch_of(round * 96..round * 96 + 8, &noise(99, VALUE_BYTES_MAX))).unwrap();
    }
    door.sync().unwrap();
    assert!(door.blobs_empty());
    door.reopen().unwrap();
    assert!(door.blobs_empty());
    let last = door.last_in(key(0)..=key(u64::MAX)).unwrap().unwrap();
    assert_eq!(last, (key(959).to_vec(), noise(29, VALUE_BYTES_MAX)));
    fs::write(dir.path().join("blobs/1"), "x").unwrap();
    assert!(!door.blobs_empty());
}

#[test]
fn a_leaked_door_keeps_its_lock_and_its_committed_content() {
    let dir = tempfile::tempdir().unwrap();
    let door = opened(dir.path());
    door.commit(batch_of(0..1, b"safe")).unwrap();
    door.leak();
    assert!(matches!(Door::open(dir.path(), OPTIONS), Err(OpenError::Locked { .. })));
    let copy = tempfile::tempdir().unwrap();
    for name in ["conf", "db"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(opened(copy.path()).get(key(0)).unwrap().as_deref(), Some(&b"safe"[..]));
}

#[cfg(unix)]
#[test]
fn a_new_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let door = opened(&dir.path().join("store"));
    let mode = fs::metadata(door.dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
