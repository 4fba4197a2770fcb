//! Each answer, held against the chain by the checks of a light client.

use std::time::Duration;

use steelyard_core::hash::{Address, AssetId, TxId};
use steelyard_core::light::{CheckedTip, check_found, check_tip};
use steelyard_core::state::{Key, Proof, Record};
use steelyard_core::types::header::Header;
use steelyard_core::wire::pending::PENDING_MAX;
use steelyard_core::wire::{
    GetPending, GetState, GetStatus, GetTip, Pending, Ping, Pong, State, StateKey, Status, Statuses, Submit,
    Tip, Verdict, Verdicts,
};

use super::*;
use crate::chain::tests::maker::account;
use crate::lookup::workers::Workers;
use crate::lookup::{Look, indexed};
use crate::net::light;

/// Somebody with nothing.
const STRANGER: Address = Address([9; 32]);

fn ids(txs: &[&CheckedTx]) -> GetStatus {
    GetStatus { ids: bounded(txs.iter().map(|tx| tx.id()).collect()) }
}

fn submit(txs: &[&[u8]]) -> Submit {
    Submit { txs: bounded(txs.iter().map(|tx| bounded(tx.to_vec())).collect()) }
}

impl Stage {
    fn checked_tip(&self, recent: u16) -> CheckedTip {
        let tip: Tip = self.ask(&GetTip { recent });
        let genesis = self.chain.shared.genesis.id;
        check_tip(&self.chain.shared.params, genesis, &tip).unwrap()
    }

    /// Height of the block that is proven to hold the transaction.
    fn height_of(&self, statuses: &Statuses, place: usize, tx: &CheckedTx) -> u64 {
        let Status::Confirmed { found } = &statuses.statuses[place] else { panic!("{statuses:?}") };
        let tip = Header::from(&statuses.tip);
        check_found(&self.chain.shared.params, &tip, tx.bytes(), found).unwrap().header.height
    }

    fn verdicts(&self, txs: &[&[u8]]) -> Vec<String> {
        let verdicts: Verdicts = self.ask(&submit(txs));
        let tell = |verdict: &Verdict| match verdict {
            Verdict::Pending {} => "pending".to_owned(),
            Verdict::Confirmed {} => "confirmed".to_owned(),
            Verdict::Busy {} => "busy".to_owned(),
            Verdict::Refused { rule, .. } => rule.to_string(),
        };
        verdicts.verdicts.iter().map(tell).collect()
    }
}

#[test]
fn a_ping_is_answered() {
    assert_eq!(Stage::new().ask::<Pong>(&Ping { nonce: 5 }), Pong { nonce: 5 });
}

#[test]
fn the_tip_and_its_work_are_what_a_client_accepts() {
    let mut stage = Stage::new();
    for height in 0..9_u64 {
        for recent in [0, 1, 3, u16::MAX] {
            let checked = stage.checked_tip(recent);
            let (expected, work) = {
                let view = stage.chain.shared.read();
                (view.tip().id, view.tip().total_work)
            };
            assert_eq!((checked.id, checked.total_work, checked.header.height), (expected, work, height));
            assert_eq!(checked.recent.len() as u64, u64::from(recent).clamp(1, height + 1));
        }
        stage.mine(&[]);
    }
}

#[test]
fn records_are_proven_and_so_is_their_absence() {
    let mut stage = Stage::new();
    for _ in 0..2 {
        let rich = account(0).address;
        let keys = [
            StateKey::Account { address: rich },
            StateKey::Account { address: STRANGER },
            StateKey::Holding { address: rich, asset: AssetId([1; 32]) },
            StateKey::Asset { asset: AssetId([1; 32]) },
        ];
        let state: State = stage.ask(&GetState { keys: bounded(keys.to_vec()) });
        let header = Header::from(&state.header);
        assert_eq!(header.id(), stage.tip());
        let proven = |place: usize| {
            let proof = Proof::from_bytes(&state.proofs[place]).unwrap();
            proof.verify(&header.state_root, &Key::from(&keys[place])).unwrap()
        };
        assert!(matches!(proven(0), Some(Record::Account { .. })));
        assert_eq!([proven(1), proven(2), proven(3)], [None, None, None]);
        stage.mine(&[]);
    }
    let nothing: State = stage.ask(&GetState { keys: bounded(Vec::new()) });
    assert_eq!(Header::from(&nothing.header).id(), stage.tip());
    let coins = StateKey::Holding { address: STRANGER, asset: AssetId::COINS };
    assert_eq!(stage.failure(&GetState { keys: bounded(vec![coins]) }), "invalid_key");
}

