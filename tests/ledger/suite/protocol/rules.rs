//! Examples of the specification's second half (networks, headers, difficulty, rewards, two blocks, a
//! handshake), and its tables of profiles, errors and messages. Must not know prose.

use std::collections::BTreeSet;
use std::fmt::Write;

use steelyard_core::asert::{Anchor, next_target};
use steelyard_core::consensus::header::{Parent, expected_child};
use steelyard_core::consensus::transition::{Overlay, apply};
use steelyard_core::crypto::keys::SecretKey;
use steelyard_core::hash::{BlockId, Domain, HistoryRoot, NetworkId};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, record};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Transaction, asset_id};
use steelyard_core::wire::hello::MAGIC;
use steelyard_core::wire::{self, Hello, Message, Ping, Role, Text};
use steelyard_core::work::{U256, U512, from_bits, to_bits};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, units};
use steelyard_ledger::chain::Chain;

use super::{Examples, document};
use crate::rules::{BLOCK_RULES, HEADER_RULES, TX_RULES};

/// Every example of sections 8 to 16.
pub fn examples(out: &mut Examples) {
    networks(out);
    elapsed(out);
    difficulty(out);
    published_difficulty(out);
    rewards(out);
    blocks(out);
    messages(out);
}

fn class_7() -> Params {
    Params::new_network("class-7", 1_800_000_000_000, 30_000)
}

fn networks(out: &mut Examples) {
    for owner in 0..10 {
        out.hex(&format!("dev.owner.{owner}"), Account::dev(owner).secrets[0].public().0);
    }
    for params in [Params::dev(), Params::tutorial(), class_7()] {
        let (name, genesis) = (&params.name, params.genesis());
        let bytes = params_bytes(&params);
        assert_eq!(Domain::Params.hash(&[&bytes]), params.hash().0, "the table of section 8.2");
        out.hex(&format!("{name}.params"), bytes);
        out.hex(&format!("{name}.params_hash"), params.hash().0);
        out.hex(&format!("{name}.genesis_state_root"), genesis.state.root().0);
        out.hex(&format!("{name}.genesis_header"), genesis.header.to_bytes());
        out.hex(&format!("{name}.genesis_id"), genesis.id.0);
        out.text(&format!("{name}.genesis_total_work"), Chain::new(params.clone()).tip().total_work);
    }
}

/// The table of section 8.2, laid out by hand.
fn params_bytes(params: &Params) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [&params.name, &params.prefix] {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    for number in [params.genesis_time, params.spacing, params.half_life, params.drift] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(params.limit_bits.to_le_bytes());
    bytes.extend(params.start_bits.to_le_bytes());
    let rest = [params.reward, params.halving_interval];
    let limits = [params.block_bytes_max, params.block_txs_max, params.new_records_max];
    for number in rest.into_iter().chain(limits).chain([params.allocations.len() as u64]) {
        bytes.extend(number.to_le_bytes());
    }
    for (address, amount) in &params.allocations {
        bytes.extend(address.0);
        bytes.extend(amount.to_le_bytes());
    }
    bytes
}

