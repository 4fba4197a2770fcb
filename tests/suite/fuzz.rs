//! The fuzz targets that need more than the pure crate, every day: as in the suite of `steelyard-ledger`.
//! And where inputs from real traffic come from:
//! `cargo test -p steelyard-tests traffic -- --ignored` writes what nodes and a wallet say and keep into
//! `tests/fuzz/corpus/`. Must not know what a target checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use steelyard_core::hash::AssetId;
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{self, Message};
use steelyard_ledger::fuzz::corpus::{inputs, replay};
use steelyard_node::store::{STORE_FOLDER, Store, schema};
use steelyard_runtime::frame::FrameCodec;
use steelyard_tests::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_tests::fuzz::TARGETS;
use steelyard_tests::fuzz::tap::Tap;
use steelyard_tests::network::{
    free_address, stop, submit, wait_for_block, wait_for_one_tip, wait_for_peers,
};
use steelyard_tests::process::Launch;
use steelyard_tests::random::Random;
use steelyard_tests::wallet::Wallet;
use tokio_util::codec::Decoder;

/// Random changes of each input, unless it is told otherwise.
const CHANGES: usize = 20;
/// What one target's inputs may have in the tree.
const CORPUS_BYTES_MAX: usize = 256 * 1024;
/// Longer inputs are not kept from real traffic.
const INPUT_BYTES_MAX: usize = 8_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn every_input_and_random_changes_of_it() {
    let changes = std::env::var("STEELYARD_CHANGES").map_or(CHANGES, |text| text.parse().expect("a number"));
    let mut random = Random::for_test(42);
    for target in TARGETS {
        let runs = replay(&corpus(), target, changes, &mut random);
        println!("{}: {runs} runs", target.0);
        let bytes: usize = inputs(&corpus(), target.0).iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes < CORPUS_BYTES_MAX, "{} has {bytes} bytes of inputs: cargo fuzz cmin", target.0);
    }
}

/// A target has a program, inputs and an entry in a table, or it is none.
#[test]
fn each_target_has_its_program_and_its_inputs() {
    let tables = TARGETS.iter().chain(steelyard_ledger::fuzz::TARGETS);
    let targets: BTreeSet<String> = tables.map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&corpus()), targets);
    assert_eq!(names(&corpus().with_file_name("fuzz_targets")), targets);
    let manifest: toml::Table =
        fs::read_to_string(corpus().with_file_name("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap().iter();
    let programs = programs.map(|program| program["name"].as_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), targets);
}

