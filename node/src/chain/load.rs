//! The start: the log gives every block and the active chain, checkpoint and deltas give the
//! state, and the tip's header says whether it is the right one. Where it is not, the state is
//! rebuilt from the bodies; where they do not give it either, the damage is named.
//! Must not change the store.

use std::collections::HashMap;

use rayon::prelude::*;
use steelyard_core::consensus::error::RULE_SET;
use steelyard_core::consensus::transaction;
use steelyard_core::consensus::transition::connect_block;
use steelyard_core::params::{Genesis, Params};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::header::Header;
use steelyard_core::work::{from_bits, work_of};

use super::check::load_block;
use super::error::LoadError;
use super::index::{Entry, Index, Number, Verdict};
use super::view::{Shared, View};
use crate::mempool::Mempool;
use crate::store::log::{LogRecord, StoredTip};
use crate::store::{BodyPlace, Store, StoreError, checkpoint, damaged};
use crate::threads::at_once;

/// What a start gives.
pub struct Loaded {
    /// The view to share.
    pub shared: Shared,
    /// Records that changed since the newest checkpoint.
    pub unsaved_records: u64,
    /// Whether the state had to be rebuilt from the bodies.
    pub rebuilt: bool,
    /// Bodies of so many blocks are kept, those below deleted; `None`: nothing is deleted.
    pub prune: Option<u64>,
}

/// Loads a store.
///
/// # Errors
/// [`LoadError`] names what is damaged.
pub fn load(params: Params, store: &Store) -> Result<Loaded, LoadError> {
    let genesis = params.genesis();
    load_from(params, genesis, store)
}

/// [`load`] for who has computed the network's genesis already: with many allocations that takes long.
///
/// # Errors
/// [`LoadError`] names what is damaged.
pub fn load_from(params: Params, genesis: Genesis, store: &Store) -> Result<Loaded, LoadError> {
    let (mut index, seq) = load_index(&genesis, store)?;
    index.set_bodies_from(store.bodies_from()?);
    let expected = index.get(index.tip()).header.state_root;
    let (state, unsaved_records) = match load_state(&genesis, store) {
        Ok((state, records)) => (Some(state).filter(|state| state.root() == expected), records),
        Err(StoreError::Damaged { reason }) => {
            tracing::warn!(reason, "the stored state cannot be read");
            (None, 0)
        }
        Err(error) => return Err(error.into()),
    };
    let visible = index.next_number();
    let is_beyond_pruning = index.has_beyond_pruning(index.get(index.tip()).total_work);
    let view = View {
        index,
        visible,
        seq,
        state: state.clone().unwrap_or_default(),
        pool: Mempool::default(),
        pool_shown: (0, 0),
        reorgs: 0,
        connected: 0,
        is_beyond_pruning,
    };
    let shared = Shared::new(params, genesis, view);
    let rebuilt = state.is_none();
    if rebuilt {
        tracing::warn!("the stored state is not the tip's; rebuilding it from the blocks");
        let state = rebuild(&shared, store, |_| ())?;
        shared.write().state = state;
    }
    load_pool(&shared, store)?;
    // A rebuilt state is worth a checkpoint at the first occasion.
    let unsaved_records = if rebuilt { u64::MAX / 2 } else { unsaved_records };
    Ok(Loaded { shared, unsaved_records, rebuilt, prune: None })
}

/// Every block, and the active chain, as the log tells them.
///
/// # Errors
/// [`StoreError::Damaged`] when the log contradicts itself.
pub fn load_index(genesis: &Genesis, store: &Store) -> Result<(Index, u64), StoreError> {
    let mut index = Index::new(genesis_entry(genesis));
    let mut last = 0;
    store.for_each_log(|seq, record| {
        last = seq;
        replay_log(&mut index, seq, record)
    })?;
    Ok((index, last))
}

