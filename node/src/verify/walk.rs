//! The full way: does again, commit by commit, what the log says was done, from genesis, with every
//! rule of every block on the way, and holds what it gets against what is stored: ids, changed
//! records, the checkpoint. Nothing stored is believed but the order of arrival. Memory holds
//! headers, the state and one commit.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use steelyard_core::consensus::block::{CheckedBlock, check_block};
use steelyard_core::consensus::error::{BlockRule, RULE_SET, RuleError};
use steelyard_core::consensus::header::{CheckedHeader, Parent, check_header};
use steelyard_core::consensus::transaction::{ShapedTx, shape};
use steelyard_core::consensus::transition::{Change, connect_block, disconnect_changes};
use steelyard_core::hash::BlockId;
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::header::Header;

use super::{Checkpoint, Failure, FaultyTx, Judged, Report, Source, verify_parallel};
use crate::chain::index::{Entry, Index, Number, Verdict};
use crate::chain::load::{genesis_entry, stored_tip};
use crate::mark::Mark;
use crate::store::delta::Delta;
use crate::store::log::LogRecord;
use crate::store::{BodyPlace, StoreError, damaged};
use crate::threads::at_once;

pub(super) fn judge(source: &Source<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Judged, Failure> {
    let mut total = 0;
    for seq in 1..=source.until {
        total += source.store.log(seq)?.received.len() as u64;
    }
    let checkpoint = source.checkpoint.as_ref();
    if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq > source.until) {
        return Err(damaged(format!(
            "the checkpoint is of commit {}, which is not in the log",
            checkpoint.seq
        ))
        .into());
    }
    let mut walk = Walk::new(source);
    walk.check_checkpoint(checkpoint, 0)?;
    for seq in 1..=source.until {
        walk.redo(seq, source.store.log(seq)?, &mut |done| progress(done, total))?;
        walk.check_checkpoint(checkpoint, seq)?;
    }
    source.check_choice(&walk.index)?;
    Ok(walk.finish())
}

/// The chain as far as it was done again.
struct Walk<'a> {
    source: &'a Source<'a>,
    index: Index,
    /// The tip within the commit that is being done again.
    tip: Number,
    /// The state after it.
    state: Trie,
    /// Transactions of each block, by number.
    txs: Vec<u32>,
    /// The history up to the block that was received last.
    frontier: Option<(Number, HistoryFrontier)>,
    /// The delta that was read last for its undo: it was held against execution before.
    undo: Option<(u64, Delta)>,
}

/// One commit that is being done again.
struct Redo {
    seq: u64,
    delta: Result<Delta, String>,
    /// Blocks still to be put on.
    connected: VecDeque<BlockId>,
    /// Those put on.
    up: Vec<Number>,
    /// Blocks received in this commit and not put on yet.
    checked: HashMap<Number, CheckedBlock>,
}

