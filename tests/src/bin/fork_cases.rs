//! `steelyard-fork-cases`: prints cases of the kind `fork` for the comparison with the second
//! implementation, one JSON object a line, and on stderr what sorts they are of. Must not judge.
#![allow(clippy::print_stderr)]

use std::io::{BufWriter, Write};

use clap::Parser;
use steelyard_ledger::cases::Statistics;
use steelyard_tests::fork_cases::cases;

/// Prints trees of blocks that arrive at a node, to be piped into tests/reference/check.py.
#[derive(Parser)]
#[command(name = "steelyard-fork-cases", version)]
struct Options {
    /// Trees
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// The same seed prints the same cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> std::io::Result<()> {
    let Options { count, seed } = Options::parse();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut statistics = Statistics::default();
    for case in cases(seed).take(count) {
        statistics.count(&case);
        writeln!(out, "{}", case.line())?;
    }
    out.flush()?;
    eprint!("{statistics}");
    Ok(())
}
