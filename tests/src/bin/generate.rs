//! `steelyard-generate`: writes a network, a chain and payments that follow it, for benchmarks and
//! tests of long chains. Must not know how: see [`steelyard_tests::generate`].

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Parser;

use steelyard_runtime::output::Output;
use steelyard_tests::generate::{Plan, write};
use steelyard_tests::stopwatch::Stopwatch;

/// Writes network.toml, blocks.dat and payments.dat of a generated chain.
#[derive(Parser)]
#[command(name = "steelyard-generate", version)]
struct Options {
    /// Blocks after genesis
    #[arg(long, default_value_t = 100)]
    blocks: u64,
    /// Payments in each block
    #[arg(long, default_value_t = 32)]
    payments: u64,
    /// Accounts that pay each other
    #[arg(long, default_value_t = 1000)]
    accounts: u64,
    /// Payments signed to follow the last block
    #[arg(long, default_value_t = 0)]
    waiting: u64,
    /// The same seed gives the same files
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the files, made if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Options { blocks, payments, accounts, waiting, seed, out } = Options::parse();
    ensure!(accounts > 0, "at least one account is needed to pay from");
    let plan = Plan { blocks, payments, accounts, waiting, seed };
    let watch = Stopwatch::start();
    let summary = write(&plan, &out, steelyard_runtime::network_file::to_toml)
        .with_context(|| format!("writing to {}", out.display()))?;
    let cost = watch.cost();
    say(&cost.rate(blocks, "blocks"));
    say(&cost.rate(blocks * payments + waiting, "payments"));
    say(&format!("tip {} at height {}", summary.tip.id, summary.tip.header.height));
    say(&format!("{} bytes of blocks, {} of payments", summary.block_file_bytes, summary.payment_file_bytes));
    Ok(())
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
