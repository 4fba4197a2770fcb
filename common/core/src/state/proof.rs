//! Proofs of one record, or of its absence, against a state root (specification, section 3).
//! Must not know the trie: all that is checked here follows from a root, a key and bytes of
//! a stranger.
//!
//! Bytes: steps (u16), per step the split bit (u16) and the sibling's hash, bytes of the value
//! (u8), the value as [`record::encode`] writes it. All integers little-endian. No steps and
//! an empty value: the state is empty.

use super::record::{self, Key, Path, Record, VALUE_BYTES_MAX};
use super::{Hash, PATH_BITS, bit, hash_inner, hash_leaf, is_holding_of_coins};
use crate::hash::{HASH_BYTES, StateRoot};

/// Bytes of the longest proof: one step per bit of a path, and the longest value.
pub const PROOF_BYTES_MAX: usize = 2 + PATH_BITS as usize * (2 + HASH_BYTES) + 1 + VALUE_BYTES_MAX;

/// What lies on the way from a root to a key: inclusion or absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `None`: the state is empty.
    branch: Option<Branch>,
}

/// The turns from the root down to a leaf, and the leaf in full.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Branch {
    steps: Vec<Step>,
    key: Key,
    record: Record,
}

/// One inner node on the way: where it splits, and the child that the way does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) split: u16,
    pub(super) sibling: Hash,
}

/// Why bytes are no proof, or a proof does not hold. `index` counts steps from 0 at the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More steps than a path has bits.
    #[error("proof of {got} steps, of at most {PATH_BITS}")]
    TooManySteps {
        /// How many.
        got: u16,
    },
    /// The bytes end before the proof does.
    #[error("proof ends early")]
    Truncated,
    /// Bytes follow after the proof's end.
    #[error("{got} bytes after the proof")]
    TrailingBytes {
        /// How many.
        got: usize,
    },
    /// Steps lead to no leaf.
    #[error("proof of steps without a leaf")]
    NoLeaf,
    /// The leaf's value is not a record.
    #[error("the proof's leaf is not a record")]
    MalformedLeaf,
    /// A split is not one of a path's bits.
    #[error("step {index} splits at bit {split}, beyond a path")]
    SplitOutOfRange {
        /// Which step.
        index: usize,
        /// Its split.
        split: u16,
    },
    /// A split is not below the one before.
    #[error("step {index} splits at bit {split}, not below the step before")]
    SplitNotIncreasing {
        /// Which step.
        index: usize,
        /// Its split.
        split: u16,
    },
    /// The leaf does not lie on the side of the split to which the key leads.
    #[error("the leaf is not on the key's side of step {index}, bit {split}")]
    LeafElsewhere {
        /// Which step.
        index: usize,
        /// Its split.
        split: u16,
    },
    /// The key asked for is a holding of coins, which no state has: coins are in the account.
    #[error("coins are proven by the account")]
    HoldingOfCoins,
    /// The proof is of another state.
    #[error("proof of root {got}, not {expected}")]
    OtherRoot {
        /// The root that the proof leads to.
        got: StateRoot,
        /// The root asked for.
        expected: StateRoot,
    },
}

impl Proof {
    /// Proves that no record exists at all.
    pub(super) fn of_empty_state() -> Self {
        Self { branch: None }
    }

    /// Proves the leaf, and the absence of all other keys that the same steps lead to.
    pub(super) fn of_leaf(steps: Vec<Step>, key: Key, record: Record) -> Self {
        Self { branch: Some(Branch { steps, key, record }) }
    }