/// Does to an index what commit `seq` did.
///
/// # Errors
/// [`StoreError::Damaged`] when it contradicts what was before.
pub fn replay_log(index: &mut Index, seq: u64, record: LogRecord) -> Result<(), StoreError> {
    let unknown =
        |id: &dyn std::fmt::Display| damaged(format!("commit {seq} names block {id}, which is not stored"));
    let mut offset = 0;
    for (header, length) in record.received {
        let body = Some(BodyPlace { seq, offset, length });
        offset += u64::from(length);
        let parent = index.number(&header.prev).ok_or_else(|| {
            damaged(format!(
                "block at height {} of commit {seq} has no stored parent {}",
                header.height, header.prev
            ))
        })?;
        let entry = entry(index, &header, parent, body).ok_or_else(|| {
            damaged(format!("block {} at height {} claims impossible work", header.id(), header.height))
        })?;
        if index.number(&entry.id).is_some() {
            return Err(damaged(format!("commit {seq} stores block {} again", entry.id)));
        }
        index.push(entry);
    }
    let mut fork = index.tip();
    if u64::from(record.disconnected) > index.get(fork).header.height {
        return Err(damaged(format!("commit {seq} takes back more blocks than there are")));
    }
    for _ in 0..record.disconnected {
        fork = index.get(fork).parent;
    }
    let mut branch = Vec::with_capacity(record.connected.len());
    let mut at = fork;
    for id in &record.connected {
        let number = index.number(id).ok_or_else(|| unknown(id))?;
        let entry = index.get_mut(number);
        if entry.parent != at || entry.header.height == 0 {
            return Err(damaged(format!("commit {seq} puts block {id} where it does not belong")));
        }
        entry.verdict = Verdict::Connected { seq };
        branch.push(number);
        at = number;
    }
    index.activate(fork, &branch);
    if stored_tip(index, index.tip()) != record.tip {
        return Err(damaged(format!("commit {seq} does not lead to the tip that it names")));
    }
    // Marks of other rules are no verdict: such blocks are judged again.
    for (id, _, reason) in record.invalid.into_iter().filter(|(_, rule_set, _)| *rule_set == RULE_SET) {
        match index.number(&id) {
            Some(number) => index.get_mut(number).verdict = Verdict::Invalid { reason },
            None => index.refuse(id, reason),
        }
    }
    Ok(())
}

/// A block as the log names it when it is the tip.
#[must_use]
pub fn stored_tip(index: &Index, number: Number) -> StoredTip {
    let (entry, genesis) = (index.get(number), index.get(0));
    let is_genesis = entry.header.height == 0;
    StoredTip {
        height: entry.header.height,
        id: entry.id,
        work: entry.total_work - genesis.total_work,
        time: if is_genesis { 0 } else { entry.header.time },
        elapsed: if is_genesis { 0 } else { entry.header.elapsed },
    }
}

fn entry(index: &Index, header: &Header, parent: Number, body: Option<BodyPlace>) -> Option<Entry> {
    let work = work_of(from_bits(header.bits).ok()?)?;
    let total_work = index.get(parent).total_work.checked_add(work)?;
    let is_child = header.height == index.get(parent).header.height + 1;
    is_child.then(|| Entry {
        header: *header,
        id: header.id(),
        work,
        total_work,
        parent,
        body,
        verdict: Verdict::Unexecuted,
    })
}

/// Genesis as a block of the index.
#[must_use]
pub fn genesis_entry(genesis: &Genesis) -> Entry {
    let target = from_bits(genesis.header.bits).expect("checked with the parameters");
    let work = work_of(target).expect("no target of a network is below 2^160");
    Entry {
        header: genesis.header,
        id: genesis.id,
        work,
        total_work: work,
        parent: 0,
        body: None,
        verdict: Verdict::Connected { seq: 0 },
    }
}

/// The state from the newest checkpoint and all deltas after it, and how many records they touch.
fn load_state(genesis: &Genesis, store: &Store) -> Result<(Trie, u64), StoreError> {
    let mark = store.checkpoint()?;
    let seq = mark.map_or(0, |mark| mark.seq);
    let read = || mark.map(|mark| store.checkpoint_records(&mark)).transpose();
    let (stored, changed) = rayon::join(read, || last_words(store, seq));
    let (last, records) = changed?;
    let state = match stored? {
        Some(stored) => checkpoint::build(merged(stored, last))?,
        None => {
            let mut state = genesis.state.clone();
            state.update(last);
            state
        }
    };
    Ok((state, records))
}

