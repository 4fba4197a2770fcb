//! Bodies of fuzz targets: plain functions from any bytes, each of which panics when a law is broken.
//! libFuzzer (`tests/fuzz/README.md`) and the everyday test (`corpus`) run the same functions. No input
//! may panic, and beyond that each target says what else must hold. Must not know who runs them, nor
//! files: what needs more than the pure crate is in `steelyard-tests`.
//!
//! | file | targets |
//! |---|---|
//! | [`wire`] | `message`: every kind that nodes and wallets say |
//! | [`header`] | `header`: alone, and as a child of a known parent |
//! | [`transaction`] | `transaction`: as it came, and signed anew |
//! | [`body`] | `body`, `coinbase` |
//! | [`block`] | `block`: drafted from the input on a known chain, sealed, checked, connected |
//! | [`text`] | `address`, `amount` |
//! | [`policy`] | `policy` |
//! | [`difficulty`] | `difficulty`: bits, targets, work, ASERT |
//! | [`state`] | `record`, `proof`, `excerpt`: any bytes, and edited honest ones |
//! | [`light`] | `light_tip`, `light_found`: answers edited, and mined anew |
//! | [`world`] | the chain and the state that they are held against |
//! | [`input`] | bytes read as choices; edits of honest bytes |
//! | [`made`] | transactions made by choices |
//! | [`corpus`] | running a target over files, and over random changes of them |
//! | [`seeds`] | the first inputs of each target |

pub mod block;
pub mod body;
pub mod corpus;
pub mod difficulty;
pub mod header;
pub mod input;
pub mod light;
pub mod made;
pub mod policy;
pub mod seeds;
pub mod state;
pub mod text;
pub mod transaction;
pub mod wire;
pub mod world;

/// A target's name, which is that of its program and of its folder of inputs, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target over the pure crate.
pub const TARGETS: &[Target] = &[
    ("address", text::address),
    ("amount", text::amount),
    ("block", block::block),
    ("body", body::body),
    ("coinbase", body::coinbase),
    ("difficulty", difficulty::difficulty),
    ("excerpt", state::excerpt),
    ("header", header::header),
    ("light_found", light::found),
    ("light_tip", light::tip),
    ("message", wire::message),
    ("policy", policy::policy),
    ("proof", state::proof),
    ("record", state::record),
    ("transaction", transaction::transaction),
];
