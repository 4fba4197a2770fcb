//! The desk against anything: its state machine in a simulated world of nodes, and the thread with a
//! real store in a folder of its own. No test sleeps; random ones print their seed.

mod desk;
mod plan;
mod restart;
mod world;

use std::net::SocketAddr;

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId};
use steelyard_core::types::header::Header;

use crate::intent::{Amount, Request};
use crate::view::{Account, Snapshot};

/// A seed that a failure shows and `STEELYARD_SEED` sets.
fn seed(default: u64) -> u64 {
    let seed = std::env::var("STEELYARD_SEED").map_or(default, |text| text.parse().unwrap());
    println!("STEELYARD_SEED={seed}");
    seed
}

/// Pays so many base units to an address of nobody.
fn request(units: u64) -> Request {
    Request {
        to: Address([0xee; 32]),
        amount: Amount::Units { units },
        from: None,
        memo: List::default(),
        fee_rate: None,
        expiry_blocks: None,
    }
}

fn node(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, number], 9333))
}

/// A header that is told from others by its height and a number.
fn header(height: u64, number: u64) -> Header {
    Header {
        version: 1,
        height,
        prev: BlockId([0; 32]),
        history_root: Default::default(),
        body_root: Default::default(),
        state_root: Default::default(),
        elapsed: 0,
        prev_time: 0,
        time: 1_000 * height,
        bits: 0x207f_ffff,
        nonce: number,
    }
}

/// A reading by node 1 at a height, of work as much as the height.
fn snapshot(height: u64, taken: u64, accounts: &[(Address, u64, u64)]) -> Snapshot {
    let tip = header(height, 0);
    let accounts = accounts.iter();
    let accounts =
        accounts.map(|(address, balance, nonce)| (*address, Account { balance: *balance, nonce: *nonce }));
    Snapshot {
        tip,
        id: tip.id(),
        total_work: u128::from(height),
        accounts: accounts.collect(),
        incoming: Vec::new(),
        incoming_more: false,
        node: node(1),
        taken,
    }
}
