//! `status`: asks the running node over its API and shows a short card. Finds the node by the
//! file that it keeps in its folder. Must not open the store.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use steelyard_core::hash::NetworkId;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::ready::read_json;
use steelyard_runtime::{clock, words};

use super::config::Resolved;
use crate::node::{NODE_FILE, Ready};

/// Longest wait for an answer of a node on this machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Where a node is expected, and what is known of it.
struct Expected {
    api: SocketAddr,
    /// Its process and network, where its own file says.
    noted: Option<(u32, NetworkId)>,
}

/// The command.
///
/// # Errors
/// No node answers, or it answers with an error.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), CliError> {
    let expected = expect(resolved)?;
    let (text, status) = ask(&expected, resolved)?;
    out.line(&card(&expected, &status, clock::now_ms()));
    if out.is_json() {
        // As the node wrote it, its order kept.
        out.bytes(format!("{text}\n").as_bytes());
    }
    Ok(())
}

/// The address to connect to for one that a node listens on: "any" is here.
pub fn reachable(api: SocketAddr) -> SocketAddr {
    let here = match api.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, api.port())
}

/// An address in the arguments, else the folder's file, else an address in the settings.
fn expect(resolved: &Resolved) -> Result<Expected, CliError> {
    let named = resolved.api_named()?;
    if let Some((api, true)) = named {
        return Ok(Expected { api: reachable(api), noted: None });
    }
    let data_dir = resolved.data_dir()?;
    let file = data_dir.join(NODE_FILE);
    match read_json::<Ready>(&file) {
        Ok(ready) => Ok(Expected { api: reachable(ready.api), noted: Some((ready.pid, ready.network_id)) }),
        Err(error) if error.kind() == ErrorKind::NotFound => match named.filter(|(api, _)| api.port() != 0) {
            Some((api, _)) => Ok(Expected { api: reachable(api), noted: None }),
            None => Err(nobody(resolved, &format!("no node runs in {}", data_dir.display()))),
        },
        Err(error) => Err(unreadable(&file, &error)),
    }
}

/// The answer as it came, on one line, and as a value.
fn ask(expected: &Expected, resolved: &Resolved) -> Result<(String, Value), CliError> {
    let api = expected.api;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_WITHIN))
        .http_status_as_error(false)
        // The node is on this machine, whatever the environment says about others.
        .proxy(None)
        .max_redirects(0)
        .build()
        .into();
    let gone = |error: &ureq::Error| match expected.noted {
        Some((pid, _)) => {
            nobody(resolved, &format!("the node that ran at {api} as process {pid} does not answer: {error}"))
        }
        None => nobody(resolved, &format!("no node answers at {api}: {error}")),
    };
    let mut response =
        agent.get(format!("http://{api}/api/v1/status")).call().map_err(|error| gone(&error))?;
    let is_ok = response.status().is_success();
    let no_node = || nobody(resolved, &format!("what answers at {api} is no node"));
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let text = body.ok().map(|text| text.trim_end().to_owned()).filter(|text| !text.contains('\n'));
    let text = text.ok_or_else(no_node)?;
    let answer: Value = serde_json::from_str(&text).map_err(|_| no_node())?;
    if !is_ok {
        let said = answer["error"]["message"].as_str().unwrap_or("an error without words");
        return Err(CliError::other("node_error", format!("the node at {api} answers: {said}")));
    }
    let network = answer["network_id"].as_str().ok_or_else(no_node)?;
    if expected.noted.is_some_and(|(_, noted)| noted.to_string() != network) {
        return Err(nobody(resolved, &format!("a node of another network answers at {api} now")));
    }
    Ok((text, answer))
}

fn nobody(resolved: &Resolved, message: &str) -> CliError {
    let folder =
        resolved.data_dir_named().map(|dir| format!(" --data-dir {}", words::shell(dir))).unwrap_or_default();
    let start = match resolved.network.as_str() {
        "dev" => "dev".to_owned(),
        network => format!("run --network {}", words::shell(network)),
    };
    CliError::unreachable("node_unreachable", message)
        .with_hint(format!("start it: steelyard-node {start}{folder}"))
}

fn unreadable(file: &Path, error: &std::io::Error) -> CliError {
    CliError::other("io", format!("cannot read {}: {error}", file.display()))
}

/// The answer for people. Leaves out what the node does not say.
fn card(expected: &Expected, status: &Value, now: u64) -> String {
    let text = |key: &str| status[key].as_str().unwrap_or("?");
    let number = |key: &str| status[key].as_u64();
    let process = expected.noted.map_or(String::new(), |(pid, _)| format!(", process {pid}"));
    let title = format!("steelyard-node {} at {}{process}", text("version"), expected.api);
    let mut lines = vec![title, format!("  network   {}, id {}", text("network"), text("network_id"))];
    let mut say =
        |name: &str, what: Option<String>| lines.extend(what.map(|what| format!("  {name:<9} {what}")));
    say("height", number("height").map(words::grouped));
    let age = number("tip_time").map(|time| format!(", {} old", words::age(now.saturating_sub(time))));
    say("tip", Some(format!("{}{}", text("tip"), age.unwrap_or_default())));
    let syncing = status["syncing"].as_bool().filter(|syncing| *syncing);
    say("syncing", syncing.map(|_| "yes".to_owned()));
    let pending = number("mempool_txs").zip(number("mempool_bytes"));
    say(
        "pending",
        pending.map(|(txs, size)| format!("{}, {}", words::count(txs, "transaction"), words::bytes(size))),
    );
    let rate = number("hash_rate")
        .filter(|rate| *rate > 0)
        .map(|rate| format!(", {} tries a second", words::grouped(rate)));
    let mining = match &status["mining"] {
        Value::Null => None,
        Value::Bool(false) => Some("off".to_owned()),
        _ => Some(format!("on{}", rate.unwrap_or_default())),
    };
    say("mining", mining);
    say("disk", number("disk_bytes").map(words::bytes));
    for warning in status["warnings"].as_array().into_iter().flatten() {
        let words = warning.as_str().map_or_else(|| warning.to_string(), str::to_owned);
        say("warning", Some(words));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_reached_here() {
        for (listens, connects) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.7:3", "10.0.0.7:3")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), connects.parse().unwrap());
        }
    }

    #[test]
    fn the_card_tells_what_the_node_says_and_invents_nothing() {
        let expected = Expected { api: "127.0.0.1:1".parse().unwrap(), noted: Some((7, NetworkId::ZERO)) };
        let status = serde_json::json!({
            "version": "0.1.0", "network": "dev", "network_id": "ab", "height": 1234, "tip": "cd", "tip_time": 1000,
            "mempool_txs": 1, "mempool_bytes": 200, "mining": true, "hash_rate": 5000, "warnings": ["the disk is full"],
        });
        let text = card(&expected, &status, 3_000);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "steelyard-node 0.1.0 at 127.0.0.1:1, process 7",
                "  network   dev, id ab",
                "  height    1,234",
                "  tip       cd, 2.0 s old",
                "  pending   1 transaction, 200 bytes",
                "  mining    on, 5,000 tries a second",
                "  warning   the disk is full",
            ]
        );
        assert_eq!(card(&expected, &serde_json::json!({}), 0).lines().count(), 3);
    }
}
