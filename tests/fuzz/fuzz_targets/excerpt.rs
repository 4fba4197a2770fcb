//! The program of `excerpt`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::state::excerpt);
