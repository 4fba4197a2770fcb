//! Copies of a store that is being written to, and what comes back of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use steelyard_core::hash::{Address, FullId, StateRoot};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record};
use steelyard_node::backup::{self, BackupError, MANIFEST_FILE, Manifest, NETWORK_FILE};
use steelyard_node::chain::load;
use steelyard_node::chain::view::Moment;
use steelyard_node::limits::PRUNE_STEP;
use steelyard_node::store::Commit;
use steelyard_node::store::checkpoint::{self, Mark};
use steelyard_node::store::log::LogRecord;
use steelyard_node::store::schema::Space;
use steelyard_node::store::{STORE_FOLDER, Store};
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::{Launch, node_command, wait_until};
use steelyard_tests::random::Random;

use super::*;

/// Backups that are made under load.
const ROUNDS: usize = 6;
/// Senders of payments.
const PAYERS: usize = 3;

/// The highest nonce of each sender that was acknowledged, and so must be confirmed or pending.
type Paid = Mutex<BTreeMap<Address, u64>>;

/// Pays, and now and then replaces what it paid last by a dearer payment of the same nonce.
fn pay(node: &InProcess, payer: usize, stop: &AtomicBool, paid: &Paid) {
    let account = Account::dev(payer);
    let network = node.chain.shared.network;
    let payment = |nonce: u64, fee: u64| {
        let terms = Terms::of_nonce(nonce).fee(fee);
        account.pay_bytes(network, terms, vec![coins(Account::numbered(nonce).address, 1)])
    };
    for nonce in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        submit(node, &payment(nonce, 1_000));
        paid.lock().unwrap().insert(account.address, nonce);
        if nonce % 3 == 0 {
            let dearer = payment(nonce, 5_000);
            let tx = steelyard_core::consensus::transaction::shape(&network, &dearer).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            // Refused means that a block was quicker.
            let _ = runtime.block_on(node.chain.submit_tx(tx.verify().unwrap()));
        }
    }
}

/// The store that came back is the source up to the backup's commit, and nothing else.
fn assert_same(source: &Store, restored: &Store, moment: &Moment) {
    let seq = moment.seq;
    assert_eq!(restored.last(Space::Log).unwrap(), seq);
    for seq in 1..=seq {
        let log = source.log(seq).unwrap();
        assert_eq!(restored.log(seq).unwrap(), log, "log of commit {seq}");
        assert_eq!(
            restored.find_delta(seq).unwrap(),
            source.find_delta(seq).unwrap(),
            "delta of commit {seq}"
        );
        let mut offset = 0;
        for (_, length) in log.received {
            let place = steelyard_node::store::BodyPlace { seq, offset, length };
            assert_eq!(restored.body(&place).unwrap(), source.body(&place).unwrap(), "body of commit {seq}");
            offset += u64::from(length);
        }
    }
    assert_eq!(
        restored.checkpoint().unwrap().map(|mark| (mark.seq, root_of(restored, &mark))),
        Some((seq, moment.state.root()))
    );
}

fn full_ids(moment: &Moment) -> BTreeSet<FullId> {
    moment.pending.iter().map(|tx| tx.full_id()).collect()
}

/// Whatever was acknowledged before the backup began is confirmed in it, or pending.
fn assert_paid(paid: &BTreeMap<Address, u64>, restored: &Moment) {
    for (address, nonce) in paid {
        let account = restored.state.get(&Key::Account(*address));
        let confirmed = match account {
            Some(Record::Account { nonce, .. }) => *nonce,
            _ => 0,
        };
        let pending: BTreeSet<u64> = restored
            .pending
            .iter()
            .map(|tx| &tx.tx().body)
            .filter(|body| body.sender == *address)
            .map(|body| body.nonce)
            .collect();
        for nonce in confirmed..=*nonce {
            assert!(
                pending.contains(&nonce),
                "payment {nonce} of {address} is neither confirmed nor pending"
            );
        }
    }
}

/// The root of a checkpoint's state.
fn root_of(store: &Store, mark: &Mark) -> StateRoot {
    checkpoint::build(store.checkpoint_records(mark).unwrap()).unwrap().root()
}

