//! `steelyard-cases`: prints random cases for the comparison with the second implementation, one JSON
//! object a line, and on stderr what sorts they are of. Must not judge.
#![allow(clippy::print_stderr)]

use std::io::{BufWriter, Write};

use clap::Parser;
use steelyard_ledger::cases::{KINDS, Kind, Statistics};

/// Prints random cases, to be piped into tests/reference/check.py.
#[derive(Parser)]
#[command(name = "steelyard-cases", version)]
struct Options {
    /// Name of a kind, or `all`
    #[arg(long, default_value = "all")]
    kind: String,
    /// Cases of each kind; where it is not given, as many as an everyday comparison has
    #[arg(long)]
    count: Option<u64>,
    /// The same seed prints the same cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> std::io::Result<()> {
    let Options { kind, count, seed } = Options::parse();
    let kinds: Vec<&Kind> = KINDS.iter().filter(|one| kind == "all" || one.name == kind).collect();
    if kinds.is_empty() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        eprintln!("error: no kind {kind}; there are all, {}", names.join(", "));
        std::process::exit(2);
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut statistics = Statistics::default();
    for kind in kinds {
        let count = usize::try_from(count.unwrap_or(kind.everyday)).expect("a count in memory");
        for case in kind.cases(seed).take(count) {
            statistics.count(&case);
            writeln!(out, "{}", case.line())?;
        }
    }
    out.flush()?;
    eprint!("{statistics}");
    Ok(())
}
