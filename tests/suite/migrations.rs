//! Frozen stores of every version are brought to the present one: what comes out is what this
//! version's own program would have written, byte for byte, whatever was killed on the way. The
//! present version is frozen too: `STEELYARD_GOLDEN=write cargo test -p steelyard-tests migrations`
//! writes it anew, on purpose alone and never after a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use steelyard_core::hash::NetworkId;
use steelyard_core::params::Params;
use steelyard_migrations::{Layout, node, wallet};
use steelyard_node::store::schema::{Space, key};
use steelyard_node::store::{Store, StoreOpenError};
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::sled_door::Entry;
use steelyard_tests::frozen::{self, WALLET_NETWORK, entries, store_of};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::node_command;
use steelyard_tests::random::Random;
use steelyard_wallet::intent::State;
use steelyard_wallet::store::Store as WalletStore;
use tempfile::TempDir;

/// A start with an upgrade of a small store is over by then.
const UPGRADE_MICROS_MAX: u64 = 60_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/fixtures").join(name)
}

fn frozen_entries(name: &str) -> Vec<Entry> {
    frozen::from_bytes(&fs::read(fixture(name)).unwrap())
}

/// Everything but who wrote it, which goes with the program and not with the content.
fn content(layout: &Layout, dir: &Path) -> Vec<Entry> {
    entries(dir).into_iter().filter(|(key, _)| key != layout.writer_key).collect()
}

fn assert_same(found: &[Entry], expected: &[Entry]) {
    let keys = |entries: &[Entry]| entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for ((key, found), (_, expected)) in found.iter().zip(expected) {
        assert!(found == expected, "the value of {}", hex::encode(key));
    }
}

/// A node's folder with the frozen store of version 0.
fn old_node() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("chain");
    store_of(&dir, &frozen_entries("node-0.entries"));
    (folder, dir)
}

fn network() -> NetworkId {
    Params::dev().network_id()
}

#[test]
fn the_present_version_is_as_it_was_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let (node_dir, wallet_dir) = (folder.path().join("chain"), folder.path().join("store"));
    frozen::tell_node(&node_dir);
    frozen::tell_wallet(&wallet_dir);
    for (layout, dir, program) in [(node::LAYOUT, node_dir, "node"), (wallet::LAYOUT, wallet_dir, "wallet")] {
        let file = fixture(&format!("{program}-{}.entries", layout.version()));
        let found = content(&layout, &dir);
        if std::env::var_os("STEELYARD_GOLDEN").is_some_and(|text| text == "write") {
            fs::write(&file, frozen::to_bytes(&found)).unwrap();
        }
        assert_same(&found, &frozen::from_bytes(&fs::read(&file).unwrap()));
    }
}

#[test]
fn a_nodes_store_of_version_0_becomes_what_a_fresh_one_is() {
    let (folder, dir) = old_node();
    drop(Store::open(&dir, &network()).unwrap());
    let fresh = folder.path().join("fresh");
    let chain = frozen::tell_node(&fresh);
    assert_same(&content(&node::LAYOUT, &dir), &content(&node::LAYOUT, &fresh));
    // The old one is the backup.
    assert_same(&entries(&folder.path().join("chain.v0")), &frozen_entries("node-0.entries"));
    let node = InProcess::open(&Params::dev(), &dir);
    let view = node.chain.shared.read();
    assert_eq!((view.tip().id, view.state().root()), (chain.tip().id, chain.state().root()));
    assert_eq!(view.pending_all().count(), 2);
}

#[test]
fn a_wallets_store_of_version_0_becomes_what_a_fresh_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, fresh) = (folder.path().join("store"), folder.path().join("fresh"));
    store_of(&dir, &frozen_entries("wallet-0.entries"));
    frozen::tell_wallet(&fresh);
    fs::copy(fresh.join("commits"), dir.join("commits")).unwrap();
    let store = WalletStore::open(&dir, &WALLET_NETWORK).unwrap();
    let state = |id: &str| store.by_id(&frozen::WALLET, &id.parse().unwrap()).unwrap().unwrap().state;
    assert_eq!((state("id-1"), state("id-4")), (State::Intended {}, State::Cancelled {}));
    assert_eq!(
        (store.addresses(&frozen::WALLET).unwrap(), store.next_seq(&frozen::WALLET).unwrap()),
        (Some(3), 7)
    );
    assert!(store.snapshot().unwrap().is_some());
    drop(store);
    assert_same(&content(&wallet::LAYOUT, &dir), &content(&wallet::LAYOUT, &fresh));
    assert_same(&entries(&folder.path().join("store.v0")), &frozen_entries("wallet-0.entries"));
    // Its witness of how many commits there were came with it.
    assert_eq!(fs::read(dir.join("commits")).unwrap(), fs::read(fresh.join("commits")).unwrap());
}

