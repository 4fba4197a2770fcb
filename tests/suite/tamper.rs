//! `verify --full` names the block, the transaction and the rule of whatever is wrong with a
//! stored chain: [`stored`] damages what an honest node wrote, [`forged`] writes what a lying one
//! would have.

mod forged;
mod stored;

use std::sync::Arc;

use steelyard_core::params::Params;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::{Chain as Writer, load};
use steelyard_node::store::{STORE_FOLDER, Store};
use steelyard_node::verify::{Failure, Fault, Report, run};
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::FolderLock;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chain::{Block, Chain};
use tempfile::TempDir;

/// A node's folder, of which no node has the store open.
struct Folder {
    dir: TempDir,
    params: Params,
}

impl Folder {
    fn new(params: &Params) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), params: params.clone() }
    }

    fn store(&self) -> Store {
        Store::open(&self.dir.path().join(STORE_FOLDER), &self.params.network_id()).unwrap()
    }

    /// Has a node take these blocks, each in a commit of its own.
    fn feed<'a>(&self, blocks: impl IntoIterator<Item = &'a Block>) {
        self.with_writer(|writer| {
            for block in blocks {
                let block = UncheckedBlock { header: block.header, body: block.body.clone() };
                writer.submit_block(block, u64::MAX).unwrap();
            }
        });
    }

    /// Does something with the node's chain, then stops it.
    fn with_writer(&self, act: impl FnOnce(&Writer)) {
        let store = Arc::new(self.store());
        let loaded = load::load(self.params.clone(), &store).unwrap();
        let (writer, thread) = Writer::start(loaded, store).unwrap();
        act(&writer);
        writer.stop();
        thread.join().unwrap().unwrap();
    }

    fn verify(&self, full: bool) -> Result<Report, Failure> {
        let mut last = (0, 0);
        let report = run(self.params.clone(), self.dir.path(), full, &mut |done, total| {
            assert!(done > last.0 && done <= total, "progress goes forward");
            last = (done, total);
        })?;
        assert_eq!(last.0, last.1);
        Ok(report)
    }

    /// The fault that the full way finds.
    fn fault(&self) -> Fault {
        let failure = self.verify(true).expect_err("damage is found");
        let fault = failure.as_fault().unwrap_or_else(|| panic!("no block is named: {failure}")).clone();
        assert_eq!(CliError::from(failure).exit, ExitCode::Damaged);
        fault
    }
}

/// What a fault says but for ids and words.
fn summary(fault: &Fault) -> (u64, Option<usize>, &str) {
    (fault.height, fault.transaction.map(|tx| tx.index), &fault.rule)
}

/// Twelve blocks of two payments each, on the `dev` network.
fn story() -> Chain {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut chain = Chain::dev();
    for amount in 1..=12 {
        chain.pay(&alice, bob.address, amount);
        chain.pay(&bob, Account::numbered(amount).address, amount);
        chain.mine(1);
    }
    chain
}

#[test]
fn an_honest_store_is_in_order() {
    let chain = story();
    let folder = Folder::new(chain.params());
    folder.feed(chain.blocks());
    let records = chain.state().len();
    let expected =
        Report { blocks: 12, transactions: 24, records, executed_from: Some(1), ..Report::default() };
    assert_eq!(folder.verify(false).unwrap(), Report { executed_from: None, ..expected });
    assert_eq!(folder.verify(true).unwrap(), expected);
    // A branch that loses, one that wins, a checkpoint between them, and something that waits.
    let mut loses = chain.fork_at(9).mined_by(&Account::numbered(50));
    loses.mine(2);
    let mut wins = chain.fork_at(6).mined_by(&Account::numbered(51));
    wins.mine(8);
    folder.feed(loses.blocks().skip(9));
    let state = chain.state().clone();
    let store = folder.store();
    store.write_checkpoint(&state, store.last(steelyard_node::store::schema::Space::Log).unwrap()).unwrap();
    drop(store);
    folder.feed(wins.blocks().skip(6));
    let records = wins.state().len();
    let expected =
        Report { blocks: 14, transactions: 12, records, side_blocks: 8, pending: 12, ..Report::default() };
    let expected = Report { executed_from: Some(1), ..expected };
    assert_eq!(folder.verify(false).unwrap(), Report { executed_from: None, ..expected });
    assert_eq!(folder.verify(true).unwrap(), expected);
    // Verifying changes nothing.
    assert_eq!(folder.verify(true).unwrap(), expected);
}

#[test]
fn a_running_node_is_verified_while_blocks_come() {
    let chain = story();
    let folder = Folder::new(chain.params());
    folder.feed(chain.blocks().take(6));
    folder.with_writer(|writer| {
        std::thread::scope(|scope| {
            let feeder = scope.spawn(|| {
                for block in chain.blocks().skip(6) {
                    let block = UncheckedBlock { header: block.header, body: block.body.clone() };
                    writer.submit_block(block, u64::MAX).unwrap();
                    let (state, seq) = {
                        let view = writer.shared.read();
                        (view.state(), view.seq())
                    };
                    // More than once: a checkpoint that is newer than the commit which a
                    // verification ends at is no damage, and only many of them show it.
                    for _ in 0..4 {
                        writer.store.write_checkpoint(&state, seq).unwrap();
                    }
                }
            });
            let mut round = 0;
            while round < 6 || !feeder.is_finished() {
                round += 1;
                let report = steelyard_node::verify::check(
                    writer,
                    &steelyard_node::finder::Finder::off(),
                    round % 2 == 0,
                    &mut |_, _| (),
                );
                assert!((6..=12).contains(&report.unwrap().blocks));
            }
            feeder.join().unwrap();
        });
        let alice = Account::dev(0);
        let tx = alice.pay_bytes(chain.network(), Terms::of_nonce(12), vec![coins(alice.address, 1)]);
        let tx =
            steelyard_core::consensus::transaction::shape(&chain.network(), &tx).unwrap().verify().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(writer.submit_tx(tx)).unwrap();
        let report = steelyard_node::verify::check(
            writer,
            &steelyard_node::finder::Finder::off(),
            true,
            &mut |_, _| (),
        )
        .unwrap();
        assert_eq!((report.blocks, report.transactions, report.pending), (12, 24, 1));
    });
}

#[test]
fn a_folder_in_use_or_without_a_chain_is_said() {
    let chain = story();
    let folder = Folder::new(chain.params());
    assert_eq!(CliError::from(folder.verify(true).unwrap_err()).code, "no_store");
    folder.feed(chain.blocks().take(1));
    let held = FolderLock::acquire(folder.dir.path(), "steelyard-node").unwrap();
    let error = CliError::from(folder.verify(true).unwrap_err());
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::InUse, "folder_in_use"));
    drop(held);
    assert!(folder.verify(true).is_ok());
    let other = Folder { dir: folder.dir, params: Params::new_network("other", 1, 1_000) };
    assert_eq!(CliError::from(other.verify(true).unwrap_err()).code, "other_network");
}
