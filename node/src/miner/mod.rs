//! The miner: templates from the view, the search on threads of its own from a random start, and
//! the block through the same door as anybody's. Drops a template for a new tip after at most one
//! batch of tries. Where difficulty is constant it paces itself, and while its blocks would be in vain,
//! or the disk is full, it rests. Must not know the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::consensus::header::Parent;
use steelyard_core::consensus::pow::search;
use steelyard_core::consensus::template::{Payout, Template, assemble};
use steelyard_core::encode::List;
use steelyard_core::hash::Address;
use steelyard_core::history;
use steelyard_core::work::from_bits;
use steelyard_runtime::clock;

use crate::chain::Chain;
use crate::chain::check::UncheckedBlock;
use crate::chain::view::Ticks;
use crate::limits::{MINER_BATCH_TRIES, TEMPLATE_AGE_MS};

/// Longest a miner waits without looking up, in ms.
const WAIT_MS_MAX: u64 = 1_000;
/// Pause after a block of one's own was refused, in ms: clocks and stores need a moment.
const REFUSED_PAUSE_MS: u64 = 500;

/// How to mine.
#[derive(Clone, Debug)]
pub struct MinerConfig {
    /// Gets the rewards.
    pub address: Address,
    /// Threads that search.
    pub threads: usize,
    /// On a paced network: mine at once when a transaction is pending.
    pub on_tx: bool,
}

/// What the miner has done, for `/status`.
#[derive(Debug, Default)]
pub struct MinerStatus {
    tries: AtomicU64,
    search_micros: AtomicU64,
    blocks: AtomicU64,
}

impl MinerStatus {
    /// Tries a second while searching, over all threads; 0 before the first batch.
    #[must_use]
    pub fn hash_rate(&self, threads: usize) -> u64 {
        let micros = self.search_micros.load(Ordering::Relaxed).max(1);
        let tries = u128::from(self.tries.load(Ordering::Relaxed));
        u64::try_from(tries * 1_000_000 * threads as u128 / u128::from(micros)).unwrap_or(u64::MAX)
    }

    /// Tries so far, over all threads.
    #[must_use]
    pub fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }

    /// Blocks found and accepted.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }
}

/// Starts the threads; they end when the node stops.
///
/// # Errors
/// The machine has no thread left.
pub fn start(
    chain: &Chain,
    config: &MinerConfig,
) -> std::io::Result<(Arc<MinerStatus>, Vec<JoinHandle<()>>)> {
    let status = Arc::new(MinerStatus::default());
    // Without difficulty every thread would find a block at once, and all but one in vain.
    let count = if chain.shared.params.is_paced() { 1 } else { config.threads.max(1) };
    let threads = (0..count).map(|number| {
        let (chain, config, status) = (chain.clone(), config.clone(), Arc::clone(&status));
        let thread = std::thread::Builder::new().name(format!("miner-{number}"));
        thread.spawn(move || mine(&chain, &config, &status))
    });
    let threads = threads.collect::<Result<Vec<_>, _>>()?;
    Ok((status, threads))
}

fn mine(chain: &Chain, config: &MinerConfig, status: &MinerStatus) {
    let payout = Payout { miner: config.address, extra: List::default() };
    loop {
        let seen = chain.shared.ticks();
        if seen.stopping {
            return;
        }
        if seen.disk_full || is_in_vain(chain) {
            let _ = chain.shared.wait(seen, Duration::from_millis(WAIT_MS_MAX));
            continue;
        }
        let early_ms = early(chain);
        let wait = || {
            let _ = chain.shared.wait(seen, Duration::from_millis(early_ms.min(WAIT_MS_MAX)));
        };
        if early_ms > 0 && !(config.on_tx && is_pending(chain)) {
            wait();
            continue;
        }
        let template = template(chain, &payout, clock::now_ms());
        // Pending is not enough: what a block cannot hold must not make empty ones.
        if early_ms > 0 && template.body.items.len() == 1 {
            wait();
            continue;
        }
        let Some(nonce) = find(chain, seen, &template, status) else { continue };
        let mut header = template.header;
        header.nonce = nonce;
        let block = UncheckedBlock { header, body: template.body };
        match chain.submit_block(block, clock::now_ms()) {
            Ok(_) => {
                status.blocks.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, height = header.height, "a block mined here was not accepted");
                let _ = chain.shared.wait(seen, Duration::from_millis(REFUSED_PAUSE_MS));
            }
        }
    }
}

/// Whether what is mined on this tip cannot last: others are far ahead, or on a chain of more work that
/// this node cannot follow.
fn is_in_vain(chain: &Chain) -> bool {
    chain.shared.is_catching_up() || chain.shared.is_beyond_pruning()
}

