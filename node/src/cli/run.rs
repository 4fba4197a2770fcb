//! `dev` and `run`: start the node, show the first screen, tell what happens, stop when asked.
//! Must not know how the parts of a node are put together.

use std::process;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use steelyard_core::params::dev_addresses;
use steelyard_runtime::clock;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;
use steelyard_runtime::signals::Signals;
use tokio::runtime::{Builder, Runtime};

use super::config::Resolved;
use super::events::{self, Form};
use super::fresh;
use super::screen::Card;
use crate::node::{Node, NodeConfig};

/// Threads for the API: what is slow runs elsewhere.
const WORKERS: std::ops::RangeInclusive<usize> = 2..=4;
/// A second signal this soon is the first one again, passed on by a wrapper such as timeout(1) that
/// got it too: the stop keeps this much time.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// What is shown beside the node's own configuration.
#[derive(Clone, Copy)]
struct Show {
    is_dev: bool,
    events: Option<Form>,
    out: Output,
}

/// `dev`: the network at once, mining to the first published account.
///
/// # Errors
/// [`CliError`] with the exit code of the cause.
pub fn dev(resolved: &Resolved, is_fresh: bool, out: Output) -> Result<(), CliError> {
    let config = resolved.node(dev_addresses().into_iter().next())?;
    if is_fresh && fresh::discard_chain(&config.data_dir, &config.params.network_id())? {
        out.note(&format!("deleted the chain in {}", config.data_dir.display()));
    }
    block_on(config, Show { is_dev: true, events: resolved.events(out)?, out })
}

/// `run`: a node of any network.
///
/// # Errors
/// [`CliError`] with the exit code of the cause.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), CliError> {
    block_on(resolved.node(None)?, Show { is_dev: false, events: resolved.events(out)?, out })
}

fn block_on(config: NodeConfig, show: Show) -> Result<(), CliError> {
    let runtime =
        runtime().map_err(|error| CliError::other("runtime", format!("cannot start threads: {error}")))?;
    let ended = runtime.block_on(serve(config, show));
    // A store that is still being opened is left to the process's end, which is safe at any moment.
    runtime.shutdown_background();
    ended
}

fn runtime() -> std::io::Result<Runtime> {
    let cores = available_parallelism().map_or(*WORKERS.start(), usize::from);
    let workers = cores.clamp(*WORKERS.start(), *WORKERS.end());
    Builder::new_multi_thread().worker_threads(workers).thread_name("async").enable_all().build()
}

async fn serve(config: NodeConfig, show: Show) -> Result<(), CliError> {
    let mut signals = Signals::listen()
        .map_err(|error| CliError::other("signals", format!("cannot listen for signals: {error}")))?;
    let (miner, named) = (config.miner.clone(), config.connect.clone());
    let node = tokio::select! {
        started = Node::start(config) => started.map_err(|error| show.hinted(error))?,
        _ = signals.next() => return Ok(()),
    };
    // sled's own close takes long and makes nothing safer: the last handles are never dropped.
    std::mem::forget((Arc::clone(&node.chain.store), Arc::clone(&node.finder)));
    let card = Card::of(&node, miner.as_ref(), &named, show.is_dev);
    if !show.out.is_json() {
        // One write: a reader that takes a few lines and goes does not end the node.
        show.out.bytes(card.text(show.out.colours()).as_bytes());
    }
    show.out.json(&card);
    if let Some(form) = show.events {
        let address = miner.map(|miner| miner.address);
        let thread = events::start((&node.chain, &node.peers), node.ready.tip, address, form);
        // Not joined: a terminal that is held up must not hold up the stop.
        thread.map_err(|error| CliError::other("thread", error.to_string()))?;
    }
    let failed = tokio::select! {
        () = node.failed() => true,
        _ = signals.next() => false,
    };
    let stopped = tokio::select! {
        stopped = node.stop() => stopped,
        code = again(&mut signals) => process::exit(code),
    };
    match stopped {
        Ok(()) if failed => Err(CliError::other("chain_thread", "the chain thread ended early")),
        stopped => stopped.map(|()| show.stopped()).map_err(|error| show.hinted(error)),
    }
}

/// The second signal, after which nothing is waited for any more.
async fn again(signals: &mut Signals) -> i32 {
    let first = clock::start();
    let code = signals.next().await;
    tokio::time::sleep(SAME_SIGNAL.saturating_sub(first.elapsed())).await;
    code
}

impl Show {
    /// Damage with the next step, where nobody has named one.
    fn hinted(self, error: CliError) -> CliError {
        if error.exit != ExitCode::Damaged || error.hint.is_some() {
            return error;
        }
        error.with_hint(if self.is_dev {
            "steelyard-node repair keeps what is right; steelyard-node dev --fresh starts a new chain"
        } else {
            "steelyard-node repair, with the same --network and --data-dir, keeps what is right"
        })
    }

    fn stopped(self) {
        if self.events == Some(Form::Lines) {
            self.out.note("stopped");
        }
    }
}
