//! The program of `amount`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::text::amount);
