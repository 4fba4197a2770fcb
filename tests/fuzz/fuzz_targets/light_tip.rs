//! The program of `light_tip`.
#![no_main]

steelyard_fuzz::program!(steelyard_ledger::fuzz::light::tip);
