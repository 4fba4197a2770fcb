//! The desk with a store in a folder: every state, before and after a restart.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId, TxId};
use steelyard_core::params::{DEV_WORDS, Params};
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{Text, Verdict};
use steelyard_runtime::clock;
use tempfile::TempDir;
use tokio::sync::watch;

use super::super::{Desk, DeskError, WalletAtStart};
use super::{node, request, snapshot};
use crate::intent::{Intent, IntentId, Request, State, WalletName};
use crate::keystore::{KdfCost, Keystore, NewKeystore, Origin, Passphrase, Words};
use crate::light::{LightEvent, Reading, Standing, Wanted};
use crate::store::{Store, StoreError};

/// Addresses of the dev wallet.
pub const ADDRESSES: usize = 10;

/// A daemon without connections.
pub struct Bench {
    pub dir: Arc<TempDir>,
    pub desk: Desk,
    pub wanted: watch::Receiver<Arc<Wanted>>,
    thread: JoinHandle<Result<(), StoreError>>,
}

pub fn name() -> WalletName {
    "main".parse().unwrap()
}

pub fn id(number: usize) -> IntentId {
    format!("id-{number}").parse().unwrap()
}

pub fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned())
}

/// A keystore in the folder, made where it is missing.
pub fn keystore(dir: &Path, file: &str, words: &Words, passphrase: Option<&Passphrase>) -> Keystore {
    let path = dir.join(file);
    if path.exists() {
        return Keystore::open(&path).unwrap();
    }
    let cost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
    let network = Params::dev().network_id();
    let origin = if words.as_str() == DEV_WORDS { Origin::Dev } else { Origin::Created };
    let new = NewKeystore { network, birthday: 0, created_ms: 0, origin, words, passphrase, cost };
    Keystore::create(&path, new).unwrap()
}

pub fn dev_wallet(dir: &Path, locked: bool) -> WalletAtStart {
    let words = Words::parse(DEV_WORDS).unwrap();
    let keystore = match locked {
        true => keystore(dir, "locked.keys", &words, Some(&passphrase())),
        false => keystore(dir, "main.keys", &words, None),
    };
    let keys = (!locked).then(|| keystore.unlock(None).unwrap());
    WalletAtStart { name: name(), keystore, keys }
}

impl Bench {
    /// With the dev network's wallet, unlocked.
    pub fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), false)
    }

    pub fn open(dir: Arc<TempDir>, locked: bool) -> Self {
        let wallets = vec![dev_wallet(dir.path(), locked)];
        Self::with(dir, wallets).map_err(|(_, error)| error).unwrap()
    }

    pub fn with(dir: Arc<TempDir>, wallets: Vec<WalletAtStart>) -> Result<Self, (Arc<TempDir>, DeskError)> {
        let params = Params::dev();
        let store = Store::open(&dir.path().join("store"), &params.network_id()).unwrap();
        let (sender, wanted) = watch::channel(Arc::new(Wanted::default()));
        match Desk::start(params, store, wallets, sender) {
            Ok((desk, thread)) => Ok(Self { dir, desk, wanted, thread }),
            Err(error) => Err((dir, error)),
        }
    }

    /// Stops, and answers how the thread ended.
    pub async fn stop(self) -> (Arc<TempDir>, Result<(), StoreError>) {
        self.desk.stop().await;
        let ended = tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
        (self.dir, ended)
    }

    pub async fn again(self) -> Self {
        let locked = self.dir.path().join("locked.keys").exists();
        let (dir, ended) = self.stop().await;
        ended.unwrap();
        Self::open(dir, locked)
    }

    pub fn addresses(&self) -> Vec<Address> {
        self.desk.shared.read().wallets[&name()].addresses.clone()
    }

    /// A reading by node 1: every address has the same balance and nonce.
    pub async fn read(&self, height: u64, (balance, nonce): (u64, u64), standings: &[(TxId, Standing)]) {
        let accounts: Vec<_> =
            self.addresses().into_iter().map(|address| (address, balance, nonce)).collect();
        let snapshot = snapshot(height, clock::now_ms(), &accounts);
        self.tell(LightEvent::Reading(Box::new(Reading { snapshot, standings: standings.to_vec() }))).await;
    }

    pub async fn tell(&self, event: LightEvent) {
        assert!(self.desk.events().tell(event).await);
    }

    pub async fn verdict(&self, id: TxId, verdict: Verdict) {
        self.tell(LightEvent::Verdict { id, node: node(1), verdict }).await;
    }

    pub async fn send(&self, number: usize, request: &Request) -> Result<Arc<Intent>, DeskError> {
        self.desk.send(&name(), id(number), request.clone()).await
    }

    /// As it stands once everything before is done: the same request again is no change.
    pub async fn stands(&self, number: usize, request: &Request) -> Arc<Intent> {
        let intent = self.send(number, request).await.unwrap();
        let found = self.desk.find(&name(), &id(number)).await.unwrap().unwrap();
        assert_eq!(intent.state, found.state);
        found
    }
}

fn confirmed(height: u64) -> Standing {
    Standing::Confirmed { height, block: BlockId([8; 32]), time: 9 }
}

