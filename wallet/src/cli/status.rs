//! `status`: the daemon, its nodes and wallets. Must not know how any of them stands.

use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::config::Resolved;
use super::failure::Failure;
use super::{shown, start};
use crate::rpc::types::{NodeInfo, Status, WalletInfo};

/// The command.
///
/// # Errors
/// No daemon.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), Failure> {
    let client = start::open(resolved, out)?;
    let status: Status = client.get("/status")?;
    out.line(&text(&status, clock::now_ms()));
    out.json(&status);
    Ok(())
}

fn text(status: &Status, now: u64) -> String {
    let mut lines = vec![format!("steelyard-wallet {}, process {}", status.version, status.pid)];
    lines.push(shown::card(&[
        ("network", Some(format!("{}, id {}", status.network, status.network_id))),
        ("data", Some(status.data_dir.clone())),
    ]));
    lines.push(match &status.as_of {
        Some(moment) => format!("  {}", shown::as_of(moment, now)),
        None => "  no node has answered yet: no balance is known".to_owned(),
    });
    lines.extend(status.as_of.as_ref().and_then(shown::not_synced).map(|text| format!("  {text}")));
    lines.push("Nodes".to_owned());
    lines.extend(status.nodes.iter().map(node));
    lines.push("Wallets".to_owned());
    if status.wallets.is_empty() {
        lines.push("  none yet: steelyard-wallet create".to_owned());
    }
    lines.extend(status.wallets.iter().map(|info| wallet(info, now)));
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {}", shown::plain(warning))));
    lines.join("\n")
}

fn node(node: &NodeInfo) -> String {
    let mut parts = vec![format!("  {:<21}  {:<10}", shown::plain(&node.address), shown::plain(&node.link))];
    if let (Some(height), Some(tip)) = (node.height, &node.tip) {
        parts.push(format!("block {} ({})", words::grouped(height), words::short(tip)));
    }
    parts.extend(node.silent_ms.map(|ms| format!("answered {} ago", words::age(ms))));
    parts.extend(Some(shown::plain(&node.agent)).filter(|agent| !agent.is_empty()));
    parts.extend(node.failure.as_ref().map(|failure| shown::plain(&failure.message)));
    parts.join("  ").trim_end().to_owned()
}

fn wallet(info: &WalletInfo, now: u64) -> String {
    let lock = match (info.encrypted, info.unlocked, info.unlocked_until) {
        (false, _, _) => "not encrypted".to_owned(),
        (true, false, _) => "locked".to_owned(),
        (true, true, None) => "unlocked".to_owned(),
        (true, true, Some(until)) => format!("unlocked for {}", words::age(until.saturating_sub(now))),
    };
    let addresses = u64::try_from(info.addresses).unwrap_or(u64::MAX);
    let addresses = if addresses == 1 {
        "1 address".to_owned()
    } else {
        format!("{} addresses", words::grouped(addresses))
    };
    format!("  {:<21}  {lock}, {addresses}, sends on their way: {}", info.name.as_str(), info.live_sends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shown::tests::moment;
    use crate::rpc::types::Failure;
    use steelyard_core::hash::NetworkId;

    fn status() -> Status {
        let up = NodeInfo {
            address: "127.0.0.1:9333".to_owned(),
            link: "up".to_owned(),
            agent: "steelyard-node/0.1.0\u{1b}[2J".to_owned(),
            height: Some(1_234),
            tip: Some(moment().id),
            work: None,
            failure: None,
            silent_ms: Some(1_250),
            trust: "header".to_owned(),
        };
        let failure = Failure { code: "refused".to_owned(), message: "connection refused".to_owned() };
        let down = NodeInfo {
            address: "10.0.0.7:9333".to_owned(),
            link: "down".to_owned(),
            agent: String::new(),
            height: None,
            tip: None,
            failure: Some(failure),
            silent_ms: None,
            ..up.clone()
        };
        let shop = WalletInfo {
            name: "shop".parse().unwrap(),
            encrypted: true,
            unlocked: true,
            unlocked_until: Some(61_000),
            addresses: 1,
            birthday: 0,
            live_sends: 2,
        };
        Status {
            version: "0.1.0".to_owned(),
            network: "dev".to_owned(),
            network_id: NetworkId([0; 32]),
            pid: 7,
            data_dir: "/d".to_owned(),
            as_of: Some(moment()),
            wallets: vec![shop],
            nodes: vec![up, down],
            warnings: vec!["nodes disagree".to_owned()],
        }
    }

    #[test]
    fn nodes_wallets_and_warnings_have_a_line_each() {
        let text = text(&status(), 1_000);
        for line in [
            "steelyard-wallet 0.1.0, process 7",
            "  data     /d",
            "  as of block 1,234 (abababab…), 0.00 s ago, header-proven, not buried",
            "  127.0.0.1:9333         up          block 1,234 (abababab…)  answered 1.2 s ago  \
             steelyard-node/0.1.0\\u{1b}[2J",
            "  10.0.0.7:9333          down        connection refused",
            "  shop                   unlocked for 1 min, 1 address, sends on their way: 2",
            "warning: nodes disagree",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_there_is_not_is_said() {
        let empty = Status { as_of: None, wallets: Vec::new(), ..status() };
        let text = text(&empty, 0);
        assert!(text.contains("\n  no node has answered yet"), "{text}");
        assert!(text.contains("\n  none yet: steelyard-wallet create\n"), "{text}");
    }
}
