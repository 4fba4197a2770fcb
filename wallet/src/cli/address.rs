//! `address`: shows, lists and adds addresses. Must not know how they follow from keys.

use serde::Serialize;
use steelyard_core::amount::Coins;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;

use super::args::{AddressArgs, AddressCommand};
use super::client::{CallError, Client};
use super::config::Resolved;
use super::failure::Failure;
use super::which;
use crate::intent::WalletName;
use crate::rpc::types::{AddressInfo, Addresses, Balance};

/// One address, as programs read it.
#[derive(Serialize)]
struct One<'a> {
    wallet: &'a WalletName,
    #[serde(flatten)]
    info: &'a AddressInfo,
}

/// The command.
///
/// # Errors
/// No such wallet or address, no room for more, or no daemon.
pub fn run(resolved: &Resolved, args: &AddressArgs, out: Output) -> Result<(), Failure> {
    let (client, wallet) = which::open(resolved, out)?;
    let path = format!("/wallet/{wallet}/addresses");
    let command = args.command.unwrap_or(AddressCommand::Show { number: 0 });
    let found: Addresses = match command {
        AddressCommand::New => client.post_nothing(&path)?,
        AddressCommand::List | AddressCommand::Show { .. } => client.get(&path)?,
    };
    match command {
        AddressCommand::List => {
            let found = settled(&client, &path, found)?;
            for info in &found.addresses {
                out.line(&row(info));
            }
            out.json(&found);
            Ok(())
        }
        AddressCommand::New => one(&found, found.addresses.first(), out),
        AddressCommand::Show { number } => {
            one(&found, found.addresses.iter().find(|info| info.index == number), out)
        }
    }
}

/// With balances, where the nodes give any: those of a daemon that has just begun are on their way.
fn settled(client: &Client, path: &str, found: Addresses) -> Result<Addresses, Failure> {
    if found.addresses.iter().all(|info| info.balance.is_some()) {
        return Ok(found);
    }
    match client.get::<Balance>(&format!("/wallet/{}/balance?settle=true", found.wallet)) {
        // Without any reading the addresses are what there is to show.
        Ok(_) | Err(CallError::Refused(_)) => Ok(client.get(path)?),
        Err(error) => Err(error.into()),
    }
}

fn one(found: &Addresses, info: Option<&AddressInfo>, out: Output) -> Result<(), Failure> {
    let info = info.ok_or_else(|| {
        CliError::usage("no_such_address", format!("the wallet {} has no such address", found.wallet))
            .with_hint("steelyard-wallet address list shows all; address new makes the next one")
    })?;
    out.line(&info.address);
    out.json(&One { wallet: &found.wallet, info });
    Ok(())
}

fn row(info: &AddressInfo) -> String {
    let balance = info.balance.as_ref().map_or("not known yet".to_owned(), Coins::to_string);
    format!("{:>4}  {}  {balance}", info.index, info.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_that_is_not_known_is_no_zero() {
        let mut info = AddressInfo { index: 7, address: "dsy1x".to_owned(), balance: None };
        assert_eq!(row(&info), "   7  dsy1x  not known yet");
        info.balance = Some(Coins(150_000_000));
        assert_eq!(row(&info), "   7  dsy1x  1.5");
    }

    #[test]
    fn one_address_is_one_object() {
        let info = AddressInfo { index: 0, address: "dsy1x".to_owned(), balance: Some(Coins(0)) };
        let wallet = "main".parse().unwrap();
        assert_eq!(
            serde_json::to_string(&One { wallet: &wallet, info: &info }).unwrap(),
            "{\"wallet\":\"main\",\"index\":0,\"address\":\"dsy1x\",\"balance\":\"0\"}"
        );
    }
}
