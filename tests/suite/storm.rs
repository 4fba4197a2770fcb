//! Everything at once, and SIGKILL in the middle of it. Three nodes: one that mines and prunes, of which
//! backups are made all the time; one that mines and keeps everything; one that syncs from the second,
//! from nothing, again and again. All keep indexes, two are paid at, both miners find blocks at the same
//! moments, so that branches win and lose all the time.
//!
//! After each kill the folder as the killed process left it is held against a chain that never crashed:
//! one in this process, fed with the same blocks in the same order of arrival. Tip, state root, history
//! root and what is pending are the same; everything acknowledged is there; the index finds everything.
//!
//! `STEELYARD_KILLS` says how many kills (20 unless told). The moments are random; nothing is asserted
//! about how long anything takes.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_core::hash::{BlockId, FullId, HistoryRoot, StateRoot};
use steelyard_core::history;
use steelyard_core::params::Params;
use steelyard_core::types::body::Body;
use steelyard_node::backup;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::view::Moment;
use steelyard_node::finder::{FinderLimits, INDEX_FOLDER, Position};
use steelyard_node::limits::GROUP_BLOCKS_MAX;
use steelyard_node::store::schema::Space;
use steelyard_node::store::{BodyPlace, STORE_FOLDER, Store};
use steelyard_runtime::network_file;
use steelyard_tests::accounts::Account;
use steelyard_tests::chain::Chain;
use steelyard_tests::indexed::{Indexed, Truth};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::lives::{Payer, Place, assert_paid};
use steelyard_tests::network::{
    FUNDS, free_address, stop, text, wait_for_empty_pool, wait_for_height, wait_for_one_tip,
    wait_until_followed,
};
use steelyard_tests::process::{Launch, run_node};
use steelyard_tests::random::Random;
use steelyard_tests::stored::{copy_folder, store_chain};
use tempfile::TempDir;

/// Between two blocks, in ms: both miners are at it in the same moment.
const SPACING_MS: u64 = 150;
/// Blocks before the storm, so many that there is something to prune and to sync.
const BLOCKS: u64 = 900;
/// Who pays, half of them at each of the two that mine.
const PAYERS: u64 = 4;
const AMOUNT: u64 = COIN / 100;
/// Longest life of a node in ms; some end while they start, or while they sync.
const LIFE_MS_MAX: u64 = 700;
const RECOVERY_MS_MAX: u64 = 80;
const SYNC_MS_MAX: u64 = 400;
/// Blocks that a look goes back at least, and those below the tip that nothing leaves any more.
const RECENT: u64 = 280;
const DEEP: u64 = 60;
/// Backups that wait to be looked at.
const BACKUPS_MAX: usize = 3;
/// Blocks whose bodies are kept by the one that prunes. What it prunes must have been seen, and a look at
/// another one may take a minute on a busy machine, some 400 blocks…
const PRUNE: &str = "600";
/// …beside those since the last look at it after which it is its turn.
const UNSEEN_MAX: u64 = 100;
/// Longest time that a node stays down, in ms, beside that of the look at what is left.
const DOWN_MS_MAX: u64 = 200;

/// Which of the three.
const PRUNES: usize = 0;
const KEEPS: usize = 1;
const SYNCS: usize = 2;

/// The network, and where its nodes are.
struct World {
    folder: TempDir,
    params: Params,
}

impl World {
    /// The chain before the storm is in the folder `base`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut allocations: Vec<_> =
            (0..=PAYERS).map(|number| (Account::numbered(number).address, FUNDS)).collect();
        allocations.sort();
        let params = Params {
            name: "storm".into(),
            prefix: "sy".into(),
            spacing: SPACING_MS,
            allocations,
            ..Params::dev()
        };
        std::fs::write(folder.path().join("network.toml"), network_file::to_toml(&params)).unwrap();
        let mut chain = Chain::new(params.clone());
        for number in 0..BLOCKS / 10 {
            chain.pay(&Account::numbered(PAYERS), Account::numbered(100 + number).address, 1);
            chain.mine(10);
        }
        let world = Self { folder, params };
        store_chain(&world.params, &world.path("base"), chain.blocks().cloned());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn launch(&self, name: &str) -> Launch {
        let launch = Launch::run(&self.path("network.toml"), &self.path(name), &["--discover", "off"]);
        launch.listen(free_address())
    }