/// How much too early a block would be now, in ms: on a paced network before the spacing is over,
/// on any when the clock was set back so far that a stamp after the parent's is beyond the drift.
fn early(chain: &Chain) -> u64 {
    let (params, now) = (&chain.shared.params, clock::now_ms());
    let tip = chain.shared.read().tip().header.time;
    let pace = if params.is_paced() { tip.saturating_add(params.spacing).saturating_sub(now) } else { 0 };
    pace.max((tip + 1).saturating_sub(now).saturating_sub(params.drift))
}

fn is_pending(chain: &Chain) -> bool {
    chain.shared.read().pending_size().0 > 0
}

/// A block to search for, on the present tip.
#[must_use]
pub fn template(chain: &Chain, payout: &Payout, now: u64) -> Template {
    let shared = &chain.shared;
    let (tip, frontier, state, txs) = {
        let view = shared.read();
        let number = view.index().tip();
        let entry = view.index().get(number).clone();
        (entry, view.index().frontier(number), view.state(), view.select(shared.params.block_bytes_max))
    };
    let parent = Parent {
        header: &tip.header,
        id: tip.id,
        total_work: tip.total_work,
        history_root: history::root(&frontier),
    };
    assemble(&shared.params, &parent, &state, txs.iter().map(|tx| &**tx), (payout, now))
}

/// Searches in batches until found, until the tip has changed since `seen`, until the node is far
/// behind others or its disk full, or until the template is old: at most one batch on a tip that is no more.
#[must_use]
pub fn find(chain: &Chain, seen: Ticks, template: &Template, status: &MinerStatus) -> Option<u64> {
    let target = from_bits(template.header.bits).expect("computed bits are canonical");
    let started = clock::start();
    // A random start: or of two miners with equal hardware the same one would always win.
    let mut nonce: u64 = rand::random();
    loop {
        let batch = clock::start();
        let found = search(&template.header, target, nonce, MINER_BATCH_TRIES);
        let tries = found.map_or(MINER_BATCH_TRIES, |found| found.wrapping_sub(nonce).wrapping_add(1));
        status.tries.fetch_add(tries, Ordering::Relaxed);
        let micros = u64::try_from(batch.elapsed().as_micros()).unwrap_or(u64::MAX);
        status.search_micros.fetch_add(micros, Ordering::Relaxed);
        if found.is_some() {
            return found;
        }
        nonce = nonce.wrapping_add(MINER_BATCH_TRIES);
        let ticks = chain.shared.ticks();
        let is_old = started.elapsed() > Duration::from_millis(TEMPLATE_AGE_MS);
        let is_over = ticks.tips != seen.tips || ticks.stopping || ticks.disk_full || is_in_vain(chain);
        if is_over || (is_old && ticks.admissions != seen.admissions) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node;
    use steelyard_core::params::Params;

    /// The hardest target that can be written: nobody finds a block.
    const HARDEST: u32 = 0x0101_0000;

    #[test]
    fn a_search_ends_when_there_is_a_chain_that_cannot_be_followed() {
        assert_ends_a_search(|chain| chain.shared.set_beyond_pruning(true));
    }

    /// What makes a search vain while it goes on.
    fn assert_ends_a_search(vain: impl FnOnce(&Chain)) {
        let dir = tempfile::tempdir().unwrap();
        let (store, loaded) = node::open(Params::dev(), dir.path()).unwrap();
        let (chain, _) = Chain::start(loaded, store).unwrap();
        let payout = Payout { miner: Address([1; 32]), extra: List::default() };
        let mut template = template(&chain, &payout, clock::now_ms());
        template.header.bits = HARDEST;
        let status = Arc::new(MinerStatus::default());
        vain(&chain);
        // Ends a search that goes on, so that the test fails and does not hang.
        let (late, searched) = (chain.clone(), Arc::clone(&status));
        let guard = std::thread::spawn(move || {
            while !late.shared.ticks().stopping && searched.tries() < 5 * MINER_BATCH_TRIES {
                std::thread::yield_now();
            }
            late.stop();
        });
        assert_eq!(find(&chain, chain.shared.ticks(), &template, &status), None);
        assert_eq!(status.tries(), MINER_BATCH_TRIES);
        chain.stop();
        guard.join().unwrap();
    }

    #[test]
    fn a_search_ends_when_the_node_turns_out_to_be_far_behind_or_its_disk_is_full() {
        assert_ends_a_search(|chain| chain.shared.set_catching_up(true));
        assert_ends_a_search(|chain| chain.shared.tick(|ticks| ticks.disk_full = true));
    }
}