#[test]
fn a_backup_under_load_comes_back_as_of_one_commit_with_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    fs::create_dir(&data_dir).unwrap();
    let params = Params::dev();
    let node = InProcess::open(&params, &data_dir.join(STORE_FOLDER));
    let (stop, paid) = (AtomicBool::new(false), Paid::default());
    std::thread::scope(|scope| {
        for payer in 1..=PAYERS {
            let (node, stop, paid) = (&node, &stop, &paid);
            scope.spawn(move || pay(node, payer, stop, paid));
        }
        scope.spawn(|| {
            let mut blocks = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                node.mine(Account::numbered(9).address);
                blocks += 1;
                if blocks.is_multiple_of(8) {
                    // A checkpoint replaces the one before while backups are made.
                    let (state, seq) = {
                        let view = node.chain.shared.read();
                        (view.state(), view.seq())
                    };
                    node.chain.store.write_checkpoint(&state, seq).unwrap();
                }
            }
        });
        for round in 0..ROUNDS {
            let acknowledged = paid.lock().unwrap().clone();
            let moment = node.chain.moment().unwrap();
            let (dir, to) =
                (folder.path().join(format!("b{round}")), folder.path().join(format!("r{round}")));
            let made = backup::write(&params, &node.chain.store, &moment, (&data_dir, &dir), &mut |_, _| ());
            let made = made.unwrap();
            assert_eq!(
                (made.seq, made.tip, made.pending),
                (moment.seq, moment.tip.id, moment.pending.len() as u64)
            );
            assert_eq!(backup::restore(params.clone(), &dir, &to, &mut |_, _| ()).unwrap(), made);
            let restored = open(&params, &to);
            assert_same(&node.chain.store, &restored, &moment);
            let loaded = load::load(params.clone(), &restored).unwrap();
            assert!(
                !loaded.rebuilt && loaded.unsaved_records == 0,
                "a restored store starts without replaying"
            );
            let found = Moment::of(&loaded.shared.read());
            assert_eq!(
                (found.seq, found.tip.id, found.state.root()),
                (moment.seq, moment.tip.id, moment.state.root())
            );
            assert_eq!(full_ids(&found), full_ids(&moment), "what is pending");
            assert_paid(&acknowledged, &found);
            drop(restored);
            verified(&params, &to);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Blocks come while it is copied, and those that are too deep by then are still in the copy.
#[test]
fn what_would_be_pruned_while_it_is_copied_waits_for_the_copy() {
    const KEPT: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, dir, to) =
        (folder.path().join("node"), folder.path().join("copy"), folder.path().join("restored"));
    fs::create_dir(&data_dir).unwrap();
    let params = Params::dev();
    let node = InProcess::open_pruning(&params, &data_dir.join(STORE_FOLDER), Some(KEPT));
    let mine = |blocks: u64| (0..blocks).for_each(|_| drop(node.mine(Account::numbered(9).address)));
    let bodies_from = || node.chain.shared.read().index().bodies_from();
    let pruned_up_to = |height: u64| {
        let what = || format!("pruned up to {height}, only {}", bodies_from());
        wait_until(what, || (bodies_from() + KEPT + PRUNE_STEP > height).then_some(()));
    };
    mine(100);
    pruned_up_to(100);
    let before = bodies_from();
    assert!(before > 0);
    let mut copied = 0;
    let made = backup::of_running(&node.chain, (&data_dir, &dir), &mut |_, _| {
        if copied == 0 {
            mine(100);
        }
        copied += 1;
    });
    assert!(copied > 0);
    pruned_up_to(200);
    assert_eq!(backup::restore(params.clone(), &dir, &to, &mut |_, _| ()).unwrap(), made.unwrap());
    assert_eq!(open(&params, &to).bodies_from().unwrap(), before);
    verified(&params, &to);
}

/// What a command that is not committed yet took out of the pool is still what is stored.
#[test]
fn a_moment_shows_what_is_stored_while_the_chain_thread_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let node = InProcess::open(&Params::dev(), &folder.path().join(STORE_FOLDER));
    let (account, network) = (Account::dev(1), node.chain.shared.network);
    let payment = |nonce: u64, fee: u64| {
        let terms = Terms::of_nonce(nonce).fee(fee);
        account.pay_bytes(network, terms, vec![coins(Account::dev(2).address, 1)])
    };
    for nonce in 0..300 {
        submit(&node, &payment(nonce, 1_000));
        let dearer = steelyard_core::consensus::transaction::shape(&network, &payment(nonce, 5_000)).unwrap();
        let mut queued = Box::pin(node.chain.submit_txs(vec![dearer.verify().unwrap()]));
        // Once: it is in the queue now, and the thread takes it when it comes to it.
        let _ = queued.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let moment = node.chain.moment().unwrap();
        let same = moment.pending.iter().filter(|tx| tx.tx().body.nonce == nonce).count();
        assert_eq!(same, 1, "payment {nonce}: neither the one that was stored nor the one in its place");
    }
}

