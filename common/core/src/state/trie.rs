//! The trie over all records: a binary Merkle trie with path compression (specification,
//! section 3) in memory, shared between its versions. Must not know what records mean, who
//! changes them, or where they are stored.
//!
//! A clone costs one reference count and never changes: readers, checkpoints and blocks tried
//! on a side branch each hold one, without locks. An update changes nodes that only this trie
//! holds in place, and copies the ones that a clone holds too.
//!
//! Functions here recurse, and so does the drop of a trie, once or twice per level: at most
//! 512 levels, because splits strictly increase downwards and a path has 512 bits.

mod excerpt;
mod holdings;

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::record::{Key, PATH_BYTES, Path, Record};
use super::{Hash, PATH_BITS, StateRead, bit, first_difference, hash_inner, hash_leaf, is_holding_of_coins};
use crate::hash::{Address, StateRoot};
use crate::join::{Join, in_turn};
use crate::state::proof::{Proof, Step};

/// Fewer changes, or keys that are looked up, are not worth a second thread.
const ALONE_MAX: usize = 512;
/// Walks down that are made side by side: as many waits for memory as overlap.
const WALKS: usize = 16;

/// Why records do not make a trie. `index` counts the records from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The record's path is below the one before.
    #[error("record {index} is out of order")]
    Unsorted {
        /// Which record.
        index: u64,
    },
    /// The record's path is the one before.
    #[error("record {index} has the path of the record before")]
    Duplicate {
        /// Which record.
        index: u64,
    },
    /// Key and record are of different kinds, a holding is of coins, or a value is too long.
    #[error("record {index} does not fit its key")]
    IllKinded {
        /// Which record.
        index: u64,
    },
}

/// All records of a state with their root, which is up to date at any time.
#[derive(Clone, Default)]
pub struct Trie {
    top: Option<Child>,
    len: u64,
}

/// A subtree and its hash. The hash lies with the parent and not in the node, so that hashing
/// a parent does not touch the other child's memory. In this order, with [`Inner`] in its, what
/// a step to the first child reads lies together.
#[derive(Clone)]
#[repr(C)]
struct Child {
    node: Node,
    hash: Hash,
}

#[derive(Clone)]
enum Node {
    Leaf(Leaf),
    Inner(Arc<Inner>),
}

/// A record. Its path is computed from the key when it is needed, which is seldom: when a new
/// key splits off here.
#[derive(Clone)]
enum Leaf {
    /// Most records lie with their parent, as long as they are short: 208 bytes a record
    /// altogether, and one allocation.
    Account(Address, Record),
    Other(Arc<(Key, Record)>),
}

/// Two subtrees that agree in all bits before `split`; the first has a zero there.
#[derive(Clone)]
#[repr(C)]
struct Inner {
    split: u16,
    children: [Child; 2],
}

impl Trie {
    /// The trie of no records; its root is [`StateRoot::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a trie in one pass over records in ascending order of their paths, the order of
    /// [`Trie::iter`].
    ///
    /// # Errors
    /// [`BuildError`] for the first record that is out of order, double, or not of its key's kind.
    pub fn from_sorted(records: impl IntoIterator<Item = (Key, Record)>) -> Result<Self, BuildError> {
        let mut builder = Builder::default();
        let mut len = 0;
        for (index, (key, record)) in (0..).zip(records) {
            let path = key.path();
            match builder.last.as_ref().map(|(last, _)| path.cmp(last)) {
                Some(std::cmp::Ordering::Less) => return Err(BuildError::Unsorted { index }),
                Some(std::cmp::Ordering::Equal) => return Err(BuildError::Duplicate { index }),
                Some(std::cmp::Ordering::Greater) | None => {}
            }
            let hash = hash_leaf(&path, &key, &record).ok_or(BuildError::IllKinded { index })?;
            builder.push(path, Child::leaf(hash, key, record));
            len = index + 1;
        }
        Ok(Self { top: builder.finish(), len })
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The root over all records; costs nothing.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        self.top.as_ref().map_or(StateRoot::ZERO, |top| StateRoot(top.hash))
    }

