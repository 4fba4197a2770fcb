//! Submissions: told before a byte is written, in their order, as often as it takes and no more.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use steelyard_core::wire::submit::SUBMIT_MAX;
use steelyard_core::wire::{Failure, GetState, Message, Submit, Text, Verdicts};
use steelyard_runtime::clock;

use super::super::*;
use super::fake::{Fake, Manners, Reply};
use super::heard::{Heard, LONG, Linked, PATIENT, readings, verdicts};
use super::ledger::{Ledger, id_of, list, person, say, to_ask, to_submit};
use crate::view::Link;

fn payments(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|nonce| person(1).pays(nonce, person(2).address, 1)).collect()
}

fn sending(txs: &[Vec<u8>]) -> Wanted {
    Wanted { addresses: Vec::new(), outgoing: txs.iter().map(|tx| to_submit(tx)).collect() }
}

fn ids(txs: &[Vec<u8>]) -> Vec<TxId> {
    txs.iter().map(|tx| id_of(tx)).collect()
}

/// Everything that was announced, in order.
fn announced(events: &[LightEvent]) -> Vec<TxId> {
    let each = events.iter().filter_map(|event| match event {
        LightEvent::Sending { ids, .. } => Some(ids.clone()),
        _ => None,
    });
    each.flatten().collect()
}

/// How often something was announced.
fn announcements(events: &[LightEvent]) -> usize {
    events.iter().filter(|event| matches!(event, LightEvent::Sending { .. })).count()
}

/// Waits for so many verdicts.
async fn heard_verdicts(heard: &Heard, count: usize) -> Vec<(TxId, Verdict)> {
    let enough = |events: &[LightEvent]| {
        let all: Vec<_> = verdicts(events).map(|(id, verdict)| (id, verdict.clone())).collect();
        (all.len() >= count).then_some(all)
    };
    heard.until("the verdicts", enough).await
}

fn refused() -> Verdict {
    Verdict::Refused { rule: Text::new("nonce"), reason: Text::new("not now") }
}

#[tokio::test]
async fn submissions_keep_their_order_in_full_messages() {
    let txs = payments(2 * SUBMIT_MAX as u64 + 6);
    let node = Fake::start(Ledger::new(1), Manners::honest()).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&txs));
    let said = heard_verdicts(&linked.heard, txs.len()).await;
    assert_eq!(said, ids(&txs).into_iter().map(|id| (id, Verdict::Pending {})).collect::<Vec<_>>());
    let batches = node.look(|ledger| ledger.submitted.clone());
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [SUBMIT_MAX, SUBMIT_MAX, 6]);
    assert_eq!(batches.concat(), ids(&txs));
    assert_eq!(linked.heard.look(announced), ids(&txs));
    linked.stop().await;
}

/// When the node has a message, all of it was announced before: looked at on the node's side.
#[tokio::test]
async fn a_submission_is_told_before_a_byte_is_written() {
    let (linked_heard, unannounced) = (Arc::new(Mutex::new(None::<Heard>)), Arc::new(Mutex::new(0)));
    let (heard, missing) = (Arc::clone(&linked_heard), Arc::clone(&unannounced));
    let manners = Manners::at(Submit::KIND, move |ledger, _, honest| {
        let told = heard.lock().unwrap().as_ref().unwrap().look(announced);
        let all: Vec<TxId> = ledger.submitted.concat();
        *missing.lock().unwrap() += all.iter().filter(|id| !told.contains(id)).count();
        honest.map(Reply::Say)
    });
    let node = Fake::start(Ledger::new(1), manners).await;
    let linked = Linked::start(&[node.address], PATIENT, Wanted::default());
    *linked_heard.lock().unwrap() = Some(linked.heard.clone());
    let txs = payments(80);
    for sent in [10, 50, 80] {
        linked.want(sending(&txs[..sent]));
        heard_verdicts(&linked.heard, sent).await;
    }
    assert_eq!(*unannounced.lock().unwrap(), 0);
    assert_eq!(node.look(|ledger| ledger.submitted.concat()), ids(&txs), "and each of them once");
    linked.stop().await;
}

/// Announced and then not answered: that stands, and another connection tries again.
#[tokio::test]
async fn a_submission_without_an_answer_is_made_again() {
    let manners = Manners::at(Submit::KIND, |ledger, _, honest| {
        if ledger.submitted.len() == 1 { Some(Reply::Close) } else { honest.map(Reply::Say) }
    });
    let txs = payments(3);
    let node = Fake::start(Ledger::new(1), manners).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&txs));
    heard_verdicts(&linked.heard, 3).await;
    assert_eq!(node.look(|ledger| ledger.submitted.clone()), [ids(&txs), ids(&txs)]);
    assert_eq!(linked.heard.look(announced), [ids(&txs), ids(&txs)].concat());
    linked.stop().await;
}

