//! `verify`: holds the store against its commitments and names what is damaged. Where a node runs
//! in the folder, the node is asked to. Must not know how it is done.

use serde_json::Value;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::progress::Progress;
use steelyard_runtime::ready::read_json;
use steelyard_runtime::words;

use super::ask::{reachable, read_token};
use super::config::Resolved;
use crate::node::{NODE_FILE, Ready};
use crate::verify::{self, Failure, Report};

/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

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
        Err(Failure::Held(held)) => match read_json::<Ready>(&data_dir.join(NODE_FILE)) {
            Ok(ready) => ask(&ready, is_full)?,
            Err(_) => return Err(held.into()),
        },
        judged => {
            bar.finish();
            judged?
        }
    };
    out.line(&format!("{} is in order", data_dir.display()));
    out.line(&summary(&report, is_full));
    out.json(&report);
    Ok(())
}

/// Asks the running node. No time limit: a long chain takes long.
fn ask(node: &Ready, is_full: bool) -> Result<Report, CliError> {
    let token = read_token(node)?;
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0).build().into();
    let api = reachable(node.api);
    let gone = |error: ureq::Error| {
        let message =
            format!("the node that holds the folder (process {}) does not answer: {error}", node.pid);
        CliError::unreachable("node_unreachable", message)
    };
    let request = agent.post(format!("http://{api}/api/v1/verify?full={is_full}"));
    let response = request.header("authorization", format!("Bearer {token}")).send_empty();
    let mut response = response.map_err(gone)?;
    let is_ok = response.status().is_success();
    let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(gone)?;
    let strange = || CliError::other("node_error", format!("the node at {api} gives no report"));
    if is_ok {
        return serde_json::from_str(&text).map_err(|_| strange());
    }
    let answer: Value = serde_json::from_str(&text).map_err(|_| strange())?;
    let said = |key: &str| answer["error"][key].as_str().map(str::to_owned);
    let (code, message) = said("code").zip(said("message")).ok_or_else(strange)?;
    let error = match code.as_str() {
        "not_authorised" => CliError::not_authorised(code, message),
        "busy" => CliError::in_use(code, "a verification is in progress already"),
        _ => CliError::damaged(code, message),
    };
    Err(match said("hint") {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
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
