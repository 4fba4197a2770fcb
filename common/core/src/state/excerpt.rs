//! Excerpts: one proof of many records, of their absence, and of all that an address holds
//! (specification, section 3). The part of a trie that leads to what was asked for; all else in it
//! is a hash. Must not know the trie: what is checked here follows from a root and bytes of a
//! stranger.
//!
//! Bytes: the nodes from the top down, left before right. Hidden: 0 (u8), its hash. Leaf: 1 (u8),
//! bytes of the value (u8), the value as [`record::encode`] writes it. Inner: 2 (u8), the split bit
//! (u16, little-endian), then left and right. No bytes: the state is empty.
//!
//! Functions here recurse once per level, at most 512: splits strictly increase downwards.

use super::record::{self, Key, PATH_BYTES, Path, Record};
use super::{Hash, PATH_BITS, bit, first_difference, hash_inner, hash_leaf};
use crate::hash::{Address, AssetId, HASH_BYTES, StateRoot};

/// Bits of a path that say whose record it is.
pub(super) const OWNER_BITS: u16 = 8 * (PATH_BYTES as u16 / 2);

const TAG_HIDDEN: u8 = 0;
const TAG_LEAF: u8 = 1;
const TAG_INNER: u8 = 2;

/// What an excerpt is asked to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One record, or that there is none.
    Record(Key),
    /// What an address holds other than coins: a page, ascending by asset.
    Holdings {
        /// Whose.
        of: Address,
        /// The page begins behind this asset; at the first where `None`.
        after: Option<AssetId>,
        /// Most holdings of the page.
        limit: usize,
    },
}

/// Part of a state's trie, sound in itself. Whether it is part of a certain state, [`Excerpt::open`]
/// says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    top: Option<Node>,
    root: StateRoot,
}

/// A node as an excerpt shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Hidden(Hash),
    Leaf(Box<Leaf>),
    Inner { split: u16, children: Box<[Node; 2]> },
}

/// A record with its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    path: Path,
    key: Key,
    record: Record,
}

/// Why bytes are no excerpt, or an excerpt does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExcerptError {
    /// The bytes end before the excerpt does.
    #[error("excerpt ends early")]
    Truncated,
    /// Bytes follow after the excerpt's end.
    #[error("{got} bytes after the excerpt")]
    TrailingBytes {
        /// How many.
        got: usize,
    },
    /// A node of no known kind.
    #[error("unknown node tag {tag}")]
    UnknownTag {
        /// The tag found.
        tag: u8,
    },
    /// A leaf's value is not a record.
    #[error("a leaf of the excerpt is not a record")]
    MalformedLeaf,
    /// A split is not one of a path's bits.
    #[error("a node splits at bit {split}, beyond a path")]
    SplitOutOfRange {
        /// Its split.
        split: u16,
    },
    /// A split is not below the one above it.
    #[error("a node splits at bit {split}, not below the node above it")]
    SplitNotIncreasing {
        /// Its split.
        split: u16,
    },
    /// A leaf lies on the wrong side of a split.
    #[error("a leaf is not on its own side of the split at bit {split}")]
    LeafElsewhere {
        /// The split.
        split: u16,
    },
    /// The leaves on both sides of a split differ before it.
    #[error("leaves on both sides of the split at bit {split} differ before it")]
    LeavesDisagree {
        /// The split.
        split: u16,
    },
    /// A node of which nothing is shown, where its hash would have done.
    #[error("a node of which nothing is shown")]
    NothingShown,
    /// The excerpt is of another state.
    #[error("excerpt of root {got}, not {expected}")]
    OtherRoot {
        /// The root of its state.
        got: StateRoot,
        /// The root asked for.
        expected: StateRoot,
    },
}

/// The excerpt says nothing about what is asked: the place lies in a part that is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the excerpt does not show this")]
pub struct NotShown;

/// Holdings of an address that follow one another without a gap, ascending by asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Assets other than coins, with the units held.
    pub held: Vec<(AssetId, u64)>,
    /// Whether nothing comes behind. Not complete: the next page begins behind the last of these.
    pub is_complete: bool,
}

impl Excerpt {
    /// What the trie shows; both are of the same state.
    pub(super) fn new(top: Option<Node>, root: StateRoot) -> Self {
        Self { top, root }
    }

