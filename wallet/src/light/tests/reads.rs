//! Readings of honest nodes: right, whole, at one tip, and no more often than there is a reason.

use std::time::Duration;

use steelyard_core::hash::Address;
use steelyard_core::wire::{Failure, GetPending, GetState, GetStatus, GetTip, Message, Watch};
use tokio::time::timeout;

use super::super::*;
use super::fake::{AGENT, Fake, Manners, Reply};
use super::heard::{HASTY, LONG, Linked, PATIENT, readings, statuses};
use super::ledger::{Ledger, id_of, person, say, to_ask};
use crate::limits::{NODE_RETRIES_MAX, READING_ATTEMPTS_MAX};
use crate::view::{Account, Incoming, Link};

fn sorted(mut addresses: Vec<Address>) -> Vec<Address> {
    addresses.sort();
    addresses
}

fn watching(addresses: &[Address]) -> Wanted {
    Wanted { addresses: sorted(addresses.to_vec()), outgoing: Vec::new() }
}

/// More addresses and transactions than fit one message, in all states.
#[tokio::test]
async fn an_honest_node_is_read_in_full() {
    let mut ledger = Ledger::new(5);
    let ours: Vec<Address> = (0..150).map(|number| person(number).address).collect();
    for (number, address) in ours.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        ledger.fund(*address, 1_000 + number as u64, number as u64);
    }
    let txs: Vec<_> = (0..70).map(|nonce| person(1).pays(nonce, person(900).address, 1)).collect();
    ledger.mine(txs[..40].to_vec());
    let mined = ledger.tip();
    ledger.pending.extend_from_slice(&txs[40..60]);
    let paying = person(901).pays(0, ours[7], 77);
    ledger.pending.push(paying.clone());
    ledger.mine(Vec::new());
    let (tip, total_work) = (ledger.tip(), ledger.total_work());
    let node = Fake::start(ledger, Manners::honest()).await;

    let outgoing = txs.iter().map(|tx| to_ask(tx)).collect();
    let linked =
        Linked::start(&[node.address], PATIENT, Wanted { addresses: sorted(ours.clone()), outgoing });
    let Reading { snapshot, standings } = linked.heard.reading("a reading", |_| true).await;
    assert_eq!((snapshot.tip, snapshot.id, snapshot.total_work), (tip, tip.id(), total_work));
    assert_eq!(snapshot.node, node.address);
    assert_eq!(snapshot.accounts.len(), 150);
    for (number, address) in (0..).zip(&ours) {
        let funded = Account { balance: 1_000 + number, nonce: number };
        let expected = if number % 3 == 0 { Account::default() } else { funded };
        assert_eq!(snapshot.accounts[address], expected, "account {number}");
    }
    assert_eq!(snapshot.incoming, [Incoming { tx: id_of(&paying), to: ours[7], amount: 77 }]);
    assert!(!snapshot.incoming_more);
    let confirmed = Standing::Confirmed { height: mined.height, block: mined.id(), time: mined.time };
    for (number, (tx, (id, standing))) in txs.iter().zip(&standings).enumerate() {
        let expected = match number {
            0..40 => confirmed,
            40..60 => Standing::Pending,
            _ => Standing::Unknown,
        };
        assert_eq!((*id, *standing), (id_of(tx), expected), "transaction {number}");
    }
    assert_eq!(standings.len(), 70);

    let up = linked.heard.stands(node.address, Link::Up).await;
    assert_eq!((up.agent.as_str(), up.tip), (AGENT, Some((tip.height, tip.id(), total_work))));
    assert_eq!((up.failure, up.answered, up.tried), (None, Some(snapshot.taken), true));
    // What there is to know is told before it is told that the node was tried.
    linked.heard.look(|events| {
        let reading = events.iter().position(|event| matches!(event, LightEvent::Reading(_)));
        let tried = events.iter().position(|event| matches!(event, LightEvent::Node(status) if status.tried));
        assert!(reading < tried && reading.is_some());
        assert!(
            matches!(&events[0], LightEvent::Node(first) if first.link == Link::Connecting && !first.tried)
        );
    });
    linked.stop().await;
}

