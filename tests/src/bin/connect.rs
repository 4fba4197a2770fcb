//! `steelyard-connect`: connects a generated chain through the node's own door into a fresh store,
//! then admits its waiting payments, and prints what both cost beside the bare verification of
//! the same signatures, measured in the same run. Must not judge.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use rayon::prelude::*;
use steelyard_core::consensus::transaction::{ShapedTx, shape};
use steelyard_core::hash::NetworkId;
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Transaction;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::store::STORE_FOLDER;
use steelyard_runtime::network_file;
use steelyard_runtime::output::Output;
use steelyard_tests::chainfile::{Blocks, Payments};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::stopwatch::{Cost, Stopwatch};

/// Payments whose bare verification is measured for comparison, at most.
const SAMPLE: usize = 20_000;

/// Connects a chain that steelyard-generate wrote and prints the rates.
#[derive(Parser)]
#[command(name = "steelyard-connect", version)]
struct Options {
    /// Folder that steelyard-generate wrote
    dir: PathBuf,
    /// Blocks handed over at once, at most 128 of which share a commit
    #[arg(long, default_value_t = 128)]
    group: usize,
    /// Keep the store in this node's folder instead of deleting it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Payments admitted at once
    #[arg(long, default_value_t = 100)]
    batch: usize,
}

fn main() -> anyhow::Result<()> {
    let Options { dir, group, keep, batch } = Options::parse();
    let text = std::fs::read_to_string(dir.join("network.toml")).context("reading network.toml")?;
    let params = network_file::from_toml(&text)?;
    let folder = tempfile::tempdir()?;
    let data_dir = keep.unwrap_or_else(|| folder.path().to_owned());
    let node = InProcess::open(&params, &data_dir.join(STORE_FOLDER));
    let sample = connect(&node, &params, &dir, group.max(1))?;
    say(&format!("{:.1} us of processor time for one bare signature", bare(&sample) * 1e6));
    admit(&node, &params.network_id(), &dir, batch.max(1))?;
    say(&format!("{} bytes on disk", node.chain.store.disk_bytes()));
    Ok(())
}

/// Connects all blocks; gives some of their payments.
fn connect(
    node: &InProcess,
    params: &Params,
    dir: &std::path::Path,
    group: usize,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let (mut blocks, mut payments, mut sample) = (0, 0, Vec::new());
    let mut waiting = Vec::new();
    let watch = Stopwatch::start();
    let mut file = Blocks::open(&dir.join("blocks.dat"))?.peekable();
    while let Some(block) = file.next() {
        let block = block?;
        payments += block.body.items.len() as u64 - 1;
        blocks += 1;
        let missing = SAMPLE.saturating_sub(sample.len());
        sample.extend(block.body.items[1..].iter().take(missing).cloned());
        waiting.push(UncheckedBlock { header: block.header, body: block.body });
        if waiting.len() == group || file.peek().is_none() {
            for verdict in node.chain.submit_blocks(std::mem::take(&mut waiting), u64::MAX / 2) {
                verdict.context("a generated block was refused")?;
            }
        }
    }
    let cost = watch.cost();
    say(&format!("connected on {}: {}", params.name, cost.rate(blocks, "blocks")));
    say(&format!("connected: {}{}", cost.rate(payments, "payments"), per_item(&cost, payments)));
    Ok(sample)
}

/// Seconds of processor time for one signature: key parsed and signature verified, nothing else.
fn bare(sample: &[Vec<u8>]) -> f64 {
    let txs: Vec<Transaction> =
        sample.iter().map(|bytes| Transaction::from_bytes(bytes).expect("a generated payment")).collect();
    let signed: Vec<_> = txs.iter().map(|tx| (tx.body.id(), &tx.authorization)).collect();
    let watch = Stopwatch::start();
    signed.par_iter().for_each(|(id, authorization)| {
        assert!(authorization.policy.keys[0].verifies(&id.0, &authorization.signatures[0]));
    });
    watch.cost().cpu_s.unwrap_or(f64::NAN) / sample.len().max(1) as f64
}

fn admit(node: &InProcess, network: &NetworkId, dir: &std::path::Path, batch: usize) -> anyhow::Result<()> {
    let payments: Vec<Vec<u8>> = Payments::open(&dir.join("payments.dat"))?.collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let watch = Stopwatch::start();
    for batch in payments.chunks(batch) {
        let check = |bytes: &Vec<u8>| shape(network, bytes).and_then(ShapedTx::verify);
        let checked = batch.par_iter().map(check).collect::<Result<_, _>>().context("a generated payment")?;
        for verdict in runtime.block_on(node.chain.submit_txs(checked))? {
            verdict.context("a generated payment was refused")?;
        }
    }
    let cost = watch.cost();
    let count = payments.len() as u64;
    say(&format!("admitted, durable: {}{}", cost.rate(count, "payments"), per_item(&cost, count)));
    Ok(())
}

fn per_item(cost: &Cost, count: u64) -> String {
    let each = cost.cpu_s.map(|cpu| cpu * 1e6 / count.max(1) as f64);
    each.map_or_else(String::new, |each| format!(", {each:.1} us of processor time each"))
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
