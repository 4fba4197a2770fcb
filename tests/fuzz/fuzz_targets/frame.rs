//! The program of `frame`.
#![no_main]

steelyard_fuzz::program!(steelyard_tests::fuzz::frame::frame);