    /// The excerpt as part of the state with this root, to be asked.
    ///
    /// In a state with this root each leaf lies on that side of each split to which its path leads.
    /// So what a key's turns end at is all there is under that key. The root is trusted to be of
    /// such a state (full nodes check that); what the excerpt itself says was checked when it was read.
    ///
    /// # Errors
    /// [`ExcerptError::OtherRoot`].
    pub fn open(self, root: &StateRoot) -> Result<Shown, ExcerptError> {
        if self.root == *root {
            Ok(Shown { top: self.top })
        } else {
            Err(ExcerptError::OtherRoot { got: self.root, expected: *root })
        }
    }

    /// The excerpt's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(top) = &self.top {
            write(top, &mut out);
        }
        out
    }

    /// Reads what [`Excerpt::to_bytes`] wrote, all of it, in memory proportional to it.
    ///
    /// # Errors
    /// [`ExcerptError`] for the first fault, in the order of the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExcerptError> {
        if bytes.is_empty() {
            return Ok(Self { top: None, root: StateRoot::ZERO });
        }
        let mut rest = bytes;
        let (top, hash) = read(&mut rest, &mut Vec::new())?;
        if !rest.is_empty() {
            return Err(ExcerptError::TrailingBytes { got: rest.len() });
        }
        if matches!(top, Node::Hidden(_)) {
            return Err(ExcerptError::NothingShown);
        }
        Ok(Self { top: Some(top), root: StateRoot(hash) })
    }
}

/// What an excerpt shows of a state whose root was checked. Only [`Excerpt::open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    top: Option<Node>,
}

impl Shown {
    /// The record under the key, or `None` where the state has none. Coins are asked for by the
    /// account: under a holding of coins there is never anything.
    ///
    /// # Errors
    /// [`NotShown`].
    pub fn record(&self, key: &Key) -> Result<Option<&Record>, NotShown> {
        let Some(mut node) = self.top.as_ref() else { return Ok(None) };
        let path = key.path();
        loop {
            match node {
                Node::Hidden(_) => return Err(NotShown),
                Node::Leaf(leaf) => return Ok((leaf.key == *key).then_some(&leaf.record)),
                Node::Inner { split, children } => node = &children[usize::from(bit(&path, *split))],
            }
        }
    }

    /// What the address holds other than coins, behind `after` (from the first where `None`), as far
    /// as it is shown without a gap.
    ///
    /// # Errors
    /// [`NotShown`] when what comes first is hidden.
    pub fn holdings(&self, address: &Address, after: Option<AssetId>) -> Result<Page, NotShown> {
        let nothing = Page { held: Vec::new(), is_complete: true };
        let Some(mut node) = self.top.as_ref() else { return Ok(nothing) };
        let cursor = cursor(address, after);
        while let Node::Inner { split, children } = node
            && *split < OWNER_BITS
        {
            node = &children[usize::from(bit(&cursor, *split))];
        }
        let mut places = Vec::new();
        flatten(node, &mut places);
        let first = places.iter().flatten().next().ok_or(NotShown)?;
        // All below share what says whose they are.
        if first.path[..PATH_BYTES / 2] != cursor[..PATH_BYTES / 2] {
            return Ok(nothing);
        }
        let is_before = |place: &Option<&Leaf>| place.is_some_and(|leaf| leaf.path <= cursor);
        let behind = places.iter().rposition(is_before).map_or(0, |place| place + 1);
        let shown: Vec<&Leaf> = places[behind..].iter().map_while(|place| *place).collect();
        let is_complete = behind + shown.len() == places.len();
        if shown.is_empty() && !is_complete {
            return Err(NotShown);
        }
        let held = shown.into_iter().filter_map(|leaf| holding(leaf.key, &leaf.record)).collect();
        Ok(Page { held, is_complete })
    }
}

/// The path behind which a page of holdings begins: coins come first, in the account.
pub(super) fn cursor(address: &Address, after: Option<AssetId>) -> Path {
    after.map_or(Key::Account(*address), |asset| Key::Holding(*address, asset)).path()
}

/// Asset and units, if the record is a holding.
pub(super) fn holding(key: Key, record: &Record) -> Option<(AssetId, u64)> {
    match (key, record) {
        (Key::Holding(_, asset), Record::Holding { amount }) => Some((asset, *amount)),
        _ => None,
    }
}

