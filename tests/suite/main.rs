//! The suite, one program: what every part of the project must keep, seen from outside.
//!
//! | module | what |
//! |---|---|
//! | `wallet_vectors` | those of the wallet's keys |
//! | `golden` | the bytes of every message, frozen |
//! | `fuzz` | the fuzz targets that need more than the rules, over their inputs |
//! | `generated` | generated chains are valid, and the same every time |
//! | `node_scenarios` | those that need one |
//! | `payment` | a payment through the API, and every refusal of one |
//! | `doors` | every rule broken once, at every door of a node |
//! | `review` | the attacks behind the rules, those that need a node |
//! | `light` | the framed protocol, as wallets use it and strangers misuse it |
//! | `wallet` | wallet daemons and commands, before honest nodes and lying ones |
//! | `peers` | nodes that find, feed and cheat one another |
//! | `prune` | nodes that delete old bodies: kills, wallets, peers |
//! | `forks` | a tree of forks in every order of arrival, by a node's chain in this process |
//! | `room` | a disk without room, at every door of a node |
//! | `mark` | a store that lost its end |
//! | `crash` | SIGKILL at random moments and at each step of a commit |
//! | `storm` | SIGKILL with everything at once, and each time a look at what is left |
//! | `index` | the index of the chain: kills at every step, damage, nodes with and without it |
//! | `disk` | power cuts, full disks, disks that fail, damaged files (on Linux) |
//! | `reference` | blocks that arrive at a node, compared with the second implementation |
//! | `migrations` | frozen stores of every version, brought to the present one |
//! | `ops` | backup, restore, export, import, repair, doctor, each also killed half way |
//! | `tamper` | `verify --full` on tampered stores |
//! | `tidy` | layers, purity, heads, the README's paths |
//!
//! Random tests print their seed and take it from `STEELYARD_SEED`. No test judges by a clock;
//! those of real processes wait for what they expect. A premise that fails is a failed test, and
//! a test that skips says so: unwrapping and printing are allowed.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::print_stdout)]

mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod doors;
mod forks;
mod fuzz;
mod generated;
mod golden;
mod index;
mod light;
mod mark;
mod migrations;
mod node_scenarios;
mod ops;
mod payment;
mod peers;
mod prune;
mod reference;
mod review;
mod room;
mod storm;
mod tamper;
mod tidy;
mod wallet;
mod wallet_vectors;
