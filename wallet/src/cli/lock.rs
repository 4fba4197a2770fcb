//! `lock` and `unlock`: whether the daemon has the keys at hand. Must not know keys.

use serde::Serialize;
use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::args::UnlockArgs;
use super::client::Client;
use super::config::Resolved;
use super::failure::Failure;
use super::{secrets, which};
use crate::intent::WalletName;
use crate::rpc::types::{Done, Status, Unlock, WalletInfo};

/// What both answer.
#[derive(Serialize)]
struct Lock<'a> {
    wallet: &'a WalletName,
    unlocked: bool,
    /// Unix ms; none: not limited, or locked.
    unlocked_until: Option<u64>,
}

/// `lock`.
///
/// # Errors
/// No such wallet, one without a passphrase, or no daemon.
pub fn lock(resolved: &Resolved, out: Output) -> Result<(), Failure> {
    let (client, wallet) = which::open(resolved, out)?;
    let _: Done = client.post_nothing(&format!("/wallet/{wallet}/lock"))?;
    out.line(&format!("wallet {wallet} is locked: it shows balances and addresses, and signs nothing"));
    out.json(&Lock { wallet: &wallet, unlocked: false, unlocked_until: None });
    Ok(())
}

/// `unlock`.
///
/// # Errors
/// No such wallet, no passphrase or a wrong one, or no daemon.
pub fn unlock(resolved: &Resolved, args: &UnlockArgs, out: Output) -> Result<(), Failure> {
    let (client, wallet) = which::open(resolved, out)?;
    // One that is not encrypted, and one that there is not, need no passphrase to say so.
    let needs = info(&client, &wallet)?.is_some_and(|info| info.encrypted);
    let passphrase = if needs { secrets::passphrase(&args.passphrase)? } else { Default::default() };
    let _: Done =
        client.post(&format!("/wallet/{wallet}/unlock"), &Unlock { passphrase, seconds: args.seconds })?;
    let until = info(&client, &wallet)?.and_then(|info| info.unlocked_until);
    out.line(&match until {
        _ if !needs => format!("wallet {wallet} is not encrypted: it is never locked"),
        Some(until) => {
            let left = words::age(until.saturating_sub(clock::now_ms()));
            format!("wallet {wallet} is unlocked for {left}")
        }
        None => format!("wallet {wallet} is unlocked until it is locked or the daemon ends"),
    });
    out.json(&Lock { wallet: &wallet, unlocked: true, unlocked_until: until });
    Ok(())
}

fn info(client: &Client, wallet: &WalletName) -> Result<Option<WalletInfo>, Failure> {
    let status: Status = client.get("/status")?;
    Ok(status.wallets.into_iter().find(|info| info.name == *wallet))
}