/// Leaves and hidden parts from left to right.
fn flatten<'a>(node: &'a Node, places: &mut Vec<Option<&'a Leaf>>) {
    match node {
        Node::Hidden(_) => places.push(None),
        Node::Leaf(leaf) => places.push(Some(leaf)),
        Node::Inner { children, .. } => children.iter().for_each(|child| flatten(child, places)),
    }
}

impl Node {
    pub(super) fn leaf(key: Key, record: Record) -> Self {
        Self::Leaf(Box::new(Leaf { path: key.path(), key, record }))
    }

    fn first(&self) -> Option<&Leaf> {
        match self {
            Self::Hidden(_) => None,
            Self::Leaf(leaf) => Some(leaf),
            Self::Inner { children, .. } => children[0].first().or_else(|| children[1].first()),
        }
    }

    fn last(&self) -> Option<&Leaf> {
        match self {
            Self::Hidden(_) => None,
            Self::Leaf(leaf) => Some(leaf),
            Self::Inner { children, .. } => children[1].last().or_else(|| children[0].last()),
        }
    }
}

fn write(node: &Node, out: &mut Vec<u8>) {
    match node {
        Node::Hidden(hash) => {
            out.push(TAG_HIDDEN);
            out.extend_from_slice(hash);
        }
        Node::Leaf(leaf) => {
            let value = record::encode(&leaf.key, &leaf.record)
                .expect("tries and reading have records of their key's kind");
            out.extend([TAG_LEAF, u8::try_from(value.len()).expect("tries and reading bound values")]);
            out.extend_from_slice(&value);
        }
        Node::Inner { split, children } => {
            out.push(TAG_INNER);
            out.extend_from_slice(&split.to_le_bytes());
            children.iter().for_each(|child| write(child, out));
        }
    }
}

/// Reads a node and what is below it, and hashes it. `turns` are the splits above it and the sides
/// taken.
fn read(rest: &mut &[u8], turns: &mut Vec<(u16, bool)>) -> Result<(Node, Hash), ExcerptError> {
    let [tag] = take(rest)?;
    match tag {
        TAG_HIDDEN => {
            let hash = take::<HASH_BYTES>(rest)?;
            Ok((Node::Hidden(hash), hash))
        }
        TAG_LEAF => read_leaf(rest, turns),
        TAG_INNER => {
            let split = u16::from_le_bytes(take(rest)?);
            if split >= PATH_BITS {
                return Err(ExcerptError::SplitOutOfRange { split });
            }
            if turns.last().is_some_and(|(above, _)| split <= *above) {
                return Err(ExcerptError::SplitNotIncreasing { split });
            }
            let mut child = |side| {
                turns.push((split, side));
                let child = read(rest, turns);
                turns.pop();
                child
            };
            let ((left, left_hash), (right, right_hash)) = (child(false)?, child(true)?);
            match (left.last(), right.first()) {
                (None, None) => return Err(ExcerptError::NothingShown),
                (Some(one), Some(other)) if first_difference(&one.path, &other.path) != split => {
                    return Err(ExcerptError::LeavesDisagree { split });
                }
                _ => {}
            }
            let hash = hash_inner(split, &left_hash, &right_hash);
            Ok((Node::Inner { split, children: Box::new([left, right]) }, hash))
        }
        _ => Err(ExcerptError::UnknownTag { tag }),
    }
}

fn read_leaf(rest: &mut &[u8], turns: &[(u16, bool)]) -> Result<(Node, Hash), ExcerptError> {
    let [length] = take(rest)?;
    let (value, tail) = rest.split_at_checked(length.into()).ok_or(ExcerptError::Truncated)?;
    *rest = tail;
    let (key, record) = record::decode(value).map_err(|_| ExcerptError::MalformedLeaf)?;
    let path = key.path();
    let hash = hash_leaf(&path, &key, &record).ok_or(ExcerptError::MalformedLeaf)?;
    match turns.iter().find(|(split, side)| bit(&path, *split) != *side) {
        Some((split, _)) => Err(ExcerptError::LeafElsewhere { split: *split }),
        None => Ok((Node::Leaf(Box::new(Leaf { path, key, record })), hash)),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ExcerptError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ExcerptError::Truncated)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests;