#[test]
fn a_kill_at_each_step_of_an_upgrade_is_made_good_by_the_next_start() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let fresh = tempfile::tempdir().unwrap();
    frozen::tell_node(&fresh.path().join("chain"));
    let expected = content(&node::LAYOUT, &fresh.path().join("chain"));
    let writes = ["upgrade.write@1", "upgrade.write@2", "upgrade.write@5", "upgrade.write@8"];
    let ends = ["before_version", "before_renames", "between_renames", "after_renames"];
    let ends = ends.map(|step| format!("upgrade.{step}"));
    for step in writes.into_iter().chain(ends.iter().map(String::as_str)) {
        let (folder, dir) = old_node();
        let verify = |failpoint: Option<&str>| {
            let data_dir = folder.path().to_str().unwrap();
            let mut command = node_command(&["verify", "--full", "--json", "--network", "dev"]);
            command.args(["--data-dir", data_dir]).envs(failpoint.map(|step| ("STEELYARD_FAILPOINT", step)));
            command.output().unwrap()
        };
        assert_eq!(verify(Some(step)).status.code(), None, "{step}: it should have been ended there");
        // Twice in the same place: what the first attempt has written is gone on from.
        if step.starts_with("upgrade.write") {
            assert_eq!(verify(Some("upgrade.write@1")).status.code(), None, "{step}");
        }
        let output = verify(None);
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stdout));
        assert_same(&content(&node::LAYOUT, &dir), &expected);
        assert!(!folder.path().join("chain.upgrade").exists(), "{step}");
        assert_same(&entries(&folder.path().join("chain.v0")), &frozen_entries("node-0.entries"));
    }
}

/// `STEELYARD_KILLS` says how many (20 unless told). Some come before anything is done, some after all is.
#[test]
fn kills_at_random_moments_of_an_upgrade_are_made_good_by_the_next_start() {
    let kills: usize = std::env::var("STEELYARD_KILLS").map_or(20, |text| text.parse().expect("a number"));
    let mut random = Random::for_test(7);
    let fresh = tempfile::tempdir().unwrap();
    frozen::tell_node(&fresh.path().join("chain"));
    let (expected, old) =
        (content(&node::LAYOUT, &fresh.path().join("chain")), frozen_entries("node-0.entries"));
    let (mut killed, mut within) = (0, 0);
    while killed < kills {
        let (folder, dir) = old_node();
        for _ in 0..1 + random.below(3) {
            let args = ["verify", "--network", "dev", "--data-dir", folder.path().to_str().unwrap()];
            let mut child = node_command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(random.below(UPGRADE_MICROS_MAX)));
            let _ = child.kill();
            let _ = child.wait();
            killed += 1;
            within += usize::from(folder.path().join("chain.upgrade").exists());
        }
        drop(Store::open(&dir, &network()).unwrap());
        assert_same(&content(&node::LAYOUT, &dir), &expected);
        assert_same(&entries(&folder.path().join("chain.v0")), &old);
    }
    println!("{killed} kills, {within} of them while a store was being brought up to date");
}

/// An attempt that was begun from another store is not gone on from.
#[test]
fn an_upgrade_that_another_store_began_is_begun_anew() {
    let (folder, dir) = old_node();
    let aside = folder.path().join("chain.upgrade");
    store_of(&aside, &[(key(Space::Meta, 9, 0).to_vec(), b"another".to_vec()), (vec![0x90], vec![1])]);
    drop(Store::open(&dir, &network()).unwrap());
    let fresh = folder.path().join("fresh");
    frozen::tell_node(&fresh);
    assert_same(&content(&node::LAYOUT, &dir), &content(&node::LAYOUT, &fresh));
}

/// One that nobody finished, of a store that somebody has deleted since.
#[test]
fn a_part_of_an_upgrade_never_becomes_the_store() {
    let (folder, dir) = old_node();
    let begun = [(key(Space::Meta, 9, 0).to_vec(), b"another".to_vec())];
    store_of(&folder.path().join("chain.upgrade"), &begun);
    fs::remove_dir_all(&dir).unwrap();
    let store = Store::open(&dir, &network()).unwrap();
    assert_eq!(store.tip().unwrap(), None);
}

#[test]
fn a_damaged_old_store_is_left_as_it_is_or_made_good() {
    // Without a part of its log nothing can be told.
    for (chunk, damage) in [(0, true), (0, false)] {
        let mut old = frozen_entries("node-0.entries");
        let log = key(Space::Log, 3, chunk).to_vec();
        let place = old.iter().position(|(key, _)| *key == log).unwrap();
        if damage {
            old[place].1.truncate(20)
        } else {
            old[place].1[8..12].fill(9)
        }
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("chain");
        store_of(&dir, &old);
        let error = Store::open(&dir, &network()).err().unwrap();
        assert!(matches!(error, StoreOpenError::Upgrade(_)), "{error}");
        assert!(error.to_string().contains("commit 3"), "{error}");
        assert_eq!(CliError::from(error).exit, ExitCode::Damaged);
        assert_same(&entries(&dir), &old);
    }
    // A delta is made good from the bodies.
    let mut old = frozen_entries("node-0.entries");
    let delta = key(Space::Delta, 2, 0).to_vec();
    old.iter_mut().filter(|(key, _)| *key == delta).for_each(|(_, value)| value.truncate(20));
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("chain");
    store_of(&dir, &old);
    let chain = frozen::tell_node(&folder.path().join("fresh"));
    let node = InProcess::open(&Params::dev(), &dir);
    assert_eq!(node.chain.shared.read().state().root(), chain.state().root());
}