#[test]
fn what_is_submitted_gets_one_verdict_each() {
    let mut stage = Stage::new();
    let first = stage.maker.pay(0, 0, 9, 5);
    assert_eq!(stage.verdicts(&[first.bytes()]), ["pending"]);
    assert_eq!(stage.verdicts(&[first.bytes()]), ["pending"], "the same bytes again");
    let seq = stage.chain.shared.read().seq();
    stage.mine(std::slice::from_ref(&first));
    let (second, third) = (stage.maker.pay(0, 1, 9, 5), stage.maker.pay(0, 2, 9, 5));
    let used = stage.maker.pay(0, 0, 9, 6);
    let mut forged = second.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let batch = [second.bytes(), b"rubbish", first.bytes(), used.bytes(), &forged, third.bytes()];
    let expected = ["pending", "malformed", "confirmed", "nonce_used", "invalid_signature", "pending"];
    assert_eq!(stage.verdicts(&batch), expected);
    assert_eq!(stage.chain.shared.read().seq(), seq + 2, "a block, and one commit for the batch");
    assert!(stage.verdicts(&[]).is_empty());
}

#[test]
fn nothing_is_taken_while_the_node_stops() {
    let stage = Stage::new();
    stage.chain.stop();
    let tx = stage.maker.pay(0, 0, 9, 5);
    let code = std::iter::repeat_with(|| stage.frame(&submit(&[tx.bytes()])))
        .filter_map(|answer| read::<Failure>(&answer).ok())
        .map(|failure| failure.code.to_string())
        // It waited when the thread ended.
        .find(|code| code != "outcome_unknown");
    assert_eq!(code.as_deref(), Some("stopping"));
}

/// Wallets keep what a busy node does not take, and go on reading.
#[test]
fn a_node_without_room_is_busy_and_still_answers() {
    let mut stage = Stage::new();
    stage.mine(&[]);
    stage.chain.shared.tick(|ticks| ticks.disk_full = true);
    let tx = stage.maker.pay(0, 0, 9, 5);
    assert_eq!(stage.verdicts(&[tx.bytes()]), ["busy"]);
    assert_eq!(stage.ask::<Tip>(&GetTip { recent: 1 }).headers.len(), 1);
    stage.chain.shared.tick(|ticks| ticks.disk_full = false);
    assert_eq!(stage.verdicts(&[tx.bytes()]), ["pending"]);
}

#[test]
fn a_busy_node_says_so_and_keeps_nobody_waiting() {
    let mut stage = Stage::new();
    let tx = stage.maker.pay(0, 0, 9, 5);
    Arc::make_mut(&mut stage.desk).workers = Workers::new(0, Duration::from_millis(1));
    assert_eq!(stage.verdicts(&[tx.bytes(), tx.bytes()]), ["busy", "busy"]);
    assert_eq!(stage.failure(&ids(&[&tx])), "busy");
    assert_eq!(stage.ask::<Pong>(&Ping { nonce: 1 }), Pong { nonce: 1 });
}

