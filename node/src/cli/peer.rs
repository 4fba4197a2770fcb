//! `peer add|remove|ban|unban`: tells the running node whom to connect to and whom never, with the
//! token in its folder. Must not know what the node does then.

use serde::Deserialize;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;

use super::args::PeerCommand;
use super::ask::{Answer, Asked, Order};
use super::config::Resolved;
use crate::api::types::{AddBan, AddPeer, Changed};

/// The command.
///
/// # Errors
/// No node answers, there is no token, or the node refuses.
pub fn run(resolved: &Resolved, command: &PeerCommand, out: Output) -> Result<(), CliError> {
    let asked = Asked::find(resolved)?;
    let answer = match command {
        PeerCommand::Add(args) => {
            asked.order("/peers", Order::Post(&AddPeer { address: args.address.to_string() }))
        }
        PeerCommand::Remove(args) => {
            // The zone of a link-local address comes after a percent sign.
            let address = args.address.to_string().replace('%', "%25");
            asked.order(&format!("/peers/{address}"), Order::<()>::Delete)
        }
        PeerCommand::Ban(args) => asked.order("/bans", Order::Post(&AddBan { ip: args.ip.to_string() })),
        PeerCommand::Unban(args) => asked.order(&format!("/bans/{}", args.ip), Order::<()>::Delete),
    };
    let Answer { text, value } = answer?;
    let strange = |_| CliError::other("node_error", "the node does not say what became of it");
    let Changed { changed } = Changed::deserialize(value).map_err(strange)?;
    out.line(&words(command, changed));
    if out.is_json() {
        out.bytes(format!("{text}\n").as_bytes());
    }
    Ok(())
}

fn words(command: &PeerCommand, changed: bool) -> String {
    match (command, changed) {
        (PeerCommand::Add(args), true) => {
            format!("{} is dialled, now and after every start; peers shows it once connected", args.address)
        }
        (PeerCommand::Add(args), false) => format!("{} was named before", args.address),
        (PeerCommand::Remove(args), true) => format!("{} is forgotten", args.address),
        (PeerCommand::Remove(args), false) => format!("{} was not known", args.address),
        (PeerCommand::Ban(args), true) => format!("{} is banned until it is unbanned", args.ip),
        (PeerCommand::Ban(args), false) => format!("{} was banned before", args.ip),
        (PeerCommand::Unban(args), true) => format!("{} is no longer banned", args.ip),
        (PeerCommand::Unban(args), false) => format!("{} was not banned", args.ip),
    }
}
