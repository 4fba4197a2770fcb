//! The quick way: the log is consistent, checkpoint and deltas give the tip's state, the last
//! blocks keep every rule that needs no execution, their undo leads back, and the index knows some of
//! what they hold. What is older is believed to be as its checksums say.

use std::collections::HashMap;

use steelyard_core::consensus::error::{BlockRule, RuleError};
use steelyard_core::consensus::header::{Parent, check_header};
use steelyard_core::consensus::transition::{Change, disconnect_changes};
use steelyard_core::hash::HistoryRoot;
use steelyard_core::history::{self, HistoryNode};
use steelyard_core::state::{Key, Record, Trie};

use super::{Failure, Judged, Report, Source};
use crate::chain::index::{Entry, Index, Verdict};
use crate::chain::load::{genesis_entry, replay_log};
use crate::mark::Mark;
use crate::store::delta::Delta;
use crate::store::{StoreError, damaged};

/// Blocks at the end of the chain whose headers and bodies are judged.
const BLOCKS: u64 = 1_000;
/// Blocks at the end of the chain that are taken back.
const UNDONE: u64 = 100;
/// Blocks below those whose undo is looked up.
const SAMPLES: u64 = 100;

pub(super) fn judge(source: &Source<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Judged, Failure> {
    let index = index(source)?;
    source.check_choice(&index)?;
    let tip = index.get(index.tip());
    let height = tip.header.height;
    let from = height.saturating_sub(BLOCKS) + 1;
    let total = (height + 1).saturating_sub(from);
    let mut report = Report { blocks: total, ..Report::default() };
    let number = |height| index.active(height).expect("the active chain has every height up to its tip");
    let mut frontier = index.frontier(number(from - 1));
    for height in from..=height {
        let (parent, entry) = (index.get(number(height - 1)), index.get(number(height)));
        report.transactions += check_block(source, (parent, history::root(&frontier)), entry)?;
        frontier.push(HistoryNode::leaf(&entry.id, entry.work));
        progress(height + 1 - from, total);
    }
    let state = stored_state(source, &index)?;
    report.records = state.len();
    check_undo(source, &index, state.clone())?;
    if let Some(sampled) = &source.sampled {
        sampled.check(source, &index, from)?;
    }
    report.side_blocks = u64::from(index.next_number()) - 1 - height;
    Ok(Judged { report, reached: Mark::at(source.until, tip), next: height + 1, state })
}

/// Every block, as the log tells.
fn index(source: &Source<'_>) -> Result<Index, StoreError> {
    let mut index = Index::new(genesis_entry(source.genesis));
    index.set_bodies_from(source.bodies_from);
    for seq in 1..=source.until {
        replay_log(&mut index, seq, source.store.log(seq)?)?;
    }
    Ok(index)
}

/// Header in full, body, where it is not pruned, against its root; counts the transactions.
fn check_block(
    source: &Source<'_>,
    (parent, history_root): (&Entry, HistoryRoot),
    entry: &Entry,
) -> Result<u64, Failure> {
    let block = (entry.id, entry.header.height);
    let context =
        Parent { header: &parent.header, id: parent.id, total_work: parent.total_work, history_root };
    check_header(source.params, &context, &entry.header)
        .map_err(|rule| Failure::of_rule(block, None, &RuleError::from(rule)))?;
    if entry.header.height < source.bodies_from {
        return Ok(0);
    }
    let body = source.body(entry)?;
    let (got, expected) = (body.root(), entry.header.body_root);
    if got != expected {
        return Err(Failure::of_rule(block, None, &BlockRule::BodyRoot { got, expected }.into()));
    }
    Ok((body.items.len() as u64).saturating_sub(1))
}

/// The state that a start would read, which must be the tip's.
pub(super) fn stored_state(source: &Source<'_>, index: &Index) -> Result<Trie, Failure> {
    let tip = index.get(index.tip());
    let fault = |message: String| Failure::of_block(tip, "stored_state", message);
    let (seq, mut state) = match &source.checkpoint {
        None => (0, source.genesis.state.clone()),
        Some(checkpoint) => match &checkpoint.content {
            Ok(state) => (checkpoint.seq, state.clone()),
            Err(reason) => return Err(Failure::of_block(tip, "checkpoint", reason)),
        },
    };
    let mut last: HashMap<Key, Option<Record>> = HashMap::new();
    for seq in seq + 1..=source.until {
        let Some(delta) = read_delta(source, seq, tip)? else { continue };
        last.extend(delta.restored);
        let connected = delta.connected.into_iter().flat_map(|(_, changes)| changes);
        last.extend(connected.map(|change| (change.key, change.new)));
    }
    state.update(last);
    let (got, expected) = (state.root(), tip.header.state_root);
    if got == expected {
        return Ok(state);
    }
    Err(fault(format!("checkpoint and deltas give root {got}, the header says {expected}")))
}

fn read_delta(source: &Source<'_>, seq: u64, named: &Entry) -> Result<Option<Delta>, Failure> {
    source.store.find_delta(seq).map_err(|error| match error {
        StoreError::Damaged { reason } => Failure::of_block(named, "undo", format!("commit {seq}: {reason}")),
        error => error.into(),
    })
}

/// Takes the last blocks back, each to the state its parent's header says, and looks up the
/// stored changes of some of the others.
fn check_undo(source: &Source<'_>, index: &Index, state: Trie) -> Result<(), Failure> {
    let (height, kept) = (index.get(index.tip()).header.height, source.bodies_from.max(1));
    let from = kept.max((height + 1).saturating_sub(UNDONE));
    take_back(source, index, from, state)?;
    let (mut read, below) = (None, from - kept);
    for sample in 0..below.min(SAMPLES) {
        let height = kept + sample * below / below.min(SAMPLES);
        changes_of(source, &mut read, active(index, height))?;
    }
    Ok(())
}

/// Takes back all blocks of the active chain from this height on, each to the state that its parent's
/// header says; gives the last one.
pub(super) fn take_back(
    source: &Source<'_>,
    index: &Index,
    from: u64,
    mut state: Trie,
) -> Result<Trie, Failure> {
    let mut read: Option<(u64, Delta)> = None;
    for height in (from..=index.get(index.tip()).header.height).rev() {
        let entry = active(index, height);
        let changes = changes_of(source, &mut read, entry)?;
        state = disconnect_changes(&state, &changes);
        let (got, expected) = (state.root(), active(index, height - 1).header.state_root);
        if got != expected {
            let message = format!("taken back, it leaves state root {got}, its parent's is {expected}");
            return Err(Failure::of_block(entry, "undo", message));
        }
    }
    Ok(state)
}

pub(super) fn active(index: &Index, height: u64) -> &Entry {
    index.get(index.active(height).expect("asked for heights up to the tip's"))
}

/// The stored changes of a block, the delta read last being kept.
pub(super) fn changes_of(
    source: &Source<'_>,
    read: &mut Option<(u64, Delta)>,
    entry: &Entry,
) -> Result<Vec<Change>, Failure> {
    let Verdict::Connected { seq } = entry.verdict else {
        return Err(damaged(format!("active block {} was never connected", entry.id)).into());
    };
    if read.as_ref().is_none_or(|(found, _)| *found != seq) {
        *read = read_delta(source, seq, entry)?.map(|delta| (seq, delta));
    }
    let connected = read.iter().flat_map(|(_, delta)| &delta.connected);
    let found = connected.filter(|(id, _)| *id == entry.id).map(|(_, changes)| changes.clone()).next();
    found.ok_or_else(|| Failure::of_block(entry, "undo", format!("commit {seq} does not hold its changes")))
}
