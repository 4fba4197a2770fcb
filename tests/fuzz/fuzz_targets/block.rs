//! The program of `block`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::block::block);
