//! The program of `body`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::body::body);