impl<'a> Walk<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        let index = Index::new(genesis_entry(source.genesis));
        let state = source.genesis.state.clone();
        Self { source, index, tip: 0, state, txs: vec![0], frontier: None, undo: None }
    }

    fn redo(&mut self, seq: u64, log: LogRecord, progress: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        let LogRecord { tip, received, disconnected, connected, invalid } = log;
        let stored: HashSet<BlockId> = received.iter().map(|(header, _)| header.id()).collect();
        let delta = match self.source.store.find_delta(seq) {
            Ok(delta) if delta.is_some() == connected.is_empty() => Err(match delta {
                Some(_) => {
                    return Err(damaged(format!("commit {seq} has a delta and connects no block")).into());
                }
                None => format!("the delta of commit {seq} is missing"),
            }),
            Ok(delta) => Ok(delta.unwrap_or_default()),
            Err(StoreError::Damaged { reason }) => Err(format!("commit {seq}: {reason}")),
            Err(error) => return Err(error.into()),
        };
        let (connected, up, checked) = (connected.into(), Vec::new(), HashMap::new());
        let mut redo = Redo { seq, delta, connected, up, checked };
        self.descend(disconnected, &redo)?;
        let fork = self.tip;
        self.advance(&mut redo)?;
        let mut offset = 0;
        for (header, length) in &received {
            let number = self.receive(header, BodyPlace { seq, offset, length: *length }, &mut redo)?;
            offset += u64::from(*length);
            self.check_id(number, &redo, &stored)?;
            self.advance(&mut redo)?;
            progress(u64::from(number));
        }
        self.finish_redo(&redo)?;
        self.index.activate(fork, &redo.up);
        if stored_tip(&self.index, self.index.tip()) != tip {
            let message =
                format!("commit {seq} leads to it and names the tip {} at height {}", tip.id, tip.height);
            return Err(Failure::of_block(self.index.get(self.index.tip()), "stored_log", message));
        }
        for (id, rule_set, reason) in invalid {
            // One that is not stored was refused when it came.
            let Some(number) = self.index.number(&id) else { continue };
            if self.index.is_active(number) {
                let message = format!("commit {seq} calls it invalid ({reason}) and leaves it active");
                return Err(Failure::of_block(self.index.get(number), "stored_log", message));
            }
            if rule_set == RULE_SET {
                self.index.get_mut(number).verdict = Verdict::Invalid { reason };
            }
        }
        Ok(())
    }

    /// Judges a block as if it had just been received.
    fn receive(&mut self, header: &Header, place: BodyPlace, redo: &mut Redo) -> Result<Number, Failure> {
        let block = (header.id(), header.height);
        if self.index.number(&block.0).is_some() {
            return Err(Failure::fault(
                block,
                None,
                "stored_log",
                format!("commit {} stores it again", place.seq),
            ));
        }
        let Some(parent) = self.index.number(&header.prev) else {
            let message = format!("its parent {} is not stored before it", header.prev);
            return Err(Failure::fault(block, None, "header_prev", message));
        };
        let mut frontier = match self.frontier.take() {
            Some((number, frontier)) if number == parent => frontier,
            _ => self.index.frontier(parent),
        };
        let of = self.index.get(parent);
        // Where it stands, whatever it says.
        let block = (block.0, of.header.height + 1);
        let history_root = history::root(&frontier);
        let context = Parent { header: &of.header, id: of.id, total_work: of.total_work, history_root };
        let checked = check_header(self.source.params, &context, header)
            .map_err(|rule| Failure::of_rule(block, None, &RuleError::from(rule)))?;
        let entry = Entry {
            header: *header,
            id: checked.id,
            work: checked.work,
            total_work: checked.total_work,
            parent,
            body: Some(place),
            verdict: Verdict::Unexecuted,
        };
        frontier.push(HistoryNode::leaf(&entry.id, entry.work));
        let checked = self.source.check_body(&entry, checked, true)?;
        let number = self.index.push(entry);
        self.txs.push(u32::try_from(checked.txs().len()).expect("bounded by the block's bytes"));
        self.frontier = Some((number, frontier));
        redo.checked.insert(number, checked);
        Ok(number)
    }

    /// A block that stands where the log puts a block that nobody stored is that block, changed.
    fn check_id(&self, number: Number, redo: &Redo, stored: &HashSet<BlockId>) -> Result<(), Failure> {
        let (entry, tip) = (self.index.get(number), self.index.get(self.tip));
        let Some(expected) = redo.connected.front() else { return Ok(()) };
        let is_missing = self.index.number(expected).is_none() && !stored.contains(expected);
        if !is_missing || entry.parent != self.tip || redo.connected.contains(&entry.id) {
            return Ok(());
        }
        let message = format!("the log knows the block after {} as {expected}", tip.id);
        Err(Failure::of_block(entry, "header_id", message))
    }

    /// Puts on what can be.
    fn advance(&mut self, redo: &mut Redo) -> Result<(), Failure> {
        while let Some(number) = redo.connected.front().and_then(|id| self.index.number(id)) {
            self.connect(number, redo)?;
            redo.connected.pop_front();
            redo.up.push(number);
        }
        Ok(())
    }

    fn connect(&mut self, number: Number, redo: &mut Redo) -> Result<(), Failure> {
        let entry = self.index.get(number).clone();
        if entry.parent != self.tip || number == 0 || entry.is_invalid() {
            let message = format!("commit {} puts it where it does not belong", redo.seq);
            return Err(Failure::of_block(&entry, "stored_log", message));
        }
        let block = match redo.checked.remove(&number) {
            Some(block) => block,
            None => {
                let Entry { header, id, work, total_work, .. } = entry;
                self.source.check_body(&entry, CheckedHeader { header, id, work, total_work }, false)?
            }
        };
        let connected = connect_block(self.source.params, &self.state, block, at_once)
            .map_err(|rule| self.source.body_fault(&entry, &rule))?;
        let (_, changes, state) = connected.into_parts();
        let place = redo.up.len();
        check_changes(&entry, place, &changes, &redo.delta)?;
        (self.state, self.tip) = (state, number);
        self.index.get_mut(number).verdict = Verdict::Connected { seq: redo.seq };
        Ok(())
    }

    /// Takes blocks back as the commit did, and holds what that restored against what is stored.
    fn descend(&mut self, disconnected: u32, redo: &Redo) -> Result<(), Failure> {
        if u64::from(disconnected) > self.index.get(self.tip).header.height {
            return Err(damaged(format!("commit {} takes back more blocks than there are", redo.seq)).into());
        }
        let mut restored: BTreeMap<Key, Option<Record>> = BTreeMap::new();
        let first = self.index.get(self.tip).clone();
        for _ in 0..disconnected {
            let entry = self.index.get(self.tip).clone();
            let changes = self.undo_of(&entry)?;
            self.state = disconnect_changes(&self.state, &changes);
            restored.extend(changes.into_iter().map(|change| (change.key, change.old)));
            self.tip = entry.parent;
        }
        let stored = match &redo.delta {
            Ok(delta) => &delta.restored,
            Err(reason) if disconnected > 0 => return Err(Failure::of_block(&first, "undo", reason.clone())),
            Err(_) => return Ok(()),
        };
        if stored.iter().eq(restored.iter().map(|(key, old)| (*key, old.clone())).collect::<Vec<_>>().iter())
        {
            return Ok(());
        }
        let message = format!("commit {} takes it back to other records than execution gives", redo.seq);
        Err(Failure::of_block(&first, "undo", message))
    }

    fn undo_of(&mut self, entry: &Entry) -> Result<Vec<Change>, Failure> {
        let Verdict::Connected { seq } = entry.verdict else {
            return Err(damaged(format!("block {} is taken back and was never connected", entry.id)).into());
        };
        if self.undo.as_ref().is_none_or(|(found, _)| *found != seq) {
            self.undo = Some((seq, self.source.store.delta(seq)?));
        }
        let connected = self.undo.iter().flat_map(|(_, delta)| &delta.connected);
        let found = connected.filter(|(id, _)| *id == entry.id).map(|(_, changes)| changes.clone()).next();
        found.ok_or_else(|| {
            Failure::of_block(entry, "undo", format!("commit {seq} does not hold its changes"))
        })
    }

    /// Nothing of the commit is left over.
    fn finish_redo(&self, redo: &Redo) -> Result<(), Failure> {
        let tip = self.index.get(self.tip);
        if let Some(missing) = redo.connected.front() {
            let message = format!("commit {} connects it, and no header with this id is stored", redo.seq);
            return Err(Failure::fault((*missing, tip.header.height + 1), None, "header_id", message));
        }
        match &redo.delta {
            Ok(delta) if delta.connected.len() > redo.up.len() => {
                let message = format!("commit {} holds changes of blocks that it does not connect", redo.seq);
                Err(Failure::of_block(tip, "undo", message))
            }
            _ => Ok(()),
        }
    }

    fn check_checkpoint(&self, checkpoint: Option<&Checkpoint>, seq: u64) -> Result<(), Failure> {
        match checkpoint.filter(|checkpoint| checkpoint.seq == seq) {
            Some(checkpoint) => checkpoint.check(self.index.get(self.tip), self.state.root()),
            None => Ok(()),
        }
    }

    fn finish(self) -> Judged {
        let tip = self.index.get(self.index.tip());
        let active = (1..=tip.header.height).filter_map(|height| self.index.active(height));
        let report = Report {
            blocks: tip.header.height,
            transactions: active.map(|number| u64::from(self.txs[number as usize])).sum(),
            records: self.state.len(),
            side_blocks: u64::from(self.index.next_number()) - 1 - tip.header.height,
            executed_from: Some(1),
            ..Report::default()
        };
        let reached = Mark::at(self.source.until, tip);
        Judged { report, reached, next: tip.header.height + 1, state: self.state }
    }
}

