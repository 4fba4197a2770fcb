//! The program of `transaction`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::transaction::transaction);
