//! The program of `network_file`.
#![no_main]

steelyard_fuzz::program!(steelyard_tests::fuzz::files::network_file);
