//! `tips`: where the branches that the running node knows end. Must not know how one is chosen.

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::words;

use super::ask::Asked;
use super::config::Resolved;
use super::table::table;
use crate::api::types::{ChainTip, ChainTips};

/// The command.
///
/// # Errors
/// No node answers, or it answers with an error.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), CliError> {
    let asked = Asked::find(resolved)?;
    let (answer, tips) = asked.read::<ChainTips>("/chain-tips")?;
    out.line(&text(&tips));
    if out.is_json() {
        out.bytes(format!("{}\n", answer.text).as_bytes());
    }
    Ok(())
}

fn text(tips: &ChainTips) -> String {
    let head = ["status", "height", "branch", "id"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(tips.tips.iter().map(row)).collect();
    let mut lines = table(&rows);
    if tips.more > 0 {
        lines.push(format!("  and {} of less work", words::grouped(tips.more)));
    }
    lines.join("\n")
}

fn row(tip: &ChainTip) -> [String; 4] {
    let branch = match tip.branch_length {
        0 => "-".to_owned(),
        length => format!("{} after {}", words::count(length, "block"), words::grouped(tip.fork_height)),
    };
    let status = match &tip.invalid {
        Some(rule) => format!("{}: {rule}", tip.status.name()),
        None => tip.status.name().to_owned(),
    };
    [status, words::grouped(tip.height), branch, tip.id.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{BranchStatus, Decimal};
    use steelyard_core::hash::BlockId;

    #[test]
    fn each_end_has_a_line() {
        let tip = |status, height, branch_length, invalid: Option<&str>| ChainTip {
            id: BlockId([0xab; 32]),
            height,
            work: Decimal(1),
            branch_length,
            fork_height: height - branch_length,
            status,
            invalid: invalid.map(str::to_owned),
        };
        let tips = vec![
            tip(BranchStatus::Active, 1_234, 0, None),
            tip(BranchStatus::ValidFork, 1_230, 1, None),
            tip(BranchStatus::Invalid, 7, 2, Some("state_root")),
        ];
        let id = "ab".repeat(32);
        assert_eq!(
            text(&ChainTips { tips, more: 3 }),
            format!(
                "  status               height  branch               id\n\
                 \x20 active               1,234   -                    {id}\n\
                 \x20 valid-fork           1,230   1 block after 1,229  {id}\n\
                 \x20 invalid: state_root  7       2 blocks after 5     {id}\n\
                 \x20 and 3 of less work"
            )
        );
    }
}
