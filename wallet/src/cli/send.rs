//! `send`: pays once for each id. The id is out before the request is, so that whatever happens
//! afterwards can be asked about. Must not know how a payment is made.

use rand::Rng;
use steelyard_core::amount::Coins;
use steelyard_core::types::transaction::MEMO_BYTES_MAX;
use steelyard_runtime::clock;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;

use super::args::SendArgs;
use super::client::{CallError, Client};
use super::config::Resolved;
use super::failure::Failure;
use super::{ask, shown, tx, which};
use crate::intent::{IntentId, WalletName};
use crate::rpc::types::{Preview, Send, Tx};

/// The command.
///
/// # Errors
/// A refusal, no node or daemon, or an outcome that nobody knows: each says whether the send is
/// written down.
pub fn run(resolved: &Resolved, args: &SendArgs, yes: bool, out: Output) -> Result<(), Failure> {
    pay(resolved, args, yes, out).map(|_| ())
}

/// What the command does, and the id that it was, or would be, asked for by.
///
/// # Errors
/// Those of the command.
pub fn pay(resolved: &Resolved, args: &SendArgs, yes: bool, out: Output) -> Result<IntentId, Failure> {
    let args = &check(resolved, args)?;
    let (client, wallet) = which::open(resolved, out)?;
    let id = args.id.clone().unwrap_or_else(random_id);
    if args.dry_run {
        let preview: Preview = client.post(&path(&wallet), &request(args, &id, true))?;
        out.line(&card(&preview, clock::now_ms()));
        out.json(&preview);
        return Ok(id);
    }
    if !yes && ask::somebody() {
        confirm(&client, &wallet, args, out)?;
    }
    if args.id.is_none() {
        out.note(&format!("intent {id}: asking again with --id {id} pays once"));
    }
    let sent =
        client.post::<Tx>(&path(&wallet), &request(args, &id, false)).map_err(|error| lost(error, &id))?;
    let sent = match args.wait {
        Some(confirmations) => {
            let goal = tx::Goal { wallet: &wallet, id: &id, confirmations, seconds: args.timeout };
            tx::wait(resolved, client, &goal, out)?
        }
        None => sent,
    };
    tx::paid(&sent)?;
    out.line(&shown::tx(&sent));
    out.json(&sent);
    Ok(id)
}

/// The amount that stands for everything.
const AMOUNT_MAX: &str = "max";

/// An amount as it is asked for: its canonical form, or the word for everything.
///
/// # Errors
/// `invalid_amount`.
pub fn amount(text: &str) -> Result<String, CliError> {
    let refused = |why: &str| {
        let message = format!("\"{}\" is no amount: {why}", text.escape_debug());
        Err(CliError::usage("invalid_amount", message).with_hint("an amount is like 12 or 0.5, or max"))
    };
    match text.parse::<Coins>() {
        _ if text == AMOUNT_MAX => Ok(text.to_owned()),
        Ok(Coins(0)) => refused("nothing would be paid"),
        Ok(coins) => Ok(coins.to_string()),
        Err(error) => refused(&error.to_string()),
    }
}

/// The arguments in canonical form, unless they are wrong whoever is asked.
fn check(resolved: &Resolved, args: &SendArgs) -> Result<SendArgs, CliError> {
    let amount = amount(&args.amount)?;
    resolved.check_address("--to", &args.to)?;
    if let Some(from) = &args.from {
        resolved.check_address("--from", from)?;
    }
    if args.memo.len() > MEMO_BYTES_MAX {
        let message =
            format!("the memo has {} bytes: {MEMO_BYTES_MAX} at most are possible", args.memo.len());
        return Err(CliError::usage("memo_too_long", message));
    }
    Ok(SendArgs { amount, ..args.clone() })
}

fn path(wallet: &WalletName) -> String {
    format!("/wallet/{wallet}/sends")
}

fn request(args: &SendArgs, id: &IntentId, dry_run: bool) -> Send {
    Send {
        id: id.clone(),
        to: args.to.clone(),
        amount: args.amount.clone(),
        from: args.from.clone(),
        memo: args.memo.clone(),
        fee_rate: args.fee_rate,
        expiry: args.expiry,
        dry_run,
    }
}

/// 32 hex digits that nobody else takes.
fn random_id() -> IntentId {
    let id = format!("{:032x}", rand::rng().random::<u128>());
    id.parse().expect("hex digits are an id's letters")
}

