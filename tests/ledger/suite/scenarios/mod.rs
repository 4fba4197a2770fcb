//! Acceptance scenarios that need the rules alone, each test named by its scenario's number.
//! Those that need nodes stand elsewhere. Must not know stores, sockets or clocks.

mod difficulty;
mod limits;
mod mining;
mod money;