    /// The record that the root's state has under the key, or `None` where the proof shows
    /// that it has none.
    ///
    /// In a state with this root, each leaf lies on that side of each split to which its path
    /// leads. So a record of the key, if any, is at the end of the key's turns, and another
    /// leaf found there shows that there is none. The root is trusted to be of such a state
    /// (full nodes check that); what the proof itself says is checked all the same.
    ///
    /// # Errors
    /// [`ProofError`], for the first rule that the proof breaks.
    pub fn verify(&self, root: &StateRoot, key: &Key) -> Result<Option<Record>, ProofError> {
        if is_holding_of_coins(key) {
            return Err(ProofError::HoldingOfCoins);
        }
        let Some(branch) = &self.branch else {
            check_root(StateRoot::ZERO, *root)?;
            return Ok(None);
        };
        let path = key.path();
        let leaf_path = branch.key.path();
        check_turns(&branch.steps, &path, &leaf_path)?;
        let mut hash = hash_leaf(&leaf_path, &branch.key, &branch.record).ok_or(ProofError::MalformedLeaf)?;
        for Step { split, sibling } in branch.steps.iter().rev() {
            hash = if bit(&path, *split) {
                hash_inner(*split, sibling, &hash)
            } else {
                hash_inner(*split, &hash, sibling)
            };
        }
        check_root(StateRoot(hash), *root)?;
        Ok((leaf_path == path).then(|| branch.record.clone()))
    }

    /// The proof's bytes, at most [`PROOF_BYTES_MAX`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Some(Branch { steps, key, record }) = &self.branch else { return vec![0; 3] };
        let count = u16::try_from(steps.len()).expect("tries are 512 deep, and decoding has that bound");
        let value = record::encode(key, record).expect("tries and decoding have records of their key's kind");
        let value_bytes = u8::try_from(value.len()).expect("tries and decoding bound values");
        let mut out = Vec::with_capacity(3 + steps.len() * (2 + HASH_BYTES) + value.len());
        out.extend_from_slice(&count.to_le_bytes());
        for step in steps {
            out.extend_from_slice(&step.split.to_le_bytes());
            out.extend_from_slice(&step.sibling);
        }
        out.push(value_bytes);
        out.extend_from_slice(&value);
        out
    }

    /// Reads what [`Proof::to_bytes`] wrote, all of it. Whether it proves anything,
    /// [`Proof::verify`] says.
    ///
    /// # Errors
    /// [`ProofError`] for anything that is not laid out as a proof.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut rest = bytes;
        let count = u16::from_le_bytes(take(&mut rest)?);
        if count > PATH_BITS {
            return Err(ProofError::TooManySteps { got: count });
        }
        let mut steps = Vec::new();
        for _ in 0..count {
            let split = u16::from_le_bytes(take(&mut rest)?);
            steps.push(Step { split, sibling: take(&mut rest)? });
        }
        let [value_bytes] = take(&mut rest)?;
        let (value, tail) = rest.split_at_checked(value_bytes.into()).ok_or(ProofError::Truncated)?;
        if !tail.is_empty() {
            return Err(ProofError::TrailingBytes { got: tail.len() });
        }
        match (value.is_empty(), steps.is_empty()) {
            (true, true) => Ok(Self::of_empty_state()),
            (true, false) => Err(ProofError::NoLeaf),
            (false, _) => {
                let (key, record) = record::decode(value).map_err(|_| ProofError::MalformedLeaf)?;
                Ok(Self::of_leaf(steps, key, record))
            }
        }
    }
}

/// Splits are bits of a path and strictly increase downwards, and key and leaf take the same
/// turn at each.
fn check_turns(steps: &[Step], path: &Path, leaf_path: &Path) -> Result<(), ProofError> {
    let mut above = None;
    for (index, &Step { split, .. }) in steps.iter().enumerate() {
        if split >= PATH_BITS {
            return Err(ProofError::SplitOutOfRange { index, split });
        }
        if above.is_some_and(|above| split <= above) {
            return Err(ProofError::SplitNotIncreasing { index, split });
        }
        if bit(path, split) != bit(leaf_path, split) {
            return Err(ProofError::LeafElsewhere { index, split });
        }
        above = Some(split);
    }
    Ok(())
}

fn check_root(got: StateRoot, expected: StateRoot) -> Result<(), ProofError> {
    if got == expected { Ok(()) } else { Err(ProofError::OtherRoot { got, expected }) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ProofError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ProofError::Truncated)?;
    *rest = tail;
    Ok(*head)
}