#[test]
fn every_status_is_proven() {
    let mut stage = Stage::new();
    let [old, late] = [0, 1].map(|nonce| stage.maker.pay(0, nonce, 9, 5));
    let others: Vec<CheckedTx> = (0..5).map(|nonce| stage.maker.pay(1, nonce, 9, 5)).collect();
    stage.mine(&[&others[..3], std::slice::from_ref(&old)].concat());
    stage.mine(&[]);
    stage.mine(std::slice::from_ref(&late));
    let (pending, queued) = (stage.maker.pay(2, 0, 9, 5), stage.maker.pay(3, 1, 9, 5));
    stage.send(&pending);
    stage.send(&queued);
    let unknown = stage.maker.pay(4, 0, 9, 5);
    for _ in 0..5 {
        let asked = [&unknown, &late, &pending, &old, &queued, &old];
        let statuses: Statuses = stage.ask(&ids(&asked));
        assert_eq!(Header::from(&statuses.tip).id(), stage.tip());
        assert_eq!(statuses.statuses[0], Status::Unknown {});
        assert_eq!(stage.height_of(&statuses, 1, &late), 3);
        assert_eq!(statuses.statuses[2], Status::Pending { queued: 0 });
        assert_eq!([3, 5].map(|place| stage.height_of(&statuses, place, &old)), [1, 1]);
        assert_eq!(statuses.statuses[4], Status::Pending { queued: 1 });
        // The tip's own block is the first turn's case, older ones are the others'.
        stage.mine(&[]);
    }
    assert!(stage.ask::<Statuses>(&ids(&[])).statuses.is_empty());
}

#[test]
fn an_answer_keeps_to_the_tip_that_it_names() {
    let mut stage = Stage::new();
    let genesis = stage.tip();
    let tx = stage.maker.pay(0, 0, 9, 5);
    stage.mine(std::slice::from_ref(&tx));
    let left = stage.mine(&[]);
    stage.runtime.block_on(indexed(&stage.chain.shared, &stage.finder)).unwrap();
    let look = Look::at(&stage.finder, &[tx.id()]).unwrap();
    let places = light::places(&stage.chain.shared.read(), &ids(&[&tx]), Some(&look));
    assert!(places.is_certain);
    let branch = stage.maker.extend(genesis, 3);
    let given: Vec<Accepted> = branch.iter().map(|id| stage.give(*id)).collect();
    assert_eq!(given, [Accepted::Side, Accepted::Side, Accepted::Active]);
    let statuses = light::statuses(&stage.chain, places, &ids(&[&tx])).unwrap();
    assert_eq!(Header::from(&statuses.tip).id(), left);
    assert_eq!(stage.height_of(&statuses, 0, &tx), 1);
    // Asked now, it is on its way again.
    assert_eq!(stage.ask::<Statuses>(&ids(&[&tx])).statuses[0], Status::Pending { queued: 0 });
}

#[test]
fn nothing_is_unknown_before_every_block_is_read() {
    let mut stage = Stage::new();
    let tx = stage.maker.pay(0, 0, 9, 5);
    stage.mine(std::slice::from_ref(&tx));
    stage.mine(&[]);
    let maker = std::mem::replace(&mut stage.maker, Maker::new(params()));
    let folder = Arc::clone(&stage.folder);
    drop(stage);
    let mut stage = Stage::with(folder, maker, finder::tests::opening());
    let unknown = stage.maker.pay(4, 0, 9, 5);
    let desk = Arc::clone(&stage.desk);
    let request = Frame::of(1, &ids(&[&tx, &unknown])).unwrap();
    let answer = stage.runtime.spawn(async move { desk.answer(&request).await.unwrap() });
    stage.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(30)).await });
    assert!(!answer.is_finished(), "there is no index yet");
    stage.keep_index();
    let statuses: Statuses = read(&stage.runtime.block_on(answer).unwrap()).unwrap();
    assert_eq!(stage.height_of(&statuses, 0, &tx), 1);
    assert_eq!(statuses.statuses[1], Status::Unknown {});
}

