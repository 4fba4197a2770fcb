//! What the index holds: places in the chain under keyed prefixes, and which of them a block gives.
//! A prefix is keyed with a secret of the store, so that nobody can make keys collide. Must not know
//! where entries are kept.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use steelyard_core::encode::DecodeError;
use steelyard_core::hash::{Address, AssetId, BlockId, TxId, sha256d};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::{Action, Transaction, asset_id};

/// Bits of a position that number the item within its block (a block holds fewer items than its
/// bytes allow, see the assertion).
const ITEM_BITS: u32 = 24;
const _: () = assert!(steelyard_core::params::BLOCK_BYTES_LIMIT <= 1 << ITEM_BITS);
const ITEM_MAX: u32 = (1 << ITEM_BITS) - 1;
/// Largest height that a position can name: at a block a millisecond that is 34 years.
const HEIGHT_MAX: u64 = u64::MAX >> ITEM_BITS;

/// A place in the chain: ordered as the chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Height of the block.
    pub height: u64,
    /// Item of its body; the coinbase is 0.
    pub item: u32,
}

impl Position {
    /// Before every other.
    pub const FIRST: Self = Self { height: 0, item: 0 };
    /// After every other.
    pub const LAST: Self = Self { height: HEIGHT_MAX, item: ITEM_MAX };

    pub(super) fn to_bits(self) -> u64 {
        self.height.min(HEIGHT_MAX) << ITEM_BITS | u64::from(self.item.min(ITEM_MAX))
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self { height: bits >> ITEM_BITS, item: (bits & u64::from(ITEM_MAX)) as u32 }
    }

    /// The last place before this one; `None` for the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.to_bits().checked_sub(1).map(Self::from_bits)
    }

    /// The first place after this one; `None` for the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.to_bits().checked_add(1).map(Self::from_bits)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.height, self.item)
    }
}

/// Text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not HEIGHT-ITEM")]
pub struct ParsePositionError;

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let (height, item) = text.split_once('-').ok_or(ParsePositionError)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(height) || !digits(item) {
            return Err(ParsePositionError);
        }
        let height = height.parse().map_err(|_| ParsePositionError)?;
        let item = item.parse().map_err(|_| ParsePositionError)?;
        if height > HEIGHT_MAX || item > ITEM_MAX {
            return Err(ParsePositionError);
        }
        Ok(Self { height, item })
    }
}

/// A block up to which something is done: this one and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: BlockId,
}

/// What places are looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A transaction.
    Tx(TxId),
    /// All that touches an address: it sends, is paid, or mined the block.
    Address(Address),
    /// The transaction that issued an asset.
    Asset(AssetId),
    /// Every transaction that issued an asset.
    Assets,
}

/// Bytes of the secret.
pub(super) const SECRET_BYTES: usize = 16;

/// What prefixes are keyed with: random at the store's creation, never told.
#[derive(Clone, Copy)]
pub(super) struct Secret(pub(super) [u8; SECRET_BYTES]);

impl Secret {
    /// The prefix of a key. Of fixed length, so a hash with the secret in front is a keyed one.
    pub(super) fn prefix(&self, key: &Key) -> u64 {
        let (kind, id) = match key {
            Key::Tx(id) => (1, id.0),
            Key::Address(address) => (2, address.0),
            Key::Asset(asset) => (3, asset.0),
            Key::Assets => (4, [0; 32]),
        };
        let mut preimage = [0; SECRET_BYTES + 1 + 32];
        preimage[..SECRET_BYTES].copy_from_slice(&self.0);
        preimage[SECRET_BYTES] = kind;
        preimage[SECRET_BYTES + 1..].copy_from_slice(&id);
        let hash = sha256d(&preimage);
        u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
    }
}

/// Bytes of an entry as it is stored.
pub(super) const ENTRY_BYTES: usize = 16;