impl Source<'_> {
    /// A stored block by every rule that needs no state, with its signatures or without.
    pub(super) fn check_body(
        &self,
        entry: &Entry,
        header: CheckedHeader,
        signatures: bool,
    ) -> Result<CheckedBlock, Failure> {
        let body = self.body(entry)?;
        let verify = |shaped: Vec<ShapedTx>| {
            if signatures {
                verify_parallel(shaped)
            } else {
                Ok(shaped.into_iter().map(ShapedTx::known_to_verify).collect())
            }
        };
        let Self { params, network, .. } = self;
        check_block(params, network, header, body, verify).map_err(|rule| self.body_fault(entry, &rule))
    }

    /// Names the transaction of a fault; where only the body's root is wrong, the first that is
    /// broken in itself, if one is.
    pub(super) fn body_fault(&self, entry: &Entry, rule: &RuleError) -> Failure {
        let block = (entry.id, entry.header.height);
        let Ok(body) = self.body(entry) else { return Failure::of_rule(block, None, rule) };
        if !matches!(rule, RuleError::Block(BlockRule::BodyRoot { .. })) {
            return Failure::of_rule(block, Some(&body), rule);
        }
        let network = &self.network;
        let judge = |bytes: &[u8]| shape(network, bytes).and_then(ShapedTx::verify).err();
        let suspect =
            body.items.iter().enumerate().skip(1).find_map(|(index, bytes)| Some((index, judge(bytes)?)));
        let message = match &suspect {
            Some((_, broken)) => format!("{rule}; {broken}"),
            None => rule.to_string(),
        };
        let suspect = suspect.map(|(index, _)| FaultyTx::of_body(&body, index));
        Failure::fault(block, suspect, rule.name(), message)
    }
}

