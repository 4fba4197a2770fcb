//! Wallets: making, listing, addresses, locking. What a passphrase costs is paid on threads of its
//! own, a few at a time. Must not know balances or nodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use steelyard_core::amount::Coins;
use steelyard_core::crypto::policy::Policy;
use steelyard_core::hash::Address;
use steelyard_core::params::DEV_WORDS;
use steelyard_runtime::clock;
use steelyard_runtime::exit::{CliError, ExitCode};

use super::balance::open;
use super::error::RpcError;
use super::request::{Named, NoBody, SecretBody};
use super::types::{
    AddressInfo, Addresses, Done, NewWallet, Secret, Unlock, WalletInfo, WalletMade, WalletSource,
};
use super::{Api, shown};
use crate::desk::{DeskError, WalletAtStart};
use crate::intent::WalletName;
use crate::keystore::derive::Signer;
use crate::keystore::{Keys, Keystore, KeystoreError, NewKeystore, Origin, Passphrase, Words};
use crate::limits::WALLETS_MAX;

/// Accounts of the dev network's words, all of which have coins.
const DEV_ADDRESSES: u32 = 10;
/// The one network whose accounts anybody may spend from.
const DEV_NETWORK: &str = "dev";

/// Where a wallet's keystore is.
#[must_use]
pub fn keystore_file(folder: &Path, name: &WalletName) -> PathBuf {
    folder.join(format!("{name}.keys"))
}

/// `GET /wallets`.
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Vec<WalletInfo>> {
    let view = api.desk.shared.read();
    Json(view.wallets.iter().map(|(name, wallet)| shown::wallet(name, wallet)).collect())
}

/// `POST /wallets`.
pub(super) async fn make(
    State(api): State<Arc<Api>>,
    SecretBody(new): SecretBody<NewWallet>,
) -> Result<Json<WalletMade>, RpcError> {
    // Goes on when the caller does not wait: no file is left without its wallet.
    let made = tokio::spawn(make_whole(api, new)).await;
    made.map_err(|_| RpcError::internal("making a wallet ended early"))?.map(Json)
}

async fn make_whole(api: Arc<Api>, new: NewWallet) -> Result<WalletMade, RpcError> {
    // One at a time: what is checked first still holds at the end.
    let _place = api.kdf.acquire().await.map_err(|_| RpcError::internal("nobody closes it"))?;
    {
        let view = api.desk.shared.read();
        if view.wallets.contains_key(&new.name) {
            return Err(DeskError::WalletExists { name: new.name }.into());
        }
        if view.wallets.len() >= WALLETS_MAX {
            return Err(DeskError::TooManyWallets.into());
        }
    }
    let is_dev = matches!(new.source, WalletSource::Dev);
    let at = Arc::clone(&api);
    let making = move || make_file(&at, new);
    let (wallet, mut made) = tokio::task::spawn_blocking(making)
        .await
        .map_err(|_| RpcError::internal("making a keystore ended early"))??;
    let name = wallet.name.clone();
    let first_addresses = if is_dev { DEV_ADDRESSES } else { 1 };
    if let Err(error) = api.desk.add_wallet(wallet, first_addresses).await {
        // Nobody has seen its words, and nothing was paid to it. What the desk may have written
        // down before it ended stays as it is.
        if !matches!(error, DeskError::Store(_) | DeskError::Stopped) {
            let _ = std::fs::remove_file(keystore_file(&api.wallets_dir, &name));
        }
        return Err(error.into());
    }
    let view = api.desk.shared.read();
    let first = view.wallets.get(&name).and_then(|wallet| wallet.addresses.first());
    made.address = first.map(|address| api.text_of(address)).unwrap_or_default();
    tracing::info!(wallet = %name, encrypted = made.encrypted, "a wallet was made");
    Ok(made)
}

/// Makes the keystore. Slow with a passphrase.
fn make_file(api: &Api, new: NewWallet) -> Result<(WalletAtStart, WalletMade), RpcError> {
    let (words, origin) = words_of(api, &new.source)?;
    refuse_twin(api, &new.name, &words)?;
    let passphrase = Passphrase::new(new.passphrase.expose().to_owned());
    let file = keystore_file(&api.wallets_dir, &new.name);
    let keystore = Keystore::create(
        &file,
        NewKeystore {
            network: api.desk.shared.network,
            birthday: new.birthday,
            created_ms: clock::now_ms(),
            origin,
            words: &words,
            passphrase: (!passphrase.is_empty()).then_some(&passphrase),
            cost: api.kdf_cost,
        },
    )
    .map_err(told)?;
    let encrypted = keystore.is_encrypted();
    let keys = if encrypted { None } else { Some(keystore.unlock(None).map_err(told)?) };
    let shown = (origin == Origin::Created).then(|| Secret::new(words.as_str().to_owned()));
    let made = WalletMade {
        name: new.name.clone(),
        address: String::new(),
        encrypted,
        file: file.display().to_string(),
        words: shown,
    };
    Ok((WalletAtStart { name: new.name, keystore, keys }, made))
}

