//! `steelyard-measure-start`: makes a store of many accounts, connects blocks of payments between them,
//! and starts a node on it again and again, after clean stops and after SIGKILL; prints how long blocks
//! and starts take and what a node and its store weigh. Must not judge.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::PAYMENTS_MAX;
use steelyard_node::chain::error::Accepted;
use steelyard_node::store::STORE_FOLDER;
use steelyard_runtime::clock;
use steelyard_runtime::output::Output;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::generate::keyless;
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::{Api, node_command};
use steelyard_tests::random::Random;
use steelyard_tests::stopwatch::Stopwatch;
use steelyard_tests::usage;

/// Accounts that pay: what one may have pending is bounded.
const PAYERS: usize = 9;
/// Payments of a transaction that makes accounts.
const CROWD: u64 = PAYMENTS_MAX as u64;
/// Transactions that make accounts, of one block: more would pass its new records.
const CROWDS: u64 = 32;
/// Between two looks at a node that starts.
const LOOK: Duration = Duration::from_micros(500);
/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures starts of a node with many accounts on this machine.
#[derive(Parser)]
#[command(name = "steelyard-measure-start", version)]
struct Options {
    /// Accounts, made by payments from the dev network's first
    #[arg(long, default_value_t = 100_000)]
    accounts: u64,
    /// Blocks of payments to accounts at random, after that
    #[arg(long, default_value_t = 100)]
    blocks: usize,
    /// Payments of such a block, all pending before it is found
    #[arg(long, default_value_t = 2_000)]
    payments: usize,
    /// Starts of each kind
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Keep the node's folder here, and use what is there already
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let Options { accounts, blocks, payments, starts, keep } = Options::parse();
    ensure!(accounts > 0 && starts > 0, "at least one account and one start are needed");
    let folder = tempfile::tempdir()?;
    let data_dir = keep.unwrap_or_else(|| folder.path().join("node"));
    std::fs::create_dir_all(&data_dir)?;
    let (height, tip) = fill(&data_dir, accounts, (blocks, payments))?;
    for kind in ["after a clean stop", "after SIGKILL"] {
        let mut measured: Vec<Start> = Vec::new();
        // The first start of a kind has the end of the other kind before it.
        for round in 0..=starts {
            let start = start(&data_dir, (height, &tip), kind == "after SIGKILL")?;
            if round > 0 {
                measured.push(start);
            }
        }
        say(&format!(
            "{kind}: right tip after {}, state proven after {}, {} of memory then",
            millis(measured.iter().map(|start| start.tip)),
            millis(measured.iter().map(|start| start.proven)),
            mib(measured.iter().map(|start| start.resident).max().unwrap_or(0)),
        ));
    }
    Ok(())
}

/// Makes accounts and blocks, and gives the tip.
fn fill(data_dir: &Path, accounts: u64, (blocks, payments): (usize, usize)) -> anyhow::Result<(u64, String)> {
    let node = InProcess::open(&Params::dev(), &data_dir.join(STORE_FOLDER));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let network = Params::dev().network_id();
    let admit = |txs: Vec<CheckedTx>| -> anyhow::Result<()> {
        for verdict in runtime.block_on(node.chain.submit_txs(txs))? {
            verdict.context("a payment was refused")?;
        }
        Ok(())
    };
    let watch = Stopwatch::start();
    let mut rich = Payer::new(&node, 0);
    let made = node.chain.shared.read().state().len();
    for from in (made..accounts).step_by((CROWDS * CROWD) as usize) {
        let to = (from + CROWDS * CROWD).min(accounts);
        let crowds = (from..to).step_by(CROWD as usize);
        let crowd = |from: u64| (from..(from + CROWD).min(to)).map(keyless).collect();
        admit(crowds.map(|from| rich.pay(network, crowd(from), 10_000)).collect())?;
        mine(&node);
    }
    let records = node.chain.shared.read().state().len();
    say(&format!("made the accounts: {}", watch.cost().rate(records - made, "accounts")));
    say(&format!("{} bytes of store an account", node.chain.store.disk_bytes() / records.max(1)));
    let before = node.chain.store.disk_bytes();
    let mut payers: Vec<Payer> = (1..=PAYERS).map(|i| Payer::new(&node, i)).collect();
    let mut random = Random::new(1);
    let (mut walls, mut cpu, mut committed_ms) = (Vec::new(), 0.0, 0.0);
    for _ in 0..blocks {
        let pay = |place: usize| {
            let to = keyless(random.below(accounts));
            payers[place % PAYERS].pay(network, vec![to], 1)
        };
        let txs: Vec<CheckedTx> = (0..payments).map(pay).collect();
        for some in txs.chunks(500) {
            admit(some.to_vec())?;
        }
        let block = node.find_block(rich.account.address);
        let commits = &node.chain.store.figures().commits;
        let (watch, before) = (Stopwatch::start(), commits.took());
        ensure!(
            node.chain.submit_block(block, clock::now_ms()) == Ok(Accepted::Active),
            "a block was refused"
        );
        let cost = watch.cost();
        committed_ms += (commits.took() - before).as_secs_f64() * 1e3;
        walls.push(Duration::from_secs_f64(cost.wall_s));
        cpu += cost.cpu_s.unwrap_or(f64::NAN);
    }
    if blocks > 0 {
        let paid = (blocks * payments).max(1) as u64;
        say(&format!(
            "blocks of {payments} pending payments, submit until durable: {}, {:.1} ms of processor time, \
             {:.1} ms by the clock in the commit on average; {} bytes of store a payment",
            millis(walls.into_iter()),
            1e3 * cpu / blocks as f64,
            committed_ms / blocks as f64,
            node.chain.store.disk_bytes().saturating_sub(before) / paid,
        ));
    }
    let view = node.chain.shared.read();
    let tip = (view.tip().header.height, view.tip().id.to_string());
    say(&format!(
        "{} records, block {}, {} of store",
        view.state().len(),
        tip.0,
        mib(node.chain.store.disk_bytes())
    ));
    Ok(tip)
}

