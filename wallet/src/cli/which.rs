//! Which wallet a command means: the one that was named, else the only one there is. There is no
//! current wallet that one program could choose for another.

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;

use super::client::{CallError, Client};
use super::config::Resolved;
use super::failure::Failure;
use super::start;
use crate::intent::WalletName;
use crate::rpc::types::{Status, WalletInfo};

/// The daemon and the wallet of this command. A daemon that ends between its first answer and this
/// question is started again: nothing was asked for yet that could be done twice.
///
/// # Errors
/// Those of [`start::open`]; `wallet_needed` where nobody named one and there is not exactly one.
pub fn open(resolved: &Resolved, out: Output) -> Result<(Client, WalletName), Failure> {
    let client = start::open(resolved, out)?;
    if let Some(name) = &resolved.wallet {
        return Ok((client, name.clone()));
    }
    let (client, status) = match client.get::<Status>("/status") {
        Ok(status) => (client, status),
        Err(CallError::NotReached { .. } | CallError::Broken(_)) => {
            let client = start::open(resolved, out)?;
            let status = client.get("/status")?;
            (client, status)
        }
        Err(error) => return Err(error.into()),
    };
    let wallet = only(&status.wallets, &resolved.params.name)?;
    Ok((client, wallet))
}

fn only(wallets: &[WalletInfo], network: &str) -> Result<WalletName, CliError> {
    let (message, hint) = match wallets {
        [wallet] => return Ok(wallet.name.clone()),
        [] if network == "dev" => (
            "there is no wallet yet".to_owned(),
            "steelyard-wallet import-dev makes one with the dev network's accounts; \
             steelyard-wallet create makes a new one",
        ),
        [] => ("there is no wallet yet".to_owned(), "steelyard-wallet create"),
        several => {
            let names: Vec<&str> = several.iter().map(|wallet| wallet.name.as_str()).collect();
            (format!("there are several wallets: {}", names.join(", ")), "name one: --wallet NAME")
        }
    };
    Err(CliError::usage("wallet_needed", message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str) -> WalletInfo {
        WalletInfo {
            name: name.parse().unwrap(),
            encrypted: true,
            unlocked: false,
            unlocked_until: None,
            addresses: 1,
            birthday: 0,
            live_sends: 0,
        }
    }

    #[test]
    fn the_only_wallet_needs_no_name() {
        assert_eq!(only(&[info("shop")], "dev").unwrap().as_str(), "shop");
        let error = only(&[info("main"), info("shop")], "dev").unwrap_err();
        assert_eq!(error.code, "wallet_needed");
        assert_eq!(error.message, "there are several wallets: main, shop");
        let hint = |network| only(&[], network).unwrap_err().hint.unwrap();
        assert!(hint("dev").contains("import-dev"));
        assert!(!hint("tutorial").contains("import-dev"));
    }
}