fn words_of(api: &Api, source: &WalletSource) -> Result<(Words, Origin), RpcError> {
    let refused = |error| RpcError::from(CliError::from(error));
    let (words, origin) = match source {
        WalletSource::Create { words } => {
            (Words::generate(usize::from(*words)).map_err(refused)?, Origin::Created)
        }
        WalletSource::Restore { words } => (Words::parse(words.expose()).map_err(refused)?, Origin::Restored),
        WalletSource::Dev => (Words::parse(DEV_WORDS).map_err(refused)?, Origin::Dev),
    };
    if words.as_str() == DEV_WORDS && api.desk.shared.params.name != DEV_NETWORK {
        let message = "the published words are of use on the network dev only: anybody can spend from them";
        return Err(RpcError::usage("dev_words", message));
    }
    Ok((words, origin))
}

/// Two wallets of the same words would take each other's nonces. The desk would say so, too, but only
/// once there is a file.
fn refuse_twin(api: &Api, name: &WalletName, words: &Words) -> Result<(), RpcError> {
    let Some(first) = first_address(words) else { return Ok(()) };
    let view = api.desk.shared.read();
    let twin = view.wallets.iter().find(|(_, wallet)| wallet.addresses.first() == Some(&first));
    twin.map_or(Ok(()), |(other, _)| {
        Err(DeskError::SameKeys { name: name.clone(), other: other.clone() }.into())
    })
}

/// `None` for words of which there are no keys: making the wallet says so.
fn first_address(words: &Words) -> Option<Address> {
    let key = Signer::from_seed(words.seed("").as_slice())?.account().key(0)?;
    Some(Policy::single(key).ok()?.address())
}

fn told(error: KeystoreError) -> RpcError {
    CliError::from(error).into()
}

/// `GET /wallet/{name}/addresses`.
pub(super) async fn addresses(
    State(api): State<Arc<Api>>,
    Named(name): Named,
) -> Result<Json<Addresses>, RpcError> {
    let view = api.desk.shared.read();
    let wallet = open(&view, &name)?;
    let balance = |address| Some(Coins(view.snapshot.as_ref()?.accounts.get(address)?.balance));
    let told =
        |(index, address)| AddressInfo { index, address: api.text_of(address), balance: balance(address) };
    let addresses = (0..).zip(&wallet.addresses).map(told).collect();
    Ok(Json(Addresses { wallet: name, addresses }))
}

/// `POST /wallet/{name}/addresses`.
pub(super) async fn new_address(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    _: NoBody,
) -> Result<Json<Addresses>, RpcError> {
    let (index, address) = api.desk.new_address(&name).await?;
    let balance = api
        .desk
        .shared
        .read()
        .snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.accounts.get(&address).copied());
    let one = AddressInfo {
        index,
        address: api.text_of(&address),
        balance: balance.map(|account| Coins(account.balance)),
    };
    Ok(Json(Addresses { wallet: name, addresses: vec![one] }))
}

/// `POST /wallet/{name}/unlock`. A wallet without a passphrase is unlocked as it is.
pub(super) async fn unlock(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    SecretBody(given): SecretBody<Unlock>,
) -> Result<Json<Done>, RpcError> {
    if given.seconds == Some(0) {
        return Err(RpcError::usage("invalid_seconds", "unlocked for 0 seconds is locked"));
    }
    let first = {
        let view = api.desk.shared.read();
        let wallet = open(&view, &name)?;
        if !wallet.encrypted {
            return Ok(Json(Done { done: true }));
        }
        wallet.addresses.first().copied()
    };
    let _place = api.kdf.acquire().await.map_err(|_| RpcError::internal("nobody closes it"))?;
    let file = keystore_file(&api.wallets_dir, &name);
    let passphrase = Passphrase::new(given.passphrase.expose().to_owned());
    let keys = tokio::task::spawn_blocking(move || keys_of(&file, first, &passphrase))
        .await
        .map_err(|_| RpcError::internal("unlocking ended early"))??;
    let until = given.seconds.map(|seconds| clock::now_ms().saturating_add(seconds.saturating_mul(1000)));
    api.desk.unlock(&name, keys, until).await?;
    tracing::info!(wallet = %name, "a wallet was unlocked");
    Ok(Json(Done { done: true }))
}

/// The keys in the file, if it is still the file of the wallet with this first address. Slow.
fn keys_of(file: &Path, first: Option<Address>, passphrase: &Passphrase) -> Result<Keys, RpcError> {
    let keystore = Keystore::open(file).map_err(told)?;
    if first.is_some() && first != keystore.address(0).ok() {
        let message = format!("{} is no longer this wallet's keystore", file.display());
        return Err(RpcError::new(ExitCode::Damaged, "keystore_replaced", message)
            .hint("put the wallet's own file back, or stop the daemon and start it again"));
    }
    keystore.unlock(Some(passphrase)).map_err(told)
}

/// `POST /wallet/{name}/lock`.
pub(super) async fn lock(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    _: NoBody,
) -> Result<Json<Done>, RpcError> {
    open(&api.desk.shared.read(), &name)?;
    api.desk.lock(&name).await?;
    tracing::info!(wallet = %name, "a wallet was locked");
    Ok(Json(Done { done: true }))
}
