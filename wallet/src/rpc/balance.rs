//! Balances, from the last reading. Must not know where readings come from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use steelyard_core::address;
use steelyard_core::amount::Coins;
use steelyard_core::hash::Address;
use steelyard_runtime::exit::ExitCode;

use super::error::RpcError;
use super::request::{Args, Named};
use super::types::Balance;
use super::{Api, shown, waiting};
use crate::desk::{Desk, DeskError};
use crate::intent::WalletName;
use crate::view::{View, WalletView};

/// `GET /wallet/{name}/balance`.
pub(super) async fn balance(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    args: Args,
) -> Result<Json<Balance>, RpcError> {
    let address = args.text("address").map(|text| parse_address(&api, text)).transpose()?;
    if args.flag("settle")? {
        waiting::settle(&api).await;
    }
    let given = api.given_nodes();
    let view = api.desk.shared.read();
    let wallet = open(&view, &name)?;
    if address.is_some_and(|address| !wallet.addresses.contains(&address)) {
        return Err(DeskError::ForeignAddress.into());
    }
    // A reading from before the wallet was made says nothing of it, least of all that it is empty.
    let is_asked = |of: &Address| address.is_none_or(|address| address == *of);
    let mut asked = wallet.addresses.iter().filter(|of| is_asked(of));
    let snapshot = view.snapshot.as_ref().filter(|read| asked.any(|of| read.accounts.contains_key(of)));
    let snapshot = snapshot.ok_or_else(|| no_reading(&shown::failures(&given, &view)))?;
    let figures = Desk::figures(&view, wallet, address.as_ref());
    Ok(Json(Balance {
        wallet: name,
        address: address.as_ref().map(|address| api.text_of(address)),
        spendable: Coins(figures.spendable),
        pending_in: Coins(figures.pending_in),
        pending_out: Coins(figures.reserved),
        total: Coins(figures.total),
        assets: None,
        as_of: shown::as_of(&view, snapshot),
    }))
}

/// Reads an address of this network.
pub(super) fn parse_address(api: &Api, text: &str) -> Result<Address, RpcError> {
    address::parse(&api.desk.shared.params.prefix, text).map_err(|error| {
        RpcError::usage("invalid_address", format!("{text:?} is no address of this network: {error}"))
    })
}

/// The open wallet of this name.
pub(super) fn open<'a>(view: &'a View, name: &WalletName) -> Result<&'a WalletView, RpcError> {
    view.wallets.get(name).ok_or_else(|| {
        RpcError::from(DeskError::UnknownWallet { name: name.clone() })
            .hint("steelyard-wallet create makes one; steelyard-wallet status lists those there are")
    })
}

/// There is no figure to give.
pub(super) fn no_reading(failures: &str) -> RpcError {
    RpcError::new(
        ExitCode::Unreachable,
        "no_reading",
        format!("no node has answered yet, so no balance is known ({failures})"),
    )
    .hint("start a node or name one that runs: --node IP:PORT")
}