/// Each record that was changed after commit `seq`, as it was left, and how many changes there were.
fn last_words(store: &Store, seq: u64) -> Result<(HashMap<Key, Option<Record>>, u64), StoreError> {
    let (mut last, mut records) = (HashMap::new(), 0);
    store.for_each_delta_after(seq, |_, delta| {
        records += delta.records();
        last.extend(delta.restored);
        let connected = delta.connected.into_iter().flat_map(|(_, changes)| changes);
        last.extend(connected.map(|change| (change.key, change.new)));
        Ok(())
    })?;
    Ok((last, records))
}

/// A checkpoint's records with the last words of all deltas, ascending by path as they are: a state is
/// built of them at once, which is several times quicker than to change as many records of one that is
/// built.
fn merged(
    stored: Vec<(Key, Record)>,
    last: HashMap<Key, Option<Record>>,
) -> impl Iterator<Item = (Key, Record)> {
    let with_path = |(key, record): (Key, Record)| (key.path(), key, Some(record));
    let stored: Vec<_> = stored.into_par_iter().map(with_path).collect();
    let mut last: Vec<_> = last.into_par_iter().map(|(key, record)| (key.path(), key, record)).collect();
    last.par_sort_unstable_by_key(|(path, ..)| *path);
    let (mut stored, mut last) = (stored.into_iter().peekable(), last.into_iter().peekable());
    let both = std::iter::from_fn(move || match (stored.peek(), last.peek()) {
        (Some((old, ..)), Some((new, ..))) if old < new => stored.next(),
        (Some((old, ..)), Some((new, ..))) if old == new => {
            stored.next();
            last.next()
        }
        (_, Some(_)) => last.next(),
        (_, None) => stored.next(),
    });
    both.filter_map(|(_, key, record)| Some((key, record?)))
}

/// Executes the active chain from genesis and gives the state after its tip. `progress` hears each height.
///
/// # Errors
/// [`LoadError`] names the first block that is damaged or breaks a rule of the state, or says that
/// blocks are pruned.
pub fn rebuild(shared: &Shared, store: &Store, mut progress: impl FnMut(u64)) -> Result<Trie, LoadError> {
    let from = shared.read().index().bodies_from();
    // Below the first block there is none.
    if from > 1 {
        return Err(LoadError::PrunedState { from });
    }
    let mut state = shared.genesis.state.clone();
    for height in 1.. {
        let Some(entry) = shared.read().active(height).cloned() else { break };
        let block = load_block(shared, store, &entry)?;
        let connected = connect_block(&shared.params, &state, block, at_once)
            .map_err(|rule| LoadError::Rule { id: entry.id, height, rule })?;
        (_, _, state) = connected.into_parts();
        progress(height);
    }
    Ok(state)
}

/// Pending transactions, as far as they are still valid. Their signatures were checked when they
/// came; their full ids say that they are the same bytes.
fn load_pool(shared: &Shared, store: &Store) -> Result<(), StoreError> {
    let view = &mut *shared.write();
    let (state, next) = (view.state.clone(), view.tip().header.height + 1);
    let mut lost = 0;
    store.for_each_run(|seq, txs, bytes, damaged| {
        lost += damaged;
        for tx in txs {
            if let Ok(tx) = transaction::shape(&shared.network, &tx) {
                // Refused means: confirmed, replaced, expired or no longer covered.
                let _ = view.pool.restore(&shared.params, (&state, next), tx.known_to_verify(), seq);
            }
        }
        view.pool.note_run(seq, bytes);
        Ok(())
    })?;
    if lost > 0 {
        tracing::warn!(lost, "pending transactions were damaged in the store and are left out");
    }
    view.pool_shown = (view.pool.len(), view.pool.bytes());
    Ok(())
}
