//! The full way where old bodies are pruned: every header by every rule, then from the stored state,
//! which the tip's header confirms, back over all blocks that are kept, and forward again by executing
//! them. What the blocks below did is believed as far as headers commit to it: the state before the
//! first block that is kept is the one that its parent's header names. Must not know how the store
//! prunes.

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::error::RuleError;
use steelyard_core::consensus::header::{CheckedHeader, Parent, check_header};
use steelyard_core::consensus::transition::connect_block;
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::types::header::Header;

use super::quick::{active, changes_of, stored_state, take_back};
use super::walk::compare_changes;
use super::{Failure, Judged, Report, Source};
use crate::chain::index::{Entry, Index, Number};
use crate::chain::load::{genesis_entry, replay_log};
use crate::mark::Mark;
use crate::store::damaged;
use crate::threads::at_once;

pub(super) fn judge(source: &Source<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Judged, Failure> {
    let index = headers(source)?;
    source.check_choice(&index)?;
    let end = stored_state(source, &index)?;
    let (tip, from) = (index.get(index.tip()).header.height, source.bodies_from);
    let mut state = take_back(source, &index, from, end)?;
    let sides = index
        .iter()
        .filter(|(number, entry)| entry.header.height >= from.max(1) && !index.is_active(*number));
    let sides: Vec<&Entry> = sides.map(|(_, entry)| entry).collect();
    let total = (tip + 1).saturating_sub(from) + sides.len() as u64;
    let (mut read, mut transactions, mut done) = (None, 0, 0);
    for height in from..=tip {
        let entry = active(&index, height);
        let block = check(source, entry)?;
        transactions += block.txs().len() as u64;
        let connected = connect_block(source.params, &state, block, at_once)
            .map_err(|rule| source.body_fault(entry, &rule))?;
        let (_, changes, after) = connected.into_parts();
        compare_changes(entry, &changes_of(source, &mut read, entry)?, &changes)?;
        (state, done) = (after, done + 1);
        progress(done, total);
    }
    for entry in &sides {
        check(source, entry)?;
        done += 1;
        progress(done, total);
    }
    let report = Report {
        blocks: tip,
        transactions,
        records: state.len(),
        side_blocks: u64::from(index.next_number()) - 1 - tip,
        executed_from: Some(from),
        ..Report::default()
    };
    let reached = Mark::at(source.until, index.get(index.tip()));
    Ok(Judged { report, reached, next: tip + 1, state })
}

/// A stored block by every rule that needs no state.
fn check(source: &Source<'_>, entry: &Entry) -> Result<CheckedBlock, Failure> {
    let Entry { header, id, work, total_work, .. } = *entry;
    source.check_body(entry, CheckedHeader { header, id, work, total_work }, true)
}

/// Every block as the log tells, each header judged as if it had just been received, and the
/// checkpoint's state held against the header of its tip.
fn headers(source: &Source<'_>) -> Result<Index, Failure> {
    let mut index = Index::new(genesis_entry(source.genesis));
    index.set_bodies_from(source.bodies_from);
    let checkpoint = source.checkpoint.as_ref();
    if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq > source.until) {
        let reason = format!("the checkpoint is of commit {}, which is not in the log", checkpoint.seq);
        return Err(damaged(reason).into());
    }
    let mut frontier: Option<(Number, HistoryFrontier)> = None;
    for seq in 0..=source.until {
        if seq > 0 {
            let log = source.store.log(seq)?;
            let received: Vec<Header> = log.received.iter().map(|(header, _)| *header).collect();
            replay_log(&mut index, seq, log)?;
            received.iter().try_for_each(|header| check_received(source, &index, &mut frontier, header))?;
        }
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq == seq) {
            let tip = index.get(index.tip());
            checkpoint.check(tip, tip.header.state_root)?;
        }
    }
    Ok(index)
}

/// A header by every rule, on its parent; `frontier` is the history up to the block checked last.
fn check_received(
    source: &Source<'_>,
    index: &Index,
    frontier: &mut Option<(Number, HistoryFrontier)>,
    header: &Header,
) -> Result<(), Failure> {
    let Some(number) = index.number(&header.id()) else { return Ok(()) };
    let entry = index.get(number);
    let parent = index.get(entry.parent);
    let mut before = match frontier.take() {
        Some((number, frontier)) if number == entry.parent => frontier,
        _ => index.frontier(entry.parent),
    };
    let context = Parent {
        header: &parent.header,
        id: parent.id,
        total_work: parent.total_work,
        history_root: history::root(&before),
    };
    check_header(source.params, &context, header)
        .map_err(|rule| Failure::of_rule((entry.id, entry.header.height), None, &RuleError::from(rule)))?;
    before.push(HistoryNode::leaf(&entry.id, entry.work));
    *frontier = Some((number, before));
    Ok(())
}