/// Puts inputs into the tree under names that say where they are from, each once.
#[derive(Default)]
struct Kept(BTreeSet<(&'static str, Vec<u8>)>);

impl Kept {
    fn keep(&mut self, target: &'static str, parts: &[&[u8]]) {
        let input = parts.concat();
        if input.len() <= INPUT_BYTES_MAX {
            self.0.insert((target, input));
        }
    }

    fn write(&self) {
        for (number, (target, input)) in self.0.iter().enumerate() {
            fs::create_dir_all(corpus().join(target)).unwrap();
            fs::write(corpus().join(target).join(format!("traffic-{number:03}")), input).unwrap();
        }
    }

    /// A stream's frames, and what they carry; of each kind the first few and the last.
    fn stream(&mut self, reader: u8, stream: &[u8]) {
        let mut codec = FrameCodec::new(|kind| {
            let caps = [
                wire::handshake_bytes_max,
                wire::request_bytes_max,
                wire::answer_bytes_max,
                wire::peer_bytes_max,
            ];
            caps.iter().find_map(|cap| cap(kind))
        });
        let mut buffer = BytesMut::from(stream);
        let mut seen = [0; 256];
        while let Ok(Some(frame)) = codec.decode(&mut buffer) {
            seen[usize::from(frame.kind)] += 1;
            if seen[usize::from(frame.kind)] > 3 {
                continue;
            }
            self.keep("message", &[&[frame.kind], &frame.body]);
            self.carried(frame.kind, &frame.body);
        }
        // The first is of the handshake, and is read before the others may come.
        let hello = 4 + u32::from_le_bytes(*stream.first_chunk().unwrap()) as usize;
        self.keep("frame", &[&[0, 0, 0], &stream[..hello]]);
        let rest = &stream[hello..];
        self.keep("frame", &[&[reader, 1, 0], &rest[..rest.len().min(INPUT_BYTES_MAX - 3)]]);
    }

    fn carried(&mut self, kind: u8, body: &[u8]) {
        match kind {
            wire::Tip::KIND => self.keep("light_tip", &[&[2, 0, 0, 0, 0], body]),
            wire::Body::KIND => {
                let message = wire::Body::from_bytes(body).unwrap();
                self.keep("body", &[message.bytes.as_slice()]);
            }
            wire::State::KIND => {
                let state = wire::State::from_bytes(body).unwrap();
                state.proofs.iter().for_each(|proof| self.keep("proof", &[&[1, 0, 0], proof]));
            }
            wire::Txs::KIND => {
                let txs = wire::Txs::from_bytes(body).unwrap();
                txs.txs.iter().for_each(|tx| self.keep("transaction", &[tx]));
            }
            wire::Submit::KIND => {
                let txs = wire::Submit::from_bytes(body).unwrap();
                txs.txs.iter().for_each(|tx| self.keep("transaction", &[tx]));
            }
            _ => {}
        }
    }

    /// What a stopped node has stored.
    fn node(&mut self, data_dir: &Path) {
        let store = Store::open(&data_dir.join(STORE_FOLDER), &Params::dev().network_id()).unwrap();
        for seq in 1..=store.last(schema::Space::Log).unwrap() {
            let Ok(log) = store.log(seq) else { continue };
            self.keep("stored", &[&[1], &log.to_bytes()]);
            self.keep("stored", &[&[3], &schema::key(schema::Space::Log, seq, 0)]);
            if let Some(delta) = store.find_delta(seq).unwrap() {
                self.keep("stored", &[&[0], &delta.to_bytes()]);
            }
            for (header, _) in &log.received {
                let parent = u16::try_from(header.height - 1).unwrap().to_le_bytes();
                self.keep("header", &[&[0], &parent, &[0xff, 3], &header.to_bytes()]);
            }
        }
    }
}

/// Transactions of several kinds, by accounts of the `dev` network.
fn transactions() -> Vec<Transaction> {
    let (network, shared) = (Params::dev().network_id(), Account::multisig(2, 3, 1));
    let terms = |nonce| Terms::of_nonce(nonce).fee(1_000);
    let issuing = Account::dev(1).act(network, terms(0), issue("GOLD", 1_000, true));
    let gold: AssetId = steelyard_core::types::transaction::asset_id(&issuing.body.id());
    let mixed = vec![units(gold, shared.address, 40), coins(shared.address, 500_000)];
    vec![
        issuing,
        Account::dev(1).act(network, terms(1), transfer(mixed)),
        shared.act(network, terms(0), transfer(vec![units(gold, Account::dev(2).address, 7)])),
        Account::dev(3).pay(network, terms(0).expiry(500), vec![coins(Account::numbered(1).address, 9)]),
    ]
}

#[test]
#[ignore = "writes inputs of fuzz targets into the tree"]
fn traffic() {
    let folder = tempfile::tempdir().unwrap();
    let dir = |name: &str| folder.path().join(name);
    let quiet = ["--discover", "off"];
    let a = Launch::dev(&dir("a"), &[&quiet[..], &["--mine-on-tx"]].concat()).listen(free_address()).start();
    let (peers, clients) = (Tap::before(a.p2p), Tap::before(a.p2p));
    let b = Launch::run(Path::new("dev"), &dir("b"), &quiet).connect(peers.address).start();
    wait_for_peers(&b, 1);
    for tx in transactions() {
        let id = submit(&b, &tx);
        wait_for_block(&b, &id);
    }
    let wallet = Wallet::new(folder.path(), &[clients.address]);
    let _ = wallet.json(&["import-dev"]).ok();
    let to = steelyard_core::address::format("dsy", &Account::numbered(5).address);
    let _ = wallet.json(&["send", "1.5", "--to", &to, "--wait"]).ok();
    let _ = wallet.json(&["balance"]).ok();
    wallet.stop();
    // One that has nothing yet takes the whole chain.
    let c = Launch::run(Path::new("dev"), &dir("c"), &quiet).connect(peers.address).start();
    wait_for_one_tip(&[&a, &b, &c]);
    [c, b, a].into_iter().for_each(stop);
    let mut kept = Kept::default();
    peers.heard().iter().for_each(|stream| kept.stream(3, stream));
    for (end, stream) in clients.heard().iter().enumerate() {
        kept.stream(if end % 2 == 0 { 1 } else { 2 }, stream);
    }
    kept.node(&dir("a"));
    keystores(&mut kept, &dir("wallet"));
    kept.keep("network_file", &[steelyard_runtime::network_file::to_toml(&Params::dev()).as_bytes()]);
    kept.keep("network_file", &[steelyard_runtime::network_file::to_toml(&Params::tutorial()).as_bytes()]);
    kept.write();
    let targets: BTreeSet<&str> = kept.0.iter().map(|(target, _)| *target).collect();
    assert!(targets.len() >= 9, "{targets:?}");
}

/// Every keystore below a folder.
fn keystores(kept: &mut Kept, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            keystores(kept, &path);
        } else if fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"STEELKEY")) {
            kept.keep("keystore", &[&[0], &fs::read(&path).unwrap()]);
        }
    }
}
