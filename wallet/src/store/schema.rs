//! Every key-space of the daemon's store: one tree, keys of a space, an owner and a rest. Nothing
//! else in the wallet names a key. Must not know what the values mean.
//!
//! The owner is a wallet's id, or a number of META. `seq` is an intent's number in its wallet: from
//! 1, without gaps, never removed, so that a page of the newest is a range of numbers.
//!
//! | space | owner | rest | value |
//! |---|---|---|---|
//! | META | 1 version, 4 writer, 9 while it is made (`steelyard_migrations`) · 2 network | | without check · network id |
//! | COMMITS | 1 | | u64: durable commits so far (`mark.rs`) |
//! | SNAPSHOT | 1 | | the last reading of the chain (`record.rs`) |
//! | WALLET | wallet | | u32: number of addresses |
//! | INTENT | wallet | seq | the intent (`record.rs`) |
//! | ID | wallet | id of the intent, as text | seq |
//! | TX | wallet | id of its transaction | seq |
//! | LIVE | wallet | seq | nothing; there while the intent is not final |
//!
//! Tiny sentinel keys stand at both ends of every space: a leaf of sled holds some 16 neighbours
//! and is rewritten whole, so without them the snapshot would be rewritten with each commit.
//!
//! This is version 1. Whoever changes a byte of it makes a version 2, and its step in
//! `steelyard_migrations`.

use std::ops::RangeInclusive;

use crate::keystore::WalletId;

/// One kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Space {
    /// Single values.
    Meta = 0x10,
    /// How many commits there were.
    Commits = 0x18,
    /// The last reading of the chain.
    Snapshot = 0x20,
    /// What is known of a wallet beyond its keystore.
    Wallet = 0x30,
    /// Intents.
    Intent = 0x40,
    /// Intents by what the caller calls them.
    Id = 0x50,
    /// Intents by transaction.
    Tx = 0x60,
    /// Which intents are not final.
    Live = 0x70,
}

/// Every space.
pub const SPACES: [Space; 8] = [
    Space::Meta,
    Space::Commits,
    Space::Snapshot,
    Space::Wallet,
    Space::Intent,
    Space::Id,
    Space::Tx,
    Space::Live,
];

/// META: id of the network the store belongs to.
pub const META_NETWORK: u8 = 2;
/// Sentinels at each end: more than two leaves of sled hold.
pub const SENTINELS: u8 = 34;

/// Bytes of an owner.
const OWNER_BYTES: usize = 16;
/// The lower sentinels'.
const FIRST_OWNER: [u8; OWNER_BYTES] = [0; OWNER_BYTES];
/// The upper sentinels'.
const LAST_OWNER: [u8; OWNER_BYTES] = [0xff; OWNER_BYTES];

/// The key of a single value.
#[must_use]
pub fn single(space: Space, number: u8) -> Vec<u8> {
    let mut owner = FIRST_OWNER;
    owner[OWNER_BYTES - 1] = number;
    key(space, &owner, &[])
}

/// The key of something of a wallet.
#[must_use]
pub fn of_wallet(space: Space, wallet: &WalletId, rest: &[u8]) -> Vec<u8> {
    key(space, &wallet.0, rest)
}

/// The keys of a wallet's numbers `from..=to`.
#[must_use]
pub fn numbers(space: Space, wallet: &WalletId, from: u64, to: u64) -> RangeInclusive<Vec<u8>> {
    of_wallet(space, wallet, &from.to_be_bytes())..=of_wallet(space, wallet, &to.to_be_bytes())
}

/// The number at the end of a key that [`numbers`] names.
#[must_use]
pub fn number_of(key: &[u8]) -> Option<u64> {
    let rest = key.get(1 + OWNER_BYTES..)?;
    rest.try_into().ok().map(u64::from_be_bytes)
}

/// Every sentinel.
pub fn sentinels() -> impl Iterator<Item = Vec<u8>> {
    let ends = |space| [FIRST_OWNER, LAST_OWNER].into_iter().map(move |owner| (space, owner));
    let places = SPACES.into_iter().flat_map(ends);
    places.flat_map(|(space, owner)| (0..SENTINELS).map(move |number| key(space, &owner, &[number])))
}

fn key(space: Space, owner: &[u8; OWNER_BYTES], rest: &[u8]) -> Vec<u8> {
    [&[space as u8][..], owner, rest].concat()
}
