//! `verify`: holds the store against its commitments and names what is damaged. Where a node runs
//! in the folder, the node is asked to. Must not know how it is done.

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::ask::order_holder;
use super::config::Resolved;
use crate::verify::{self, Failure, Report};

/// The command.
///
/// # Errors
/// There is no store, a process that is no node holds it, or it is damaged.
pub fn run(resolved: &Resolved, is_full: bool, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let bar = Progress::new("blocks checked", 0);
    let mut progress = |done, total| {
        bar.set_total(total);
        bar.set(done);
    };
    let report = match verify::run(resolved.params.clone(), &data_dir, is_full, &mut progress) {
        Err(Failure::Held(held)) => {
            order_holder(&data_dir, held, (&format!("/verify?full={is_full}"), None))?
        }
        judged => {
            bar.finish();
            judged?
        }
    };
    out.line(&format!("{} is in order", data_dir.display()));
    out.line(&summary(&report, is_full));
    if let Some(loss) = &report.rolled_back {
        out.note(&format!("warning: {}", loss.text()));
    }
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
    let way = match report.executed_from.filter(|_| is_full) {
        None => "--full executes every block again".to_owned(),
        Some(1) => "every block executed again".to_owned(),
        Some(from) => format!(
            "all headers judged, blocks from height {from} on executed again, earlier ones are pruned"
        ),
    };
    format!("  {}, {} pending ({way})", figures.join(", "), words::grouped(report.pending))
}
