//! The program of `policy`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::policy::policy);