fn tx(intent: &Intent) -> TxId {
    intent.signed.as_ref().unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_survives_a_restart() {
    let asked = Request { from: None, ..request(5) };
    let bench = Bench::new();
    let kept = bench.send(1, &asked).await.unwrap();
    assert_eq!((kept.state, kept.plan, kept.signed.as_ref()), (State::Intended {}, None, None));
    assert_eq!(kept.obstacle.as_ref().unwrap().code.as_str(), "no_node");
    bench.send(2, &asked).await.unwrap();
    assert_eq!(bench.desk.cancel(&name(), &id(2)).await.unwrap().state, State::Cancelled {});
    let bench = bench.again().await;
    assert_eq!(bench.stands(1, &asked).await, kept);
    assert_eq!(bench.stands(2, &asked).await.state, State::Cancelled {});
    assert!(bench.wanted.borrow().outgoing.is_empty());

    bench.read(10, (1_000, 0), &[]).await;
    let signed = bench.stands(1, &asked).await;
    assert_eq!((signed.state, signed.signed.as_ref().unwrap().nonce), (State::Signed {}, 0));
    assert!(!bench.desk.shared.read().attempted.contains(&tx(&signed)));
    let bench = bench.again().await;
    assert_eq!(bench.stands(1, &asked).await, signed);
    assert!(bench.desk.shared.read().attempted.contains(&tx(&signed)));
    assert_eq!(bench.desk.shared.read().snapshot.as_ref().unwrap().tip.height, 10);
    let outgoing = bench.wanted.borrow().outgoing.clone();
    assert_eq!((outgoing[0].id, outgoing[0].submit), (tx(&signed), true));
    assert_eq!(outgoing[0].bytes[..], signed.signed.as_ref().unwrap().bytes[..]);

    let reason = Text::new("no");
    bench.verdict(tx(&signed), Verdict::Refused { rule: Text::new("pool_full"), reason }).await;
    let bench = bench.again().await;
    let refused = bench.stands(1, &asked).await;
    assert_eq!(refused.obstacle.as_ref().unwrap().code.as_str(), "pool_full");
    bench.verdict(tx(&signed), Verdict::Pending {}).await;
    let bench = bench.again().await;
    let pending = bench.stands(1, &asked).await;
    assert_eq!((pending.state, pending.obstacle.as_ref()), (State::Pending {}, None));
    assert!(!bench.wanted.borrow().outgoing[0].submit);

    bench.read(11, (995, 1), &[(tx(&signed), confirmed(11))]).await;
    let bench = bench.again().await;
    let mined = bench.stands(1, &asked).await;
    assert_eq!(mined.state, State::Confirmed { height: 11, block: BlockId([8; 32]), time: 9 });
    // No word takes back what is proven.
    let refusal = Verdict::Refused { rule: Text::new("nonce_used"), reason: Text::new("no") };
    for verdict in [Verdict::Pending {}, refusal, Verdict::Busy {}] {
        bench.verdict(tx(&signed), verdict).await;
        assert_eq!(bench.stands(1, &asked).await, mined);
    }
    // A reading that proves it no more does: the same bytes go out again.
    bench.read(11, (1_000, 0), &[(tx(&signed), Standing::Unknown)]).await;
    let back = bench.stands(1, &asked).await;
    assert_eq!((back.state, &back.signed), (State::Signed {}, &signed.signed));
    assert!(bench.wanted.borrow().outgoing[0].submit);

    bench.read(12, (995, 1), &[(tx(&signed), confirmed(11))]).await;
    let settled = bench.stands(1, &asked).await;
    assert_eq!(settled.state.name(), "settled");
    assert!(bench.desk.shared.read().wallets[&name()].live.is_empty());
    assert!(bench.desk.shared.read().attempted.is_empty());
    // Another node's task, a little behind: nothing is remembered of what is over.
    bench.tell(LightEvent::Sending { ids: vec![tx(&signed)], node: node(2) }).await;
    assert_eq!(bench.stands(1, &asked).await, settled);
    assert!(bench.desk.shared.read().attempted.is_empty());
    let bench = bench.again().await;
    assert_eq!(bench.stands(1, &asked).await, settled);
    assert_eq!(bench.desk.find_tx(&name(), &tx(&signed)).await.unwrap(), Some(settled.clone()));
    // What is final stays so, whoever says what.
    bench.verdict(tx(&signed), Verdict::Pending {}).await;
    bench.read(13, (1_000, 0), &[(tx(&signed), Standing::Unknown)]).await;
    assert_eq!(bench.stands(1, &asked).await, settled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_ends_when_no_block_may_hold_it() {
    let asked = Request { expiry_blocks: Some(3), ..request(5) };
    let bench = Bench::new();
    bench.read(10, (1_000, 0), &[]).await;
    let signed = bench.send(1, &asked).await.unwrap();
    assert_eq!(signed.plan.unwrap().expiry, 13);
    for (height, nonce, state) in [(13, 0, "signed"), (14, 1, "signed"), (14, 0, "expired")] {
        bench.read(height, (1_000, nonce), &[(tx(&signed), Standing::Unknown)]).await;
        assert_eq!(bench.stands(1, &asked).await.state.name(), state, "at {height}");
    }
    // Its nonce is free again.
    assert_eq!(bench.send(2, &asked).await.unwrap().signed.as_ref().unwrap().nonce, 0);
    assert_eq!(bench.wanted.borrow().outgoing.len(), 1);
    let bench = bench.again().await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Expired {});
    bench.read(15, (1_000, 0), &[]).await;
    assert_eq!(bench.send(3, &asked).await.unwrap().signed.as_ref().unwrap().nonce, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_ends_when_another_has_its_nonce_for_good() {
    let asked = Request { expiry_blocks: Some(0), ..request(5) };
    let bench = Bench::new();
    bench.read(10, (1_000, 0), &[]).await;
    let signed = bench.send(1, &asked).await.unwrap();
    let unknown = [(tx(&signed), Standing::Unknown)];
    bench.read(20, (1_000, 1), &unknown).await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Signed {});
    // Another node proves that it is in a block, though on less work: the count starts again.
    let mut reading = Reading { snapshot: snapshot(19, clock::now_ms(), &[]), standings: Vec::new() };
    reading.snapshot.node = node(2);
    reading.standings = vec![(tx(&signed), confirmed(19))];
    bench.tell(LightEvent::Reading(Box::new(reading))).await;
    bench.read(21, (1_000, 1), &unknown).await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Signed {});
    // So it does when the same node knows it again.
    for (tip, standing) in [(22, Standing::Pending), (24, confirmed(24))] {
        bench.read(tip, (1_000, 1), &[(tx(&signed), standing)]).await;
        bench.read(tip + 1, (1_000, 1), &unknown).await;
        assert_eq!(bench.stands(1, &asked).await.state, State::Signed {});
    }
    bench.read(26, (1_000, 1), &unknown).await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Replaced {});
    let bench = bench.again().await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Replaced {});
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_go() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let bench = Bench::open(dir, true);
    let asked = request(5);
    let keys = || dev_wallet(bench.dir.path(), true).keystore.unlock(Some(&passphrase())).unwrap();
    assert!(matches!(bench.send(1, &asked).await, Err(DeskError::Locked)));
    assert_eq!(bench.desk.find(&name(), &id(1)).await.unwrap(), None);
    bench.desk.unlock(&name(), keys(), None).await.unwrap();
    assert!(bench.desk.shared.read().wallets[&name()].unlocked);
    let kept = bench.send(1, &asked).await.unwrap();
    bench.desk.lock(&name()).await.unwrap();
    // Known ids are answered however the wallet is.
    assert_eq!(bench.send(1, &asked).await.unwrap().state, kept.state);
    bench.read(10, (1_000, 0), &[]).await;
    let waits = bench.stands(1, &asked).await;
    assert_eq!(waits.obstacle.as_ref().unwrap().code.as_str(), "wallet_locked");
    bench.desk.unlock(&name(), keys(), None).await.unwrap();
    assert_eq!(bench.stands(1, &asked).await.state, State::Signed {});
    // A time that is over already.
    bench.desk.unlock(&name(), keys(), Some(1)).await.unwrap();
    assert!(matches!(bench.send(2, &asked).await, Err(DeskError::Locked)));
    assert!(!bench.desk.shared.read().wallets[&name()].unlocked);
    let open = Bench::new();
    assert!(matches!(open.desk.lock(&name()).await, Err(DeskError::NotEncrypted)));
    let tx = Transaction::from_bytes(&bench.stands(1, &asked).await.signed.as_ref().unwrap().bytes).unwrap();
    assert_eq!(tx.body.memo, List::default());
}

