//! The program of `message`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::wire::message);
