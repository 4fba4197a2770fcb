//! The program of `header`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::header::header);
