//! `status`: asks the running node how it is and shows a short card. Must not open the store.

use serde_json::Value;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::ask::{Answer, Asked};
use super::config::Resolved;

/// The command.
///
/// # Errors
/// No node answers, or it answers with an error.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), CliError> {
    let asked = Asked::find(resolved)?;
    let Answer { text, value } = asked.status();
    out.line(&card(&asked.title(), value, clock::now_ms()));
    if out.is_json() {
        // As the node wrote it, its order kept.
        out.bytes(format!("{text}\n").as_bytes());
    }
    Ok(())
}

/// The answer for people. Leaves out what the node does not say.
fn card(title: &str, status: &Value, now: u64) -> String {
    let text = |key: &str| status[key].as_str().unwrap_or("?");
    let number = |key: &str| status[key].as_u64();
    let mut lines =
        vec![title.to_owned(), format!("  network   {}, id {}", text("network"), text("network_id"))];
    let mut say =
        |name: &str, what: Option<String>| lines.extend(what.map(|what| format!("  {name:<9} {what}")));
    say("height", number("height").map(words::grouped));
    let age = number("tip_time").map(|time| format!(", {} old", words::age(now.saturating_sub(time))));
    say("tip", Some(format!("{}{}", text("tip"), age.unwrap_or_default())));
    let syncing = status["syncing"].as_bool().filter(|syncing| *syncing);
    let of = number("height").zip(number("headers_height").filter(|best| *best > 0));
    let of = of.map(|(height, best)| format!(", {} % of {}", height * 100 / best, words::grouped(best)));
    say("syncing", syncing.map(|_| format!("yes{}", of.unwrap_or_default())));
    say("peers", number("peers").map(words::grouped));
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
    say("pruned", number("pruned_below").map(|from| format!("below height {}", words::grouped(from))));
    for warning in status["warnings"].as_array().into_iter().flatten() {
        let words = warning["message"].as_str().map_or_else(|| warning.to_string(), str::to_owned);
        say("warning", Some(words));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_tells_what_the_node_says_and_invents_nothing() {
        let status = serde_json::json!({
            "version": "0.1.0", "network": "dev", "network_id": "ab", "height": 1234, "tip": "cd", "tip_time": 1000,
            "mempool_txs": 1, "mempool_bytes": 200, "mining": true, "hash_rate": 5000, "peers": 2, "syncing": true,
            "headers_height": 4_936, "pruned_below": 1_000, "warnings": [{"code": "disk_full", "message": "the disk is full"}],
        });
        let text = card("steelyard-node 0.1.0 at 127.0.0.1:1", &status, 3_000);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "steelyard-node 0.1.0 at 127.0.0.1:1",
                "  network   dev, id ab",
                "  height    1,234",
                "  tip       cd, 2.0 s old",
                "  syncing   yes, 25 % of 4,936",
                "  peers     2",
                "  pending   1 transaction, 200 bytes",
                "  mining    on, 5,000 tries a second",
                "  pruned    below height 1,000",
                "  warning   the disk is full",
            ]
        );
        assert_eq!(card("", &serde_json::json!({}), 0).lines().count(), 3);
    }
}
