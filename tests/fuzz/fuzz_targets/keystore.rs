//! The program of `keystore`.
#![no_main]

steelyard_fuzz::program!(steelyard_tests::fuzz::files::keystore);