/// What the node refused is sent again when there is a new tip, and not before.
#[tokio::test]
async fn what_is_refused_is_submitted_again_at_each_new_tip() {
    let txs = payments(2);
    let mut ledger = Ledger::new(1);
    ledger.verdict = |_| refused();
    let node = Fake::start(ledger, Manners::honest()).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&txs));
    let mut sent = 1;
    for height in 2..5 {
        // Where nothing was refused at this tip yet, it still is.
        linked.heard.reading("the tip", |reading| reading.snapshot.tip.height == height - 1).await;
        let is_sent = |events: &[LightEvent]| (verdicts(events).count() >= 2 * sent).then_some(());
        linked.heard.until("refusals", is_sent).await;
        node.change(|ledger| ledger.mine(Vec::new()));
        sent += 1;
    }
    let is_sent = |events: &[LightEvent]| (verdicts(events).count() >= 2 * sent).then_some(());
    linked.heard.until("refusals", is_sent).await;
    // Each tip once, and once more where the first was before any tip was read.
    let batches = node.look(|ledger| ledger.submitted.clone());
    assert!((4..=5).contains(&batches.len()), "{} times", batches.len());
    assert!(batches.iter().all(|batch| *batch == ids(&txs)));
    linked.stop().await;
}

/// Taken, and then gone from the node: sent again at the next tip. What it keeps is not.
#[tokio::test]
async fn what_a_node_has_lost_is_submitted_again_at_the_next_tip() {
    let txs = payments(3);
    let node = Fake::start(Ledger::new(1), Manners::honest()).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&txs));
    heard_verdicts(&linked.heard, 3).await;
    node.change(|ledger| {
        ledger.pending.remove(1);
        ledger.mine(Vec::new());
    });
    let said = heard_verdicts(&linked.heard, 4).await;
    assert_eq!(said[3], (id_of(&txs[1]), Verdict::Pending {}));
    assert_eq!(node.look(|ledger| ledger.submitted.clone()), [ids(&txs), vec![id_of(&txs[1])]]);
    // And it was known to be gone before it was sent.
    let gone = |reading: &Reading| reading.standings.contains(&(id_of(&txs[1]), Standing::Unknown));
    assert!(linked.heard.look(|events| readings(events).any(gone)));
    linked.stop().await;
}

/// Busy is no verdict: the same ones again, in their order, without waiting for a tip.
#[tokio::test]
async fn a_busy_node_gets_them_again() {
    let txs = payments(3);
    let says_busy = Manners::at(Submit::KIND, |ledger, frame, honest| {
        let answer = match ledger.submitted.len() {
            1 => say(frame.request, &Verdicts { verdicts: list([(); 3].map(|()| Verdict::Busy {})) }),
            2 => say(frame.request, &Failure::new("busy", "not now")),
            _ => honest.unwrap(),
        };
        Some(Reply::Say(answer))
    });
    let node = Fake::start(Ledger::new(1), says_busy).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&txs));
    let said = heard_verdicts(&linked.heard, 6).await;
    assert_eq!(said[0], (id_of(&txs[0]), Verdict::Busy {}));
    assert_eq!(said[3..].iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids(&txs));
    assert!(said[3..].iter().all(|(_, verdict)| *verdict == Verdict::Pending {}));
    assert_eq!(node.connections(), 1);
    linked.stop().await;
}

#[tokio::test]
async fn as_many_verdicts_as_submissions_or_it_is_a_lie() {
    let says_less = Manners::at(Submit::KIND, |_, frame, _| {
        Some(Reply::Say(say(frame.request, &Verdicts { verdicts: list([Verdict::Pending {}]) })))
    });
    let node = Fake::start(Ledger::new(1), says_less).await;
    let linked = Linked::start(&[node.address], PATIENT, sending(&payments(2)));
    let banned = linked.heard.stands(node.address, Link::Banned).await;
    assert_eq!(banned.failure.unwrap().0, "wrong_count");
    assert_eq!(linked.heard.look(|events| verdicts(events).count()), 0);
    linked.stop().await;
}

