//! `repair`: makes a damaged store again from its own blocks and says what was kept. Must not know
//! how it is done.

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::words;

use super::config::Resolved;
use crate::repair::{self, Report, Step};

/// The command.
///
/// # Errors
/// There is no store, or a process holds it.
pub fn run(resolved: &Resolved, force: bool, out: Output) -> Result<(), CliError> {
    let data_dir = resolved.data_dir()?;
    let (judged, rebuilt) = (Progress::new("blocks checked", 0), Progress::new("commits read", 0));
    let mut said = None;
    let mut progress = |step, done, total| {
        if said.replace(step) != Some(step) {
            out.note(match step {
                Step::Judge => "checking the store",
                Step::Rebuild => "making a new store of what is right in it",
            });
        }
        let bar = if step == Step::Judge { &judged } else { &rebuilt };
        bar.set_total(total);
        bar.set(done);
    };
    let report = repair::run(&resolved.params, &data_dir, force, &mut progress)?;
    for line in lines(&report, &resolved.same()) {
        out.line(&line);
    }
    out.json(&report);
    Ok(())
}

/// A report for people; `same` are the flags that mean the same folder.
fn lines(report: &Report, same: &str) -> Vec<String> {
    if !report.repaired {
        let blocks = words::count(report.blocks, "block");
        return vec![format!("nothing is wrong: {blocks} are in order, and nothing was changed")];
    }
    let mut lines: Vec<String> = report.found.iter().map(|found| format!("found: {found}")).collect();
    if report.blocks == 0 && report.pending == 0 {
        lines.push("nothing in the store could be kept, and it was put aside".into());
        lines.push(format!("  the next start fetches the blocks from peers: steelyard-node run{same}"));
        lines.push(format!("  or first: steelyard-node restore DIR{same}"));
        lines.push(format!("  or first: steelyard-node import FILE{same}"));
    } else {
        let (blocks, pending) = (words::count(report.blocks, "block"), words::grouped(report.pending));
        lines.push(format!("kept {blocks} and {pending} pending; the tip is at height {}", report.height));
    }
    if let Some(first) = report.first_lost {
        let lost = words::count(report.lost, "block");
        lines.push(format!("  {lost} could not be kept, the first at height {first}: peers give them again"));
    }
    if let Some(kept) = &report.kept {
        let size = words::bytes(report.kept_bytes);
        lines.push(format!("  the old store is {} ({size}); delete it when all is well", kept.display()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::hash::BlockId;

    #[test]
    fn what_was_done_is_said_and_what_to_do_next() {
        let kept = Report {
            repaired: true,
            found: Some("so".into()),
            blocks: 12,
            height: 10,
            tip: BlockId([1; 32]),
            lost: 2,
            first_lost: Some(11),
            unreadable: 1,
            pending: 3,
            peers: true,
            kept: Some("n/chain.damaged-1".into()),
            kept_bytes: 8_000_000,
        };
        let said = lines(&kept, "");
        assert_eq!(said[0], "found: so");
        assert_eq!(said[1], "kept 12 blocks and 3 pending; the tip is at height 10");
        assert!(said[2].contains("2 blocks could not be kept, the first at height 11"));
        assert!(said[3].contains("n/chain.damaged-1 (8.0 MB)"));
        let aside = Report { blocks: 0, pending: 0, lost: 0, first_lost: None, ..kept.clone() };
        assert!(lines(&aside, " --data-dir n").iter().any(|line| line.ends_with("import FILE --data-dir n")));
        let sound = Report { repaired: false, ..kept };
        assert_eq!(lines(&sound, "").len(), 1);
    }
}