#[tokio::test]
async fn a_chain_of_one_block_is_read_with_nothing_to_follow() {
    let node = Fake::start(Ledger::new(0), Manners::honest()).await;
    let linked = Linked::start(&[node.address], PATIENT, Wanted::default());
    let reading = linked.heard.reading("genesis", |_| true).await;
    assert_eq!((reading.snapshot.tip.height, reading.snapshot.accounts.len()), (0, 0));
    linked.stop().await;
}

#[tokio::test]
async fn a_new_block_and_new_addresses_are_read_at_once() {
    let node = Fake::start(Ledger::new(2), Manners::honest()).await;
    let [first, second] = [1, 2].map(|number| person(number).address);
    let linked = Linked::start(&[node.address], PATIENT, watching(&[first]));
    linked.heard.reading("the first", |reading| reading.snapshot.tip.height == 2).await;

    node.change(|ledger| {
        ledger.fund(first, 10, 0);
        ledger.fund(second, 20, 0);
        ledger.mine(Vec::new());
    });
    let reading = linked.heard.reading("the block", |reading| reading.snapshot.tip.height == 3).await;
    assert_eq!(reading.snapshot.accounts[&first].balance, 10);

    linked.want(watching(&[first, second]));
    let both = linked.heard.reading("both", |reading| reading.snapshot.accounts.len() == 2).await;
    assert_eq!(both.snapshot.accounts[&second].balance, 20);
    let watches = node.look(|ledger| ledger.asked.iter().filter(|kind| **kind == Watch::KIND).count());
    assert_eq!(watches, 2, "the node is told whom to watch again, and only then");
    linked.stop().await;
}

#[tokio::test]
async fn a_silent_node_is_asked_again() {
    let times = LightTimes { refresh: Duration::from_millis(20), ..PATIENT };
    let node = Fake::start(Ledger::new(2), Manners::honest()).await;
    let linked = Linked::start(&[node.address], times, Wanted::default());
    linked.heard.until("three readings", |events| (readings(events).count() >= 3).then_some(())).await;
    linked.stop().await;
}

/// A block comes between two answers, a few times: everything that is told is of one moment.
#[tokio::test]
async fn a_tip_that_moves_meanwhile_is_read_again() {
    let ours = person(1).address;
    // The balance is the height, so that a mixture shows.
    let manners = Manners::at(GetPending::KIND, move |ledger, _, honest| {
        if ledger.tip().height < u64::from(READING_ATTEMPTS_MAX) {
            ledger.fund(ours, ledger.tip().height + 1, 0);
            ledger.mine(Vec::new());
        }
        honest.map(Reply::Say)
    });
    let mut ledger = Ledger::new(0);
    ledger.fund(ours, 1, 0);
    ledger.mine(Vec::new());
    let node = Fake::start(ledger, manners).await;
    let linked = Linked::start(&[node.address], PATIENT, watching(&[ours]));
    let reading = linked.heard.reading("a reading", |_| true).await;
    assert_eq!(reading.snapshot.tip.height, u64::from(READING_ATTEMPTS_MAX));
    assert_eq!(reading.snapshot.accounts[&ours].balance, u64::from(READING_ATTEMPTS_MAX));
    let tips = node.look(|ledger| ledger.asked.iter().filter(|kind| **kind == GetTip::KIND).count());
    assert_eq!(tips, READING_ATTEMPTS_MAX as usize, "all in one go");
    linked.stop().await;
}

