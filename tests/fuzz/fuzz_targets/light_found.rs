//! The program of `light_found`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::light::found);
