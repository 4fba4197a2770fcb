//! `steelyard-measure-propagation`: a node in this process finds blocks, another one as a process takes
//! them; prints how long it takes from submitting at the one until it is the other's tip, both durable.
//! Must not judge.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use rayon::prelude::*;
use steelyard_core::consensus::pow::search;
use steelyard_core::consensus::template::Payout;
use steelyard_core::consensus::transaction::shape;
use steelyard_core::encode::List;
use steelyard_core::params::Params;
use steelyard_core::work::from_bits;
use steelyard_node::chain::Chain;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::disk::DiskLimits;
use steelyard_node::miner;
use steelyard_node::node::{Node, NodeConfig};
use steelyard_runtime::clock;
use steelyard_runtime::network_file;
use steelyard_runtime::output::Output;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::generate::Plan;
use steelyard_tests::process::{Api, Launch};
use tokio::runtime::Runtime;

/// Between two looks at the other node's tip: what an answer takes comes on top.
const LOOK: Duration = Duration::from_micros(200);
/// Payments posted at once.
const BATCH: usize = 500;
/// What a payment pays the miner, base units.
const FEE: u64 = 1_000;
/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures how long a new block takes from one node to another on this machine.
#[derive(Parser)]
#[command(name = "steelyard-measure-propagation", version)]
struct Options {
    /// Blocks of each kind, those with payments and empty ones
    #[arg(long, default_value_t = 50)]
    blocks: usize,
    /// Payments of a block, known to both nodes before
    #[arg(long, default_value_t = 2_000)]
    payments: usize,
    /// Accounts that pay each other
    #[arg(long, default_value_t = 10_000)]
    accounts: u64,
}

/// The two nodes.
struct Pair {
    runtime: Runtime,
    chain: Chain,
    other: Api,
    accounts: Vec<Account>,
    /// Payments made so far.
    paid: usize,
}

fn main() -> anyhow::Result<()> {
    let Options { blocks, payments, accounts } = Options::parse();
    ensure!(accounts > 0 && blocks > 0, "at least one account and one block are needed");
    let folder = tempfile::tempdir()?;
    let plan = Plan { blocks: 0, payments: 0, accounts, waiting: 0, seed: 1 };
    let accounts = plan.accounts();
    let params = plan.params(&accounts);
    let network = folder.path().join("network.toml");
    std::fs::write(&network, network_file::to_toml(&params))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
    let config = NodeConfig {
        prune: None,
        params,
        data_dir: folder.path().join("own"),
        api: anywhere,
        listen: anywhere,
        connect: Vec::new(),
        discover: false,
        index: true,
        miner: None,
        disk: DiskLimits::default(),
        ready_file: None,
    };
    let own = runtime.block_on(Node::start(config)).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let other = Launch::run(&network, &folder.path().join("other"), &["--discover", "off"]);
    let other = other.connect(own.ready.p2p).start();
    other
        .api
        .wait_for("/peers", |answer| answer.json["peers"].as_array().is_some_and(|peers| peers.len() == 1));
    let mut pair = Pair { runtime, chain: own.chain.clone(), other: other.api.clone(), accounts, paid: 0 };

    let (cores, profile) = (std::thread::available_parallelism()?, profile());
    say(&format!(
        "{profile} build, {cores} cores for both nodes, loopback, both durable; the other's tip is"
    ));
    say(&format!(
        "looked at over HTTP {LOOK:?} after the answer before, which took {:?}",
        pair.answer_time()?
    ));
    for count in [0, payments] {
        let mut times = Vec::new();
        for _ in 0..blocks {
            pair.fill(count)?;
            times.push(pair.measure(count)?);
        }
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let (p50, p99) = (at(50), at(99));
        say(&format!(
            "{blocks} blocks of {count} payments: p50 {p50:?}, p99 {p99:?}, greatest {:?}",
            at(100)
        ));
    }
    drop(other);
    pair.runtime.block_on(own.stop()).map_err(|error| anyhow::anyhow!("{error:?}"))
}

impl Pair {
    fn params(&self) -> &Params {
        &self.chain.shared.params
    }

    /// What one look takes.
    fn answer_time(&self) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        self.other_height()?;
        Ok(asked.elapsed())
    }

    fn other_height(&self) -> anyhow::Result<u64> {
        let answer = self.other.try_get("/blocks/tip/height").context("the other node does not answer")?;
        let height = answer.json.as_u64().or_else(|| answer.json["height"].as_u64());
        height.with_context(|| format!("a height: {answer:?}"))
    }

    /// Has both nodes know of so many payments, and of no other.
    fn fill(&mut self, count: usize) -> anyhow::Result<()> {
        let network = self.chain.shared.network;
        let first = self.paid;
        self.paid += count;
        let pay = |number: usize| {
            let (from, nonce) = (number % self.accounts.len(), number / self.accounts.len());
            let to = self.accounts[(from + 1) % self.accounts.len()].address;
            self.accounts[from].pay_bytes(network, Terms::of_nonce(nonce as u64).fee(FEE), vec![coins(to, 1)])
        };
        let txs: Vec<Vec<u8>> = (first..self.paid).into_par_iter().map(pay).collect();
        for batch in txs.chunks(BATCH) {
            let check = |bytes: &Vec<u8>| shape(&network, bytes).and_then(|shaped| shaped.verify());
            let checked = batch.par_iter().map(check).collect::<Result<_, _>>()?;
            for verdict in self.runtime.block_on(self.chain.submit_txs(checked))? {
                verdict?;
            }
        }
        let since = Instant::now();
        let pending = |api: &Api| api.get("/mempool").json["txs"].as_u64();
        while pending(&self.other) != Some(count as u64) {
            ensure!(since.elapsed() < PATIENCE, "{:?} of {count} payments came", pending(&self.other));
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Finds a block of what is pending, and gives the time from submitting it until it is the other
    /// node's tip.
    fn measure(&self, count: usize) -> anyhow::Result<Duration> {
        let payout = Payout { miner: Account::numbered(u64::MAX).address, extra: List::default() };
        let template = miner::template(&self.chain, &payout, clock::now_ms());
        ensure!(template.body.items.len() == 1 + count, "a block has room for all payments");
        let mut header = template.header;
        let target = from_bits(self.params().start_bits)?;
        header.nonce = search(&header, target, 0, u64::MAX).context("there is a nonce")?;
        let block = UncheckedBlock { header, body: template.body };
        let submitted = Instant::now();
        let chain = self.chain.clone();
        let submitting = std::thread::spawn(move || chain.submit_block(block, clock::now_ms()));
        while self.other_height()? < header.height {
            ensure!(submitted.elapsed() < PATIENCE, "block {} does not come", header.height);
            std::thread::sleep(LOOK);
        }
        let took = submitted.elapsed();
        submitting.join().map_err(|_| anyhow::anyhow!("submitting ended early"))??;
        Ok(took)
    }
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