#[tokio::test]
async fn a_tip_that_never_stands_still_is_no_lie_and_no_reading() {
    let manners = Manners::at(GetPending::KIND, |ledger, _, honest| {
        ledger.mine(Vec::new());
        honest.map(Reply::Say)
    });
    let node = Fake::start(Ledger::new(1), manners).await;
    let linked = Linked::start(&[node.address], PATIENT, watching(&[person(1).address]));
    let down = linked.heard.stands(node.address, Link::Down).await;
    assert_eq!(down.failure.unwrap().0, "tip_moving");
    let tips = node.look(|ledger| ledger.asked.iter().filter(|kind| **kind == GetTip::KIND).count());
    assert!(tips >= (READING_ATTEMPTS_MAX * NODE_RETRIES_MAX) as usize, "{tips} attempts");
    linked.heard.look(|events| {
        assert_eq!(readings(events).count(), 0);
        assert!(statuses(events).all(|status| status.link != Link::Banned));
    });
    linked.stop().await;
}

/// Busy is an honest word: the connection goes on, and so does the reading.
#[tokio::test]
async fn a_busy_node_is_asked_again_on_the_same_connection() {
    for kind in [GetTip::KIND, GetPending::KIND, GetState::KIND, GetStatus::KIND] {
        let manners = Manners::at(kind, |ledger, frame, honest| {
            let asked = ledger.asked.iter().filter(|kind| **kind == frame.kind).count();
            let busy = say(frame.request, &Failure::new("busy", "later"));
            if asked < NODE_RETRIES_MAX as usize { Some(Reply::Say(busy)) } else { honest.map(Reply::Say) }
        });
        let node = Fake::start(Ledger::new(1), manners).await;
        let tx = person(1).pays(0, person(2).address, 1);
        let wanted = Wanted { outgoing: vec![to_ask(&tx)], ..watching(&[person(1).address]) };
        let linked = Linked::start(&[node.address], PATIENT, wanted);
        let tried =
            linked.heard.until("busy", |events| statuses(events).find(|status| status.tried).cloned());
        assert_eq!(tried.await.failure, Some(("busy".to_owned(), "later".to_owned())));
        let up = linked.heard.stands(node.address, Link::Up).await;
        assert_eq!((up.failure, node.connections()), (None, 1));
        linked.stop().await;
    }
}

#[tokio::test]
async fn a_node_that_is_always_busy_is_left_for_a_while() {
    let manners = Manners::at(GetTip::KIND, |_, frame, _| {
        Some(Reply::Say(say(frame.request, &Failure::new("busy", "always"))))
    });
    let node = Fake::start(Ledger::new(1), manners).await;
    let linked = Linked::start(&[node.address], PATIENT, Wanted::default());
    let down = linked.heard.stands(node.address, Link::Down).await;
    assert_eq!(down.failure.unwrap().0, "busy");
    linked.stop().await;
}

/// A flood of hints costs no more readings than the pause between them lets through, and keeps
/// nothing from being read.
#[tokio::test]
async fn a_storm_of_notices_is_one_reading_at_a_time() {
    let times = LightTimes { reading_pause: Duration::from_millis(50), ..PATIENT };
    let node = Fake::start(Ledger::new(1), Manners::storming()).await;
    let started = steelyard_runtime::clock::start();
    let linked = Linked::start(&[node.address], times, Wanted::default());
    linked.heard.reading("the first", |_| true).await;
    for height in 2..5 {
        node.change(|ledger| ledger.mine(Vec::new()));
        linked.heard.reading("a block in the storm", |reading| reading.snapshot.tip.height == height).await;
    }
    linked.heard.until("ten readings", |events| (readings(events).count() >= 10).then_some(())).await;
    let tips = node.look(|ledger| ledger.asked.iter().filter(|kind| **kind == GetTip::KIND).count());
    let most = started.elapsed().as_millis() / times.reading_pause.as_millis() + 2;
    // A tip that moves within a reading is asked for again.
    assert!(tips as u128 <= most + 3, "{tips} readings where {most} are the most");
    assert_eq!(node.connections(), 1);
    linked.stop().await;
}

