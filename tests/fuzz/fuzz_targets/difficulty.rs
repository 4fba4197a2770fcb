//! The program of `difficulty`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::difficulty::difficulty);
