//! The program of `record`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::state::record);
