//! Laws that hold on every chain, tried on random ones: money, undo and reorganisation, bytes.
//! Must not know an expected value: each law relates two ways to the same thing.

mod bytes;
mod codec;
mod messages;
mod model;
mod money;
mod multisig;
mod proofs;
mod reorg;
pub mod trees;
mod values;
