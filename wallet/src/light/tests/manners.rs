//! Nodes that lie, hang and hang up: each is known for what it is, no figure of it is told, and
//! the next node's are.

use steelyard_core::wire::{
    GetPending, GetState, GetStatus, GetTip, Message, Ping, Submit, Tip, Verdicts, Watch,
};
use steelyard_runtime::frame::Frame;

use super::super::*;
use super::fake::{Fake, Manners, Reply};
use super::heard::{HASTY, Linked, PATIENT, readings, statuses};
use super::ledger::{list, person, say, to_submit};
use super::lies::{Lie, changed, lies, scene};
use crate::view::Link;

#[tokio::test]
async fn each_lie_is_called_by_its_name_and_nothing_of_it_is_told() {
    for Lie { lie, code, manners } in lies() {
        let (ledger, wanted) = scene();
        let node = Fake::start(ledger, manners).await;
        let linked = Linked::start(&[node.address], PATIENT, wanted);
        let banned = linked.heard.stands(node.address, Link::Banned).await;
        let (found, words) = banned.failure.unwrap();
        assert_eq!((found.as_str(), banned.tried), (code, true), "{lie}: {words}");
        linked.heard.look(|events| {
            assert_eq!(readings(events).count(), 0, "{lie}");
            assert!(statuses(events).all(|status| status.link != Link::Up && status.tip.is_none()), "{lie}");
        });
        assert_eq!(node.connections(), 1, "{lie}: it is left alone");
        linked.stop().await;
    }
}

/// A node that turns to lying keeps what it said before, and is believed no more.
#[tokio::test]
async fn a_lie_after_the_truth_is_a_lie() {
    let (ledger, wanted) = scene();
    let height = ledger.tip().height;
    let lies_later = Manners::at(GetTip::KIND, move |ledger, _, honest| {
        let lies = ledger.tip().height > height;
        changed::<Tip>(honest, |tip| tip.history_work += u128::from(lies))
    });
    let node = Fake::start(ledger, lies_later).await;
    let linked = Linked::start(&[node.address], PATIENT, wanted);
    let up = linked.heard.stands(node.address, Link::Up).await;
    node.change(|ledger| ledger.mine(Vec::new()));
    let banned = linked.heard.stands(node.address, Link::Banned).await;
    assert_eq!((banned.failure.unwrap().0.as_str(), banned.tip), ("wrong_work", up.tip));
    linked.heard.look(|events| assert!(readings(events).all(|one| one.snapshot.tip.height == height)));
    linked.stop().await;
}

#[tokio::test]
async fn who_was_banned_is_tried_again_when_its_time_is_over() {
    let times = LightTimes { banned: std::time::Duration::from_millis(20), ..PATIENT };
    let lies_once = Manners::at(GetTip::KIND, |ledger, _, honest| {
        let lies = ledger.asked.iter().filter(|kind| **kind == GetTip::KIND).count() == 1;
        changed::<Tip>(honest, |tip| tip.history_work += u128::from(lies))
    });
    let (ledger, wanted) = scene();
    let node = Fake::start(ledger, lies_once).await;
    let linked = Linked::start(&[node.address], times, wanted);
    linked.heard.stands(node.address, Link::Banned).await;
    linked.heard.stands(node.address, Link::Up).await;
    linked.stop().await;
}

/// Silence at any point ends by the deadline, and not before.
#[tokio::test]
async fn a_node_that_hangs_is_down_within_the_deadline() {
    let silent = |kind| Manners::at(kind, |_, _, _| Some(Reply::Silence));
    let kinds = [GetTip::KIND, GetPending::KIND, GetStatus::KIND, GetState::KIND];
    let hanging = kinds.map(|kind| ("answer_timeout", silent(kind)));
    for (code, manners) in [("handshake_timeout", Manners::mute())].into_iter().chain(hanging) {
        let (ledger, wanted) = scene();
        let node = Fake::start(ledger, manners).await;
        let started = steelyard_runtime::clock::start();
        let linked = Linked::start(&[node.address], HASTY, wanted);
        let down = linked.heard.stands(node.address, Link::Down).await;
        assert!(started.elapsed() >= HASTY.answer);
        assert_eq!((down.failure.unwrap().0.as_str(), down.tried), (code, true));
        linked.heard.look(|events| assert_eq!(readings(events).count(), 0));
        linked.stop().await;
    }
}