/// What is stored of a block's changes is what its execution gives, to the record.
fn check_changes(
    entry: &Entry,
    place: usize,
    expected: &[Change],
    delta: &Result<Delta, String>,
) -> Result<(), Failure> {
    let fault = |message: String| Err(Failure::of_block(entry, "undo", message));
    let delta = match delta {
        Ok(delta) => delta,
        Err(reason) => return fault(reason.clone()),
    };
    let Some((id, stored)) = delta.connected.get(place) else {
        return fault("its changes are not stored".into());
    };
    if *id != entry.id {
        return fault(format!("the changes of block {id} are stored in its place"));
    }
    compare_changes(entry, stored, expected)
}

/// The stored changes of a block are these, to the record.
pub(super) fn compare_changes(entry: &Entry, stored: &[Change], expected: &[Change]) -> Result<(), Failure> {
    let fault = |message: String| Err(Failure::of_block(entry, "undo", message));
    if stored.len() != expected.len() {
        return fault(format!("{} changes are stored, execution gives {}", stored.len(), expected.len()));
    }
    match stored.iter().zip(expected).find(|(stored, expected)| stored != expected) {
        Some((stored, expected)) => {
            fault(format!("the stored change is {stored:?}, execution gives {expected:?}"))
        }
        None => Ok(()),
    }
}
