//! The ledger's meaning, and nothing else: bytes, hashes, keys, state, rules.
//!
//! Pure. No file, socket, clock, randomness, thread, log line, float or global of a network is
//! to be found here; whatever a rule needs is an argument. `consensus/mod.rs` is the file to read
//! first: the order of all checks on one page. From there `consensus/transition.rs` is what a
//! block does to the state, and `state/` how the state commits to itself.
//!
//! Rows import only from rows above them:
//!
//! ```text
//! amount hash work encode join     units, bytes, and who does two things at once
//! merkle asert crypto              trees, the difficulty formula, keys and policies
//! state history address            records and their trie, history, text of addresses
//! types                            headers, transactions, bodies
//! params                           a network as a value, its genesis
//! consensus                        the rules
//! wire                             messages between nodes and wallets
//! light                            what a client without the chain checks of them
//! ```

pub mod address;
pub mod amount;
pub mod asert;
pub mod consensus;
pub mod crypto;
pub mod encode;
pub mod hash;
pub mod history;
pub mod join;
pub mod light;
pub mod merkle;
pub mod params;
pub mod state;
pub mod types;
pub mod wire;
pub mod work;
