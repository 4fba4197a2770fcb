//! `tx list|show|wait|cancel`: sends that were asked for. Must not know how they are made.

use std::time::Duration;

use steelyard_core::amount::Coins;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::args::TxCommand;
use super::client::{CallError, Client};
use super::config::Resolved;
use super::failure::Failure;
use super::{shown, start, which};
use crate::intent::{IntentId, WalletName};
use crate::rpc::types::{Tx, Txs};

/// The daemon is asked to wait for so long at once: well below what it allows.
const WAIT_AT_ONCE: Duration = Duration::from_secs(20);
/// States in which nothing was paid, and never will be.
const NOT_PAID: [&str; 3] = ["expired", "replaced", "cancelled"];
/// Digits of an id in a list; a shorter one is shown whole.
const ID_CHARS: usize = 32;

/// What is waited for.
pub struct Goal<'a> {
    /// The wallet.
    pub wallet: &'a WalletName,
    /// The send, or its transaction.
    pub id: &'a IntentId,
    /// Blocks from the one that holds it to the tip, itself included; 1 at least.
    pub confirmations: u64,
    /// For how long.
    pub seconds: u64,
}

/// The command.
///
/// # Errors
/// No such send, a wait that ends without what it was for, a send that cannot be cancelled, or no
/// daemon.
pub fn run(resolved: &Resolved, command: &TxCommand, out: Output) -> Result<(), Failure> {
    let (client, wallet) = which::open(resolved, out)?;
    let tx = match command {
        TxCommand::List { limit, before } => return list(&client, &wallet, (*limit, *before), out),
        TxCommand::Show { id } => client.get(&path(&wallet, id))?,
        TxCommand::Cancel { id } => client.delete(&path(&wallet, id))?,
        TxCommand::Wait { id, confirmations, timeout } => {
            let (confirmations, seconds) = (*confirmations, *timeout);
            let tx = wait(resolved, client, &Goal { wallet: &wallet, id, confirmations, seconds }, out)?;
            paid(&tx)?;
            tx
        }
    };
    out.line(&shown::tx(&tx));
    out.json(&tx);
    Ok(())
}

fn path(wallet: &WalletName, id: &IntentId) -> String {
    format!("/wallet/{wallet}/tx/{id}")
}

/// Waits until the goal is reached or the send is final. A daemon that ends meanwhile is started
/// again: the send goes on whoever waits.
///
/// # Errors
/// The time is over, or there is no daemon any more: the send goes on all the same.
pub fn wait(resolved: &Resolved, mut client: Client, goal: &Goal<'_>, out: Output) -> Result<Tx, Failure> {
    let kept = |failure: Failure| Failure { intent: failure.intent.or(Some(goal.id.clone())), ..failure };
    let end = clock::start() + Duration::from_secs(goal.seconds.min(u64::from(u32::MAX)));
    let mut lost = false;
    loop {
        let left = end.saturating_duration_since(clock::start()).min(WAIT_AT_ONCE);
        let path = format!(
            "{}?confirmations={}&timeout_ms={}",
            path(goal.wallet, goal.id),
            goal.confirmations,
            left.as_millis()
        );
        match client.get::<Tx>(&path) {
            Ok(tx) => return Ok(tx),
            Err(CallError::Refused(body)) if body.exit == u8::from(ExitCode::TimedOut) => {
                if left.is_zero() || clock::start() >= end {
                    let mut failure = kept((*body).into());
                    failure.error.message = over(&failure.error.message, goal);
                    return Err(failure);
                }
                lost = false;
            }
            Err(error @ (CallError::NotReached { .. } | CallError::Broken(_))) if !lost => {
                lost = true;
                client = start::open(resolved, out).map_err(|_| kept(error.into()))?;
            }
            Err(error) => return Err(kept(error.into())),
        }
    }
}

/// The daemon's words are of its own last wait.
fn over(said: &str, goal: &Goal<'_>) -> String {
    let state = said.split_once(" is ").map_or(said, |(_, state)| state);
    format!("after {} the send {} is {state}", words::count(goal.seconds, "second"), goal.id)
}

/// Whether it is, or may yet be, paid.
///
/// # Errors
/// It never will be.
pub fn paid(tx: &Tx) -> Result<(), Failure> {
    if !NOT_PAID.contains(&tx.state.as_str()) {
        return Ok(());
    }
    let reason = tx.reason.as_ref().map_or(String::new(), |reason| format!(": {}", shown::plain(reason)));
    let error = CliError::refused(tx.state.clone(), format!("the send {} is {}{reason}", tx.id, tx.state));
    let error = CliError { hint: tx.next_action.as_deref().map(shown::plain), ..error };
    Err(Failure { error, intent: Some(tx.id.clone()) })
}

fn list(
    client: &Client,
    wallet: &WalletName,
    (limit, before): (usize, Option<u64>),
    out: Output,
) -> Result<(), Failure> {
    let before = before.map_or(String::new(), |before| format!("&before={before}"));
    let page: Txs = client.get(&format!("/wallet/{wallet}/txs?limit={limit}{before}"))?;
    for tx in &page.txs {
        out.line(&row(tx));
    }
    if !out.is_json() {
        match page.next {
            Some(next) => out.note(&format!("older ones: steelyard-wallet tx list --before {next}")),
            None if page.txs.is_empty() => out.note("nothing was sent yet"),
            None => {}
        }
    }
    out.json(&page);
    Ok(())
}

/// When, state, confirmations, how much, to whom, which.
fn row(tx: &Tx) -> String {
    let amount = tx.amount.as_ref().map_or("max".to_owned(), Coins::to_string);
    let id: String = tx.id.as_str().chars().take(ID_CHARS).collect();
    format!(
        "{}  {:<9}  {:>4}  {amount:>14}  {}  {id}",
        clock::rfc3339(tx.created),
        shown::plain(&tx.state),
        tx.confirmations,
        shown::plain(&tx.to),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shown::tests::pending;

    #[test]
    fn a_send_that_never_will_be_paid_is_no_success() {
        for state in ["intended", "signed", "pending", "confirmed", "settled"] {
            assert!(paid(&Tx { state: state.to_owned(), ..pending() }).is_ok(), "{state}");
        }
        for state in NOT_PAID {
            let tx =
                Tx { state: state.to_owned(), next_action: Some("use another id".to_owned()), ..pending() };
            let failure = paid(&tx).unwrap_err();
            assert_eq!((failure.error.exit, failure.error.code.as_str()), (ExitCode::Refused, state));
            assert_eq!(failure.error.hint.as_deref(), Some("use another id"));
            assert_eq!(failure.intent, Some(tx.id));
        }
    }

    #[test]
    fn the_whole_wait_is_told_and_not_its_last_part() {
        let (wallet, id) = ("dev".parse().unwrap(), "order-7".parse().unwrap());
        let goal = Goal { wallet: &wallet, id: &id, confirmations: 2, seconds: 1 };
        assert_eq!(
            over("after 20 ms the send order-7 is pending with 0 of 2 confirmations", &goal),
            "after 1 second the send order-7 is pending with 0 of 2 confirmations"
        );
    }

    #[test]
    fn a_row_is_one_line() {
        let text = row(&pending());
        assert_eq!(text, "1970-01-01T00:00:00Z  pending       0             1.5  dsy1to  order-7");
    }
}
