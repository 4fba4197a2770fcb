//! Transactions that an input describes: well-formed, signed by accounts of the known world, of any kind
//! and amounts. Must not know what becomes of them.

use steelyard_core::hash::{Address, AssetId};
use steelyard_core::types::transaction::{Action, Payment, Transaction};

use super::input::Input;
use super::world::World;
use crate::accounts::{Terms, issue, transfer};

/// Most payments of a transfer that is made.
const PAYMENTS_MAX: u8 = 4;

/// A transaction by choices. `made` says how many each actor has made since the chain's tip, and is kept.
pub fn transaction(input: &mut Input<'_>, world: &World, made: &mut [u64]) -> Transaction {
    let actor = input.place(world.actors.len());
    let account = &world.actors[actor];
    let mut nonce = world.chain.nonce(account.address) + made[actor];
    match input.u8() {
        255 => nonce = input.u64(),
        254 => nonce = nonce.saturating_sub(1),
        253 => nonce += 1,
        _ => made[actor] += 1,
    }
    let fee = amount(input);
    let expiry = match input.u8() {
        0..=200 => 0,
        near => world.chain.height() + u64::from(near % 4),
    };
    let memo = usize::from(input.u8() % 16);
    let memo = input.bytes(memo).to_vec();
    let action = action(input, world);
    let body = account.body(world.chain.network(), Terms { nonce, fee, expiry, memo }, action);
    let (keys, threshold) = (account.secrets.len(), usize::from(account.policy.threshold()));
    let first = input.place(keys);
    let mut signers: Vec<usize> = (first..first + threshold).map(|key| key % keys).collect();
    signers.sort_unstable();
    account.sign_by(&signers, body)
}

fn action(input: &mut Input<'_>, world: &World) -> Action {
    match input.u8() % 8 {
        0 => issue("NEW", amount(input), input.u8().is_multiple_of(2)),
        1 => Action::Mint { asset: asset(input, world), amount: amount(input) },
        2 => Action::Burn { asset: asset(input, world), amount: amount(input) },
        _ => {
            let count = 1 + input.u8() % PAYMENTS_MAX;
            transfer((0..count).map(|_| payment(input, world)).collect())
        }
    }
}

fn payment(input: &mut Input<'_>, world: &World) -> Payment {
    let asset = asset(input, world);
    let to = usize::from(input.u8());
    let to = world.actors.get(to).map_or_else(|| Address([to as u8; 32]), |actor| actor.address);
    Payment { asset, to, amount: amount(input) }
}

fn asset(input: &mut Input<'_>, world: &World) -> AssetId {
    let place = usize::from(input.u8() % 8);
    world.assets.get(place).copied().unwrap_or(AssetId::COINS)
}

/// Small ones mostly.
fn amount(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        small @ 0..=199 => u64::from(small),
        200..=239 => u64::from(input.u16()),
        _ => input.u64(),
    }
}
