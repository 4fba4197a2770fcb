//! The bytes of every message, frozen in `tests/golden/messages.txt` as they stand on the wire. On
//! purpose alone, and with a new protocol version,
//! `STEELYARD_GOLDEN=write cargo test -p steelyard-tests golden` writes them anew. Must not draw on
//! anything random or on a clock.

use std::path::Path;

use bytes::BytesMut;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, NetworkId, TxId};
use steelyard_core::wire::{self, HeaderBytes, Message};
use steelyard_ledger::golden::Golden;
use steelyard_runtime::frame::Frame;

const NETWORK: NetworkId = NetworkId([0x77; 32]);

fn frame<M: Message>(golden: &mut Golden, name: &str, message: &M) {
    let mut bytes = BytesMut::new();
    Frame::of(0x0403_0201, message).unwrap().write_to(&mut bytes).unwrap();
    golden.hex(name, bytes);
}

/// One frame of every message, all fields in use, as it stands on the wire.
#[test]
fn golden_messages() {
    let mut golden = Golden::default();
    let header = HeaderBytes(std::array::from_fn(|place| u8::try_from(place).unwrap()));
    let (address, asset) = (Address([0x11; 32]), AssetId([0xaa; 32]));
    let code = || (wire::Text::new("a_code"), wire::Text::new("and words"));
    let hello = wire::Hello {
        magic: wire::hello::MAGIC,
        version: wire::PROTOCOL_VERSION,
        role: wire::Role::Node,
        network: NETWORK,
        nonce: 0x0102_0304_0506_0708,
        port: 0x0304,
        height: 258,
        tip: BlockId([0x22; 32]),
        bodies_from: 0x0506,
        agent: wire::Text::new("steelyard-node/1"),
    };
    let found = wire::Found {
        header,
        index: 1,
        count: 3,
        body_path: list([[0x33; 32], [0x44; 32]]),
        history_path: list([wire::HistoryStep { hash: [0x55; 32], work: 77 }]),
    };
    let verdicts = [
        wire::Verdict::Pending {},
        wire::Verdict::Confirmed {},
        wire::Verdict::Refused { rule: wire::Text::new("a_rule"), reason: wire::Text::new("and words") },
        wire::Verdict::Busy {},
    ];
    let statuses = [
        wire::Status::Unknown {},
        wire::Status::Pending { queued: 1 },
        wire::Status::Confirmed { found: Box::new(found) },
        wire::Status::Missing { from: 0x0506 },
    ];
    let keys = [
        wire::StateKey::Account { address },
        wire::StateKey::Holding { address, asset },
        wire::StateKey::Asset { asset },
    ];
    frame(&mut golden, "hello", &wire::Hello { role: wire::Role::Light, ..hello.clone() });
    frame(&mut golden, "hello of a node", &hello);
    frame(&mut golden, "bye", &wire::Bye { code: code().0, reason: code().1 });
    frame(&mut golden, "ping", &wire::Ping { nonce: 258 });
    frame(&mut golden, "pong", &wire::Pong { nonce: 258 });
    frame(&mut golden, "failure", &wire::Failure { code: code().0, reason: code().1 });
    frame(&mut golden, "get tip", &wire::GetTip { recent: 258 });
    let tip = wire::Tip { headers: list([header]), history_work: 1 << 64, history_top: [0x66; 32] };
    frame(&mut golden, "tip", &tip);
    frame(&mut golden, "get state", &wire::GetState { keys: list(keys) });
    frame(&mut golden, "state", &wire::State { header, proofs: list([list([0, 0, 0])]) });
    frame(&mut golden, "submit", &wire::Submit { txs: list([list([1, 2, 3])]) });
    frame(&mut golden, "verdicts", &wire::Verdicts { verdicts: list(verdicts) });
    frame(&mut golden, "get status", &wire::GetStatus { ids: list([TxId([0x77; 32])]) });
    frame(&mut golden, "statuses", &wire::Statuses { tip: header, statuses: list(statuses) });
    frame(&mut golden, "get pending", &wire::GetPending { addresses: list([address]) });
    frame(&mut golden, "pending", &wire::Pending { txs: list([list([1, 2, 3])]), more: 1 });
    frame(&mut golden, "watch", &wire::Watch { addresses: list([address]) });
    frame(&mut golden, "notice", &wire::Notice { tip: header, touched: 1 });
    golden_peer_messages(&mut golden, header);
    golden.check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/messages.txt"));
}

/// What nodes say to one another.
fn golden_peer_messages(golden: &mut Golden, header: HeaderBytes) {
    let ids = [BlockId([0x22; 32]), BlockId([0x88; 32])];
    let bytes = wire::BodyBytes::new(vec![1, 2, 3]).expect("short");
    frame(golden, "get headers", &wire::GetHeaders { locator: list(ids) });
    frame(golden, "headers", &wire::Headers { headers: list([header]) });
    frame(golden, "get bodies", &wire::GetBodies { ids: list(ids) });
    frame(golden, "body", &wire::Body { id: ids[0], bytes });
    frame(golden, "missing", &wire::Missing { ids: list(ids) });
    frame(golden, "announce", &wire::Announce { headers: list([header]) });
    let txs = [TxId([0x33; 32]), TxId([0x44; 32])];
    frame(golden, "tx ids", &wire::TxIds { ids: list(txs) });
    frame(golden, "get txs", &wire::GetTxs { ids: list(txs) });
    frame(golden, "txs", &wire::Txs { txs: list([list([1, 2, 3])]) });
    frame(golden, "get addresses", &wire::GetAddresses {});
    let addresses = ["192.0.2.1:258", "[2001:db8::1]:772"];
    let addresses = addresses.map(|text| text.parse::<std::net::SocketAddr>().expect("an address").into());
    frame(golden, "addresses", &wire::Addresses { addresses: list(addresses) });
}

fn list<T, const COUNT: usize, const MAX: usize>(items: [T; COUNT]) -> List<T, MAX> {
    List::new(items.into()).expect("few items")
}
