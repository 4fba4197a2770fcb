//! Nodes of many lives, and senders who go on through all of them: what is acknowledged to them is written
//! down. Knows the programs' commands and API as a user does, and nothing of their inside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steelyard_core::hash::{Address, NetworkId};

use crate::accounts::{Account, Terms, coins};
use crate::network::{FEE, account, chain, count_in};
use crate::process::{Answer, Api, Launch, Node, wait_until};

/// Between two payments of one sender.
const PAUSE: Duration = Duration::from_millis(10);

/// A node through all its lives; dead between two of them.
#[derive(Debug)]
pub struct Place {
    /// How it is started, every time.
    pub launch: Launch,
    node: Mutex<Option<Node>>,
}

impl Place {
    /// One that lives.
    #[must_use]
    pub fn new(launch: Launch) -> Self {
        let node = Mutex::new(Some(launch.start()));
        Self { launch, node }
    }

    /// Its API, while it lives.
    #[must_use]
    pub fn api(&self) -> Option<Api> {
        self.node().as_ref().map(|node| node.api.clone())
    }

    /// The API of one that lives, and its operator's token.
    #[must_use]
    pub fn operator(&self) -> Option<(Api, String)> {
        self.node().as_ref().map(|node| (node.api.clone(), node.token()))
    }

    /// SIGKILL; it is dead until it is started.
    ///
    /// # Panics
    /// It is dead.
    pub fn kill(&self) {
        let killed = self.node().take();
        killed.expect("it lives").kill();
    }

    /// A new life.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start(&self) {
        let next = self.launch.start();
        *self.node() = Some(next);
    }

    /// The node of its last life.
    ///
    /// # Panics
    /// It is dead.
    #[must_use]
    pub fn end(self) -> Node {
        self.node.into_inner().unwrap_or_else(PoisonError::into_inner).expect("it lives")
    }

    fn node(&self) -> MutexGuard<'_, Option<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sender and what was acknowledged of it.
#[derive(Debug)]
pub struct Payer {
    network: NetworkId,
    account: Account,
    to: Address,
    amount: u64,
    acknowledged: Mutex<Vec<String>>,
}

impl Payer {
    /// So many senders, each of which pays so many base units to the next, again and again.
    #[must_use]
    pub fn ring(network: NetworkId, count: u64, amount: u64) -> Vec<Self> {
        let payer = |number| Self {
            network,
            account: Account::numbered(number),
            to: Account::numbered((number + 1) % count).address,
            amount,
            acknowledged: Mutex::default(),
        };
        (0..count).map(payer).collect()
    }

    /// Pays until told to stop. A payment without an answer is sent again, the same bytes, until
    /// there is one that does not put it off.
    ///
    /// # Panics
    /// A payment is refused, or nobody answers any more.
    pub fn pay(&self, at: &Place, stop: &AtomicBool) {
        for nonce in 0.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let (terms, payments) = (Terms::of_nonce(nonce).fee(FEE), vec![coins(self.to, self.amount)]);
            let bytes = self.account.pay_bytes(self.network, terms, payments);
            // As much as may be is pending where the gap is: what is there must be confirmed first.
            let is_put_off = |it: &Answer| it.status == 503 || it.code() == "nonce_gap";
            let submit = || at.api().and_then(|api| api.try_submit(&bytes)).filter(|it| !is_put_off(it));
            let answer = wait_until(|| format!("an answer of {}", at.launch.data_dir.display()), submit);
            assert_eq!(answer.status, 200, "payment {nonce} of {}: {answer:?}", self.account.address);
            let id = answer.json["id"].as_str().expect("an id").to_owned();
            self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            std::thread::sleep(PAUSE);
        }
    }

    /// Ids of the payments that were acknowledged so far, by nonce.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// That the chain of a node has every payment of a ring once, in its sender's order, and nothing else
/// of them. Each began with `funds`.
///
/// # Panics
/// It is not so.
pub fn assert_paid(node: &Node, payers: &[Payer], funds: u64) {
    let chain = chain(node);
    let acknowledged: Vec<Vec<String>> = payers.iter().map(Payer::acknowledged).collect();
    for (number, payer) in payers.iter().enumerate() {
        for id in &acknowledged[number] {
            assert_eq!(count_in(&chain, id), 1, "acknowledged payment {id}");
        }
        let sent = acknowledged[number].len() as u64;
        let got = acknowledged[(number + payers.len() - 1) % payers.len()].len() as u64;
        let expected = (funds + got * payer.amount - sent * (payer.amount + FEE), sent);
        assert_eq!(account(node, &payer.account.address), expected);
    }
}
