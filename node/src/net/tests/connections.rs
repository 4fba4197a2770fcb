//! Connections over a stream in memory: who is let in, in which order, what is told unasked, and how
//! each ends.

use std::time::Duration;

use steelyard_core::hash::Address;
use steelyard_core::types::header::Header;
use steelyard_core::wire::{
    GetTip, Hello, Notice, PROTOCOL_VERSION, Ping, Pong, Role, Text, Tip, Watch, answer_bytes_max, hello,
    request_bytes_max,
};
use steelyard_runtime::link::{Link, LinkError};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::chain::tests::maker::account;
use crate::net::connection::{self, Context, Patience};
use crate::net::ticks;

/// A client's end.
type Client = Link<DuplexStream>;

fn greeting(role: Role, nonce: u64) -> Hello {
    Hello {
        magic: hello::MAGIC,
        version: PROTOCOL_VERSION,
        role,
        network: params().network_id(),
        nonce,
        port: 0,
        height: 0,
        tip: BlockId::ZERO,
        bodies_from: 0,
        agent: Text::new("test"),
    }
}

impl Stage {
    fn context(&self, patience: Patience) -> (Context, CancellationToken) {
        let (ticks, _) = ticks::start(&self.chain.shared).unwrap();
        let stopping = CancellationToken::new();
        let desk = Arc::clone(&self.desk);
        (Context { desk, ticks, patience, stopping: stopping.clone() }, stopping)
    }

    /// A connection whose stream holds so many bytes.
    fn connect(&self, context: &Context, buffer: usize) -> Client {
        let (near, far) = tokio::io::duplex(buffer);
        let context = context.clone();
        self.runtime.spawn(async move {
            let own = greeting(Role::Node, 2);
            let link = Link::accept(far, own, request_bytes_max, context.patience.link).await.unwrap();
            connection::serve(link, context).await;
        });
        let dialled = Link::dial(near, greeting(Role::Light, 1), answer_bytes_max, Patience::NODE.link);
        self.runtime.block_on(dialled).unwrap()
    }

    fn next<M: Message>(&self, client: &mut Client) -> (u32, M) {
        let frame = self.runtime.block_on(client.next()).unwrap().unwrap();
        (frame.request, read(&frame).unwrap())
    }

    fn tell(&self, client: &mut Client, request: u32, message: &impl Message) {
        self.runtime.block_on(client.send(request, message)).unwrap();
    }

    /// The code with which the node hangs up.
    fn bye(&self, client: &mut Client) -> String {
        match self.runtime.block_on(client.next()) {
            Err(LinkError::Bye(bye)) => bye.code.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn watch(addresses: &[Address]) -> Watch {
    Watch { addresses: bounded(addresses.to_vec()) }
}

#[test]
fn requests_are_answered_in_their_order() {
    let stage = Stage::new();
    let (context, _) = stage.context(Patience::NODE);
    let mut client = stage.connect(&context, 1 << 20);
    for request in 10..40 {
        stage.tell(&mut client, request, &Ping { nonce: request.into() });
        stage.tell(&mut client, request, &GetTip { recent: 1 });
    }
    for request in 10..40 {
        assert_eq!(stage.next::<Pong>(&mut client), (request, Pong { nonce: request.into() }));
        assert_eq!(stage.next::<Tip>(&mut client).0, request);
    }
}

#[test]
fn who_breaks_the_protocol_is_told_so_and_hung_up_on() {
    let stage = Stage::new();
    let (context, _) = stage.context(Patience::NODE);
    let frames = [
        (Frame { kind: GetTip::KIND, request: 1, body: vec![0].into() }, "undecodable"),
        (Frame { kind: GetTip::KIND, request: 1, body: vec![0; 3].into() }, "frame_too_long"),
        (Frame { kind: Tip::KIND, request: 1, body: vec![].into() }, "frame_unknown_kind"),
        (Frame { kind: Hello::KIND, request: 1, body: vec![].into() }, "frame_unknown_kind"),
        (Frame { kind: 255, request: 1, body: vec![].into() }, "frame_unknown_kind"),
    ];
    for (frame, code) in frames {
        let mut client = stage.connect(&context, 4_096);
        stage.runtime.block_on(client.send_frame(&frame)).unwrap();
        assert_eq!(stage.bye(&mut client), code);
    }
}

#[test]
fn who_says_nothing_is_hung_up_on_and_a_ping_keeps_the_connection() {
    let stage = Stage::new();
    let (context, _) = stage.context(Patience { idle: Duration::from_millis(300), ..Patience::NODE });
    let mut client = stage.connect(&context, 4_096);
    for nonce in 0..10 {
        stage.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        stage.tell(&mut client, 1, &Ping { nonce });
        assert_eq!(stage.next::<Pong>(&mut client).1, Pong { nonce });
    }
    assert_eq!(stage.bye(&mut client), "idle");
}

#[test]
fn a_stop_is_told() {
    let stage = Stage::new();
    let (context, stopping) = stage.context(Patience::NODE);
    let mut client = stage.connect(&context, 4_096);
    stopping.cancel();
    assert_eq!(stage.bye(&mut client), "stopping");
}

#[test]
fn changes_of_the_tip_and_payments_are_told() {
    let mut stage = Stage::new();
    let (context, _) = stage.context(Patience { pause: Duration::from_millis(1), ..Patience::NODE });
    let mut client = stage.connect(&context, 1 << 20);
    stage.tell(&mut client, 3, &watch(&[account(9).address]));
    let (request, first) = stage.next::<Notice>(&mut client);
    assert_eq!((request, Header::from(&first.tip).id(), first.touched), (3, stage.tip(), 0));
    // Others' payments are not told; the tip is what comes next.
    stage.send(&stage.maker.pay(1, 0, 10, 5));
    let tip = stage.mine(&[]);
    let (_, notice) = stage.next::<Notice>(&mut client);
    assert_eq!((Header::from(&notice.tip).id(), notice.touched), (tip, 0));
    stage.send(&stage.maker.pay(0, 0, 9, 5));
    assert_eq!(stage.next::<Notice>(&mut client).1.touched, 1);
    // In between there are answers as ever, and the payment is not told twice.
    stage.tell(&mut client, 4, &Ping { nonce: 1 });
    assert_eq!(stage.next::<Pong>(&mut client).0, 4);
    stage.mine(&[]);
    assert_eq!(stage.next::<Notice>(&mut client).1.touched, 0);
    // A later request takes the place of this one, and begins anew.
    stage.tell(&mut client, 5, &watch(&[account(0).address]));
    let (request, notice) = stage.next::<Notice>(&mut client);
    assert_eq!((request, notice.touched), (5, 1), "who pays is touched too");
}

#[test]
fn who_reads_slowly_is_behind_by_the_latest_and_not_by_a_queue() {
    let mut stage = Stage::new();
    let (context, _) = stage.context(Patience { pause: Duration::from_millis(1), ..Patience::NODE });
    // Room for less than one notice: the second one cannot be sent before the first is read.
    let mut client = stage.connect(&context, 128);
    stage.tell(&mut client, 3, &watch(&[]));
    let tips: Vec<BlockId> = (0..20)
        .map(|_| {
            let tip = stage.mine(&[]);
            stage.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
            tip
        })
        .collect();
    let mut seen = Vec::new();
    while seen.last() != tips.last() {
        seen.push(Header::from(&stage.next::<Notice>(&mut client).1.tip).id());
    }
    assert!(seen.len() <= 4, "{} notices", seen.len());
}
