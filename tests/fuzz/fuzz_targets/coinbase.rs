//! The program of `coinbase`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::body::coinbase);
