//! `steelyard-measure-soak`: nodes under everything that nodes do, for as long as it is told to, and what
//! they weigh meanwhile: a table, and pictures of memory against time and of disk against payments.
//! Must not judge.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use steelyard_core::address;
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::params::Params;
use steelyard_runtime::output::Output;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::generate::keyless;
use steelyard_tests::picture::{Line, Picture};
use steelyard_tests::process::{Launch, Node, run_node};
use steelyard_tests::random::Random;
use steelyard_tests::usage::{disk_bytes, resident_bytes};

/// Accounts that pay: what one may have pending is bounded.
const PAYERS: usize = 8;
/// Payments of one request.
const BATCH: u64 = 25;
/// A sender waits so long after a refusal: it has too much pending until the next block.
const REFUSED: Duration = Duration::from_millis(500);
/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(5);
/// Between two rounds of what an operator does.
const CHORES: Duration = Duration::from_secs(60);
/// A round of it in which a node syncs from nothing.
const SYNC_ROUND: u64 = 5;

/// Measures memory and disk of nodes under load on this machine.
#[derive(Parser)]
#[command(name = "steelyard-measure-soak", version)]
struct Options {
    /// For so many minutes
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Payments a second, as far as the nodes take them
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Accounts that are paid
    #[arg(long, default_value_t = 20_000)]
    accounts: u64,
    /// Writes soak.csv, soak-memory.svg and soak-disk.svg into this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// One look at both nodes.
#[derive(Clone, Copy, Debug)]
struct Sample {
    seconds: f64,
    height: u64,
    /// Payments acknowledged.
    payments: u64,
    /// Resident bytes of the node that mines and of the one that prunes.
    resident: [u64; 2],
    /// Bytes of disk: store and index of the one that mines, both of the one that prunes.
    disk: [u64; 3],
}

/// What all threads know.
struct Soak {
    stop: AtomicBool,
    paid: AtomicU64,
    reads: AtomicU64,
    said: Mutex<Vec<String>>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.accounts > 0 && options.rate > 0.0, "somebody must be paid, now and then");
    fs::create_dir_all(&options.out)?;
    let folder = tempfile::tempdir()?;
    let launch =
        |name: &str| Launch::run(Path::new("dev"), &folder.path().join(name), &["--discover", "off"]);
    let miner = address::format("dsy", &Account::numbered(1).address);
    let miner = launch("mines").mine(&miner).start();
    let pruner = launch("prunes").connect(miner.p2p).flags(&["--prune", "288"]).start();
    let soak = Soak {
        stop: AtomicBool::new(false),
        paid: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        said: Mutex::default(),
    };
    let (node, mut samples) = (&miner, Vec::new());
    std::thread::scope(|scope| {
        for payer in 1..=PAYERS {
            let (soak, options) = (&soak, &options);
            scope.spawn(move || soak.pay(node, payer, options));
        }
        scope.spawn(|| soak.read(&[&miner, &pruner], options.accounts));
        scope.spawn(|| soak.chores(&launch, &miner, folder.path()));
        let result = sample(&options, &soak, (&miner, &pruner), folder.path(), &mut samples);
        soak.stop.store(true, Ordering::Relaxed);
        result
    })?;
    for line in soak.said.into_inner().unwrap_or_default() {
        say(&line);
    }
    say(&format!("{} questions answered beside it", soak.reads.into_inner()));
    draw(&options.out, &samples)?;
    summarize(&samples)
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Pays in batches at its share of the rate; what is refused is sent again.
    fn pay(&self, node: &Node, payer: usize, options: &Options) {
        let (account, network) = (Account::dev(payer), Params::dev().network_id());
        let (mut random, mut nonce) = (Random::new(payer as u64), 0);
        let pace = Duration::from_secs_f64(PAYERS as f64 * BATCH as f64 / options.rate);
        let mut next = Instant::now();
        while self.goes_on() {
            let to = (0..BATCH).map(|_| keyless(random.below(options.accounts)));
            let batch: Vec<Vec<u8>> =
                (nonce..).zip(to).map(|(nonce, to)| payment(&account, network, nonce, to)).collect();
            let answer = node.api.try_post_batch(&batch).filter(|answer| answer.status == 200);
            let verdicts = answer.and_then(|answer| answer.json.as_array().cloned()).unwrap_or_default();
            let taken = verdicts.iter().take_while(|verdict| verdict["id"].is_string()).count() as u64;
            nonce += taken;
            self.paid.fetch_add(taken, Ordering::Relaxed);
            next += pace;
            if taken < BATCH {
                std::thread::sleep(REFUSED);
                next = Instant::now();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Asks both nodes what people ask.
    fn read(&self, nodes: &[&Node], accounts: u64) {
        let mut random = Random::new(99);
        while self.goes_on() {
            let node = nodes[random.place(nodes.len())];
            let who = address::format("dsy", &keyless(random.below(accounts)));
            for path in ["", "/txs", "/proof"] {
                let answered = node.api.try_get(&format!("/address/{who}{path}"));
                self.reads.fetch_add(u64::from(answered.is_some()), Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Backups and checks of the node that mines, and now and then one that syncs from it.
    fn chores(&self, launch: &dyn Fn(&str) -> Launch, node: &Node, folder: &Path) {
        let (mut next, mut round) = (Instant::now() + CHORES, 0);
        while self.goes_on() {
            std::thread::sleep(Duration::from_millis(200));
            if Instant::now() < next {
                continue;
            }
            round += 1;
            let dir = folder.join("backup");
            let answer = node.api.try_post_as(&node.token(), "/backup", &serde_json::json!({ "dir": dir }));
            self.note(round, "backup", answer.is_some_and(|answer| answer.status == 200));
            let _ = fs::remove_dir_all(&dir);
            let data_dir = folder.join("mines");
            let data_dir = data_dir.to_str().expect("a plain path");
            let verified = run_node(&["verify", "--json", "--network", "dev", "--data-dir", data_dir]);
            self.note(round, "verify", verified.status.success());
            if round % SYNC_ROUND == 0 {
                let fresh = launch("fresh").connect(node.p2p).start();
                let height = |node: &Node| node.api.get("/status").json["height"].as_u64();
                let goal = height(node);
                while self.goes_on() && height(&fresh) < goal {
                    std::thread::sleep(Duration::from_millis(50));
                }
                self.note(round, "sync from nothing", height(&fresh) >= goal);
                drop(fresh);
                let _ = fs::remove_dir_all(folder.join("fresh"));
            }
            next = Instant::now() + CHORES;
        }
    }

    fn note(&self, round: u64, what: &str, is_done: bool) {
        if !is_done && self.goes_on() {
            let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            said.push(format!("round {round}: {what} FAILED"));
        }
    }
}

/// Looks at both nodes until the time is over.
fn sample(
    options: &Options,
    soak: &Soak,
    (miner, pruner): (&Node, &Node),
    folder: &Path,
    samples: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut table = fs::File::create(options.out.join("soak.csv"))?;
    writeln!(
        table,
        "seconds,height,payments,mines_resident,prunes_resident,mines_store,mines_index,prunes_disk"
    )?;
    let end = Duration::from_secs_f64(60.0 * options.minutes);
    while started.elapsed() < end {
        std::thread::sleep(SAMPLE);
        let disk = |name: &str| disk_bytes(&folder.join(name));
        let found = Sample {
            seconds: started.elapsed().as_secs_f64(),
            height: miner.api.get("/status").json["height"].as_u64().context("a height")?,
            payments: soak.paid.load(Ordering::Relaxed),
            resident: [resident_bytes(miner.pid()), resident_bytes(pruner.pid())],
            disk: [disk("mines/chain"), disk("mines/index"), disk("prunes")],
        };
        let Sample { seconds, height, payments, resident: [mines, prunes], disk: [store, index, pruned] } =
            found;
        writeln!(table, "{seconds:.1},{height},{payments},{mines},{prunes},{store},{index},{pruned}")?;
        samples.push(found);
    }
    Ok(())
}

/// Memory against time, disk against payments.
fn draw(out: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let line = |name: &str, x: &dyn Fn(&Sample) -> f64, y: &dyn Fn(&Sample) -> u64| Line {
        name: name.to_owned(),
        points: samples.iter().map(|sample| (x(sample), mib(y(sample)))).collect(),
    };
    let minutes = |sample: &Sample| sample.seconds / 60.0;
    let memory = Picture {
        title: "Resident memory".into(),
        x: "minutes".into(),
        y: "MiB".into(),
        lines: vec![
            line("node that mines", &minutes, &|sample| sample.resident[0]),
            line("node that prunes", &minutes, &|sample| sample.resident[1]),
        ],
    };
    let thousands = |sample: &Sample| sample.payments as f64 / 1_000.0;
    let disk = Picture {
        title: "Disk".into(),
        x: "thousand payments".into(),
        y: "MiB".into(),
        lines: vec![
            line("store of the node that mines", &thousands, &|sample| sample.disk[0]),
            line("its index", &thousands, &|sample| sample.disk[1]),
            line("all of the node that prunes", &thousands, &|sample| sample.disk[2]),
        ],
    };
    fs::write(out.join("soak-memory.svg"), memory.to_svg())?;
    fs::write(out.join("soak-disk.svg"), disk.to_svg())?;
    Ok(())
}

/// The four quarters, one after the other.
fn summarize(samples: &[Sample]) -> anyhow::Result<()> {
    let last = samples.last().context("it was long enough for a look")?;
    say(&format!(
        "{:.0} s, {} blocks, {} payments acknowledged ({:.0} a second)",
        last.seconds,
        last.height,
        last.payments,
        last.payments as f64 / last.seconds
    ));
    let mib = |bytes: u64| bytes >> 20;
    let mut before = samples[0];
    for quarter in samples.chunks(samples.len().div_ceil(4)) {
        let end = quarter[quarter.len() - 1];
        let most = |node: usize| mib(quarter.iter().map(|sample| sample.resident[node]).max().unwrap_or(0));
        let paid = (end.payments - before.payments).max(1);
        let each = |disk: usize| end.disk[disk].saturating_sub(before.disk[disk]) / paid;
        say(&format!(
            "until {:.0} s: at most {} and {} MiB resident (mines, prunes); {} bytes of store and {} of index \
             a payment, {} of the node that prunes",
            end.seconds,
            most(0),
            most(1),
            each(0),
            each(1),
            each(2)
        ));
        before = end;
    }
    Ok(())
}

fn payment(account: &Account, network: NetworkId, nonce: u64, to: Address) -> Vec<u8> {
    account.pay_bytes(network, Terms::of_nonce(nonce).fee(1_000), vec![coins(to, 1)])
}

/// To standard output, which may have been closed by whoever has read enough.
fn say(line: &str) {
    Output::new(false).line(line);
}
