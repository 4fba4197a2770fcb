//! Every key-space of the node's store: one tree, 13-byte keys, values of at most 32 KiB.
//! Nothing else in the node names a key. Must not know what the values mean.
//!
//! `seq` is the number of a commit: it grows by one with each, whatever the commit holds.
//!
//! | space | a | chunk | value |
//! |---|---|---|---|
//! | META | 1 version, 4 writer, 9 while it is made (`steelyard_migrations`) · 2 network · 3 checkpoint · 5 pruned | 0 | see [`super::checkpoint`]; the height of the first body kept, u64 |
//! | LOG | seq | 0.. | the tip after the commit, and what it did: blocks received, chain changed ([`super::log`]) |
//! | MEMPOOL | seq | 0.. | transactions admitted ([`super::pending`]) |
//! | DELTA | seq | 0.. | records before and after ([`super::delta`]) |
//! | BODY | seq | 0.. | bodies of the blocks received, one after another |
//! | CHECKPOINT | generation | 0.. | every record, ascending by path ([`super::checkpoint`]) |
//! | PEERS | 1 | 0.. | addresses of other nodes and bans, rewritten whole by each commit that has any |
//!
//! Tiny sentinel keys stand at both ends of every space: a leaf of sled holds some 16
//! neighbours and is rewritten whole, so without them the append point of one space would be
//! rewritten with another's big values. They are for speed only.
//!
//! All but META's and CHECKPOINT's values are streams ([`super::stream`]): chunks behind a length and a
//! check. This is version 1. Whoever changes a byte of it makes a version 2, and its step in
//! `steelyard_migrations`.

use std::ops::RangeInclusive;

/// A key: space u8, a u64 and chunk u32 big-endian.
pub type StoreKey = [u8; 13];

/// One kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Space {
    /// Single values.
    Meta = 0x10,
    /// What each commit did.
    Log = 0x20,
    /// Pending transactions.
    Mempool = 0x30,
    /// Changed records: replay and undo.
    Delta = 0x40,
    /// Block bodies.
    Body = 0x50,
    /// The state as a whole.
    Checkpoint = 0x60,
    /// Other nodes.
    Peers = 0x70,
}

/// Every space.
pub const SPACES: [Space; 7] =
    [Space::Meta, Space::Log, Space::Mempool, Space::Delta, Space::Body, Space::Checkpoint, Space::Peers];

/// META: id of the network the store belongs to.
pub const META_NETWORK: u64 = 2;
/// META: the newest whole checkpoint.
pub const META_CHECKPOINT: u64 = 3;
/// META: height below which bodies and undo may be missing, little-endian; not there: none.
pub const META_PRUNED: u64 = 5;

/// PEERS: the only stream.
pub const PEERS_ALL: u64 = 1;

/// Smallest `a` of content: 0 is the lower sentinels'.
pub const FIRST: u64 = 1;
/// Largest `a` of content: u64::MAX is the upper sentinels'.
pub const LAST: u64 = u64::MAX - 1;
/// Sentinels at each end: more than two leaves of sled hold.
pub const SENTINELS: u32 = 34;

/// The key of a chunk.
#[must_use]
pub fn key(space: Space, a: u64, chunk: u32) -> StoreKey {
    let mut key = [0; 13];
    key[0] = space as u8;
    key[1..9].copy_from_slice(&a.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// All keys of content of a space with `a` in `from..=to`; never a sentinel.
#[must_use]
pub fn range(space: Space, from: u64, to: u64) -> RangeInclusive<StoreKey> {
    key(space, from.max(FIRST), 0)..=key(space, to.min(LAST), u32::MAX)
}

/// The `a` and chunk of a key of content.
#[must_use]
pub fn split(key: &[u8]) -> Option<(u64, u32)> {
    let key: &StoreKey = key.try_into().ok()?;
    let (a, chunk) = key[1..].split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*a), u32::from_be_bytes(chunk.try_into().ok()?)))
}
