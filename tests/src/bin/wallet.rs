//! `steelyard-measure-wallet`: a real wallet daemon before a real node, and before one that hangs
//! or lies, asked as its users ask. Prints figures; must not judge.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;
use steelyard_core::address;
use steelyard_core::params::Params;
use steelyard_runtime::output::Output;
use steelyard_tests::accounts::Account;
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::proxy::{Behaviour, Proxy};
use steelyard_tests::wallet::{Daemon, Rpc, Wallet};

/// Measures the wallet daemon: sends, reads, starts.
#[derive(Parser)]
#[command(name = "steelyard-measure-wallet", version)]
struct Options {
    /// Callers that send at once
    #[arg(long, default_value_t = 8)]
    callers: u64,
    /// Sends of each
    #[arg(long, default_value_t = 100)]
    sends: u64,
    /// Reads of the balance, in each situation
    #[arg(long, default_value_t = 5_000)]
    reads: usize,
    /// Starts and one-shot commands
    #[arg(long, default_value_t = 20)]
    starts: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let wallet = Wallet::new(folder.path(), &[node.p2p]);
    let _ = wallet.run(&["import-dev"]).ok();
    wallet.stop();
    starts(&wallet, options.starts);
    sends(&wallet, &options);
    reads(folder.path(), &node, &options);
    Ok(())
}

fn say(text: &str) {
    Output::new(false).line(text);
}

fn receiver(number: u64) -> String {
    address::format(&Params::dev().prefix, &Account::numbered(number).address)
}

/// Median, 99th of a hundred, and worst, in microseconds.
fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    format!("p50 {} us, p99 {} us, worst {} us ({})", at(50), at(99), at(100), times.len())
}

fn starts(wallet: &Wallet, count: usize) {
    let mut ready: Vec<_> = (0..count).map(|_| wallet.start().ready_in).collect();
    say(&format!("daemon, spawn to ready after SIGKILL: {}", spread(&mut ready)));
    let daemon = wallet.start();
    wait_synced(wallet);
    let once = || {
        let started = Instant::now();
        let _ = wallet.run(&["balance"]).ok();
        started.elapsed()
    };
    let mut once: Vec<_> = (0..count).map(|_| once()).collect();
    say(&format!("one-shot `balance`, daemon running: {}", spread(&mut once)));
    drop(daemon);
}

fn wait_synced(wallet: &Wallet) {
    wallet.wait_for(&["balance"], |balance| balance["as_of"]["synced"] == true);
}

fn sends(wallet: &Wallet, options: &Options) {
    let daemon = wallet.start();
    wait_synced(wallet);
    let started = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..options.callers)
            .map(|caller| {
                let mut rpc = daemon.rpc();
                scope.spawn(move || caller_sends(&mut rpc, caller, options.sends))
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller does not panic")).collect()
    });
    let took = started.elapsed();
    let total = options.callers * options.sends;
    let rate = total as f64 / took.as_secs_f64();
    say(&format!(
        "{} callers, {total} sends, each durable at wallet and node: {rate:.0} a second",
        options.callers
    ));
    say(&format!("one send: {}", spread(&mut times)));
    let settled = Instant::now();
    wallet.wait_for(&["balance"], |balance| balance["pending_out"] == "0");
    say(&format!("all mined {} ms after the last answer", settled.elapsed().as_millis()));
}

fn caller_sends(rpc: &mut Rpc, caller: u64, sends: u64) -> Vec<Duration> {
    let send = |send: u64| {
        let number = 1_000 + caller * sends + send;
        let body = json!({ "id": format!("m{number}"), "to": receiver(number), "amount": "0.01" });
        let started = Instant::now();
        let (status, answer) = rpc.post("/wallet/dev/sends", &body);
        assert_eq!(status, 200, "{answer}");
        started.elapsed()
    };
    (0..sends).map(send).collect()
}

fn reads(folder: &Path, node: &Node, options: &Options) {
    for behaviour in [Behaviour::Honest, Behaviour::HangAfterHandshake, Behaviour::OtherBalance] {
        let proxy = Proxy::start(node.p2p, Params::dev().network_id(), Behaviour::Honest);
        let wallet = Wallet::new(&folder.join(format!("{behaviour:?}")), &[proxy.address]);
        let _ = wallet.run(&["import-dev"]).ok();
        wallet.stop();
        let daemon = wallet.start();
        wait_synced(&wallet);
        proxy.behave(behaviour);
        let mut times = balances(&daemon, options.reads);
        say(&format!("balance, its node {behaviour:?}: {}", spread(&mut times)));
    }
}

fn balances(daemon: &Daemon, count: usize) -> Vec<Duration> {
    let mut rpc = daemon.rpc();
    let read = |_| {
        let started = Instant::now();
        let (status, answer) = rpc.get("/wallet/dev/balance");
        let took = started.elapsed();
        assert_eq!(status, 200, "{answer}");
        // Spread over some seconds, so that the node's silence is among them.
        std::thread::sleep(Duration::from_millis(1));
        took
    };
    (0..count).map(read).collect()
}