    /// The record under the key, if there is one.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Record> {
        let leaf = self.nearest(&key.path())?;
        (leaf.key() == *key).then(|| leaf.record())
    }

    /// The records under the keys, one for each. Walks down to several at once: in a large state each step
    /// of a walk waits for memory. `join` shares them out.
    #[must_use]
    pub fn get_each(&self, keys: &[Key], join: Join) -> Vec<Option<&Record>> {
        let (first, second) = keys.split_at(keys.len() / 2);
        let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
        let both = if second.len() < ALONE_MAX { in_turn } else { join };
        both(&mut || of_first = self.side_by_side(first), &mut || of_second = self.side_by_side(second));
        of_first.append(&mut of_second);
        of_first
    }

    fn side_by_side(&self, keys: &[Key]) -> Vec<Option<&Record>> {
        let Some(top) = &self.top else { return vec![None; keys.len()] };
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(WALKS) {
            let paths: Vec<Path> = keys.iter().map(Key::path).collect();
            let mut nodes = vec![&top.node; keys.len()];
            let mut is_under_way = true;
            while is_under_way {
                is_under_way = false;
                for (node, path) in nodes.iter_mut().zip(&paths) {
                    if let Node::Inner(inner) = node {
                        *node = &inner.children[usize::from(bit(path, inner.split))].node;
                        is_under_way = true;
                    }
                }
            }
            found.extend(nodes.iter().zip(keys).map(|(node, key)| match node {
                Node::Leaf(leaf) if leaf.key() == *key => Some(leaf.record()),
                Node::Leaf(_) | Node::Inner(_) => None,
            }));
        }
        found
    }

    /// Sets (`Some`) or removes (`None`) records, in any order, and returns the new root.
    /// Removing what is not there changes nothing. Every node on the way of several changes is
    /// copied and hashed once, so few large updates are cheaper than many small ones.
    ///
    /// # Panics
    /// Before anything is changed, when a key comes twice, a key and its record are of different
    /// kinds, or a holding is of coins: faults of the caller, whose rules exclude them.
    pub fn update(&mut self, changes: impl IntoIterator<Item = (Key, Option<Record>)>) -> StateRoot {
        self.update_with(changes, in_turn)
    }

    /// [`Trie::update`], of which `join` does what can be done at once: paths and hashes of the changes,
    /// and then both sides of each node as long as there is enough to do on either.
    ///
    /// # Panics
    /// As [`Trie::update`].
    pub fn update_with(
        &mut self,
        changes: impl IntoIterator<Item = (Key, Option<Record>)>,
        join: Join,
    ) -> StateRoot {
        let mut changes: Vec<Change> = changes.into_iter().map(Change::new).collect();
        each(&mut changes, &Change::prepare, join);
        changes.sort_unstable_by_key(|change| change.path);
        assert!(changes.is_sorted_by(|a, b| a.path < b.path), "a batch changes a key once");
        each(&mut changes, &|change| change.fork = self.fork(&change.key, &change.path), join);
        changes.retain(|change| change.set.is_some() || change.fork == PATH_BITS);
        for change in &changes {
            match (&change.set, change.fork == PATH_BITS) {
                (Some(_), false) => self.len += 1,
                (None, _) => self.len -= 1,
                (Some(_), true) => {}
            }
        }
        match &mut self.top {
            None => self.top = build(&mut changes),
            Some(top) => {
                if apply(top, &mut changes, join) == Rest::Nothing {
                    self.top = None;
                }
            }
        }
        self.root()
    }

    /// All records in ascending order of their paths: what an address holds comes together,
    /// its coins first.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Record)> {
        let mut pending: Vec<&Node> = self.top.iter().map(|top| &top.node).collect();
        std::iter::from_fn(move || {
            loop {
                match pending.pop()? {
                    Node::Leaf(leaf) => return Some((leaf.key(), leaf.record())),
                    Node::Inner(inner) => {
                        pending.extend(inner.children.iter().rev().map(|child| &child.node))
                    }
                }
            }
        })
    }

    /// Proves what is under the key, or that nothing is. For a holding of coins, which cannot
    /// be, the proof does not verify: ask for the account.
    #[must_use]
    pub fn prove(&self, key: &Key) -> Proof {
        let Some(top) = &self.top else { return Proof::of_empty_state() };
        let path = key.path();
        let mut steps = Vec::new();
        let mut node = &top.node;
        loop {
            match node {
                Node::Leaf(leaf) => return Proof::of_leaf(steps, leaf.key(), leaf.record().clone()),
                Node::Inner(inner) => {
                    let turn = usize::from(bit(&path, inner.split));
                    steps.push(Step { split: inner.split, sibling: inner.children[1 - turn].hash });
                    node = &inner.children[turn].node;
                }
            }
        }
    }

    /// The leaf that a path leads to when only its bits at the splits are looked at: the
    /// path's own if there is one. `None` in an empty trie.
    fn nearest(&self, path: &Path) -> Option<&Leaf> {
        let mut node = &self.top.as_ref()?.node;
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf),
                Node::Inner(inner) => node = &inner.children[usize::from(bit(path, inner.split))].node,
            }
        }
    }

    /// The first bit at which a path leaves the trie, [`PATH_BITS`] when its record is there.
    fn fork(&self, key: &Key, path: &Path) -> u16 {
        match self.nearest(path) {
            None => 0,
            Some(leaf) if leaf.key() == *key => PATH_BITS,
            Some(leaf) => first_difference(&leaf.key().path(), path),
        }
    }
}