/// Section 9.2: a first start after a year and a pause of three half-lives; the same without a cap.
fn elapsed(out: &mut Examples) {
    let gaps = [31_536_000_000, 30_000, 25_000, 25_920_000, 40_000, 30_000];
    for params in [Params::tutorial(), Params::dev()] {
        let name = if params.half_life == 0 { "uncapped" } else { "capped" };
        let mut header = params.genesis().header;
        let (mut times, mut elapsed) = (vec![header.time], Vec::new());
        for gap in gaps {
            let (id, history_root) = (BlockId::ZERO, HistoryRoot::ZERO);
            let parent = Parent { header: &header, id, total_work: 0, history_root };
            let child = expected_child(&params, &parent);
            header = Header { time: header.time + gap, ..child };
            times.push(header.time);
            elapsed.push(header.elapsed);
        }
        out.text(&format!("elapsed.{name}.times"), words(&times));
        out.text(&format!("elapsed.{name}.values"), words(&elapsed));
    }
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

fn difficulty(out: &mut Examples) {
    let params = Params::tutorial();
    let anchor = params.anchor().unwrap();
    let (spacing, half_life) = (i128::from(params.spacing), i128::from(params.half_life));
    for (name, blocks, behind) in [
        ("on_schedule", 1_000, 0),
        ("block_late", 1_000, spacing),
        ("block_early", 1_000, -spacing),
        ("ms_early", 1_000, -1),
        ("half_life_late", 1_000, half_life),
        ("half_life_early", 1_000, -half_life),
        ("largest_fraction", 1_000, half_life - 1),
        ("at_limit", 1_000, 28 * half_life),
        ("at_floor", 100_000, -70 * half_life),
    ] {
        one_difficulty(out, name, &anchor, (spacing * i128::from(blocks) + behind, blocks));
    }
}

fn published_difficulty(out: &mut Examples) {
    let limit = from_bits(0x1d00_ffff).unwrap();
    let anchor = Anchor { target: limit, spacing: 600, half_life: 172_800, floor: U256::one(), limit };
    one_difficulty(out, "published", &anchor, (600, 2));
}

/// The steps of section 10.1, which must lead where the code leads.
fn one_difficulty(out: &mut Examples, name: &str, anchor: &Anchor, (elapsed, blocks): (i128, u64)) {
    let behind = elapsed - i128::from(anchor.spacing) * i128::from(blocks);
    let exponent = behind * 65536 / i128::from(anchor.half_life);
    let (shifts, fraction) = (exponent.div_euclid(65536), exponent.rem_euclid(65536) as u128);
    let cubic =
        195_766_423_245_049 * fraction + 971_821_376 * fraction.pow(2) + 5_127 * fraction.pow(3) + (1 << 47);
    assert!(u64::try_from(cubic).is_ok(), "step 4 fits 64 bits");
    let factor = 65536 + (cubic >> 48);
    let target = next_target(anchor, elapsed, blocks);
    let wide = |value: U256| U512::from_little_endian(&value.to_little_endian());
    let product = wide(anchor.target) * U512::from(factor);
    // The case that is shifted left ends at the limit, wherever that would lead.
    let unbounded = usize::try_from(16 - shifts).map_or(U512::MAX, |right| product >> right);
    let bounded = unbounded.min(wide(anchor.limit)).max(wide(anchor.floor));
    assert_eq!(bounded, wide(target), "{name}: the steps of section 10.1 lead elsewhere");
    out.text(&format!("asert.{name}.inputs"), format!("elapsed {elapsed} blocks {blocks}"));
    let mut steps = String::new();
    write!(steps, "behind {behind} exponent {exponent} shifts {shifts}").unwrap();
    write!(steps, " fraction {fraction} factor {factor}").unwrap();
    out.text(&format!("asert.{name}.steps"), steps);
    out.hex(&format!("asert.{name}.target"), target.to_big_endian());
    out.text(&format!("asert.{name}.bits"), format!("{:#010x}", to_bits(target)));
}

fn rewards(out: &mut Examples) {
    let network = |reward, halving_interval| Params {
        reward,
        halving_interval,
        ..Params::new_network("rewards", 1, 30_000)
    };
    let era = 2_102_400;
    for (name, params, heights) in [
        ("halving", network(8, 10), &[0, 1, 10, 11, 20, 21, 31, 40, 41, 1000][..]),
        ("cap", network(1 << 63, 0), &[0, 1, 2, 3]),
        ("class-7", class_7(), &[1, era, era + 1, 29 * era + 1, 30 * era, 30 * era + 1]),
        ("dev", Params::dev(), &[0, 1, 1000]),
    ] {
        let of = |value: &dyn Fn(u64) -> u64| {
            let at = |height: &u64| format!("{height}:{}", value(*height));
            heights.iter().map(at).collect::<Vec<_>>().join(" ")
        };
        out.text(&format!("reward.{name}"), of(&|height| params.reward(height)));
        out.text(&format!("supply.{name}"), of(&|height| params.supply(height)));
    }
}

/// Secret keys of the first two owners of `dev`. Published.
const ALICE: &str = "e01fea8a48e2854fdd0255c12b1d704967d9401f11c3f4980006ced8977574dc";
const BOB: &str = "c4640899c331482720477a47ccb60d447502fbda8aae1d35a36d1866e04cc4c5";

/// Who and what there is in the story of section 12.3.
struct Cast {
    alice: Account,
    bob: Account,
    miner: Account,
    txs: [Vec<Transaction>; 2],
}

/// The chain of the frozen blocks: an issue; then a transfer, a mint and a burn.
fn cast(chain: &Chain) -> Cast {
    let (alice, bob, miner) = (Account::dev(0), Account::dev(1), Account::numbered(u64::MAX));
    let network = chain.network();
    let issued = alice.act(network, Terms::of_nonce(0).fee(9), issue("GOLD", 100, true));
    let gold = asset_id(&issued.body.id());
    let payments = vec![units(gold, bob.address, 40), coins(bob.address, 1)];
    let paid = alice.pay(network, Terms::of_nonce(1).fee(3).expiry(2), payments);
    let minted = alice.act(network, Terms::of_nonce(2), Action::Mint { asset: gold, amount: 11 });
    let burnt = bob.act(network, Terms::of_nonce(0), Action::Burn { asset: gold, amount: 40 });
    Cast { alice, bob, miner, txs: [vec![issued], vec![paid, minted, burnt]] }
}

fn blocks(out: &mut Examples) {
    let mut chain = Chain::dev();
    let cast = cast(&chain);
    let gold = asset_id(&cast.txs[0][0].body.id());
    for (name, account, secret) in [("alice", &cast.alice, ALICE), ("bob", &cast.bob, BOB)] {
        let of_secret = SecretKey::new(hex::decode(secret).unwrap().try_into().unwrap()).unwrap();
        assert_eq!(Account::of_key(of_secret).address, account.address, "{name}'s secret key");
        out.text(&format!("story.{name}.secret"), secret);
        out.hex(&format!("story.{name}.address"), account.address.0);
    }
    out.hex("story.miner.address", cast.miner.address.0);
    out.hex("story.gold", gold.0);
    let records = [
        ("alice.coins", Key::Account(cast.alice.address)),
        ("bob.coins", Key::Account(cast.bob.address)),
        ("miner.coins", Key::Account(cast.miner.address)),
        ("alice.gold", Key::Holding(cast.alice.address, gold)),
        ("bob.gold", Key::Holding(cast.bob.address, gold)),
        ("gold", Key::Asset(gold)),
    ];
    state(out, "story.0", &chain, &records);
    for txs in &cast.txs {
        chain.mine_block(txs);
        block(out, &chain, txs);
        state(out, &format!("story.{}", chain.height()), &chain, &records);
    }
}

/// The block at the tip.
fn block(out: &mut Examples, chain: &Chain, txs: &[Transaction]) {
    let (height, before) = (chain.height(), chain.tip_at(chain.height() - 1));
    let (block, name) = (chain.block(height), format!("story.{height}"));
    let header = &block.header;
    out.hex(&format!("{name}.header"), header.to_bytes());
    out.hex(&format!("{name}.id"), header.id().0);
    out.hex(&format!("{name}.prev"), header.prev.0);
    out.hex(&format!("{name}.history_root"), header.history_root.0);
    out.hex(&format!("{name}.body_root"), header.body_root.0);
    out.text(
        &format!("{name}.fields"),
        format!(
            "elapsed {} prev_time {} time {} bits {:#010x} nonce {}",
            header.elapsed, header.prev_time, header.time, header.bits, header.nonce
        ),
    );
    out.hex(&format!("{name}.pow"), header.pow_hash().to_big_endian());
    out.text(&format!("{name}.total_work"), chain.tip().total_work);
    out.hex(&format!("{name}.coinbase"), &block.body.items[0]);
    let mut overlay = Overlay::new(&before.state);
    for (place, tx) in (1..).zip(chain.check_all(txs)) {
        out.hex(&format!("{name}.tx.{place}"), tx.bytes());
        out.hex(&format!("{name}.tx.{place}.id"), tx.id().0);
        apply(&mut overlay, height, &tx).unwrap();
    }
    let (bytes, new_records) = (block.body.block_bytes(), overlay.new_records());
    out.text(&format!("{name}.counts"), format!("block_bytes {bytes} new_records {new_records}"));
}

/// The root of the state at the tip, and what these records are in it.
fn state(out: &mut Examples, name: &str, chain: &Chain, records: &[(&str, Key)]) {
    out.hex(&format!("{name}.state_root"), chain.state().root().0);
    for (of, key) in records {
        let value = chain.state().get(key).map(|found| record::encode(key, found).unwrap());
        let value = value.map_or("none".to_owned(), hex::encode);
        out.text(&format!("{name}.record.{of}"), value);
    }
}

/// Section 16.4: a hello of a light client, and a ping.
fn messages(out: &mut Examples) {
    let (network, tip) = (NetworkId([0x77; 32]), BlockId::ZERO);
    let hello = Hello {
        magic: MAGIC,
        version: wire::PROTOCOL_VERSION,
        role: Role::Light,
        network,
        nonce: 258,
        port: 0,
        height: 0,
        tip,
        bodies_from: 0,
        agent: Text::new("example/1"),
    };
    out.text(
        "hello.fields",
        format!(
            "version {} role 2 nonce {} port {} height {} bodies_from {}",
            hello.version, hello.nonce, hello.port, hello.height, hello.bodies_from
        ),
    );
    out.hex("hello.network", network.0);
    out.hex("hello.tip", tip.0);
    out.text("hello.agent", &hello.agent);
    out.hex("hello.frame", frame(0, &hello));
    let ping = Ping { nonce: 513 };
    out.text("ping.fields", format!("request 7 nonce {}", ping.nonce));
    out.hex("ping.frame", frame(7, &ping));
}

/// The table of section 16.1, laid out by hand.
fn frame<M: Message>(request: u32, message: &M) -> Vec<u8> {
    let body = message.to_bytes();
    let length = u32::try_from(wire::ENVELOPE_BYTES + body.len()).unwrap();
    [&length.to_le_bytes()[..], &[M::KIND], &request.to_le_bytes(), &body].concat()
}

/// A number as the text's tables write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Asserts that the text has a line that begins so.
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|found| found.starts_with(line)), "no line of the text begins with {line}");
}