/// One entry, ordered by prefix, then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) prefix: u64,
    /// [`Position::to_bits`].
    pub(super) position: u64,
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        (u128::from(self.prefix) << 64 | u128::from(self.position)).to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let both = u128::from_be_bytes(*bytes);
        Self { prefix: (both >> 64) as u64, position: both as u64 }
    }
}

/// All entries of a block, in no order. Genesis gives none.
///
/// # Errors
/// An item is not what blocks hold: the body was never checked.
pub(super) fn entries_of(secret: &Secret, height: u64, body: &Body) -> Result<Vec<Entry>, DecodeError> {
    let mut entries = Vec::with_capacity(3 * body.items.len());
    for (item, bytes) in (0..).zip(&body.items) {
        let position = Position { height, item }.to_bits();
        let mut note = |key: Key| entries.push(Entry { prefix: secret.prefix(&key), position });
        if item == 0 {
            note(Key::Address(Coinbase::from_bytes(bytes)?.miner));
            continue;
        }
        let tx = Transaction::from_bytes(bytes)?;
        let id = tx.body.id();
        note(Key::Tx(id));
        touched(&tx).into_iter().map(Key::Address).for_each(&mut note);
        if matches!(tx.body.action, Action::Issue { .. }) {
            note(Key::Asset(asset_id(&id)));
            note(Key::Assets);
        }
    }
    Ok(entries)
}

/// The addresses that a transaction touches, each once.
pub(super) fn touched(tx: &Transaction) -> BTreeSet<Address> {
    let mut touched = BTreeSet::from([tx.body.sender]);
    if let Action::Transfer { payments } = &tx.body.action {
        touched.extend(payments.iter().map(|payment| payment.to));
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_as_the_chain_and_read_back() {
        let at = |height, item| Position { height, item };
        let places = [
            Position::FIRST,
            at(0, 1),
            at(0, ITEM_MAX),
            at(1, 0),
            at(7, 3),
            at(HEIGHT_MAX, 0),
            Position::LAST,
        ];
        assert!(places.windows(2).all(|pair| pair[0].to_bits() < pair[1].to_bits() && pair[0] < pair[1]));
        for place in places {
            assert_eq!(Position::from_bits(place.to_bits()), place);
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert_eq!((Position::FIRST.previous(), Position::LAST.next()), (None, None));
        assert_eq!((at(1, 0).previous(), at(0, ITEM_MAX).next()), (Some(at(0, ITEM_MAX)), Some(at(1, 0))));
        let too_high = format!("{}-0", HEIGHT_MAX + 1);
        let too_far = format!("0-{}", ITEM_MAX + 1);
        for text in ["", "-", "1", "1-", "-1", "+1-2", "1-2-3", "1 -2", too_high.as_str(), too_far.as_str()] {
            assert_eq!(text.parse::<Position>(), Err(ParsePositionError), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_hangs_on_the_secret_the_kind_and_the_id() {
        let (one, two) = (Secret([1; SECRET_BYTES]), Secret([2; SECRET_BYTES]));
        let keys = [
            Key::Tx(TxId([0; 32])),
            Key::Address(Address([0; 32])),
            Key::Asset(AssetId([0; 32])),
            Key::Assets,
            Key::Tx(TxId([1; 32])),
        ];
        let all: BTreeSet<u64> =
            [one, two].iter().flat_map(|secret| keys.map(|key| secret.prefix(&key))).collect();
        assert_eq!(all.len(), 2 * keys.len());
    }

    #[test]
    fn an_entry_reads_back_and_its_bytes_are_ordered_as_it_is() {
        let entry = |prefix, position| Entry { prefix, position };
        let entries = [entry(0, 9), entry(1, 0), entry(1, 1 << 40), entry(u64::MAX, 2)];
        assert!(entries.windows(2).all(|pair| pair[0].to_bytes() < pair[1].to_bytes()));
        assert!(entries.iter().all(|entry| Entry::from_bytes(&entry.to_bytes()) == *entry));
    }
}
