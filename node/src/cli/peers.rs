//! `peers`: who is connected to the running node, who was named by hand and is not, who is banned.
//! Must not know how the node finds them.

use std::net::SocketAddr;

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::ask::Asked;
use super::config::Resolved;
use super::table::table;
use crate::api::types::{Ban, Direction, Peer, PeerList};

/// The command.
///
/// # Errors
/// No node answers, or it answers with an error.
pub fn run(resolved: &Resolved, out: Output) -> Result<(), CliError> {
    let asked = Asked::find(resolved)?;
    let (answer, list) = asked.read::<PeerList>("/peers")?;
    out.line(&text(&list));
    if out.is_json() {
        out.bytes(format!("{}\n", answer.text).as_bytes());
    }
    Ok(())
}

fn text(list: &PeerList) -> String {
    let outbound = list.peers.iter().filter(|peer| peer.direction == Direction::Outbound).count();
    let connected = match list.peers.len() {
        0 => "no peer is connected".to_owned(),
        all => format!("{}, {outbound} of them dialled from here", words::count(all as u64, "peer")),
    };
    let mut lines = vec![format!("{connected}; addresses known: {}", words::grouped(list.known))];
    if !list.peers.is_empty() {
        let head = ["address", "direction", "height", "ping", "for", "in", "out", "agent"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(list.peers.iter().map(row)).collect();
        lines.extend(table(&rows));
    }
    let is_connected = |address: &SocketAddr| list.peers.iter().any(|peer| peer.address == *address);
    let missing: Vec<_> = list.manual.iter().filter(|address| !is_connected(address)).collect();
    if !missing.is_empty() {
        lines.push("Named by hand and not connected".to_owned());
        lines.extend(missing.into_iter().map(|address| format!("  {address}")));
    }
    if !list.bans.is_empty() {
        lines.push("Banned".to_owned());
        lines.extend(table(&list.bans.iter().map(ban).collect::<Vec<_>>()));
    }
    if list.more_bans > 0 {
        lines.push(format!("  and {} more", words::grouped(list.more_bans)));
    }
    lines.join("\n")
}

fn row(peer: &Peer) -> [String; 8] {
    let direction = match (peer.direction, peer.manual) {
        (Direction::Inbound, _) => "in",
        (Direction::Outbound, true) => "out, by hand",
        (Direction::Outbound, false) => "out",
    };
    [
        peer.address.to_string(),
        direction.to_owned(),
        words::grouped(peer.height),
        peer.ping_ms.map_or("-".to_owned(), words::age),
        words::age(peer.connected_ms),
        words::bytes(peer.bytes_in),
        words::bytes(peer.bytes_out),
        peer.agent.clone(),
    ]
}

fn ban(ban: &Ban) -> [String; 3] {
    let until =
        ban.until.map_or("until unbanned".to_owned(), |until| format!("until {}", clock::rfc3339(until)));
    [ban.ip.to_string(), until, ban.code.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str, direction: Direction) -> Peer {
        Peer {
            id: 1,
            address: address.parse().unwrap(),
            direction,
            manual: direction == Direction::Outbound,
            agent: "steelyard-node/0.1.0".to_owned(),
            height: 1_234,
            since: 0,
            connected_ms: 125_000,
            ping_ms: Some(42).filter(|_| direction == Direction::Outbound),
            bytes_in: 4_150_000,
            bytes_out: 12,
        }
    }

    #[test]
    fn everybody_has_a_line_and_nobody_two() {
        let ban = |until, code: &str| Ban { ip: "10.0.0.7".parse().unwrap(), until, code: code.to_owned() };
        let list = PeerList {
            peers: vec![peer("127.0.0.1:1111", Direction::Outbound), peer("[::1]:50000", Direction::Inbound)],
            manual: ["127.0.0.1:1111", "127.0.0.1:1112"].map(|text| text.parse().unwrap()).into(),
            known: 3,
            bans: vec![ban(None, "operator"), ban(Some(0), "bad_root")],
            more_bans: 1_000,
        };
        let text = text(&list);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "2 peers, 1 of them dialled from here; addresses known: 3",
                "  address         direction     height  ping    for    in      out       agent",
                "  127.0.0.1:1111  out, by hand  1,234   0.04 s  2 min  4.1 MB  12 bytes  steelyard-node/0.1.0",
                "  [::1]:50000     in            1,234   -       2 min  4.1 MB  12 bytes  steelyard-node/0.1.0",
                "Named by hand and not connected",
                "  127.0.0.1:1112",
                "Banned",
                "  10.0.0.7  until unbanned              operator",
                "  10.0.0.7  until 1970-01-01T00:00:00Z  bad_root",
                "  and 1,000 more",
            ]
        );
    }

    #[test]
    fn nobody_is_one_line() {
        let list = PeerList { peers: vec![], manual: vec![], known: 0, bans: vec![], more_bans: 0 };
        assert_eq!(text(&list), "no peer is connected; addresses known: 0");
    }
}
