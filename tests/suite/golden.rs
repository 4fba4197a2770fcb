//! The ledger's bytes and hashes, frozen in `tests/golden/*.txt`: `name = hex` (text stands as it
//! is), one a line. A line that changes means another ledger: every network forks. On purpose
//! alone, and with a new rule set: `STEELYARD_GOLDEN=write cargo test -p steelyard-tests golden`
//! writes the files anew. Must not draw on anything random or on a clock.

use std::fmt::Write;
use std::path::PathBuf;

use bytes::BytesMut;
use steelyard_core::address;
use steelyard_core::consensus::error::RULE_SET;
use steelyard_core::encode::{self, List};
use steelyard_core::hash::{Address, AssetId, BlockId, Domain, NetworkId, TxId};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::params::Params;
use steelyard_core::state::record;
use steelyard_core::state::{AssetDescription, Key, Record, Trie};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Transaction, asset_id, full_id};
use steelyard_core::wire::{self, HeaderBytes, Message};
use steelyard_core::work::{from_bits, to_bits, work_of};
use steelyard_runtime::frame::Frame;
use steelyard_tests::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_tests::chain::Chain;

/// Set to `write`, the files are written and nothing is compared.
const GOLDEN_ENV: &str = "STEELYARD_GOLDEN";
const NETWORK: NetworkId = NetworkId([0x77; 32]);

/// The lines of a file, in order.
#[derive(Default)]
struct Golden(String);

impl Golden {
    fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, hex::encode(bytes));
    }

    fn text(&mut self, name: &str, text: impl std::fmt::Display) {
        writeln!(self.0, "{name} = {text}").unwrap();
    }

    fn frame<M: Message>(&mut self, name: &str, message: &M) {
        let mut bytes = BytesMut::new();
        Frame::of(0x0403_0201, message).unwrap().write_to(&mut bytes).unwrap();
        self.hex(name, bytes);
    }

    /// Compares with the file, line by line.
    fn check(&self, file: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
        if std::env::var(GOLDEN_ENV).is_ok_and(|value| value == "write") {
            std::fs::write(&path, &self.0).unwrap();
            return;
        }
        let frozen = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for (now, then) in self.0.lines().zip(frozen.lines()) {
            assert_eq!(now, then, "{file} is frozen");
        }
        assert_eq!(self.0.lines().count(), frozen.lines().count(), "{file} is frozen");
    }
}

#[test]
fn golden_hashes() {
    let mut golden = Golden::default();
    for domain in [
        Domain::Block,
        Domain::Transaction,
        Domain::FullTransaction,
        Domain::Policy,
        Domain::Asset,
        Domain::BodyCoinbase,
        Domain::BodyLeaf,
        Domain::BodyInner,
        Domain::BodyRoot,
        Domain::HistoryLeaf,
        Domain::HistoryInner,
        Domain::HistoryRoot,
        Domain::StateAccount,
        Domain::StateAsset,
        Domain::StateLeaf,
        Domain::StateInner,
        Domain::Params,
    ] {
        golden.hex(&format!("{} of nothing", domain.tag()), domain.hash(&[]));
        golden.hex(&format!("{} of abc", domain.tag()), domain.hash(&[b"abc"]));
    }
    golden.text("rule set", RULE_SET);
    golden.check("hashes.txt");
}

#[test]
fn golden_accounts() {
    let mut golden = Golden::default();
    let dev: Vec<Account> = (0..10).map(Account::dev).collect();
    for (number, account) in dev.iter().enumerate() {
        golden.hex(&format!("dev {number} policy"), account.policy.to_bytes());
        golden.hex(&format!("dev {number} address"), account.address.0);
        golden.text(&format!("dev {number} address text"), address::format("dsy", &account.address));
    }
    let shared = Account::multisig(2, 3, 1);
    golden.hex("2 of 3 policy", shared.policy.to_bytes());
    golden.hex("2 of 3 address", shared.address.0);
    golden.text("2 of 3 address text", address::format("sy", &shared.address));
    golden.check("accounts.txt");
}

/// One transaction of every kind, all fields in use.
fn transactions() -> Vec<(&'static str, Transaction)> {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let asset = AssetId([0xaa; 32]);
    let terms = || Terms { nonce: 258, fee: 1_000, expiry: 66_051, memo: b"for the coffee".to_vec() };
    let act = |action| alice.act(NETWORK, terms(), action);
    let plain = alice.pay(NETWORK, Terms::default(), vec![coins(bob.address, 1)]);
    let several = transfer(vec![coins(bob.address, 5), units(asset, bob.address, u64::MAX)]);
    let shared = Account::multisig(2, 3, 1);
    let by_two = shared.body(NETWORK, terms(), transfer(vec![coins(bob.address, 7)]));
    vec![
        ("least transfer", plain),
        ("transfer", act(several)),
        ("issue", act(issue("GOLD9", 21_000_000, false))),
        ("issue mintable", act(issue("A", 0, true))),
        ("mint", act(Action::Mint { asset, amount: 3 })),
        ("burn", act(Action::Burn { asset, amount: 4 })),
        ("shared transfer", shared.sign_by(&[0, 2], by_two)),
    ]
}

