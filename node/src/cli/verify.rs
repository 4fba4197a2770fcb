//! `verify`: holds the store against its commitments and names what is damaged. Must not know how
//! that is done.

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;

use super::config::Resolved;
use super::words;
use crate::verify::{self, Report};

/// The command.
///
/// # Errors
/// There is no store, a process holds it, or it is damaged.
pub fn run(resolved: &Resolved, is_full: bool, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let bar = Progress::new("blocks checked", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let report = verify::run(resolved.params.clone(), &data_dir, is_full, &mut progress)?;
    bar.finish();
    out.line(&format!("{} is in order", data_dir.display()));
    out.line(&summary(&report, is_full));
    out.json(&report);
    Ok(())
}

fn summary(report: &Report, is_full: bool) -> String {
    let figures = [
        (report.blocks, "block"),
        (report.transactions, "transaction"),
        (report.records, "record"),
        (report.side_blocks, "side block"),
    ];
    let figures: Vec<String> = figures.map(|(number, noun)| words::count(number, noun)).into();
    let way = if is_full { "every block executed again" } else { "--full executes every block again" };
    format!("  {}, {} pending ({way})", figures.join(", "), words::grouped(report.pending))
}