/// A node that prunes may have had its block: what it does not know any more is not given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_a_pruned_node_misses_is_never_said_to_be_unpaid() {
    let asked = Request { expiry_blocks: Some(3), ..request(5) };
    let bench = Bench::new();
    bench.read(10, (1_000, 0), &[]).await;
    let signed = bench.send(1, &asked).await.unwrap();
    let missing = [(tx(&signed), Standing::Missing)];
    for height in [20, 40, 80] {
        bench.read(height, (1_000, 1), &missing).await;
        assert_eq!(bench.stands(1, &asked).await.state, State::Signed {}, "its nonce is taken");
    }
    let bench = bench.again().await;
    bench.read(100, (1_000, 1), &missing).await;
    assert_eq!(bench.stands(1, &asked).await.state, State::Signed {});
    // Another node has kept the block.
    bench.read(101, (1_000, 1), &[(tx(&signed), confirmed(12))]).await;
    assert!(matches!(bench.stands(1, &asked).await.state, State::Settled { height: 12, .. }));
    // What the account's nonce says was in no block ends as it does with any node.
    let other = bench.send(2, &asked).await.unwrap();
    bench.read(102, (1_000, 1), &[(tx(&other), Standing::Missing)]).await;
    assert_eq!(bench.stands(2, &asked).await.state, State::Signed {});
    bench.read(200, (1_000, 1), &[(tx(&other), Standing::Missing)]).await;
    assert_eq!(bench.stands(2, &asked).await.state, State::Expired {});
}