#[test]
fn golden_transactions() {
    let mut golden = Golden::default();
    for (name, tx) in transactions() {
        let bytes = tx.to_bytes();
        assert_eq!(Transaction::from_bytes(&bytes), Ok(tx.clone()));
        golden.hex(&format!("{name} body"), encode::encode(&tx.body));
        golden.hex(&format!("{name} bytes"), &bytes);
        golden.hex(&format!("{name} id"), tx.body.id().0);
        golden.hex(&format!("{name} full id"), full_id(&bytes).0);
        golden.hex(&format!("{name} asset id"), asset_id(&tx.body.id()).0);
    }
    golden.check("transactions.txt");
}

#[test]
fn golden_trees() {
    let mut golden = Golden::default();
    let mut items = Vec::new();
    for count in 0..6u8 {
        golden.hex(&format!("body root of {count}"), Body { items: items.clone() }.root().0);
        items.push(vec![count; usize::from(count)]);
    }
    let mut frontier = HistoryFrontier::default();
    for count in 0..6u8 {
        golden.hex(&format!("history root of {count}"), history::root(&frontier).0);
        frontier.push(HistoryNode::leaf(&BlockId([count; 32]), (1 << 70) + u128::from(count)));
    }
    let (address, asset) = (Address([1; 32]), AssetId([2; 32]));
    let description =
        AssetDescription { issuer: address, symbol: "GOLD9".into(), decimals: 8, supply: 9, mintable: true };
    let mut trie = Trie::new();
    golden.hex("state root of 0", trie.root().0);
    for (number, (key, value)) in [
        (Key::Account(address), Record::Account { balance: 5, nonce: 6 }),
        (Key::Holding(address, asset), Record::Holding { amount: 7 }),
        (Key::Asset(asset), Record::Asset(Box::new(description))),
        (Key::Account(Address([3; 32])), Record::Account { balance: u64::MAX, nonce: 0 }),
    ]
    .into_iter()
    .enumerate()
    {
        golden.hex(&format!("record {} path", number + 1), key.path());
        golden.hex(&format!("record {} value", number + 1), record::encode(&key, &value).unwrap());
        trie.update([(key, Some(value))]);
        golden.hex(&format!("state root of {}", number + 1), trie.root().0);
    }
    for key in [Key::Account(address), Key::Account(Address([9; 32]))] {
        golden.hex(&format!("proof of {key:?}"), trie.prove(&key).to_bytes());
    }
    golden.check("trees.txt");
}

#[test]
fn golden_networks() {
    let mut golden = Golden::default();
    let new = Params::new_network("class-7", 1_800_000_000_000, 30_000);
    for params in [Params::dev(), Params::tutorial(), new] {
        let (name, genesis) = (params.name.clone(), params.genesis());
        golden.hex(&format!("{name} params hash"), params.hash().0);
        golden.hex(&format!("{name} genesis header"), genesis.header.to_bytes());
        golden.hex(&format!("{name} genesis id"), genesis.id.0);
        golden.hex(&format!("{name} state root"), genesis.state.root().0);
        golden.text(&format!("{name} address text"), address::format(&params.prefix, &Address([7; 32])));
        for height in [0, 1, 2_102_400, 2_102_401, u64::MAX] {
            golden.text(&format!("{name} reward at {height}"), params.reward(height));
            golden.text(&format!("{name} supply at {height}"), params.supply(height));
        }
    }
    for bits in [0x207f_ffff, 0x1d0f_ffff, 0x1d00_ffff, 0x1501_0000] {
        let target = from_bits(bits).unwrap();
        assert_eq!(to_bits(target), bits);
        golden.hex(&format!("target of {bits:#010x}"), target.to_big_endian());
        golden.text(&format!("work of {bits:#010x}"), work_of(target).unwrap());
    }
    golden.check("networks.txt");
}

