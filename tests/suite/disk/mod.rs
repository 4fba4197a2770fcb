//! What disks do to a node: the power goes ([`power`]), they fill up or fail ([`full`]), they lose or
//! change what they held ([`damage`]); [`churn`] is the first of these for the storage engine alone, [`wallet`] for a
//! wallet's daemon. Real nodes, on a disk that is followed and made to fail; what
//! a node acknowledged is noted here with the moment.

mod churn;
mod damage;
mod full;
mod power;
mod wallet;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use steelyard_core::params::Params;
use steelyard_tests::disk::Disk;
use steelyard_tests::process::{Api, Launch, Node, run_node};

use crate::crash::{Payer, big_batch};

/// Something that a node has said, and must never unsay.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// This block is at this height of the active chain.
    Block(u64, String),
    /// This transaction was taken.
    Tx(String),
}

/// All that was said, each with a moment of the disk's log: before it, it was not yet known to be said.
#[derive(Default)]
struct Notes(Mutex<Vec<(u64, Said)>>);

impl Notes {
    /// Takes a note of an answer that is here already.
    fn take(&self, disk: &Disk, said: Said) {
        let moment = disk.moment();
        let mut notes = self.0.lock().unwrap();
        if notes.last().is_none_or(|(_, last)| *last != said) {
            notes.push((moment, said));
        }
    }

    /// What was said before the log was so long.
    fn until(&self, moment: u64) -> Vec<Said> {
        let notes = self.0.lock().unwrap();
        notes.iter().filter(|(at, _)| *at <= moment).map(|(_, said)| said.clone()).collect()
    }

    fn all(&self) -> Vec<Said> {
        self.until(u64::MAX)
    }
}

/// People who pay, and one who watches the tip, through all lives of a node.
struct Crowd {
    payers: Vec<Payer>,
    dealer: Payer,
}

impl Crowd {
    fn new() -> Self {
        Self { payers: (1..4).map(Payer::new).collect(), dealer: Payer::new(4) }
    }

    /// They use a node until nobody answers, which `meanwhile` brings about. `batches` of payments are
    /// so large that the body of their block is written ahead.
    fn use_node(
        &mut self,
        (node, disk): (&Node, &Disk),
        batches: usize,
        notes: &Notes,
        meanwhile: impl FnOnce(),
    ) {
        std::thread::scope(|scope| {
            for payer in &mut self.payers {
                scope.spawn(|| pay(payer, (&node.api, disk), notes));
            }
            scope.spawn(|| watch((&node.api, disk), notes));
            let dealer = &mut self.dealer;
            scope.spawn(|| (0..batches).all(|_| node.api.try_post_batch(&big_batch(dealer)).is_some()));
            meanwhile();
        });
    }
}

/// Pays until nobody answers. What got no answer is sent again in the node's
/// next life: the same bytes, so it is paid once.
fn pay(payer: &mut Payer, (api, disk): (&Api, &Disk), notes: &Notes) {
    let network = Params::dev().network_id();
    loop {
        let (id, bytes) = payer.payment(network);
        let Some(answer) = api.try_submit(&bytes) else { return };
        match (answer.status, answer.code()) {
            (200, _) => notes.take(disk, Said::Tx(id)),
            (_, "stopping" | "outcome_unknown") => return,
            _ => panic!("payment {} is refused: {answer:?}", payer.nonce),
        }
        payer.nonce += 1;
    }
}

fn watch((api, disk): (&Api, &Disk), notes: &Notes) {
    loop {
        let Some(answer) = api.try_get("/blocks/tip").filter(|answer| answer.status == 200) else { return };
        let (height, id) = (answer.json["height"].as_u64().unwrap(), answer.json["id"].as_str().unwrap());
        notes.take(disk, Said::Block(height, id.to_owned()));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A node still says it all.
fn assert_said(node: &Node, said: &[Said]) {
    for said in said {
        match said {
            Said::Block(height, id) => {
                let answer = node.api.get(&format!("/block-height/{height}"));
                assert_eq!(answer.json["id"].as_str(), Some(id.as_str()), "{said:?}: {answer:?}");
            }
            Said::Tx(id) => {
                let answer = node.api.get(&format!("/tx/{id}"));
                assert_eq!(answer.status, 200, "{said:?}: {answer:?}");
            }
        }
    }
}

/// Nothing of what a node printed is a panic, its own or the storage engine's.
fn assert_no_panic(printed: &str) {
    for words in ["panicked at", "internal error in", "RUST_BACKTRACE"] {
        assert!(!printed.contains(words), "a panic is shown to the user: {printed}");
    }
}

/// What a node that ended printed.
fn printed(launch: &Launch) -> String {
    std::fs::read_to_string(launch.data_dir.with_extension("log")).unwrap_or_default()
}

fn verify(network: &str, data_dir: &Path) -> std::process::Output {
    run_node(&["verify", "--full", "--json", "--network", network, "--data-dir", data_dir.to_str().unwrap()])
}
