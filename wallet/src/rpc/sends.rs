//! A send, from the request to a word on what became of it: taken, refused, kept for later, or
//! unknown. Whatever is answered, the intent is on disk by then, and the same id pays once. Must
//! not know how intents move from state to state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use steelyard_core::amount::Coins;
use steelyard_core::encode::List;
use steelyard_core::types::transaction::MEMO_BYTES_MAX;
use steelyard_runtime::exit::ExitCode;
use steelyard_runtime::{clock, failpoint};

use super::balance::{no_reading, open, parse_address};
use super::error::RpcError;
use super::request::{JsonBody, Named};
use super::types::{Preview, Send};
use super::{Api, shown, waiting};
use crate::desk::DeskError;
use crate::intent::{self, Amount, Intent, IntentId, Request, WalletName};
use crate::limits::RPC_REQUEST_MS;
use crate::view::View;

/// Word for all that can be spent.
const ALL: &str = "max";

/// `POST /wallet/{name}/sends`.
pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    JsonBody(send): JsonBody<Send>,
) -> Result<Response, RpcError> {
    let request = parse(&api, &send)?;
    open(&api.desk.shared.read(), &name)?;
    if send.dry_run {
        return preview(&api, &name, &request).await.map(|preview| Json(preview).into_response());
    }
    // One that is known already needs no balance.
    if api.desk.find(&name, &send.id).await?.is_none() {
        waiting::settle(&api).await;
    }
    let answer = match write_down(&api, &name, &send.id, request).await {
        Ok(()) => outcome(&api, &name, &send.id).await,
        Err(error) => Err(error),
    };
    failpoint::hit("send.before_reply");
    answer.map(|intent| Json(shown::tx(&api, &name, &intent)).into_response())
}

/// Reads a request; every fault is the caller's.
fn parse(api: &Api, send: &Send) -> Result<Request, RpcError> {
    let to = parse_address(api, &send.to)?;
    let from = send.from.as_deref().map(|text| parse_address(api, text)).transpose()?;
    let memo = List::new(send.memo.clone().into_bytes()).ok_or_else(|| {
        let message = format!("a memo of {} bytes where {MEMO_BYTES_MAX} is the most", send.memo.len());
        RpcError::usage("memo_too_long", message)
    })?;
    let amount = parse_amount(&send.amount)?;
    Ok(Request { to, amount, from, memo, fee_rate: send.fee_rate, expiry_blocks: send.expiry })
}

fn parse_amount(text: &str) -> Result<Amount, RpcError> {
    if text == ALL {
        return Ok(Amount::Max {});
    }
    let refused = |why: &str| {
        RpcError::usage("invalid_amount", format!("{text:?} is no amount: {why}"))
            .hint("a decimal like 12.5, or max for all that can be spent")
    };
    match text.parse::<Coins>() {
        Ok(Coins(0)) => Err(refused("it must be above 0")),
        Ok(Coins(units)) => Ok(Amount::Units { units }),
        Err(error) => Err(refused(&error.to_string())),
    }
}

/// What it would come to.
async fn preview(api: &Api, name: &WalletName, request: &Request) -> Result<Preview, RpcError> {
    waiting::settle(api).await;
    let given = api.given_nodes();
    let as_of = {
        let view = api.desk.shared.read();
        let snapshot = view.snapshot.as_ref().ok_or_else(|| no_reading(&shown::failures(&given, &view)))?;
        shown::as_of(&view, snapshot)
    };
    let plan = api.desk.preview(name, request)?;
    Ok(Preview {
        wallet: name.clone(),
        from: api.text_of(&plan.sender),
        to: api.text_of(&request.to),
        amount: Coins(plan.amount),
        fee: Coins(plan.fee),
        total: Coins(plan.amount.saturating_add(plan.fee)),
        expiry: plan.expiry,
        memo: String::from_utf8_lossy(&request.memo).into_owned(),
        as_of,
    })
}

/// The intent is durable once this is well.
async fn write_down(api: &Api, name: &WalletName, id: &IntentId, request: Request) -> Result<(), RpcError> {
    let sending = api.desk.send(name, id.clone(), request);
    match tokio::time::timeout(Duration::from_millis(RPC_REQUEST_MS), sending).await {
        Ok(Ok(_)) => Ok(()),
        // It may have been written down just before.
        Ok(Err(DeskError::Stopped)) => Err(unknown(id, "the daemon ended meanwhile")),
        Ok(Err(error @ DeskError::Store(_))) => {
            Err(RpcError::from(error)
                .hint("asking again with the same id pays once, whatever was written down"))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(unknown(id, "it was not written down in time")),
    }
}

/// What is to be said of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A node has it, or a block.
    Taken,
    /// A node refused it.
    Refused,
    /// It cannot be signed before the user or the chain does something.
    Held,
    /// No node can have it, and none answers.
    Unreached,
    /// It is final: see the store.
    Gone,
}

