//! Keys, signatures and policies: who may spend. Must not know transactions.

pub mod keys;
pub mod policy;
