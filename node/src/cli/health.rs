//! `health`: whether the running node can be worked with, for scripts and supervisors. Must not know
//! how that is judged.

use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;

use super::ask::Asked;
use super::config::Resolved;

/// The command: 0 for ready, 1 for not ready, with the reasons.
///
/// # Errors
/// No node answers.
pub fn run(resolved: &Resolved, out: Output) -> Result<ExitCode, CliError> {
    let asked = Asked::find(resolved)?;
    let (text, health) = asked.ready()?;
    if out.is_json() {
        // As the node wrote it.
        out.bytes(format!("{}\n", text.trim_end()).as_bytes());
    }
    out.line(if health.ready { "ready" } else { "not ready" });
    for reason in &health.reasons {
        out.line(&format!("  {}", reason.message));
    }
    Ok(if health.ready { ExitCode::Ok } else { ExitCode::Other })
}