/// A section of the text, by the beginning of its title.
fn section(title: &str) -> String {
    let lines = document().lines.into_iter();
    let from = lines.skip_while(|line| !line.starts_with(title)).skip(1);
    let inner: Vec<String> = from.take_while(|line| !line.starts_with("## ")).collect();
    assert!(!inner.is_empty(), "no section {title}");
    inner.join("\n")
}

/// In both directions: a rule without a row fails, and a row without a rule.
#[test]
fn the_tables_of_errors_have_every_rule_and_no_other() {
    let section = section("## 15. ");
    let tables = section.split("### 15.4").next().unwrap();
    let name = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    let named: BTreeSet<String> = tables.lines().filter_map(name).collect();
    let rules = HEADER_RULES.iter().chain(BLOCK_RULES).chain(TX_RULES);
    assert_eq!(named, rules.map(|name| (*name).to_owned()).collect());
}

#[test]
fn the_table_of_profiles_is_of_the_profiles() {
    type Of = fn(&Params) -> u64;
    let text = section("## 8. ");
    let profiles = [Params::dev(), Params::tutorial(), Params::new_network("x", 1, 30_000)];
    let rows: [(&str, Of); 6] = [
        ("spacing", |params| params.spacing),
        ("reward", |params| params.reward),
        ("halving_interval", |params| params.halving_interval),
        ("block_bytes_max", |params| params.block_bytes_max),
        ("block_txs_max", |params| params.block_txs_max),
        ("relay_fee_min", |params| params.policy.relay_fee_min),
    ];
    for (name, of) in rows {
        let [dev, tutorial, new] = profiles.each_ref().map(|params| grouped(of(params)));
        assert_line(&text, &format!("| {name} | {dev} | {tutorial} | {new} |"));
    }
    for params in &profiles[..2] {
        let half_life = grouped(params.half_life);
        assert!(text.contains(&half_life), "{}: half-life {half_life}", params.name);
        assert!(text.contains(&format!("{:#010x}", params.start_bits)), "{}: start bits", params.name);
    }
}

