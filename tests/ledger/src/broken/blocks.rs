//! Blocks whose headers are right and whose bodies are not, and those right at a limit. Must not know
//! what makes a single transaction wrong.

use steelyard_core::consensus::error::{BlockRule, RuleError, TxRule};
use steelyard_core::encode::{DecodeError, List};
use steelyard_core::hash::StateRoot;
use steelyard_core::types::body::{COINBASE_BYTES_MAX, COINBASE_EXTRA_BYTES_MAX, Coinbase};
use steelyard_core::types::transaction::{Action, PAYMENTS_MAX, TX_BYTES_MAX, asset_id};

use super::{BlockCase, FUNDS, Stage, fresh, nowhere};
use crate::accounts::{Account, Terms, coins, issue, transfer, units};
use crate::chain::{Block, seal};

fn terms() -> Terms {
    Terms::of_nonce(0)
}

/// The block with another coinbase, its state root left as it was.
fn with_coinbase(block: &Block, change: impl FnOnce(&mut Coinbase)) -> Block {
    let mut block = block.clone();
    let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).expect("a right block's");
    change(&mut coinbase);
    block.body.items[0] = coinbase.to_bytes();
    seal(block)
}

/// A right empty block with other items.
fn with_items(stage: &Stage, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Block {
    let mut block = stage.chain.empty_draft();
    change(&mut block.body.items);
    seal(block)
}

/// The block pays its miner, whose extra this is.
fn with_extra(block: &Block, bytes: usize) -> Block {
    let extra = List::new(vec![0xee; bytes]).expect("the test keeps to the bound");
    with_coinbase(block, |coinbase| coinbase.extra = extra)
}

pub(super) fn coinbases(stage: &Stage) -> Vec<BlockCase> {
    let empty = seal(stage.chain.empty_draft());
    let paying = stage.right_block(&[stage.fresh_pays(0, terms().fee(7)).to_bytes()]);
    let (height, reward) = (stage.chain.height() + 1, stage.chain.params().reward);
    let at = |got| BlockRule::CoinbaseHeight { got, expected: height };
    let height_of = |name, got| BlockCase::wrong(name, with_coinbase(&empty, |c| c.height = got), at(got));
    let amount = |name, block, expected: u64, got: u64| {
        let block = with_coinbase(block, |coinbase| coinbase.amount = got);
        BlockCase::wrong(name, block, BlockRule::CoinbaseAmount { got, expected })
    };
    vec![
        height_of("the parent's height in the coinbase", height - 1),
        height_of("the child's height in the coinbase", height + 1),
        height_of("no height in the coinbase", 0),
        amount("a coinbase of one too much", &empty, reward, reward + 1),
        amount("a coinbase of one too little", &empty, reward, reward - 1),
        amount("a coinbase of nothing", &empty, reward, 0),
        amount("a coinbase of 2^64-1", &empty, reward, u64::MAX),
        amount("a coinbase without the fees", &paying, reward + 7, reward),
        amount("a coinbase with the fees twice", &paying, reward + 7, reward + 14),
        amount("a coinbase of the fees alone", &paying, reward + 7, 7),
        BlockCase::right("a coinbase with a word of 64 bytes", with_extra(&empty, COINBASE_EXTRA_BYTES_MAX)),
        BlockCase::right("a coinbase with the fees", paying),
    ]
}

pub(super) fn bodies(stage: &Stage) -> Vec<BlockCase> {
    let two = [stage.fresh_pays(0, terms()), stage.fresh_pays(1, terms())].map(|tx| tx.to_bytes());
    let right = stage.right_block(&two);
    [roots(stage, &right), malformed(stage, &right)].into_iter().flatten().collect()
}

/// Bodies that are not their header's, and headers that say the wrong state.
fn roots(stage: &Stage, right: &Block) -> Vec<BlockCase> {
    let other_body = |name, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut block = right.clone();
        change(&mut block.body.items);
        let (got, expected) = (block.body.root(), right.header.body_root);
        BlockCase::wrong(name, block, BlockRule::BodyRoot { got, expected })
    };
    let state_root = |name, expected| {
        let mut block = right.clone();
        block.header.state_root = expected;
        let rule = BlockRule::StateRoot { got: right.header.state_root, expected };
        BlockCase::wrong(name, seal(block), rule)
    };
    vec![
        other_body("an item more than the root is of", &|items| items.push(vec![1])),
        other_body("an item less than the root is of", &|items| drop(items.pop())),
        other_body("items in another order than the root is of", &|items| items.swap(1, 2)),
        other_body("the last item twice, which is once in the root", &|items| items.push(items[2].clone())),
        other_body("no items, where the root is of some", &Vec::clear),
        state_root("a state root of zeros", StateRoot::ZERO),
        state_root("the state root of the parent", stage.chain.state().root()),
        state_root("the state root without the transactions", stage.chain.empty_draft().header.state_root),
    ]
}

