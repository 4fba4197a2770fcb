//! The program of `stored`.
#![no_main]

steelyard_fuzz::program!(steelyard_tests::fuzz::stored::stored);
