//! What tests of nodes and wallets, benchmarks and generators share: files of generated chains, a node
//! in this process, nodes and wallets as processes, and a node that lies; accounts and the ledger in
//! memory come from `steelyard-ledger`. Nothing here is shipped; must not know more of the ledger's meaning than
//! `steelyard-core` says.
//!
//! A broken premise of a test is a panic at once, and programs made for measuring say what they
//! measured, so unwrapping and printing are allowed here.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::print_stdout, clippy::print_stderr)]

pub mod chainfile;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod fork_cases;
pub mod frozen;
pub mod fuzz;
pub mod generate;
pub mod indexed;
pub mod inprocess;
pub mod lives;
pub mod network;
pub mod peer;
pub mod picture;
#[cfg(target_os = "linux")]
pub mod power;
pub mod process;
pub mod proxy;
pub mod stopwatch;
pub mod stored;
pub mod usage;
pub mod wallet;

pub use steelyard_ledger::{accounts, broken, chain, random, tip};