#[test]
fn a_restored_node_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to, dir) = (folder.path().join("from"), folder.path().join("to"), folder.path().join("copy"));
    let chain = story();
    feed(chain.params(), &from, chain.blocks().take(10));
    let store = open(chain.params(), &from);
    let log = LogRecord { tip: store.tip().unwrap().unwrap(), ..LogRecord::default() };
    let commit = Commit { log, peers: Some(vec![7; 40_000]), ..Commit::default() };
    store.commit(store.last(Space::Log).unwrap() + 1, &commit).unwrap();
    drop(store);
    backup::of_stopped(chain.params().clone(), &from, &dir, &mut |_, _| ()).unwrap();
    backup::restore(chain.params().clone(), &dir, &to, &mut |_, _| ()).unwrap();
    assert_eq!(open(chain.params(), &to).peers().unwrap(), Some(vec![7; 40_000]));
    feed(chain.params(), &to, chain.blocks().skip(10));
    let report = verified(chain.params(), &to);
    assert_eq!((report.blocks, report.pending), (12, 1));
}

/// A small backup of a network with a file of its own.
fn small(folder: &Path) -> (Params, std::path::PathBuf) {
    let mut params = Params::new_network("small", 1, 1_000);
    params.start_bits = Params::dev().start_bits;
    params.allocations = Params::dev().allocations;
    let mut chain = Chain::new(params.clone());
    chain.pay(&Account::dev(0), Account::dev(1).address, 3);
    chain.mine(2);
    let (from, dir) = (folder.join("from"), folder.join("copy"));
    feed(&params, &from, chain.blocks());
    backup::of_stopped(params.clone(), &from, &dir, &mut |_, _| ()).unwrap();
    (params, dir)
}

/// The backup is refused, the file is named, nothing is in place.
fn assert_refused(params: &Params, dir: &Path, file: &str, what: &str) {
    let to = dir.with_extension("to");
    let error = backup::restore(params.clone(), dir, &to, &mut |_, _| ()).expect_err(what);
    assert!(!to.join(STORE_FOLDER).exists(), "{what}: something was put in place");
    let error = CliError::from(error);
    assert_eq!(error.exit, ExitCode::Damaged, "{what}: {error}");
    assert!(error.message.contains(file), "{what}: {error}");
}

#[test]
fn a_backup_of_which_anything_is_changed_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (params, dir) = small(folder.path());
    let mut random = Random::for_test(10);
    for file in ["data-00001", NETWORK_FILE, MANIFEST_FILE] {
        let path = dir.join(file);
        let whole = fs::read(&path).unwrap();
        // Of the manifest every byte: its checksum is its own.
        let step = if file == MANIFEST_FILE { 1 } else { whole.len() / 100 };
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << random.below(8);
            fs::write(&path, &bytes).unwrap();
            assert_refused(&params, &dir, file, &format!("{file} with byte {at} changed"));
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_refused(&params, &dir, file, &format!("{file} of {length} bytes"));
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert_refused(&params, &dir, file, &format!("{file} with a byte more"));
        fs::remove_file(&path).unwrap();
        // Without a manifest it is the folder that is no backup.
        assert_refused(
            &params,
            &dir,
            if file == MANIFEST_FILE { "manifest" } else { file },
            "a missing file",
        );
        fs::write(&path, &whole).unwrap();
    }
    let manifest = backup::restore(params, &dir, &dir.with_extension("to"), &mut |_, _| ()).unwrap();
    assert_eq!(manifest, Manifest::read(&dir).unwrap());
}

/// Whole by its checksums, and not the chain that the manifest names.
#[test]
fn a_backup_whose_manifest_is_of_another_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let copy = |name: &str, blocks: usize| {
        let (from, dir) = (folder.path().join(name), folder.path().join(format!("{name}.copy")));
        feed(chain.params(), &from, chain.blocks().take(blocks));
        backup::of_stopped(chain.params().clone(), &from, &dir, &mut |_, _| ()).unwrap();
        dir
    };
    let (short, long) = (copy("short", 6), copy("long", 7));
    let mixed: Manifest =
        Manifest { files: Manifest::read(&short).unwrap().files, ..Manifest::read(&long).unwrap() };
    let text = serde_json::to_vec(&mixed).unwrap();
    let sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&text));
    let sealed = format!("{{\"manifest\":{},\"sha256\":\"{sha256}\"}}\n", String::from_utf8(text).unwrap());
    fs::write(short.join(MANIFEST_FILE), sealed).unwrap();
    assert_refused(chain.params(), &short, "not what the manifest says", "a manifest of another chain");
}

