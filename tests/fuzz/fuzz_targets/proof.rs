//! The program of `proof`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::state::proof);