#[tokio::test]
async fn nodes_are_added_while_it_runs() {
    let [first, second] = [
        Fake::start(Ledger::new(1), Manners::honest()).await,
        Fake::start(Ledger::new(2), Manners::honest()).await,
    ];
    let linked = Linked::start(&[first.address], PATIENT, Wanted::default());
    linked.heard.stands(first.address, Link::Up).await;
    linked.light.add_nodes(&[first.address, second.address, second.address]).unwrap();
    linked.heard.stands(second.address, Link::Up).await;
    linked.light.add_nodes(&[second.address]).unwrap();
    assert_eq!((first.connections(), second.connections()), (1, 1), "nobody is talked to twice");

    let many: Vec<SocketAddr> = (0..NODES_MAX as u16).map(|port| ([127, 0, 0, 9], 1 + port).into()).collect();
    assert_eq!(linked.light.add_nodes(&many), Err(TooManyNodes { got: NODES_MAX + 2 }));
    linked.light.add_nodes(&many[2..]).unwrap();
    linked.stop().await;
}

/// Nodes are told of in the order in which they were given, and no more than there may be.
#[tokio::test]
async fn nodes_are_told_of_in_their_order() {
    let many: Vec<SocketAddr> = (0..20).map(|port| ([127, 0, 0, 9], 40 - port).into()).collect();
    let linked = Linked::start(&many, PATIENT, Wanted::default());
    let all_down = |events: &[LightEvent]| {
        let down = |node: &&SocketAddr| {
            statuses(events)
                .any(|status| status.address == **node && status.link == Link::Down && status.tried)
        };
        (many.iter().filter(down).count() == NODES_MAX).then_some(())
    };
    linked.heard.until("all of them", all_down).await;
    let mut told: Vec<SocketAddr> = Vec::new();
    linked.heard.look(|events| {
        for status in statuses(events) {
            assert_eq!(status.link == Link::Connecting, !told.contains(&status.address));
            if status.link == Link::Connecting {
                told.push(status.address);
            } else {
                assert_eq!(status.failure.as_ref().unwrap().0, "unreachable");
            }
        }
    });
    assert_eq!(told, many[..NODES_MAX]);
    linked.stop().await;
}

/// At whatever it is, the link ends when it is told to: idle, within a request, a handshake, a pause.
#[tokio::test]
async fn a_shutdown_ends_everything_at_once() {
    let silent = Manners::at(GetTip::KIND, |_, _, _| Some(Reply::Silence));
    let lying = Manners::of_network(steelyard_core::hash::NetworkId([1; 32]));
    let closing = Manners::at(GetTip::KIND, |_, _, _| Some(Reply::Close));
    let mut nodes = Vec::new();
    for manners in [Manners::honest(), Manners::mute(), silent, lying, closing, Manners::storming()] {
        nodes.push(Fake::start(Ledger::new(1), manners).await);
    }
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    let times = LightTimes { pause: LONG, pause_max: LONG, ..PATIENT };
    let linked = Linked::start(&addresses, times, Wanted::default());
    linked.heard.stands(addresses[0], Link::Up).await;
    linked.heard.stands(addresses[3], Link::Banned).await;
    linked.heard.stands(addresses[4], Link::Down).await;
    linked.stop().await;
}

/// Who does not take what it is told holds up nobody's end.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_who_listens() {
    #[derive(Clone)]
    struct Deaf;
    impl Sink for Deaf {
        fn tell(&self, _: LightEvent) -> impl Future<Output = bool> + Send {
            std::future::pending()
        }
    }
    let (wanted, shutdown) = (watch::Sender::new(Arc::default()), CancellationToken::new());
    let config = LightConfig { params: Params::dev(), nodes: vec![([127, 0, 0, 9], 1).into()] };
    let light = start_with(config, HASTY, wanted.subscribe(), Deaf, shutdown.clone());
    tokio::task::yield_now().await;
    shutdown.cancel();
    timeout(LONG, light.stopped()).await.unwrap();
}