#[test]
fn what_is_on_its_way_to_an_address_is_shown_up_to_a_bound() {
    let stage = Stage::new();
    let (payee, other) = (account(9).address, account(10).address);
    let ask = |addresses: &[Address]| -> (Vec<TxId>, u8) {
        let pending: Pending = stage.ask(&GetPending { addresses: bounded(addresses.to_vec()) });
        let shape = |tx: &[u8]| {
            steelyard_core::consensus::transaction::shape(&stage.chain.shared.network, tx).unwrap().id()
        };
        let mut ids: Vec<TxId> = pending.txs.iter().map(|tx| shape(tx)).collect();
        ids.sort();
        (ids, pending.more)
    };
    assert_eq!(ask(&[payee]), (vec![], 0));
    let mut sent: Vec<TxId> = Vec::new();
    for nonce in 0..PENDING_MAX as u64 {
        let tx = stage.maker.pay(0, nonce, 9, 5);
        stage.send(&tx);
        sent.push(tx.id());
    }
    sent.sort();
    assert_eq!(ask(&[payee, STRANGER, payee]), (sent, 0));
    assert_eq!(ask(&[account(0).address]), (vec![], 0), "who pays is not asked for");
    let one_more = stage.maker.pay(1, 0, 10, 5);
    stage.send(&one_more);
    assert_eq!(ask(&[other]), (vec![one_more.id()], 0));
    let (some, more) = ask(&[other, payee]);
    assert_eq!((some.len(), more), (PENDING_MAX, 1));
}

#[test]
fn without_an_index_what_is_pending_is_told_and_the_rest_refused() {
    let mut stage = Stage::with(Arc::new(tempfile::tempdir().unwrap()), Maker::new(params()), Finder::off());
    let (mined, waiting) = (stage.maker.pay(0, 0, 9, 5), stage.maker.pay(1, 0, 9, 5));
    stage.mine(std::slice::from_ref(&mined));
    assert_eq!(stage.verdicts(&[mined.bytes(), waiting.bytes()]), ["index_off", "pending"]);
    let statuses: Statuses = stage.ask(&ids(&[&waiting]));
    assert_eq!(statuses.statuses[0], Status::Pending { queued: 0 });
    assert_eq!(stage.failure(&ids(&[&waiting, &mined])), "index_off");
}

/// A wallet must not take what a node has pruned for what never was.
#[test]
fn what_may_be_in_a_pruned_block_is_missing_and_all_else_as_from_any_node() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut stage = Stage::open_pruning(folder, Maker::new(params()), Some(20));
    let [old, recent, pending, never] = [0, 1, 2, 3].map(|from| stage.maker.pay(from, 0, 5, 1));
    stage.mine(std::slice::from_ref(&old));
    let before: Statuses = stage.ask(&ids(&[&old, &never]));
    assert_eq!(stage.height_of(&before, 0, &old), 1);
    assert_eq!(before.statuses[1], Status::Unknown {});
    for _ in 0..80 {
        stage.mine(&[]);
    }
    stage.mine(std::slice::from_ref(&recent));
    stage.send(&pending);
    // Taken after the pause in which blocks are pruned.
    stage.runtime.block_on(stage.chain.save_peers(Vec::new())).unwrap();
    let check = |stage: &Stage| {
        let from = stage.chain.shared.read().bodies_from();
        assert!(from > 1);
        let statuses: Statuses = stage.ask(&ids(&[&old, &recent, &pending, &never]));
        assert_eq!(statuses.statuses[0], Status::Missing { from });
        assert_eq!(stage.height_of(&statuses, 1, &recent), 82);
        assert_eq!(statuses.statuses[2], Status::Pending { queued: 0 });
        assert_eq!(statuses.statuses[3], Status::Missing { from });
        assert_eq!(stage.verdicts(&[old.bytes(), recent.bytes()]), ["nonce_used", "confirmed"]);
        let state: State =
            stage.ask(&GetState { keys: bounded(vec![StateKey::Account { address: account(5).address }]) });
        let proof = Proof::from_bytes(&state.proofs[0]).unwrap();
        let root = Header::from(&state.header).state_root;
        assert!(proof.verify(&root, &Key::Account(account(5).address)).unwrap().is_some());
        assert_eq!(stage.checked_tip(u16::MAX).header.height, 82);
    };
    check(&stage);
    let (folder, maker) =
        (Arc::clone(&stage.folder), std::mem::replace(&mut stage.maker, Maker::new(params())));
    drop(stage);
    let stage = Stage::open_pruning(folder, maker, Some(20));
    check(&stage);
}
