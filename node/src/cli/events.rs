//! One line per event that matters while a node runs: new blocks, reorganisations and peers, read from
//! the view like anybody does. While the node is far behind others its progress is shown instead of
//! blocks. Text lines go to stderr, or into the log where that is JSON. Falls behind rather than
//! flooding: many blocks at once share a line. Must not change anything.

mod catch_up;

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use steelyard_core::hash::{Address, BlockId};
use steelyard_core::types::body::Coinbase;
use steelyard_runtime::output::Output;
use steelyard_runtime::words;

use crate::chain::Chain;
use crate::chain::check::load_body;
use crate::chain::index::Entry;
use crate::chain::view::Shared;
use crate::peers::Peers;

use self::catch_up::CatchUp;

/// More new blocks than this at a look share one line.
const LINES_MAX: usize = 4;
/// Time between two looks: at most so many lines a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest wait for a block before a look at how far others are.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines on stderr.
    Lines,
    /// Events of the log.
    Log,
}

/// What happened since the last look.
#[derive(Debug)]
struct News {
    /// Blocks left and the height of the last shared block, when the chain turned back.
    reorg: Option<(u64, u64)>,
    /// The tip before.
    left: BlockId,
    /// The tip now.
    tip: BlockId,
    /// New active blocks.
    count: u64,
    /// The last of them, oldest first.
    last: Vec<Entry>,
}

/// Starts the thread that tells what happens after `from`, the tip at the node's start. It ends
/// when the node stops.
///
/// # Errors
/// The machine has no thread left.
pub fn start(
    (chain, peers): (&Chain, &Peers),
    from: BlockId,
    mine: Option<Address>,
    form: Form,
) -> io::Result<JoinHandle<()>> {
    let (chain, peers) = (chain.clone(), peers.clone());
    Builder::new().name("events".into()).spawn(move || watch((&chain, &peers), from, mine, form))
}

