//! Stores whose blocks commit to all they hold and have their proof of work, but break exactly one
//! rule: what hashing cannot show.

use steelyard_core::amount::COIN;
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::{NetworkId, StateRoot};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::Transaction;
use steelyard_node::store::Commit;
use steelyard_node::store::delta::Delta;
use steelyard_node::store::log::LogRecord;
use steelyard_node::verify::FaultyTx;
use steelyard_tests::chain::seal;
use steelyard_tests::tip::searched;

use super::*;

/// The height that is forged.
const HEIGHT: u64 = 5;

/// Four honest blocks.
fn base(params: Params) -> (Chain, Folder) {
    let mut chain = Chain::new(params);
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    for amount in 1..HEIGHT {
        chain.pay(&alice, bob.address, amount);
        chain.mine(1);
    }
    let folder = Folder::new(chain.params());
    folder.feed(chain.blocks());
    (chain, folder)
}

/// Writes a block as a node would that had found it right.
fn write(folder: &Folder, block: &Block) {
    let bodies = block.body.to_bytes();
    let id = block.header.id();
    let log = LogRecord {
        received: vec![(block.header, u32::try_from(bodies.len()).unwrap())],
        connected: vec![id],
        ..LogRecord::default()
    };
    let delta = Delta { restored: Vec::new(), connected: vec![(id, Vec::new())] };
    folder.store().commit(HEIGHT, &Commit { log, bodies, delta, ..Commit::default() }).unwrap();
}

fn judge(folder: &Folder, block: &Block, expected: (Option<usize>, &str)) {
    write(folder, block);
    let fault = folder.fault();
    assert_eq!(
        (summary(&fault), fault.block),
        ((HEIGHT, expected.0, expected.1), block.header.id()),
        "{fault}"
    );
    if let Some(index) = expected.0 {
        let id = Transaction::from_bytes(&block.body.items[index]).ok().map(|tx| tx.body.id());
        assert_eq!(fault.transaction, Some(FaultyTx { index, id }));
    }
}

/// A block of these transactions, whether they are valid or not.
fn block_of(chain: &Chain, txs: &[Vec<u8>]) -> Block {
    let mut block = chain.empty_draft();
    block.body.items.extend(txs.iter().cloned());
    seal(block)
}