/// A send that comes up within a reading goes before the reading's next question, and what the
/// reading heard of it before is not told.
#[tokio::test]
async fn a_send_goes_before_the_rest_of_a_reading() {
    let tx = payments(1).remove(0);
    let want = Arc::new(Mutex::new(None::<watch::Sender<Arc<Wanted>>>));
    let (late, sent) = (Arc::clone(&want), tx.clone());
    // The send comes up when the node has already said that it knows nothing of it.
    let manners = Manners::at(GetState::KIND, move |_, _, honest| {
        if let Some(want) = late.lock().unwrap().take() {
            let addresses = want.borrow().addresses.clone();
            want.send_replace(Arc::new(Wanted { addresses, outgoing: vec![to_submit(&sent)] }));
        }
        honest.map(Reply::Say)
    });
    let node = Fake::start(Ledger::new(1), manners).await;
    // Two pages of addresses: the send comes up at the first.
    let mut addresses: Vec<Address> = (0..100).map(|number| person(number).address).collect();
    addresses.sort();
    let outgoing = vec![to_ask(&tx)];
    let linked = Linked::start(&[node.address], PATIENT, Wanted { addresses, outgoing });
    linked.heard.stands(node.address, Link::Up).await;
    let before = linked.heard.look(|events| readings(events).count());
    *want.lock().unwrap() = Some(linked.wanted.clone());
    node.change(|ledger| ledger.mine(Vec::new()));
    heard_verdicts(&linked.heard, 1).await;
    let second = linked.heard.until("the next reading", |events| readings(events).nth(before).cloned()).await;
    let asked = node.look(|ledger| ledger.asked.clone());
    let at = asked.iter().position(|kind| *kind == Submit::KIND).unwrap();
    assert_eq!((asked[at - 1], asked[at + 1]), (GetState::KIND, GetState::KIND), "{asked:?}");
    assert_eq!(second.standings, [], "unknown is what it was before it was taken");
    linked.stop().await;
}

/// The pause of a node that is down ends early for a new send, and not for the one that was there.
#[tokio::test]
async fn a_new_send_wakes_the_pause_of_a_node_that_is_down() {
    let times = LightTimes { pause: Duration::from_millis(1), pause_max: LONG * 1_000, ..PATIENT };
    // So often that the pause is longer than any test.
    let failures = 18;
    let manners = Manners::at(Submit::KIND, move |ledger, _, honest| {
        if ledger.submitted.len() <= failures { Some(Reply::Close) } else { honest.map(Reply::Say) }
    });
    let txs = payments(failures as u64 + 1);
    let node = Fake::start(Ledger::new(1), manners).await;
    let linked = Linked::start(&[node.address], times, sending(&txs[..1]));
    for sent in 2..=txs.len() {
        let has_failed = |events: &[LightEvent]| (announcements(events) >= sent - 1).then_some(());
        linked.heard.until("an attempt", has_failed).await;
        linked.want(sending(&txs[..sent]));
    }
    heard_verdicts(&linked.heard, txs.len()).await;
    linked.stop().await;
}

/// How fast one connection is, with everything at once and with eight callers who wait for each
/// of theirs. Printed, and held against what is promised with much room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_submissions_a_second() {
    let txs = payments(3_200);
    let node = Fake::start(Ledger::new(1), Manners::honest()).await;
    let linked = Linked::start(&[node.address], PATIENT, Wanted::default());
    linked.heard.stands(node.address, Link::Up).await;
    let started = clock::start();
    linked.want(sending(&txs[..1_600]));
    heard_verdicts(&linked.heard, 1_600).await;
    let bulk = 1_600.0 / started.elapsed().as_secs_f64();
    linked.stop().await;

    let linked = Linked::start(&[node.address], PATIENT, Wanted::default());
    linked.heard.stands(node.address, Link::Up).await;
    let started = clock::start();
    let waiting = Arc::new(linked);
    let callers: Vec<_> = (0..8_usize)
        .map(|caller| {
            let (linked, own) = (Arc::clone(&waiting), txs[1_600 + caller * 50..][..50].to_vec());
            tokio::spawn(async move {
                for tx in own {
                    let id = id_of(&tx);
                    linked.wanted.send_modify(|wanted| {
                        Arc::make_mut(wanted).outgoing.push(to_submit(&tx));
                    });
                    let is_said =
                        |events: &[LightEvent]| verdicts(events).find(|(said, _)| *said == id).map(|_| ());
                    linked.heard.until("a verdict", is_said).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let each = 400.0 / started.elapsed().as_secs_f64();
    println!("submissions a second: {bulk:.0} at once, {each:.0} by 8 callers who wait for each");
    assert!(bulk > 200.0 && each > 200.0, "{bulk:.0} and {each:.0} a second");
    let by_id: BTreeMap<TxId, usize> = node.look(|ledger| {
        ledger.submitted.concat().into_iter().fold(BTreeMap::new(), |mut counts, id| {
            *counts.entry(id).or_default() += 1;
            counts
        })
    });
    assert!(by_id.len() == 2_000 && by_id.values().all(|count| *count == 1), "each of them once");
    Arc::into_inner(waiting).unwrap().stop().await;
}