    fn verify(&self, name: &str) {
        let (network, folder) = (self.path("network.toml"), self.path(name));
        let (network, folder) = (network.to_str().unwrap(), folder.to_str().unwrap());
        let output = run_node(&["verify", "--full", "--json", "--network", network, "--data-dir", folder]);
        assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The chain that never crashed, of one node.
struct Shadow {
    node: InProcess,
    /// The last commit of the node whose blocks it has.
    followed: u64,
}

impl Shadow {
    /// In a folder that has nothing of the node's, or all up to its last commit.
    fn open(world: &World, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let node = InProcess::open(&world.params, &folder.join(STORE_FOLDER));
        let followed = node.chain.store.last(Space::Log).unwrap();
        Self { node, followed }
    }

    /// Takes the blocks that came to the node since, in their order.
    fn follow(&mut self, store: &Store) {
        let mut run: Vec<UncheckedBlock> = Vec::new();
        let last = store.last(Space::Log).unwrap();
        for seq in self.followed + 1..=last {
            let mut place = BodyPlace { seq, offset: 0, length: 0 };
            for (header, length) in store.log(seq).unwrap().received {
                place.length = length;
                let bytes = store.body(&place).unwrap();
                place.offset += u64::from(length);
                let body = Body::from_bytes(&bytes, bytes.len()).unwrap();
                let goes_on = run.last().is_none_or(|last| last.header.id() == header.prev);
                if !goes_on || run.len() == GROUP_BLOCKS_MAX {
                    self.take(std::mem::take(&mut run));
                }
                run.push(UncheckedBlock { header, body });
            }
        }
        self.take(run);
        self.followed = last;
    }

    /// Takes what is pending at the node, none of which is refused.
    fn admit(&self, pending: &Moment) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for tx in &pending.pending {
            runtime.block_on(self.node.chain.submit_tx((**tx).clone())).expect("what is pending is valid");
        }
    }

    fn take(&self, blocks: Vec<UncheckedBlock>) {
        for verdict in self.node.chain.submit_blocks(blocks, u64::MAX / 2) {
            verdict.expect("what a node stored is good");
        }
    }
}

/// What a chain shows: tip, state root, history root, pending.
#[derive(PartialEq)]
struct Sight {
    height: u64,
    tip: BlockId,
    state_root: StateRoot,
    history_root: HistoryRoot,
    pending: BTreeSet<FullId>,
}

impl std::fmt::Display for Sight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { height, tip, state_root, history_root, pending } = self;
        write!(f, "{height} {tip}, {state_root:?}, {history_root:?}, {} pending", pending.len())
    }
}

impl Sight {
    fn of(node: &InProcess, moment: &Moment) -> Self {
        let view = node.chain.shared.read();
        Self {
            height: moment.tip.header.height,
            tip: moment.tip.id,
            state_root: moment.state.root(),
            history_root: history::root(&view.index().frontier(view.index().tip())),
            pending: moment.pending.iter().map(|tx| tx.full_id()).collect(),
        }
    }
}

/// One of the three with all that is known of it.
struct Subject {
    name: &'static str,
    place: Place,
    shadow: Mutex<Shadow>,
    /// Tips that it has told since the last look.
    told: Mutex<BTreeSet<String>>,
    /// Height at a look up to which nothing leaves its chain again, and the payments up to there.
    deep: Mutex<(u64, HashSet<String>)>,
    /// Folders with backups of it that it has called done, and those of which it has said nothing.
    backups: Mutex<(Vec<PathBuf>, Vec<PathBuf>)>,
}

impl Subject {
    fn new(world: &World, name: &'static str, launch: Launch, base: Option<&str>) -> Self {
        let shadow = world.path(&format!("{name}-shadow"));
        if let Some(base) = base {
            copy_folder(&world.path(base), &world.path(name));
            copy_folder(&world.path(base), &shadow);
        }
        Self {
            name,
            shadow: Mutex::new(Shadow::open(world, &shadow)),
            place: Place::new(launch),
            told: Mutex::default(),
            deep: Mutex::default(),
            backups: Mutex::default(),
        }
    }