#[test]
fn scenario_10_forged_transactions() {
    let (chain, _) = base(Params::dev());
    let (alice, carol) = (Account::dev(0), Account::dev(2));
    let network = chain.network();
    let pay = |terms: Terms, amount| alice.pay_bytes(network, terms, vec![coins(carol.address, amount)]);
    let valid = pay(Terms::of_nonce(4), 1);
    let next = || Terms::of_nonce(5);
    let wrong_signature = {
        let mut bytes = pay(next(), 1);
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let other_network = alice.pay_bytes(NetworkId([1; 32]), next(), vec![coins(carol.address, 1)]);
    let stolen = {
        let mut tx = alice.pay(network, next(), vec![coins(carol.address, 1)]);
        tx.authorization = carol.pay(network, next(), vec![coins(carol.address, 1)]).authorization;
        tx.to_bytes()
    };
    let cases = [
        (pay(Terms::of_nonce(3), 1), "nonce_used"),
        (pay(Terms::of_nonce(4), 1), "nonce_used"),
        (pay(Terms::of_nonce(6), 1), "nonce_gap"),
        (pay(next(), 2_000 * COIN), "insufficient_funds"),
        (pay(next().fee(1_000 * COIN), 1), "insufficient_funds"),
        (pay(next().expiry(HEIGHT - 1), 1), "expired"),
        (pay(next(), 0), "zero_amount"),
        (alice.pay_bytes(network, next(), vec![]), "no_payments"),
        (wrong_signature, "invalid_signature"),
        (other_network, "wrong_network"),
        (stolen, "wrong_sender"),
        (vec![1, 2, 3], "malformed"),
    ];
    for (bytes, rule) in cases {
        let (chain, folder) = base(Params::dev());
        judge(&folder, &block_of(&chain, &[valid.clone(), bytes]), (Some(2), rule));
    }
}

#[test]
fn scenario_10_forged_blocks() {
    let coinbase = |change: fn(&mut Coinbase)| {
        move |chain: &Chain| {
            let mut block = chain.empty_draft();
            let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
            change(&mut coinbase);
            block.body.items[0] = coinbase.to_bytes();
            seal(block)
        }
    };
    type Forge = Box<dyn Fn(&Chain) -> Block>;
    let cases: Vec<(Forge, &str)> = vec![
        (Box::new(coinbase(|c| c.amount += 1)), "coinbase_amount"),
        (Box::new(coinbase(|c| c.amount = 0)), "coinbase_amount"),
        (Box::new(coinbase(|c| c.height += 1)), "coinbase_height"),
        // Rule by rule right, but it pays somebody whom the state root does not know of.
        (Box::new(coinbase(|c| c.miner.0[0] ^= 1)), "state_root"),
        (
            Box::new(|chain| {
                let mut block = chain.empty_draft();
                block.body.items[0].push(0);
                seal(block)
            }),
            "malformed_coinbase",
        ),
        (
            Box::new(|chain| {
                let mut block = chain.empty_draft();
                block.body.items.clear();
                seal(block)
            }),
            "no_coinbase",
        ),
        (
            Box::new(|chain| {
                let mut block = chain.empty_draft();
                block.header.state_root = StateRoot([1; 32]);
                seal(block)
            }),
            "state_root",
        ),
    ];
    for (forge, rule) in cases {
        let (chain, folder) = base(Params::dev());
        judge(&folder, &forge(&chain), (None, rule));
    }
}

#[test]
fn scenario_10_forged_headers() {
    type Change = fn(&mut steelyard_core::types::header::Header);
    let cases: Vec<(Change, &str)> = vec![
        (|h| h.version = 3, "header_version"),
        (|h| h.height += 1, "header_height"),
        (|h| h.prev_time -= 1, "header_prev_time"),
        (|h| h.elapsed -= 1, "header_elapsed"),
        (|h| h.time = h.prev_time, "header_time"),
        (|h| h.bits = 0x207f_fffe, "header_bits"),
        (|h| h.history_root.0[31] ^= 1, "history_root"),
    ];
    for (change, rule) in cases {
        let (chain, folder) = base(Params::dev());
        let mut block = chain.empty_draft();
        change(&mut block.header);
        block.header = searched(block.header);
        judge(&folder, &seal_body(block), (None, rule));
    }
}

/// The header was searched already, and its body is as it was.
fn seal_body(block: Block) -> Block {
    assert_eq!(block.header.body_root, block.body.root());
    block
}

#[test]
fn scenario_10_forged_limits_of_the_network() {
    let many = |chain: &Chain, count: u64| -> Vec<CheckedTx> {
        let bob = Account::dev(1);
        let pay = |nonce| {
            let to = Account::numbered(1_000 + nonce).address;
            bob.pay(
                chain.network(),
                Terms { memo: vec![1; 256], ..Terms::of_nonce(nonce) },
                vec![coins(to, 1)],
            )
        };
        let txs: Vec<Transaction> = (0..count).map(pay).collect();
        chain.check_all(&txs)
    };
    let cases = [
        (Params { block_txs_max: 32, ..Params::dev() }, 33, "transaction_count"),
        (Params { new_records_max: 10, ..Params::dev() }, 11, "new_records"),
        (Params { block_bytes_max: 64 * 1024, ..Params::dev() }, 150, "block_size"),
    ];
    for (params, count, rule) in cases {
        let (chain, folder) = base(params.clone());
        let txs = many(&chain, count);
        let unlimited =
            Params { block_txs_max: 0, new_records_max: 1 << 20, block_bytes_max: 1 << 22, ..params };
        let block = seal(chain.draft_under(&unlimited, chain.empty_draft().header.time, &txs));
        assert_eq!(block.body.items.len() as u64, 1 + count);
        judge(&folder, &block, (None, rule));
        // One fewer would have been within the first two.
        if rule != "block_size" {
            let (chain, folder) = base(chain.params().clone());
            let block = chain.draft(chain.empty_draft().header.time, &many(&chain, count - 1));
            assert_eq!(block.body.items.len() as u64, count);
            folder.feed([&seal(block)]);
            assert_eq!(folder.verify(true).unwrap().blocks, HEIGHT);
        }
    }
}