/// Bodies that hash right and do not decode.
fn malformed(stage: &Stage, right: &Block) -> Vec<BlockCase> {
    let case = |name, items: Vec<Vec<u8>>, error| {
        let block = with_items(stage, |all| *all = items);
        BlockCase::wrong(name, block, BlockRule::MalformedCoinbase(error))
    };
    let (coinbase, tx) = (right.body.items[0].clone(), right.body.items[1].clone());
    let longer = {
        let mut longer = coinbase.clone();
        longer.splice(8 + 32 + 8.., [&65u64.to_le_bytes()[..], &[0; 65]].concat());
        longer
    };
    let shorter = coinbase[..coinbase.len() - 1].to_vec();
    let trailing = [&coinbase[..], &[0]].concat();
    let claims = longer[..longer.len() - 1].to_vec();
    let too_many = DecodeError::TooManyItems { got: 65, max: COINBASE_EXTRA_BYTES_MAX };
    let too_long = |bytes: &[u8]| DecodeError::TooLong { got: bytes.len(), max: COINBASE_BYTES_MAX };
    let twice = RuleError::Transaction { index: 1, rule: TxRule::Malformed(DecodeError::Truncated) };
    vec![
        BlockCase::wrong("no coinbase", with_items(stage, Vec::clear), BlockRule::NoCoinbase),
        case("an empty coinbase", vec![vec![]], DecodeError::Truncated),
        case("a coinbase but a byte", vec![shorter], DecodeError::Truncated),
        case("a coinbase and a byte", vec![trailing], DecodeError::Trailing { excess: 1 }),
        case("a coinbase with a word of 65 bytes", vec![longer.clone()], too_long(&longer)),
        case("a coinbase that claims 65 bytes", vec![claims], too_many),
        case("a transaction for a coinbase", vec![tx.clone()], too_long(&tx)),
        case("the coinbase last", vec![tx.clone(), coinbase.clone()], too_long(&tx)),
        BlockCase::wrong("the coinbase twice", with_items(stage, |items| items.push(coinbase)), twice),
    ]
}

/// A block of exactly so many bytes, all of its transactions valid.
fn of_bytes(stage: &Stage, bytes: u64) -> Block {
    let one = coins(stage.carol.address, 1);
    let full = transfer(vec![one.clone(); PAYMENTS_MAX]);
    let mut items: Vec<Vec<u8>> =
        (0..3).map(|number| stage.fresh_acts(number, terms(), full.clone()).to_bytes()).collect();
    let size = |items: &[Vec<u8>]| stage.right_block(items).body.block_bytes() as u64;
    // The last one fills up what is left: with payments of 72 bytes each, then with its memo.
    let last = |payments: usize, memo: usize| {
        let terms = Terms { memo: vec![0; memo], ..terms() };
        stage.fresh_acts(3, terms, transfer(vec![one.clone(); payments])).to_bytes()
    };
    items.push(last(1, 0));
    let left = usize::try_from(bytes - size(&items)).expect("three full ones fit");
    items[3] = last(1 + left / 72, left % 72);
    let block = stage.right_block(&items);
    assert_eq!(block.body.block_bytes() as u64, bytes);
    block
}

pub(super) fn limits(stage: &Stage) -> Vec<BlockCase> {
    let params = stage.chain.params();
    let (bytes, txs, records) = (params.block_bytes_max, params.block_txs_max, params.new_records_max);
    let many = |count: u64| {
        let items: Vec<Vec<u8>> =
            (0..count).map(|number| stage.fresh_pays(number, terms()).to_bytes()).collect();
        stage.right_block(&items)
    };
    let to_new = |count: u64| {
        let payments = (0..count).map(|number| coins(nowhere(u8::try_from(number).expect("few")), 1));
        stage.right_block(&[stage.fresh_acts(0, terms(), transfer(payments.collect())).to_bytes()])
    };
    let rubbish = |size: u64| {
        with_items(stage, |items| {
            let rest = usize::try_from(size).expect("small") - stage.chain.empty_draft().body.block_bytes();
            items.push(vec![0; rest - 8]);
        })
    };
    let too_long = |size: u64| {
        let got = rubbish(size).body.items[1].len();
        let rule = TxRule::Malformed(DecodeError::TooLong { got, max: TX_BYTES_MAX });
        RuleError::Transaction { index: 1, rule }
    };
    let to_new_by_new = stage.right_block_by(&Account::numbered(50), &to_new(records).body.items[1..]);
    vec![
        BlockCase::right("as many bytes as may be", of_bytes(stage, bytes)),
        BlockCase::wrong(
            "a byte more than may be",
            of_bytes(stage, bytes + 1),
            BlockRule::Size { got: bytes + 1, max: bytes },
        ),
        BlockCase::right("as many transactions as may be", many(txs)),
        BlockCase::wrong(
            "one transaction too many",
            many(txs + 1),
            BlockRule::TransactionCount { got: txs + 1, max: txs },
        ),
        BlockCase::right("as many new records as may be", to_new(records)),
        BlockCase::wrong(
            "one new record too many",
            to_new(records + 1),
            BlockRule::NewRecords { got: records + 1, max: records },
        ),
        BlockCase::right("as many new records as may be, and the miner's", to_new_by_new),
        BlockCase::wrong("rubbish of as many bytes as may be", rubbish(bytes), too_long(bytes)),
        BlockCase::wrong(
            "rubbish of a byte more than may be",
            rubbish(bytes + 1),
            BlockRule::Size { got: bytes + 1, max: bytes },
        ),
    ]
}

