//! `steelyard-measure-sync`: two nodes as processes, one with a generated chain, the other without;
//! prints what the sync took of both. Must not judge.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use steelyard_runtime::network_file;
use steelyard_runtime::output::Output;
use steelyard_tests::chainfile::Blocks;
use steelyard_tests::generate::{BLOCKS_FILE, NETWORK_FILE, Plan, write};
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::stored::store_chain;
use steelyard_tests::usage::{cpu_seconds, resident_bytes};

/// Between two looks at the syncing node's height.
const LOOK: Duration = Duration::from_millis(10);

/// Measures a sync between two nodes on this machine.
#[derive(Parser)]
#[command(name = "steelyard-measure-sync", version)]
struct Options {
    /// Blocks after genesis
    #[arg(long, default_value_t = 10_000)]
    blocks: u64,
    /// Payments in each block
    #[arg(long, default_value_t = 0)]
    payments: u64,
    /// Accounts that pay each other
    #[arg(long, default_value_t = 10_000)]
    accounts: u64,
}

fn main() -> anyhow::Result<()> {
    let Options { blocks, payments, accounts } = Options::parse();
    ensure!(accounts > 0, "at least one account is needed to pay from");
    let folder = tempfile::tempdir()?;
    let plan = Plan { blocks, payments, accounts, waiting: 0, seed: 1 };
    let made = write(&plan, folder.path(), network_file::to_toml).context("generating the chain")?;
    let served = folder.path().join("served");
    let file =
        Blocks::open(&folder.path().join(BLOCKS_FILE))?.map(|block| block.expect("it was just written"));
    store_chain(&plan.params(&plan.accounts()), &served, file);
    let network = folder.path().join(NETWORK_FILE);
    let launch = |data_dir: &Path| Launch::run(&network, data_dir, &["--discover", "off"]);
    let serving = launch(&served).start();
    let before = cpu_seconds(serving.pid());
    let started = Instant::now();
    let syncing = launch(&folder.path().join("fresh")).connect(serving.p2p).start();
    let ready = cpu_seconds(syncing.pid());
    wait_for_height(&syncing, blocks)?;
    let wall_s = started.elapsed().as_secs_f64();
    let tip = syncing.api.get("/blocks/tip").json["id"].clone();
    ensure!(tip == made.tip.id.to_string(), "the tips differ");
    let (syncing_s, serving_s) = (cpu_seconds(syncing.pid()), cpu_seconds(serving.pid()) - before);
    let each = |seconds: f64| (blocks as f64 / seconds, (blocks * payments) as f64 / seconds);
    let (cores, profile) = (std::thread::available_parallelism()?, profile());
    say(&format!("{blocks} blocks of {payments} payments, {profile} build, {cores} cores for both nodes"));
    say(&format!("{} bytes of blocks, over the loopback interface", made.block_file_bytes));
    say(&format!("wall clock, from the start of the process: {wall_s:.2} s, looked at each {LOOK:?}"));
    say(&format!(
        "processor time: {syncing_s:.2} s of the syncing node ({ready:.2} s before it was ready), {serving_s:.2} s of the serving one"
    ));
    let ((blocks_s, payments_s), (blocks_cpu, payments_cpu)) = (each(wall_s), each(syncing_s));
    say(&format!("{blocks_s:.0} blocks/s, {payments_s:.0} payments/s"));
    say(&format!(
        "{blocks_cpu:.0} blocks, {payments_cpu:.0} payments a second of the syncing node's processor time"
    ));
    say(&format!("{} MiB in use by the syncing node at the end", resident_bytes(syncing.pid()) >> 20));
    Ok(())
}

/// Waits as long as it goes on.
fn wait_for_height(node: &Node, height: u64) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    while last < height {
        std::thread::sleep(LOOK);
        let now = node.api.get("/status").json["height"].as_u64().context("a height")?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() < Duration::from_secs(60), "the sync stands at height {last}");
    }
    Ok(())
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
