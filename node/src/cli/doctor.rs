//! `doctor`: one line per check, what is bad with what to do. Asks the running node, where one holds the
//! folder. Must not know how the folder is judged.

use serde::Serialize;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;

use super::ask::Asked;
use super::config::Resolved;
use crate::doctor::{Check, Patient, Verdict, examine, worst};

#[derive(Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

/// The command: 0 when nothing is bad, else the code of the worst.
pub fn run(resolved: Result<Resolved, CliError>, out: Output) -> ExitCode {
    let checks = look(resolved);
    for check in &checks {
        let word = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Bad => "bad",
        };
        out.line(&format!("{word:<4}  {:<9} {}", check.name, check.message));
        if let Some(fix) = &check.fix {
            out.line(&format!("                fix: {fix}"));
        }
    }
    let code = worst(&checks);
    out.json(&Report { healthy: code == ExitCode::Ok, checks });
    code
}

fn look(resolved: Result<Resolved, CliError>) -> Vec<Check> {
    let fix = || "steelyard-node config print shows each setting and where it is from".to_owned();
    let found = resolved.and_then(|resolved| {
        let (api, listen) = resolved.addresses()?;
        let (params, same) = (resolved.params.clone(), resolved.same());
        let patient = Patient { params, data_dir: resolved.data_dir()?, api, listen, same };
        Ok((resolved, patient))
    });
    let (resolved, patient) = match found {
        Ok(found) => found,
        Err(error) => return vec![Check::failed("settings", error, fix())],
    };
    let (mut checks, is_held) = examine(&patient);
    checks
        .insert(0, Check::ok("settings", format!("they make sense; the network is {}", patient.params.name)));
    if is_held {
        checks.extend(ask(&resolved));
    }
    checks
}

/// What the node that holds the folder says of itself.
fn ask(resolved: &Resolved) -> Vec<Check> {
    let wait = || "wait until it has started, or end that process and start again".to_owned();
    let asked = match Asked::find(resolved) {
        Ok(asked) => asked,
        Err(error) => return vec![Check::bad("node", error.message, wait(), error.exit)],
    };
    let mut checks = vec![match asked.ready() {
        Ok((_, health)) if health.ready => Check::ok("node", "ready"),
        Ok((_, health)) => {
            let reasons: Vec<String> = health.reasons.into_iter().map(|reason| reason.message).collect();
            Check::warn("node", format!("not ready: {}", reasons.join("; ")), None)
        }
        Err(error) => Check::bad("node", error.message, wait(), error.exit),
    }];
    for warning in asked.status().value["warnings"].as_array().into_iter().flatten() {
        let message = warning["message"].as_str().unwrap_or("a warning without words");
        let is_clock = warning["code"].as_str() == Some("clock_behind");
        checks.push(Check::warn(if is_clock { "clock" } else { "node" }, message, None));
    }
    checks
}