/// Shows what it comes to and asks.
fn confirm(client: &Client, wallet: &WalletName, args: &SendArgs, out: Output) -> Result<(), Failure> {
    match client.post::<Preview>(&path(wallet), &request(args, &random_id(), true)) {
        Ok(preview) => out.note(&card(&preview, clock::now_ms())),
        // It can be asked for all the same: it goes out when a node answers.
        Err(CallError::Refused(body)) if body.exit == u8::from(ExitCode::Unreachable) => {
            out.note(&format!("{} to {}; {}", args.amount, args.to, shown::plain(&body.message)));
        }
        Err(error) => return Err(error.into()),
    }
    if ask::yes("Send?")? {
        return Ok(());
    }
    Err(CliError::other("not_confirmed", "nothing was sent").into())
}

/// A request that went out and has no answer: nobody knows whether it is written down.
fn lost(error: CallError, id: &IntentId) -> Failure {
    if !error.is_open() {
        return error.into();
    }
    let message = format!("{error}: nobody knows yet whether the send {id} is written down");
    let hint = format!(
        "steelyard-wallet tx show {id} tells; the same send again with --id {id} is safe, it pays once"
    );
    Failure { error: CliError::unknown("outcome_unknown", message).with_hint(hint), intent: Some(id.clone()) }
}

/// What a send comes to: what a dry run shows, and what a person is asked about.
fn card(preview: &Preview, now: u64) -> String {
    let coins = |coins: &Coins| Some(coins.to_string());
    let figures = shown::card(&[
        ("wallet", Some(preview.wallet.to_string())),
        ("from", Some(shown::plain(&preview.from))),
        ("to", Some(shown::plain(&preview.to))),
        ("amount", coins(&preview.amount)),
        ("fee", coins(&preview.fee)),
        ("total", coins(&preview.total)),
        ("expires", Some(shown::after(preview.expiry))),
        ("memo", Some(shown::plain(&preview.memo)).filter(|memo| !memo.is_empty())),
    ]);
    let moment = shown::as_of(&preview.as_of, now);
    let warning = shown::not_synced(&preview.as_of).map_or(String::new(), |text| format!("\n{text}"));
    format!("{figures}\n{moment}{warning}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shown::tests::moment;

    #[test]
    fn an_amount_is_a_decimal_or_max() {
        assert_eq!(amount("1.50").unwrap(), "1.5");
        assert_eq!(amount("max").unwrap(), "max");
        for wrong in ["0", "1,5", "1e3", "-1", "0.000000001", "all", ""] {
            let error = amount(wrong).unwrap_err();
            assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "invalid_amount"), "{wrong}");
        }
    }

    #[test]
    fn a_lost_answer_names_the_send_and_how_to_ask_again() {
        let id: IntentId = "order-7".parse().unwrap();
        for error in [
            CallError::Broken("connection closed".to_owned()),
            CallError::Silent(std::time::Duration::from_secs(35)),
            CallError::Strange("status 500 without words".to_owned()),
        ] {
            let failure = lost(error, &id);
            assert_eq!(failure.error.exit, ExitCode::Unknown);
            assert_eq!(failure.intent.as_ref(), Some(&id));
            assert!(failure.error.message.contains("order-7"), "{}", failure.error.message);
            assert!(failure.error.hint.is_some_and(|hint| hint.contains("tx show order-7")));
        }
        let source = std::io::ErrorKind::ConnectionRefused.into();
        let failure = lost(CallError::NotReached { socket: "/s".into(), source }, &id);
        assert_eq!((failure.error.exit, failure.intent), (ExitCode::Unreachable, None));
    }

    #[test]
    fn random_ids_are_ids_and_differ() {
        let (one, other) = (random_id(), random_id());
        assert_eq!(one.as_str().len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn a_preview_says_all_that_is_decided() {
        let preview = Preview {
            wallet: "dev".parse().unwrap(),
            from: "dsy1from".to_owned(),
            to: "dsy1to".to_owned(),
            amount: Coins(150_000_000),
            fee: Coins(200),
            total: Coins(150_000_200),
            expiry: 0,
            memo: String::new(),
            as_of: moment(),
        };
        let text = card(&preview, 1_000);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "  wallet   dev",
                "  from     dsy1from",
                "  to       dsy1to",
                "  amount   1.5",
                "  fee      0.000002",
                "  total    1.500002",
                "  expires  never",
                "as of block 1,234 (abababab…), 0.00 s ago, header-proven, not buried",
            ]
        );
    }
}
