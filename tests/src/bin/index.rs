//! `steelyard-measure-index`: how fast the index of a generated chain is made, how large it is, and how
//! fast it answers. With `--follow` it feeds a chain to a small index instead, to be killed meanwhile.
//! Must not judge.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use steelyard_core::params::Params;
use steelyard_node::finder::{FinderLimits, Key, Query};
use steelyard_runtime::network_file;
use steelyard_runtime::output::Output;
use steelyard_tests::chainfile::Blocks;
use steelyard_tests::generate::{BLOCKS_FILE, Plan, write};
use steelyard_tests::indexed::{Indexed, SMALL, Truth};
use steelyard_tests::stopwatch::Stopwatch;
use steelyard_tests::stored::store_chain;
use steelyard_tests::usage::resident_bytes;

/// Measures the index of a chain on this machine.
#[derive(Parser)]
#[command(name = "steelyard-measure-index", version)]
struct Options {
    /// Blocks after genesis
    #[arg(long, default_value_t = 1_000)]
    blocks: u64,
    /// Payments in each block
    #[arg(long, default_value_t = 500)]
    payments: u64,
    /// Accounts that pay each other
    #[arg(long, default_value_t = 10_000)]
    accounts: u64,
    /// Feed the node of this folder instead, with a small index, and measure nothing
    #[arg(long, value_name = "DIR", requires = "network", requires = "chain")]
    follow: Option<PathBuf>,
    /// The network of the folder that is fed
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// Its blocks, in the order in which they arrive
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let (Some(folder), Some(network), Some(chain)) = (&options.follow, &options.network, &options.chain) {
        let params = network_file::read(network).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let indexed = Indexed::open(&params, folder, SMALL);
        for block in Blocks::open(chain)? {
            indexed.give(block?);
        }
        indexed.settle();
        indexed.stop();
        return Ok(());
    }
    let Options { blocks, payments, accounts, .. } = options;
    ensure!(accounts > 0, "at least one account is needed to pay from");
    let folder = tempfile::tempdir()?;
    let plan = Plan { blocks, payments, accounts, waiting: 0, seed: 1 };
    write(&plan, folder.path(), network_file::to_toml).context("generating the chain")?;
    let params = plan.params(&plan.accounts());
    let data_dir = folder.path().join("node");
    let file = Blocks::open(&folder.path().join(BLOCKS_FILE))?;
    store_chain(&params, &data_dir, file.map(|block| block.expect("it was just written")));
    measure(&params, &data_dir)
}

fn measure(params: &Params, data_dir: &std::path::Path) -> anyhow::Result<()> {
    let own = std::process::id();
    let before = Stopwatch::start();
    let indexed = Indexed::open(params, data_dir, FinderLimits::NODE);
    let opened = before.cost();
    indexed.settle();
    let made = before.cost();
    let truth = Truth::of(&indexed.node.chain);
    let histories: usize = truth.addresses.values().map(|places| places.len()).sum();
    let entries = truth.txs.len() + histories + 2 * truth.assets.len();
    say(&format!("{} transactions, {entries} entries of the index", truth.txs.len()));
    say(&format!("made in {:.2} s after {:.2} s for the store", made.wall_s - opened.wall_s, opened.wall_s));
    if let Some((all, store)) = made.cpu_s.zip(opened.cpu_s) {
        let each = (all - store) * 1e6 / entries as f64;
        say(&format!("{each:.2} us of processor time an entry, reading bodies included"));
    }
    let disk = indexed.finder.disk_bytes();
    say(&format!(
        "{disk} bytes on disk, {:.1} an entry; {} MiB in use",
        disk as f64 / entries as f64,
        resident_bytes(own) >> 20
    ));
    let mut looks = Vec::new();
    for id in truth.txs.keys().step_by(1 + truth.txs.len() / 10_000) {
        let asked = Instant::now();
        let found = indexed.finder.find(&[Query::newest(Key::Tx(*id), 8)])?;
        looks.push(asked.elapsed());
        ensure!(found.is_some_and(|found| !found.places[0].is_empty()), "{id} is not found");
    }
    looks.sort();
    if let Some(last) = looks.len().checked_sub(1) {
        let at = |percent: usize| looks[last * percent / 100];
        say(&format!("{} looks: p50 {:?}, p99 {:?}, greatest {:?}", looks.len(), at(50), at(99), at(100)));
    }
    indexed.stop();
    Ok(())
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