/// Every kind that anybody takes has its row, with its number and its cap.
#[test]
fn the_table_of_messages_has_every_kind_with_its_cap() {
    let text = section("## 16. ");
    let row = |line: &str| line.strip_prefix("| ")?.split_once(" | ")?.0.parse::<u8>().ok();
    let table = text.split("### 16.4").nth(1).unwrap().split("### 16.5").next().unwrap();
    for kind in 0..=u8::MAX {
        let caps = [
            wire::handshake_bytes_max(kind),
            wire::request_bytes_max(kind),
            wire::answer_bytes_max(kind),
            wire::peer_bytes_max(kind),
        ];
        let rows: Vec<&str> = table.lines().filter(|line| row(line) == Some(kind)).collect();
        let Some(cap) = caps.into_iter().flatten().max() else {
            assert!(rows.is_empty(), "there is no kind {kind}");
            continue;
        };
        assert_eq!(rows.len(), 1, "rows of kind {kind}");
        let cells: Vec<&str> = rows[0].split(" | ").collect();
        assert_eq!(cells[3], grouped(cap as u64), "cap of {}", cells[1]);
        let directions = [
            ("N to N", wire::peer_bytes_max(kind)),
            ("L to N", wire::request_bytes_max(kind)),
            ("N to L", wire::answer_bytes_max(kind)),
        ];
        for (direction, cap) in directions.into_iter().filter(|_| !cells[2].starts_with("both ways")) {
            assert_eq!(cells[2].contains(direction), cap.is_some(), "{}: {direction}", cells[1]);
        }
    }
}
