//! The program of `address`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::text::address);
