//! Tests of the ledger's meaning, one program: rules, bytes and laws, over the pure crate alone.
//!
//! | module | what |
//! |---|---|
//! | `vectors` | published test vectors, from the folder in `STEELYARD_VECTORS` |
//! | `fuzz` | the fuzz targets over their inputs, and random changes of these |
//! | `golden` | bytes and hashes of the ledger, frozen |
//! | `protocol` | the specification's examples and tables, compared with the code |
//! | `reference` | random cases, compared with the second implementation |
//! | `rules` | every rule broken once, by its exact variant |
//! | `review` | the attacks behind the rules |
//! | `properties` | laws that hold on any chain, on seeded random ones |
//! | `scenarios` | the acceptance scenarios that need no running node |
//!
//! Random tests print their seed and take it from `STEELYARD_SEED`. No test judges by a clock. A
//! premise that fails is a failed test, and a test that skips says so: unwrapping and printing are
//! allowed.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::print_stdout)]

mod fuzz;
mod golden;
mod properties;
mod protocol;
mod reference;
mod review;
mod rules;
mod scenarios;
mod vectors;