#[test]
fn golden_blocks() {
    let mut golden = Golden::default();
    let header = Header::from_bytes(&std::array::from_fn(|i| i as u8));
    golden.hex("counting header", header.to_bytes());
    golden.hex("counting header id", header.id().0);
    golden.hex("counting header proof of work", header.pow_hash().to_big_endian());

    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut chain = Chain::dev();
    let issued = alice.act(chain.network(), Terms::of_nonce(0).fee(9), issue("GOLD", 100, true));
    let gold = asset_id(&issued.body.id());
    chain.mine_block(&[issued]);
    let paid = alice.pay(
        chain.network(),
        Terms::of_nonce(1).fee(3).expiry(2),
        vec![units(gold, bob.address, 40), coins(bob.address, 1)],
    );
    let minted = alice.act(chain.network(), Terms::of_nonce(2), Action::Mint { asset: gold, amount: 11 });
    let burnt = bob.act(chain.network(), Terms::of_nonce(0), Action::Burn { asset: gold, amount: 40 });
    chain.mine_block(&[paid, minted, burnt]);
    for height in 1..=chain.height() {
        let block = chain.block(height);
        let coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
        golden.hex(&format!("block {height} header"), block.header.to_bytes());
        golden.hex(&format!("block {height} id"), block.header.id().0);
        golden.hex(&format!("block {height} proof of work"), block.header.pow_hash().to_big_endian());
        golden.hex(&format!("block {height} coinbase"), coinbase.to_bytes());
        golden.hex(&format!("block {height} body"), block.body.to_bytes());
        golden.text(&format!("block {height} total work"), chain.tip_at(height).total_work);
    }
    golden.check("blocks.txt");
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
    ];
    let keys = [
        wire::StateKey::Account { address },
        wire::StateKey::Holding { address, asset },
        wire::StateKey::Asset { asset },
    ];
    golden.frame("hello", &wire::Hello { role: wire::Role::Light, ..hello.clone() });
    golden.frame("hello of a node", &hello);
    golden.frame("bye", &wire::Bye { code: code().0, reason: code().1 });
    golden.frame("ping", &wire::Ping { nonce: 258 });
    golden.frame("pong", &wire::Pong { nonce: 258 });
    golden.frame("failure", &wire::Failure { code: code().0, reason: code().1 });
    golden.frame("get tip", &wire::GetTip { recent: 258 });
    let tip = wire::Tip { headers: list([header]), history_work: 1 << 64, history_top: [0x66; 32] };
    golden.frame("tip", &tip);
    golden.frame("get state", &wire::GetState { keys: list(keys) });
    golden.frame("state", &wire::State { header, proofs: list([list([0, 0, 0])]) });
    golden.frame("submit", &wire::Submit { txs: list([list([1, 2, 3])]) });
    golden.frame("verdicts", &wire::Verdicts { verdicts: list(verdicts) });
    golden.frame("get status", &wire::GetStatus { ids: list([TxId([0x77; 32])]) });
    golden.frame("statuses", &wire::Statuses { tip: header, statuses: list(statuses) });
    golden.frame("get pending", &wire::GetPending { addresses: list([address]) });
    golden.frame("pending", &wire::Pending { txs: list([list([1, 2, 3])]), more: 1 });
    golden.frame("watch", &wire::Watch { addresses: list([address]) });
    golden.frame("notice", &wire::Notice { tip: header, touched: 1 });
    golden_peer_messages(&mut golden, header);
    golden.check("messages.txt");
}

/// What nodes say to one another.
fn golden_peer_messages(golden: &mut Golden, header: HeaderBytes) {
    let ids = [BlockId([0x22; 32]), BlockId([0x88; 32])];
    let bytes = wire::BodyBytes::new(vec![1, 2, 3]).expect("short");
    golden.frame("get headers", &wire::GetHeaders { locator: list(ids) });
    golden.frame("headers", &wire::Headers { headers: list([header]) });
    golden.frame("get bodies", &wire::GetBodies { ids: list(ids) });
    golden.frame("body", &wire::Body { id: ids[0], bytes });
    golden.frame("missing", &wire::Missing { ids: list(ids) });
    golden.frame("announce", &wire::Announce { headers: list([header]) });
    let txs = [TxId([0x33; 32]), TxId([0x44; 32])];
    golden.frame("tx ids", &wire::TxIds { ids: list(txs) });
    golden.frame("get txs", &wire::GetTxs { ids: list(txs) });
    golden.frame("txs", &wire::Txs { txs: list([list([1, 2, 3])]) });
    golden.frame("get addresses", &wire::GetAddresses {});
    let addresses = ["192.0.2.1:258", "[2001:db8::1]:772"];
    let addresses = addresses.map(|text| text.parse::<std::net::SocketAddr>().expect("an address").into());
    golden.frame("addresses", &wire::Addresses { addresses: list(addresses) });
}

fn list<T, const COUNT: usize, const MAX: usize>(items: [T; COUNT]) -> List<T, MAX> {
    List::new(items.into()).expect("few items")
}