fn mine(node: &InProcess) {
    node.mine(Address([1; 32]));
}

struct Payer {
    account: Account,
    nonce: u64,
}

impl Payer {
    /// One of the dev network's accounts, where it stands.
    fn new(node: &InProcess, number: usize) -> Self {
        use steelyard_core::state::{Key, Record};
        let account = Account::dev(number);
        let state = node.chain.shared.read().state();
        let nonce = match state.get(&Key::Account(account.address)) {
            Some(Record::Account { nonce, .. }) => *nonce,
            _ => 0,
        };
        Self { account, nonce }
    }

    fn pay(&mut self, network: NetworkId, to: Vec<Address>, amount: u64) -> CheckedTx {
        let payments = to.into_iter().map(|to| coins(to, amount)).collect();
        let bytes = self.account.pay_bytes(network, Terms::of_nonce(self.nonce), payments);
        self.nonce += 1;
        shape(&network, &bytes).expect("well formed").known_to_verify()
    }
}

/// How one start went, and what the node weighed.
struct Start {
    /// Until the API named the right tip.
    tip: Duration,
    /// Until it was ready: the state's root is the tip's.
    proven: Duration,
    /// Bytes.
    resident: u64,
}

fn start(data_dir: &Path, (height, tip): (u64, &str), kill: bool) -> anyhow::Result<Start> {
    let address = free_address()?;
    let (dir, api_text) = (data_dir.to_str().context("a plain path")?, address.to_string());
    let mut command = node_command(&["dev", "--mine", "off", "--listen", "127.0.0.1:0", "--discover", "off"]);
    command.args(["--data-dir", dir, "--api", &api_text]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let api = Api::new(&api_text);
    let started = Instant::now();
    let mut child = command.spawn()?;
    let mut known = None;
    let proven = loop {
        ensure!(started.elapsed() < PATIENCE && child.try_wait()?.is_none(), "the node does not start");
        if known.is_none() {
            if let Some(status) = api.try_get("/status").filter(|answer| answer.status == 200) {
                known = Some(started.elapsed());
                let told = (status.json["height"].as_u64(), status.json["tip"].as_str());
                ensure!(told == (Some(height), Some(tip)), "another tip is told: {told:?}");
            }
        } else if api.get_root("/readyz").status == 200 {
            break started.elapsed();
        }
        std::thread::sleep(LOOK);
    };
    let resident = usage::resident_bytes(child.id());
    if kill {
        child.kill()?;
    } else {
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    }
    child.wait()?;
    Ok(Start { tip: known.context("the tip is known")?, proven, resident })
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Median and maximum.
fn millis(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let ms = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    let p99 = times.len().saturating_sub(1) * 99 / 100;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        ms(times.get(times.len() / 2)),
        ms(times.get(p99)),
        ms(times.last())
    )
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