impl StateRead for Trie {
    fn get(&self, key: &Key) -> Option<Record> {
        self.get(key).cloned()
    }
}

impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie").field("len", &self.len).field("root", &self.root()).finish_non_exhaustive()
    }
}

impl Child {
    fn leaf(hash: Hash, key: Key, record: Record) -> Self {
        Self { hash, node: Node::Leaf(Leaf::new(key, record)) }
    }

    fn inner(split: u16, children: [Self; 2]) -> Self {
        let inner = Inner { children, split };
        Self { hash: inner.hash(), node: Node::Inner(Arc::new(inner)) }
    }
}

impl Leaf {
    fn new(key: Key, record: Record) -> Self {
        match key {
            Key::Account(address) => Self::Account(address, record),
            Key::Holding(..) | Key::Asset(_) => Self::Other(Arc::new((key, record))),
        }
    }

    fn key(&self) -> Key {
        match self {
            Self::Account(address, _) => Key::Account(*address),
            Self::Other(other) => other.0,
        }
    }

    fn record(&self) -> &Record {
        match self {
            Self::Account(_, record) => record,
            Self::Other(other) => &other.1,
        }
    }
}

impl Inner {
    fn hash(&self) -> Hash {
        hash_inner(self.split, &self.children[0].hash, &self.children[1].hash)
    }
}

/// One change on its way into the trie.
struct Change {
    path: Path,
    key: Key,
    /// What is to be there, with the leaf's hash once it is prepared; `None` removes.
    set: Option<(Record, Hash)>,
    /// Where the path leaves the trie as it was: see [`Trie::fork`].
    fork: u16,
}

impl Change {
    fn new((key, record): (Key, Option<Record>)) -> Self {
        assert!(!is_holding_of_coins(&key), "coins are in the account");
        Self { path: [0; PATH_BYTES], key, set: record.map(|record| (record, Hash::default())), fork: 0 }
    }