fn watch((chain, peers): (&Chain, &Peers), from: BlockId, mine: Option<Address>, form: Form) {
    let mut seen = from;
    let (mut catch_up, mut told): (Option<CatchUp>, u64) = (None, 0);
    loop {
        let ticks = chain.shared.ticks();
        let status = peers.status();
        let sync = &status.sync;
        told = tell_peers(&status.news, told, form);
        let news = news(&chain.shared, &seen);
        if let Some(news) = &news {
            tell_reorg(news, form);
            if !sync.is_catching_up && catch_up.is_none() {
                tell_blocks(chain, news, mine, form);
            }
            seen = news.tip;
        }
        let height = chain.shared.read().tip().header.height;
        if sync.is_catching_up {
            let catch_up = catch_up.get_or_insert_with(|| CatchUp::start(height, form));
            catch_up.look(height, sync.headers_height);
        } else if let Some(done) = catch_up.take() {
            done.finish(height, sync.headers_height);
        }
        if ticks.stopping {
            return;
        }
        let _ = chain.shared.wait(ticks, WAIT_MAX);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Tells of peers that came and went since the one numbered `told`, and gives the last one's number.
fn tell_peers(news: &[(u64, String)], told: u64, form: Form) -> u64 {
    let Some((last, _)) = news.last() else { return told };
    let (lines, more) = lines_of(news, told);
    if more > 0 {
        match form {
            Form::Log => tracing::info!(more, "peers came and went"),
            Form::Lines => line(&format!("peers came and went {more} times")),
        }
    }
    for (_, text) in lines {
        match form {
            Form::Log => tracing::info!("{text}"),
            Form::Lines => line(text),
        }
    }
    *last
}

/// The news that have lines of their own, and how many before them do not.
fn lines_of(news: &[(u64, String)], told: u64) -> (&[(u64, String)], u64) {
    let new = news.iter().filter(|(number, _)| *number > told).count();
    let lines = &news[news.len() - new.min(LINES_MAX)..];
    let last = news.last().map_or(told, |(last, _)| *last);
    (lines, (last - told).saturating_sub(lines.len() as u64))
}

/// What is new since the block `seen` was the tip.
fn news(shared: &Shared, seen: &BlockId) -> Option<News> {
    let view = shared.read();
    let index = view.index();
    let tip = index.tip();
    let (seen, _) = view.block(seen).filter(|(seen, _)| *seen != tip)?;
    let fork = index.fork_of(seen, tip);
    let branch = index.branch(fork, tip);
    let fork_height = index.get(fork).header.height;
    let dropped = index.get(seen).header.height - fork_height;
    Some(News {
        reorg: (dropped > 0).then_some((dropped, fork_height)),
        left: index.get(seen).id,
        tip: index.get(tip).id,
        count: branch.len() as u64,
        last: branch[branch.len().saturating_sub(LINES_MAX)..]
            .iter()
            .map(|number| index.get(*number).clone())
            .collect(),
    })
}

fn tell_reorg(news: &News, form: Form) {
    let Some((dropped, height)) = news.reorg else { return };
    let (added, from) = (news.count, news.left);
    match form {
        Form::Log => tracing::info!(dropped, added, height, %from, to = %news.tip, "reorg"),
        Form::Lines => {
            let (from, tip) = (words::short(&from), words::short(&news.tip));
            line(&format!("reorg -{dropped} +{added} at {height}: {from} → {tip}"));
        }
    }
}

fn tell_blocks(chain: &Chain, news: &News, mine: Option<Address>, form: Form) {
    let tip = words::short(&news.tip);
    if let Some(last) = news.last.last().filter(|_| news.count > LINES_MAX as u64) {
        let last = last.header.height;
        let first = last + 1 - news.count;
        match form {
            Form::Log => tracing::info!(first, last, tip = %news.tip, "blocks"),
            Form::Lines => {
                line(&format!("blocks {first} to {last}, tip {tip}, {}", words::count(news.count, "block")));
            }
        }
        return;
    }
    for entry in &news.last {
        let (height, content) = (entry.header.height, Content::of(chain, entry, mine));
        match form {
            Form::Log => {
                let (txs, mined_here) = (content.txs, content.mined_here);
                tracing::info!(height, id = %entry.id, txs, mined_here, "block");
            }
            Form::Lines => line(&format!("block {height} {} {}", words::short(&entry.id), content.text())),
        }
    }
}

/// What a block holds, as far as it is told.
struct Content {
    txs: Option<usize>,
    mined_here: bool,
}

impl Content {
    /// Reads a block's body; one that cannot be read is the store's concern, not this line's.
    fn of(chain: &Chain, entry: &Entry, mine: Option<Address>) -> Self {
        let body = load_body(&chain.shared, &chain.store, entry).ok();
        let items = body.map(|body| body.items).unwrap_or_default();
        let coinbase = items.first().and_then(|bytes| Coinbase::from_bytes(bytes).ok());
        Self {
            txs: items.len().checked_sub(1),
            mined_here: coinbase.is_some_and(|coinbase| Some(coinbase.miner) == mine),
        }
    }

    fn text(&self) -> String {
        let txs = self.txs.map_or("unreadable".to_owned(), |txs| format!("{txs} tx"));
        if self.mined_here { txs + ", mined here" } else { txs }
    }
}

fn line(text: &str) {
    if tracing::enabled!(tracing::Level::INFO) {
        Output::new(false).note(&format!("{} {text}", words::time_of_day()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::check::UncheckedBlock;
    use crate::chain::error::Accepted;
    use crate::{miner, node};
    use steelyard_core::consensus::pow::search;
    use steelyard_core::consensus::template::Payout;
    use steelyard_core::encode::List;
    use steelyard_core::params::Params;
    use steelyard_core::work::from_bits;
    use steelyard_runtime::clock;

    /// A chain of the dev network on a folder of its own.
    fn chain(dir: &tempfile::TempDir) -> Chain {
        let (store, loaded) = node::open(Params::dev(), dir.path()).unwrap();
        Chain::start(loaded, store).unwrap().0
    }

    /// Mines blocks for one miner and gives them.
    fn mined(chain: &Chain, miner: Address, count: usize) -> Vec<UncheckedBlock> {
        let payout = Payout { miner, extra: List::default() };
        let mine = |_| {
            let template = miner::template(chain, &payout, clock::now_ms());
            let mut header = template.header;
            let nonce = search(&header, from_bits(header.bits).unwrap(), 0, u64::MAX).unwrap();
            header.nonce = nonce;
            let block = UncheckedBlock { header, body: template.body };
            assert_eq!(chain.submit_block(block.clone(), clock::now_ms()), Ok(Accepted::Active));
            block
        };
        (0..count).map(mine).collect()
    }

    #[test]
    fn peers_are_told_once_and_many_together() {
        // Older ones are forgotten already.
        let news: Vec<(u64, String)> = (3..=9).map(|number| (number, String::new())).collect();
        let lines = |told| {
            let (lines, more) = lines_of(&news, told);
            (lines.iter().map(|(number, _)| *number).collect::<Vec<_>>(), more)
        };
        assert_eq!(lines(0), (vec![6, 7, 8, 9], 5));
        assert_eq!(lines(5), (vec![6, 7, 8, 9], 0));
        assert_eq!(lines(7), (vec![8, 9], 0));
        assert_eq!(lines(9), (vec![], 0));
        assert_eq!(lines_of(&[], 4), (&[][..], 0));
        assert_eq!((tell_peers(&[], 4, Form::Log), tell_peers(&news, 4, Form::Log)), (4, 9));
    }

    #[test]
    fn blocks_and_reorganisations_are_news_once() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (ours, theirs) = (chain(&dirs[0]), chain(&dirs[1]));
        let genesis = ours.shared.genesis.id;
        assert!(news(&ours.shared, &genesis).is_none());
        let (alice, bob) = (Address([1; 32]), Address([2; 32]));
        mined(&ours, alice, LINES_MAX + 2);
        let first = news(&ours.shared, &genesis).unwrap();
        assert_eq!((first.count, first.last.len(), first.reorg), (6, LINES_MAX, None));
        let (entry, tip) = (first.last.last().unwrap(), first.tip);
        assert_eq!(Content::of(&ours, entry, Some(alice)).text(), "0 tx, mined here");
        assert_eq!(Content::of(&ours, entry, Some(bob)).text(), "0 tx");
        assert!(news(&ours.shared, &tip).is_none());
        let longer = mined(&theirs, bob, LINES_MAX + 3);
        assert!(ours.submit_blocks(longer, clock::now_ms()).iter().all(Result::is_ok));
        let second = news(&ours.shared, &tip).unwrap();
        assert_eq!((second.left, second.count, second.reorg), (tip, 7, Some((6, 0))));
        ours.stop();
        theirs.stop();
    }
}
