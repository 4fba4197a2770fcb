//! A ledger in memory over the rules alone, and what its tests share: accounts, chains that read
//! as a story, seeded random numbers, published vectors. Nothing here is shipped; must not know
//! stores, peers, clocks or threads, so that the rules are tested in seconds and can be mutated.
//!
//! A broken premise of a test is a panic at once, and a test that skips says so, so unwrapping and
//! printing are allowed here.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::print_stdout)]

pub mod accounts;
pub mod broken;
pub mod cases;
pub mod chain;
pub mod fuzz;
pub mod golden;
pub mod published;
pub mod random;
pub mod story;
pub mod tip;