    fn prepare(&mut self) {
        self.path = self.key.path();
        if let Some((record, hash)) = &mut self.set {
            *hash = hash_leaf(&self.path, &self.key, record).expect("rules make records of their key's kind");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Something,
    Nothing,
}

/// Does something to each change.
fn each(changes: &mut [Change], act: &(dyn Fn(&mut Change) + Sync), join: Join) {
    if changes.len() < 2 * ALONE_MAX {
        return changes.iter_mut().for_each(act);
    }
    let (first, second) = changes.split_at_mut(changes.len() / 2);
    join(&mut || each(first, act, join), &mut || each(second, act, join));
}

/// Applies changes, ascending and all agreeing with the subtree in the bits above it, and
/// hashes again what they touch, each node once on the way up. When nothing is left, the
/// caller must drop `child`, which is then out of date.
fn apply(child: &mut Child, changes: &mut [Change], join: Join) -> Rest {
    let Some(fork) = changes.iter().map(|change| change.fork).min() else { return Rest::Something };
    match &mut child.node {
        Node::Inner(inner) if fork > inner.split => {
            let inner = Arc::make_mut(inner);
            let (zeros, ones) = halves(changes, inner.split);
            let [first, second] = &mut inner.children;
            let mut rests = [Rest::Something; 2];
            let [of_first, of_second] = &mut rests;
            let both = if zeros.len().min(ones.len()) < ALONE_MAX { in_turn } else { join };
            both(&mut || *of_first = apply(first, zeros, join), &mut || {
                *of_second = apply(second, ones, join)
            });
            match rests {
                [Rest::Something, Rest::Something] => child.hash = inner.hash(),
                [Rest::Something, Rest::Nothing] => *child = inner.children[0].clone(),
                [Rest::Nothing, Rest::Something] => *child = inner.children[1].clone(),
                [Rest::Nothing, Rest::Nothing] => return Rest::Nothing,
            }
            Rest::Something
        }
        Node::Leaf(leaf) if fork == PATH_BITS => {
            let [change] = changes else { unreachable!("only one key has this leaf's path") };
            let Some((record, hash)) = change.set.take() else { return Rest::Nothing };
            child.hash = hash;
            *leaf = Leaf::new(change.key, record);
            Rest::Something
        }
        Node::Inner(_) | Node::Leaf(_) => {
            apply_beside(child, changes, fork, join);
            Rest::Something
        }
    }
}

/// Applies changes of which some, all new records, fork off above the subtree, the first of
/// them at `fork`: they become the other child of a new node there.
fn apply_beside(child: &mut Child, changes: &mut [Change], fork: u16, join: Join) {
    let (zeros, ones) = halves(changes, fork);
    let is_beside_right = ones.first().is_some_and(|change| change.fork == fork);
    let (within, beside) = if is_beside_right { (zeros, ones) } else { (ones, zeros) };
    let other = build(beside).expect("one change forks here");
    if apply(child, within, join) == Rest::Nothing {
        *child = other;
        return;
    }
    let this = mem::replace(child, other.clone());
    *child = Child::inner(fork, if is_beside_right { [this, other] } else { [other, this] });
}

/// Parts ascending changes that agree before `split` by their bit there.
fn halves(changes: &mut [Change], split: u16) -> (&mut [Change], &mut [Change]) {
    changes.split_at_mut(changes.partition_point(|change| !bit(&change.path, split)))
}

/// The subtree of new records alone, in ascending order.
fn build(changes: &mut [Change]) -> Option<Child> {
    let mut builder = Builder::default();
    for change in changes {
        let (record, hash) = change.set.take().expect("removals of what is not there were dropped");
        builder.push(change.path, Child::leaf(hash, change.key, record));
    }
    builder.finish()
}

/// Joins leaves that come in ascending order into a subtree, each node as soon as it is complete.
#[derive(Default)]
struct Builder {
    /// Left halves of nodes still open, with their splits, ascending.
    open: Vec<(u16, Child)>,
    last: Option<(Path, Child)>,
}

impl Builder {
    /// The path must be above all before.
    fn push(&mut self, path: Path, leaf: Child) {
        if let Some((last_path, last)) = self.last.replace((path, leaf)) {
            let split = first_difference(&last_path, &path);
            let left = self.close(split, last);
            self.open.push((split, left));
        }
    }

    fn finish(mut self) -> Option<Child> {
        let (_, last) = self.last.take()?;
        Some(self.close(0, last))
    }

    /// Completes the open nodes that split at `from` or further down; `right` is the last's right half.
    fn close(&mut self, from: u16, mut right: Child) -> Child {
        while let Some((split, left)) = self.open.pop_if(|(split, _)| *split >= from) {
            right = Child::inner(split, [left, right]);
        }
        right
    }
}