/// A node that only ever talks of other things does not answer either.
#[tokio::test]
async fn notices_are_no_answer() {
    let (ledger, wanted) = scene();
    let node = Fake::start(ledger, Manners::storming_and_silent_at(GetTip::KIND)).await;
    let linked = Linked::start(&[node.address], HASTY, wanted);
    let down = linked.heard.stands(node.address, Link::Down).await;
    assert_eq!(down.failure.unwrap().0, "answer_timeout");
    linked.stop().await;
}

#[tokio::test]
async fn whoever_hangs_up_is_down_with_its_reason_and_tried_again() {
    let kinds = [Watch::KIND, GetTip::KIND, GetPending::KIND, GetStatus::KIND, GetState::KIND, Submit::KIND];
    for kind in kinds {
        for (code, says_why) in [("closed", false), ("stopping", true)] {
            let manners = Manners::at(kind, move |ledger, frame, honest| {
                let is_first = ledger.asked.iter().filter(|kind| **kind == frame.kind).count() == 1;
                match (is_first, says_why) {
                    (true, true) => Some(Reply::Bye("stopping")),
                    (true, false) => Some(Reply::Close),
                    (false, _) => honest.map(Reply::Say),
                }
            });
            let (ledger, mut wanted) = scene();
            wanted.outgoing.push(to_submit(&person(2).pays(0, person(9).address, 1)));
            let node = Fake::start(ledger, manners).await;
            let linked = Linked::start(&[node.address], PATIENT, wanted);
            let down = linked.heard.stands(node.address, Link::Down).await;
            let (found, words) = down.failure.unwrap();
            // Hanging up with something unread is told by the machine as a reset.
            let is_found = found == code || (!says_why && found == "io");
            assert!(is_found, "kind {kind}: {found} ({words})");
            linked.heard.stands(node.address, Link::Up).await;
            linked.stop().await;
        }
    }
}

#[tokio::test]
async fn what_nobody_asked_for_and_what_is_no_message_ends_the_connection() {
    let foreign = Manners::at(GetTip::KIND, |_, frame, honest| {
        Some(Reply::Say(Frame { request: frame.request + 7, ..honest.unwrap() }))
    });
    let garbled = Manners::at(GetTip::KIND, |_, _, honest| {
        let mut frame = honest.unwrap();
        frame.body = frame.body.slice(1..);
        Some(Reply::Say(frame))
    });
    let other_kind = Manners::at(GetTip::KIND, |_, frame, _| {
        Some(Reply::Say(say(frame.request, &Verdicts { verdicts: list([]) })))
    });
    let not_taken =
        Manners::at(GetTip::KIND, |_, frame, _| Some(Reply::Say(say(frame.request, &Ping { nonce: 1 }))));
    let cases = [
        ("unasked", foreign),
        ("undecodable", garbled),
        ("unexpected_kind", other_kind),
        ("frame_unknown_kind", not_taken),
    ];
    for (code, manners) in cases {
        let (ledger, wanted) = scene();
        let node = Fake::start(ledger, manners).await;
        let linked = Linked::start(&[node.address], PATIENT, wanted);
        let down = linked.heard.stands(node.address, Link::Down).await;
        assert_eq!(down.failure.unwrap().0, code);
        linked.heard.look(|events| assert_eq!(readings(events).count(), 0, "{code}"));
        linked.stop().await;
    }
}

/// Whatever the first node does, the second one's figures are told, and no other.
#[tokio::test]
async fn the_next_node_is_read_while_one_hangs_or_lies() {
    let silent = Manners::at(GetState::KIND, |_, _, _| Some(Reply::Silence));
    let mut cases = vec![Manners::mute(), silent];
    cases.extend(lies().into_iter().map(|lie| lie.manners));
    for manners in cases {
        let (ledger, wanted) = scene();
        let bad = Fake::start(ledger, manners).await;
        let (ledger, _) = scene();
        let good = Fake::start(ledger, Manners::honest()).await;
        // The bad one keeps its connection as long as it likes: nobody waits for it.
        let linked = Linked::start(&[bad.address, good.address], PATIENT, wanted.clone());
        let reading = linked.heard.reading("the good one's", |_| true).await;
        assert_eq!(reading.snapshot.node, good.address);
        assert_eq!(reading.snapshot.accounts[&wanted.addresses[0]].balance, 500);
        linked.heard.look(|events| assert!(readings(events).all(|one| one.snapshot.node == good.address)));
        linked.stop().await;
    }
}