/// Waits for a word on the send.
async fn outcome(api: &Api, name: &WalletName, id: &IntentId) -> Result<Arc<Intent>, RpcError> {
    let shared = &api.desk.shared;
    let given = api.given_nodes();
    let deadline = clock::start() + api.times.outcome;
    let look = |view: &View| judge(view, name, id, &given);
    let mut found = waiting::until(shared, deadline, look).await;
    if found == Some(Outcome::Refused) {
        // Another node may know better; the refusal stands if none says so soon.
        let taken = |view: &View| {
            let others = view.nodes.len() > 1;
            look(view).filter(|outcome| *outcome != Outcome::Refused || !others)
        };
        let soon = deadline.min(clock::start() + api.times.second_opinion);
        found = waiting::until(shared, soon, taken).await.or(found);
    }
    let intent = current(api, name, id).await?;
    if intent.state.is_final() {
        return over(intent);
    }
    match found {
        Some(Outcome::Taken | Outcome::Gone) => Ok(intent),
        Some(Outcome::Refused | Outcome::Held) => Err(held(api, name, &intent)),
        Some(Outcome::Unreached) => Err(unreached(api, &given, &intent)),
        None => Err(undecided(api, &given, &intent)),
    }
}

/// The intent as it stands, live or final.
async fn current(api: &Api, name: &WalletName, id: &IntentId) -> Result<Arc<Intent>, RpcError> {
    let found = api.desk.find(name, id).await?;
    found.ok_or_else(|| RpcError::internal("an intent that was written down is not there"))
}

/// What the view says of a send; `None` while it may say more soon.
fn judge(view: &View, name: &WalletName, id: &IntentId, given: &[SocketAddr]) -> Option<Outcome> {
    let Some(intent) = view.wallets.get(name).and_then(|wallet| wallet.live.get(id)) else {
        return Some(Outcome::Gone);
    };
    let is_unreached = waiting::all_tried(given, view) && !waiting::any_up(view);
    let obstacle = intent.obstacle.as_ref().map(|obstacle| obstacle.code.as_str());
    let obstacle = obstacle.filter(|code| *code != "no_node");
    match intent.state {
        intent::State::Intended {} if obstacle.is_some() => Some(Outcome::Held),
        intent::State::Intended {} => is_unreached.then_some(Outcome::Unreached),
        intent::State::Signed {} if obstacle.is_some() => Some(Outcome::Refused),
        intent::State::Signed {} => {
            (is_unreached && !is_attempted(view, intent)).then_some(Outcome::Unreached)
        }
        _ => Some(Outcome::Taken),
    }
}

fn is_attempted(view: &View, intent: &Intent) -> bool {
    intent.signed.as_ref().is_some_and(|signed| view.attempted.contains(&signed.id))
}

/// A final intent: paid, or never to be.
fn over(intent: Arc<Intent>) -> Result<Arc<Intent>, RpcError> {
    let why = match intent.state {
        intent::State::Expired {} => "no block may hold it any more",
        intent::State::Replaced {} => "another transaction took its nonce",
        intent::State::Cancelled {} => "it was cancelled",
        _ => return Ok(intent),
    };
    let message = format!("the send {} is {}: {why}; nothing was paid", intent.id, intent.state.name());
    let refused = RpcError::new(ExitCode::Refused, intent.state.name(), message);
    Err(refused.hint("use another id to send again").kept(&intent.id))
}

/// It is kept, and something other than time must pass: keys, funds, or a node that refused it.
fn held(api: &Api, name: &WalletName, intent: &Intent) -> RpcError {
    let id = &intent.id;
    let words = shown::words(&api.desk.shared.read(), name, intent);
    let code = intent.obstacle.as_ref().map_or("refused", |obstacle| obstacle.code.as_str());
    let exit = if code == "wallet_locked" { ExitCode::Locked } else { ExitCode::Refused };
    let reason = words.reason.unwrap_or_default();
    let error = RpcError::new(exit, code, format!("{reason}; the send is kept as {id}")).kept(id);
    match words.next_action {
        Some(next) => error.hint(next),
        None => error,
    }
}

/// It is kept, and no node can have it.
fn unreached(api: &Api, given: &[SocketAddr], intent: &Intent) -> RpcError {
    let id = &intent.id;
    let failures = shown::failures(given, &api.desk.shared.read());
    let (message, hint) = match intent.signed {
        None => (
            format!("no node answers ({failures}); kept as {id}: it goes out when a node answers"),
            format!("steelyard-wallet tx cancel {id} drops it"),
        ),
        Some(_) => (
            format!(
                "no node answers ({failures}); kept as {id}: it is signed and goes out by itself when a node \
                 answers, {}",
                shown::until_when(intent)
            ),
            format!("steelyard-wallet tx wait {id}; asking again with the same id pays once"),
        ),
    };
    RpcError::new(ExitCode::Unreachable, "node_unreachable", message).hint(hint).kept(id)
}

/// Time is up: what is not known to be nowhere may be anywhere.
fn undecided(api: &Api, given: &[SocketAddr], intent: &Intent) -> RpcError {
    let is_attempted = is_attempted(&api.desk.shared.read(), intent);
    if !is_attempted {
        return unreached(api, given, intent);
    }
    unknown(&intent.id, "a node was sent it and has not said that it has it")
}

fn unknown(id: &IntentId, why: &str) -> RpcError {
    let message = format!("the outcome of the send {id} is unknown: {why}");
    RpcError::new(ExitCode::Unknown, "outcome_unknown", message)
        .hint(format!("steelyard-wallet tx wait {id}; asking again with the same id pays once"))
        .kept(id)
}