/// Transactions that are right each on its own, and what they are together.
pub(super) fn sequences(stage: &Stage) -> Vec<BlockCase> {
    [spends(stage), assets(stage)].into_iter().flatten().collect()
}

fn wrong_at(name: &'static str, block: Block, index: usize, rule: TxRule) -> BlockCase {
    BlockCase::wrong(name, block, RuleError::Transaction { index, rule })
}

fn spends(stage: &Stage) -> Vec<BlockCase> {
    let network = stage.chain.network();
    let (carol, poor, new) = (&stage.carol, Account::numbered(77), Account::numbered(50));
    let pay = |number, nonce, to: &Account, amount| {
        let terms = Terms::of_nonce(nonce);
        stage.fresh_acts(number, terms, transfer(vec![coins(to.address, amount)])).to_bytes()
    };
    let careless =
        |items: &[&Vec<u8>]| stage.careless_block(&items.iter().copied().cloned().collect::<Vec<_>>());
    let used = TxRule::NonceUsed { got: 0, expected: 1 };
    let gap = |got, expected| TxRule::NonceGap { got, expected };
    let short = |have: u64, need: u64| TxRule::InsufficientFunds { have, need: need.into() };
    let (one, other) = (pay(0, 0, carol, 1), pay(0, 0, carol, 2));
    let (next, third, all) = (pay(0, 1, carol, 1), pay(0, 2, carol, 1), pay(0, 0, carol, FUNDS));
    let onward = poor.pay_bytes(network, terms(), vec![coins(carol.address, FUNDS)]);
    let to_poor = pay(0, 0, &poor, FUNDS);
    let reward = stage.chain.params().reward;
    let own_pay = new.pay_bytes(network, terms(), vec![coins(carol.address, reward)]);
    let early = {
        let mut block = stage.right_block_by(&new, &[]);
        block.body.items.push(own_pay);
        seal(block)
    };
    vec![
        wrong_at("a transaction twice", careless(&[&one, &one]), 2, used.clone()),
        wrong_at("a nonce twice", careless(&[&one, &other]), 2, used),
        wrong_at("a nonce left out", careless(&[&one, &third]), 2, gap(2, 1)),
        wrong_at("nonces in the wrong order", careless(&[&next, &one]), 1, gap(1, 0)),
        wrong_at("two that spend the same coins", careless(&[&all, &next]), 2, short(0, 1)),
        wrong_at("spent before it is received", careless(&[&onward, &to_poor]), 1, short(0, FUNDS)),
        wrong_at("the coinbase spent in its own block", early, 1, short(0, reward)),
        BlockCase::right("three of one sender", stage.right_block(&[one, next, third])),
        BlockCase::right("spent after it is received", stage.right_block(&[to_poor, onward])),
    ]
}

fn assets(stage: &Stage) -> Vec<BlockCase> {
    let issued = stage.fresh_acts(0, terms(), issue("NEW", 10, true));
    let new = asset_id(&issued.body.id());
    let act = |number, nonce, action| stage.fresh_acts(number, Terms::of_nonce(nonce), action).to_bytes();
    let pay = |number, nonce, amount, to| act(number, nonce, transfer(vec![units(new, to, amount)]));
    let issued: Vec<u8> = issued.to_bytes();
    let minted = act(0, 1, Action::Mint { asset: new, amount: 5 });
    let there = fresh(1).address;
    let moved = [issued.clone(), pay(0, 1, 10, there), act(1, 0, Action::Burn { asset: new, amount: 10 })];
    let unknown = TxRule::UnknownAsset { asset: new };
    let not_issuer = TxRule::NotIssuer { asset: new };
    let by_other = act(1, 0, Action::Mint { asset: new, amount: 1 });
    let short = TxRule::InsufficientAsset { asset: new, have: 0, need: 1 };
    let first = stage.fresh_pays(0, terms()).to_bytes();
    vec![
        wrong_at(
            "minted before it is issued",
            stage.careless_block(&[by_other.clone(), issued.clone()]),
            1,
            unknown.clone(),
        ),
        wrong_at("minted but never issued", stage.careless_block(&[first, minted.clone()]), 2, unknown),
        wrong_at(
            "minted by another as it is issued",
            stage.careless_block(&[issued.clone(), by_other]),
            2,
            not_issuer,
        ),
        wrong_at(
            "spent again after it is burnt",
            stage.careless_block(&[&moved[..], &[pay(1, 1, 1, there)]].concat()),
            4,
            short,
        ),
        BlockCase::right(
            "issued, minted and paid",
            stage.right_block(&[issued, minted, pay(0, 2, 15, there)]),
        ),
        BlockCase::right("issued, paid and burnt, of which only what it is stays", stage.right_block(&moved)),
    ]
}