    /// Writes down every tip that it tells.
    fn watch(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let told = self.place.api().and_then(|api| api.try_get("/blocks/tip"));
            if let Some(id) = told.and_then(|answer| answer.json["id"].as_str().map(str::to_owned)) {
                lock(&self.told).insert(id);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has backups made, one after the other.
    fn back_up(&self, world: &World, stop: &AtomicBool) {
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
            // Nobody looks at more, and each takes as much room as the chain.
            if lock(&self.backups).0.len() >= BACKUPS_MAX {
                continue;
            }
            let Some((api, token)) = self.place.operator() else { continue };
            let dir = world.path(&format!("backup-{number}"));
            number += 1;
            let order = serde_json::json!({ "dir": dir });
            let answer = api.try_post_as(&token, "/backup", &order);
            let mut backups = lock(&self.backups);
            match answer {
                Some(answer) if answer.status == 200 => backups.0.push(dir),
                other => {
                    assert!(other.is_none_or(|answer| answer.status == 503));
                    backups.1.push(dir);
                }
            }
        }
    }

    /// What the killed process left, after so many payers at it had so much acknowledged.
    fn look(&self, world: &World, payers: &[&Payer]) -> u64 {
        let acknowledged: Vec<String> = payers.iter().flat_map(|payer| payer.acknowledged()).collect();
        let told = std::mem::take(&mut *lock(&self.told));
        let left = world.path(&format!("{}-left", self.name));
        // One that was killed before it made its folder left an empty one.
        std::fs::create_dir_all(&self.place.launch.data_dir).unwrap();
        copy_folder(&self.place.launch.data_dir, &left);
        let mut shadow = lock(&self.shadow);
        // A chain that is opened may commit on its own: what the killed one has committed is read before.
        shadow.follow(&Store::open(&left.join(STORE_FOLDER), &world.params.network_id()).unwrap());
        let opened = Indexed::open(&world.params, &left, FinderLimits::NODE);
        let moment = opened.node.chain.moment().unwrap();
        shadow.admit(&moment);
        let expected = Sight::of(&shadow.node, &shadow.node.chain.moment().unwrap());
        let found = Sight::of(&opened.node, &moment);
        let differ: Vec<_> = expected.pending.symmetric_difference(&found.pending).collect();
        assert!(found == expected, "{}: {found} where {expected} is right; pending: {differ:?}", self.name);
        // All since the last look, and whatever may have been left since.
        let mut deep = lock(&self.deep);
        let recent = found.height.saturating_sub(RECENT);
        let truth = Truth::from(&shadow.node.chain, recent.min(deep.0).max(1));
        let bodies_from = opened.node.chain.shared.read().bodies_from();
        opened.assert_finds(&truth.clone().above(bodies_from));
        deep.0 = found.height.saturating_sub(DEEP);
        let is_deep = |place: &Position| place.height <= deep.0;
        let ids: Vec<_> = truth.txs.iter().filter(|(_, place)| is_deep(place)).collect();
        deep.1.extend(ids.into_iter().map(|(id, _)| id.to_string()));
        let mut kept: HashSet<String> = truth.txs.keys().map(ToString::to_string).collect();
        kept.extend(moment.pending.iter().map(|tx| tx.tx().body.id().to_string()));
        for id in &acknowledged {
            assert!(kept.contains(id) || deep.1.contains(id), "{}: payment {id} was acknowledged", self.name);
        }
        let ids = |node: &InProcess| -> BTreeSet<String> {
            node.chain.shared.read().index().iter().map(|(_, entry)| entry.id.to_string()).collect()
        };
        let known = ids(&opened.node);
        for id in told {
            assert!(known.contains(&id), "{}: block {id} was told", self.name);
        }
        self.look_at_backups(world, &shadow);
        opened.stop();
        expected.height
    }

    /// The last backup that was called done comes back as a moment of this chain; one that was not is whole
    /// or refused.
    fn look_at_backups(&self, world: &World, shadow: &Shadow) {
        let (done, unknown) = std::mem::take(&mut *lock(&self.backups));
        let to = world.path("restored");
        let last = done.last().map(|dir| (dir, true));
        for (dir, is_done) in last.into_iter().chain(unknown.iter().map(|dir| (dir, false))) {
            let _ = std::fs::remove_dir_all(&to);
            let made = match backup::restore(world.params.clone(), dir, &to, &mut |_, _| ()) {
                Ok(made) => made,
                Err(error) if is_done => panic!("{}: a backup is not one: {error}", self.name),
                Err(_) => continue,
            };
            let restored = InProcess::open(&world.params, &to.join(STORE_FOLDER));
            let moment = restored.chain.moment().unwrap();
            assert_eq!((moment.tip.id, moment.seq), (made.tip, made.seq));
            let view = shadow.node.chain.shared.read();
            let (_, entry) = view.block(&made.tip).expect("a backup is of a moment of its node");
            assert_eq!(moment.state.root(), entry.header.state_root);
        }
        done.iter().chain(&unknown).for_each(|dir| drop(std::fs::remove_dir_all(dir)));
    }

    /// Dead, and without anything.
    fn wipe(&self, world: &World) {
        let shadow = world.path(&format!("{}-shadow", self.name));
        let mut at = lock(&self.shadow);
        at.node.stop();
        let _ = std::fs::remove_dir_all(&shadow);
        std::fs::remove_dir_all(&self.place.launch.data_dir).unwrap();
        lock(&self.told).clear();
        *lock(&self.deep) = Default::default();
        *at = Shadow::open(world, &shadow);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn storm(world: &World, subjects: &[Subject; 3], payers: &[Payer], random: &mut Random) {
    let kills: usize = std::env::var("STEELYARD_KILLS").map_or(20, |text| text.parse().expect("a number"));
    let at = |place: usize| -> Vec<&Payer> {
        payers.iter().enumerate().filter(|(number, _)| number % 2 == place).map(|(_, payer)| payer).collect()
    };
    let (stop, mut synced) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        // Whoever fails ends the others.
        let _stop = Stop(&stop);
        for (number, payer) in payers.iter().enumerate() {
            let (subject, stop) = (&subjects[number % 2], &stop);
            scope.spawn(move || payer.pay(&subject.place, stop));
        }
        subjects.iter().for_each(|subject| drop(scope.spawn(|| subject.watch(&stop))));
        scope.spawn(|| subjects[PRUNES].back_up(world, &stop));
        let mut seen = BLOCKS;
        for kill in 1..=kills {
            std::thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
            let drawn = [PRUNES, PRUNES, KEEPS, SYNCS][random.place(4)];
            let told = subjects[PRUNES].place.api().and_then(|api| api.try_get("/status"));
            let height = told.and_then(|answer| answer.json["height"].as_u64()).unwrap_or(0);
            let which = if height > seen + UNSEEN_MAX { PRUNES } else { drawn };
            let (subject, payers) = (&subjects[which], at(which));
            subject.place.kill();
            let height = subject.look(world, &payers);
            if which == PRUNES {
                seen = height;
            }
            if which == SYNCS && height >= BLOCKS {
                subject.wipe(world);
                synced += 1;
            }
            if which == KEEPS && random.below(8) == 0 {
                std::fs::remove_dir_all(subject.place.launch.data_dir.join(INDEX_FOLDER)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(random.below(DOWN_MS_MAX)));
            if which == SYNCS || random.below(4) == 0 {
                let most = if which == SYNCS { SYNC_MS_MAX } else { RECOVERY_MS_MAX };
                subject.place.launch.start_and_kill_after(Duration::from_millis(random.below(most)));
                let _ = subject.look(world, &payers);
            }
            subject.place.start();
            if kill % 100 == 0 {
                println!("{kill} kills, height {height}");
            }
        }
    });
    println!("{kills} kills; one that synced from nothing was done {synced} times");
}

/// Says that it is over when it goes.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn whatever_is_under_way_a_kill_leaves_what_a_chain_that_never_crashed_has() {
    let mut random = Random::for_test(1_000);
    let world = World::new();
    let miners = [PAYERS + 1, PAYERS + 2].map(|number| text(&Account::numbered(number).address));
    let plain = ["prunes", "keeps", "syncs"].map(|name| world.launch(name));
    let prunes = plain[PRUNES].clone().connect(plain[KEEPS].listen).flags(&["--prune", PRUNE]);
    let keeps = plain[KEEPS].clone().connect(plain[PRUNES].listen);
    let syncs = plain[SYNCS].clone().connect(plain[KEEPS].listen);
    let subjects = [
        Subject::new(&world, "prunes", prunes.clone().mine(&miners[0]), Some("base")),
        Subject::new(&world, "keeps", keeps.clone().mine(&miners[1]), Some("base")),
        Subject::new(&world, "syncs", syncs, None),
    ];
    let payers = Payer::ring(world.params.network_id(), PAYERS, AMOUNT);
    storm(&world, &subjects, &payers, &mut random);
    // One mines on until everything is confirmed, then nobody.
    let [a, b, c] = subjects.map(|subject| subject.place.end());
    stop(b);
    let b = keeps.start();
    wait_for_height(&a, b.ready["height"].as_u64().unwrap() + 1);
    wait_until_followed(&a, &b);
    [&a, &b].into_iter().for_each(wait_for_empty_pool);
    stop(a);
    let a = prunes.start();
    let (height, _) = wait_for_one_tip(&[&a, &b, &c]);
    assert!(a.api.get("/status").json["pruned_below"].as_u64() > Some(0));
    for node in [&b, &c] {
        wait_for_empty_pool(node);
        assert_paid(node, &payers, FUNDS);
        crate::index::assert_histories(&node.api);
    }
    [a, b, c].into_iter().for_each(stop);
    ["prunes", "keeps", "syncs"].into_iter().for_each(|name| world.verify(name));
    let paid: usize = payers.iter().map(|payer| payer.acknowledged().len()).sum();
    println!("{paid} payments acknowledged, none lost and none made twice, in a chain of {height} blocks");
}