#[test]
fn a_backup_goes_nowhere_but_into_an_empty_folder_and_a_restore_into_one_without_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (params, dir) = small(folder.path());
    let from = folder.path().join("from");
    let refused = backup::of_stopped(params.clone(), &from, &dir, &mut |_, _| ()).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    let refused = backup::restore(params.clone(), &dir, &from, &mut |_, _| ()).unwrap_err();
    assert!(matches!(refused, BackupError::HoldsChain { .. }), "{refused}");
    let refused =
        backup::restore(Params::dev(), &dir, &folder.path().join("new"), &mut |_, _| ()).unwrap_err();
    let refused = CliError::from(refused);
    assert_eq!(refused.exit, ExitCode::Usage);
    let hint = refused.hint.unwrap();
    assert!(hint.ends_with(plain(&dir.join(NETWORK_FILE))), "{hint}");
    // With its own file it is whole on any machine.
    let file = dir.join(NETWORK_FILE);
    let words = ["restore", plain(&dir), "--network", plain(&file)];
    done(&command(&words, &folder.path().join("elsewhere")));
    verified(&params, &folder.path().join("elsewhere"));
}

#[test]
fn a_running_node_is_backed_up_by_command_and_its_copy_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, dir) = (folder.path().join("node"), folder.path().join("copy"));
    let mut node = Launch::dev(&data_dir, &["--mine-on-tx"]).start();
    let account = Account::dev(1);
    let mut ids = Vec::new();
    for nonce in 0..5 {
        let payments = vec![coins(Account::dev(2).address, 1)];
        let tx = account.pay(Params::dev().network_id(), Terms::of_nonce(nonce), payments);
        assert_eq!(node.api.submit(&tx.to_bytes()).status, 200);
        ids.push(tx.body.id().to_string());
    }
    // Only the operator may have it write anything, and only where is said in full.
    let token = fs::read_to_string(node.ready["token_file"].as_str().unwrap()).unwrap();
    let orders = [
        ("/backup", serde_json::json!({ "dir": "copy" })),
        ("/export", serde_json::json!({ "file": "copy", "from": 1 })),
    ];
    for (path, body) in orders {
        assert_eq!(node.api.post_as("0", path, &body).status, 401, "{path}");
        assert_eq!(node.api.post_as(token.trim(), path, &body).code(), "invalid_path", "{path}");
    }
    // Relative paths are those of whoever runs the command.
    let words = ["backup", "copy", "--json", "--data-dir", plain(&data_dir)];
    let made = done(&node_command(&words).current_dir(folder.path()).output().unwrap());
    assert_eq!(refused(&command(&["backup", plain(&dir)], &data_dir)), (Some(6), "not_empty".into()));
    let again = done(&command(&["backup", plain(&folder.path().join("again"))], &data_dir));
    assert!(again["seq"].as_u64() >= made["seq"].as_u64());
    node.kill();
    let to = folder.path().join("to");
    let restored = done(&command(&["restore", plain(&dir)], &to));
    assert_eq!(restored, made);
    let mut node = Launch::dev(&to, &["--mine", "off"]).start();
    let tip = node.api.get("/blocks/tip").json;
    assert_eq!((&tip["id"], &tip["height"]), (&made["tip"], &made["height"]));
    for id in &ids {
        assert_eq!(node.api.get(&format!("/tx/{id}")).status, 200, "{id}");
    }
    node.kill();
}

#[test]
fn a_kill_at_each_step_of_a_backup_or_a_restore_leaves_nothing_half() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let (from, dir) = (folder.path().join("from"), folder.path().join("copy"));
    feed(chain.params(), &from, chain.blocks());
    for (place, step) in ["backup.commit_copied@5", "backup.before_manifest"].iter().enumerate() {
        let half = folder.path().join(format!("half-{place}"));
        killed(&["backup", plain(&half)], &from, step);
        let to = folder.path().join("to");
        assert_eq!(refused(&command(&["restore", plain(&half)], &to)), (Some(8), "no_manifest".into()));
    }
    done(&command(&["backup", plain(&dir)], &from));
    let steps = [
        "restore.checked",
        "commit.after_apply",
        "store.before_rename",
        "restore.batch_written",
        "restore.filled",
        "build.before_place",
        "build.after_place",
    ];
    for step in steps {
        let to = folder.path().join(step);
        killed(&["restore", plain(&dir)], &to, step);
        let again = command(&["restore", plain(&dir)], &to);
        if step == "build.after_place" {
            assert_eq!(refused(&again), (Some(6), "chain_exists".into()));
        } else {
            done(&again);
        }
        let report = verified(chain.params(), &to);
        assert_eq!((report.blocks, report.pending), (12, 1), "{step}");
        assert!(!to.join("chain.building").exists());
    }
}
