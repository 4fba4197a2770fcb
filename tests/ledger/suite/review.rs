//! The attacks on paper behind the rules, each as a test. Those that stand elsewhere are named here and
//! not repeated; those that need a node are in `review` of the other suite.
//!
//! | attack | where it is tried |
//! |---|---|
//! | a signature moved to another policy with the key | `steelyard_ledger::broken`, signed |
//! | garbage signatures under a pooled id | `review` of the other suite |
//! | payments to grafted paths | here |
//! | an asset's id across a reorganisation | here; returned to a pool: `review` of the other suite |
//! | the 64th halving | here |
//! | a supply of 2^64-1 | here; of an asset: `steelyard_ledger::broken`, state |
//! | times at every edge | here; the clock's: `rules`, headers |
//! | a body that hashes right but does not decode | `steelyard_ledger::broken`, blocks; `doors` |
//! | marks of another version of the rules | the node's own tests; `review` of the other suite |
//!
//! Must not know how a rule is checked.

use steelyard_core::consensus::error::{BlockRule, HeaderRule, TxRule};
use steelyard_core::consensus::transaction::shape;
use steelyard_core::hash::Address;
use steelyard_core::params::{LIMIT_BITS_MAX, Params};
use steelyard_core::state::{Key, Trie};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::{Action, PAYMENTS_MAX, Transaction, asset_id, full_id};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, units};
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_ledger::tip::searched;

/// What a cache of verified transactions is asked by: all bytes, the signatures' among them.
#[test]
fn the_same_payment_signed_by_others_has_its_id_and_another_full_id() {
    let chain = Chain::dev();
    let tx = Account::dev(0).pay(chain.network(), Terms::default(), vec![coins(Account::dev(1).address, 1)]);
    let mut bytes = tx.to_bytes();
    let shaped = shape(&chain.network(), &bytes).unwrap();
    assert_eq!((shaped.id(), shaped.full_id()), (tx.body.id(), full_id(&bytes)));
    let checked = shaped.verify().unwrap();
    assert_eq!((checked.id(), checked.full_id()), (tx.body.id(), full_id(&bytes)));
    *bytes.last_mut().unwrap() ^= 1;
    let forged = shape(&chain.network(), &bytes).unwrap();
    assert_eq!((forged.id(), forged.full_id()), (tx.body.id(), full_id(&bytes)));
    assert_ne!(forged.full_id(), checked.full_id());
}

/// Steps from the root down to a record, or to what shows that there is none.
fn depth(state: &Trie, key: &Key) -> usize {
    let bytes = state.prove(key).to_bytes();
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// Addresses that share all but one or two of their bits with a victim's, on every path down.
fn grafts(victim: Address, count: usize) -> Vec<Address> {
    let flipped = |bits: [usize; 2]| {
        let mut address = victim;
        bits.into_iter().for_each(|bit| address.0[bit / 8] ^= 0x80 >> (bit % 8));
        address
    };
    let pairs = (0..256).flat_map(|first| (first + 1..256).map(move |second| [first, second]));
    pairs.map(flipped).take(count).collect()
}

/// Anybody may pay any 32 bytes. If they were paths, payments to neighbours of an address would make
/// its proofs as long as an address has bits.
#[test]
fn payments_to_grafted_paths_leave_the_trie_flat() {
    let mut chain = Chain::dev();
    chain.mine(1);
    let (payer, victim) = (Account::dev(0), Account::dev(1).address);
    let grafts = grafts(victim, 16 * PAYMENTS_MAX);
    let pay = |(nonce, some): (u64, &[Address])| {
        let payments = some.iter().map(|to| coins(*to, 1)).collect();
        payer.pay(chain.network(), Terms::of_nonce(nonce), payments)
    };
    let txs: Vec<Transaction> = (0..).zip(grafts.chunks(PAYMENTS_MAX)).map(pay).collect();
    chain.mine_block(&txs);
    assert!(grafts.iter().all(|graft| chain.balance(*graft) == 1));
    let most = 3 * chain.state().len().ilog2() as usize;
    assert_eq!(most, 36);
    let absent = (0..1_000).map(|number| Account::numbered(number).address);
    let deepest = grafts.iter().copied().chain([victim]).chain(absent);
    let deepest = deepest.map(|address| depth(chain.state(), &Key::Account(address))).max().unwrap();
    assert!((12..=most).contains(&deepest), "{deepest} steps among {} records", chain.state().len());
}

/// Assets that strangers send to an address lie below it, by ids that are hashes: they add their
/// logarithm to its proofs.
#[test]
fn assets_that_strangers_send_leave_the_proof_of_an_account_short() {
    let victim = Account::dev(1).address;
    let mut chain = Chain::dev();
    chain.mine(1);
    let before = depth(chain.state(), &Key::Account(victim));
    let dealer = Account::dev(0);
    let (mut txs, count) = (Vec::new(), 1_000);
    for number in 0..count {
        let issued = dealer.act(chain.network(), Terms::of_nonce(2 * number), issue("JUNK", 1, false));
        let payment = units(asset_id(&issued.body.id()), victim, 1);
        txs.extend([issued, dealer.pay(chain.network(), Terms::of_nonce(2 * number + 1), vec![payment])]);
    }
    chain.mine_block(&txs);
    assert_eq!(chain.state().holdings(&victim, usize::MAX).len() as u64, count);
    let (after, log2) = (depth(chain.state(), &Key::Account(victim)), chain.state().len().ilog2() as usize);
    assert!(after > before && after <= 3 * log2, "{before} steps before, {after} after, of log2 {log2}");
}

/// By issuer and nonce an id would stand for another asset on another branch, and what was signed for
/// the one would pay with the other.
#[test]
fn an_asset_of_one_branch_is_none_on_another() {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut here = Chain::dev();
    here.mine(1);
    let network = here.network();
    let act = |nonce, action| alice.act(network, Terms::of_nonce(nonce), action);
    let (first, second) = (act(0, issue("GOLD", 10, true)), act(0, issue("GOLD", 10, false)));
    let asset = asset_id(&first.body.id());
    assert_ne!(asset, asset_id(&second.body.id()), "the same issuer, nonce and symbol");
    let pays = alice.pay(network, Terms::of_nonce(1), vec![units(asset, bob.address, 3)]);
    let mints = act(1, Action::Mint { asset, amount: 1 });

    let (mut there, mut again) = (here.fork_at(1).mined_by(&bob), here.fork_at(1).mined_by(&bob));
    here.mine_block(&[first.clone(), pays.clone()]);
    assert_eq!(here.holding(bob.address, asset), 3);
    there.mine_block(&[second]);
    assert_eq!(there.asset(asset), None);
    let verdict = |tx: &Transaction| there.judge(&tx.to_bytes()).unwrap_err();
    assert_eq!(verdict(&pays), TxRule::InsufficientAsset { asset, have: 0, need: 3 });
    assert_eq!(verdict(&mints), TxRule::UnknownAsset { asset });
    // The same transaction makes the same asset wherever it comes to stand.
    again.mine(3);
    again.mine_block(&[first, pays]);
    assert_eq!((again.holding(bob.address, asset), again.asset(asset)), (3, here.asset(asset)));
}

/// A network without allocations, at the difficulty of `dev`.
fn mined(reward: u64, halving_interval: u64) -> Chain {
    Chain::new(Params { reward, halving_interval, allocations: Vec::new(), ..Params::dev() })
}

/// The block with a coinbase of another amount.
fn paying(chain: &Chain, amount: u64) -> Block {
    let mut block = chain.empty_draft();
    let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
    coinbase.amount = amount;
    block.body.items[0] = coinbase.to_bytes();
    seal(block)
}

#[test]
fn after_64_halvings_nothing_is_paid_but_fees() {
    let miner = Account::numbered(5);
    let mut chain = mined(1 << 63, 1).mined_by(&miner);
    for height in 1..=64_u32 {
        let reward = 1_u64 << (64 - height);
        let refused = chain.check_and_connect(&paying(&chain, reward - 1)).unwrap_err();
        assert_eq!(refused, BlockRule::CoinbaseAmount { got: reward - 1, expected: reward }.into());
        chain.mine(1);
        assert_eq!(chain.balance(miner.address), u64::MAX - (reward - 1), "after block {height}");
    }
    // All there can ever be is there, in one account, and moves as fees without a unit lost.
    for (height, fee) in [(65, u64::MAX - 1), (66, 0), (67, u64::MAX - 3)] {
        let refused = chain.check_and_connect(&paying(&chain, 1)).unwrap_err();
        assert_eq!(refused, BlockRule::CoinbaseAmount { got: 1, expected: 0 }.into(), "{height}");
        let terms = Terms::of_nonce(chain.nonce(miner.address)).fee(fee);
        let tx = miner.pay(chain.network(), terms, vec![coins(Address([1; 32]), 1)]);
        let block = chain.mine_block(&[tx]);
        assert_eq!(Coinbase::from_bytes(&block.body.items[0]).unwrap().amount, fee);
        assert_eq!(chain.height(), height);
        assert_eq!(chain.balance(miner.address), u64::MAX - chain.balance(Address([1; 32])));
    }
    assert_eq!(chain.params().supply(u64::MAX), u64::MAX);
    // With an interval the last reward is paid so many times, and no more.
    let chain = mined(1 << 63 | 1, 3);
    let reward = |height| chain.params().reward(height);
    assert_eq!([1, 3, 4].map(reward), [1 << 63 | 1, 0, 0], "the supply is full by then");
    let chain = mined(1 << 40, 3);
    let reward = |height| chain.params().reward(height);
    assert_eq!([3, 4, 121, 123, 124, 192, 193, u64::MAX].map(reward), [1 << 40, 1 << 39, 1, 1, 0, 0, 0, 0]);
}

/// Or whoever mines would fill the state with accounts of nothing, each free.
#[test]
fn a_block_that_pays_nothing_makes_no_account() {
    let mut chain = mined(1, 1);
    chain.mine(1);
    let (newcomer, records) = (Account::numbered(6), chain.state().len());
    let mut chain = chain.mined_by(&newcomer);
    chain.mine(1);
    assert_eq!(Coinbase::from_bytes(&chain.block(2).body.items[0]).unwrap().amount, 0);
    assert_eq!(chain.state().get(&Key::Account(newcomer.address)), None);
    assert_eq!(chain.state().len(), records);
}

/// Or its nonces began again, and what it once signed could be sent once more.
#[test]
fn a_block_that_pays_nothing_leaves_an_emptied_account_its_nonce() {
    let miner = Account::numbered(5);
    let mut chain = mined(1, 1).mined_by(&miner);
    chain.mine(1);
    chain.pay(&miner, Account::numbered(6).address, 1);
    chain.mine(1);
    assert_eq!((chain.balance(miner.address), chain.nonce(miner.address)), (0, 1));
    chain.mine(1);
    assert_eq!((chain.balance(miner.address), chain.nonce(miner.address)), (0, 1));
}

#[test]
fn at_a_supply_of_2_64_less_1_rewards_end_and_fees_go_on() {
    let (alice, bob, miner) = (Account::dev(0), Account::dev(1), Account::numbered(5));
    let shares = [(alice.address, 1 << 63), (bob.address, (1 << 63) - 6)];
    let mut allocations = shares.to_vec();
    allocations.sort_unstable();
    let mut chain = Chain::new(Params { reward: 10, allocations, ..Params::dev() }).mined_by(&miner);
    assert_eq!([1, 2, u64::MAX].map(|height| chain.params().reward(height)), [5, 0, 0]);
    let refused = chain.check_and_connect(&paying(&chain, 10)).unwrap_err();
    assert_eq!(refused, BlockRule::CoinbaseAmount { got: 10, expected: 5 }.into());
    chain.mine(1);
    // The fees of a block are all the money there is but what the miner has.
    let all = |account: &Account, fee| {
        account.pay(chain.network(), Terms::of_nonce(0).fee(fee), vec![coins(miner.address, 1)])
    };
    let txs = [all(&alice, (1 << 63) - 1), all(&bob, (1 << 63) - 7)];
    let block = chain.mine_block(&txs);
    assert_eq!(Coinbase::from_bytes(&block.body.items[0]).unwrap().amount, u64::MAX - 7);
    assert_eq!(chain.balance(miner.address), u64::MAX);
    assert_eq!((chain.balance(alice.address), chain.balance(bob.address)), (0, 0));
    // Neither a payment to oneself nor the fees of one's own block pass the bound on their way.
    let own = vec![coins(miner.address, u64::MAX - 9)];
    let tx = miner.pay(chain.network(), Terms::of_nonce(0).fee(9), own);
    chain.mine_block(&[tx]);
    assert_eq!(chain.balance(miner.address), u64::MAX);
    chain.mine(3);
    assert_eq!(chain.balance(miner.address), u64::MAX);
}

/// A header's running time counts a gap as one half-life at most; its own time may be any after its
/// parent's, to the last there is.
#[test]
fn times_at_every_edge() {
    let half_life = Params::tutorial().half_life;
    let gaps = [1, half_life - 1, half_life, half_life + 1, 10 * half_life, 1 << 60];
    for (gap, counted) in gaps.map(|gap| (gap, gap.min(half_life))) {
        let mut chain = Chain::new(Params { start_bits: LIMIT_BITS_MAX, ..Params::tutorial() });
        chain.mine(2);
        let parent = chain.tip().header;
        chain.mine_block_at(parent.time + gap, &[]);
        let expected = parent.elapsed + chain.params().spacing + counted;
        assert_eq!(chain.expected_header().elapsed, expected, "a gap of {gap}");
        for got in [expected - 1, expected + 1] {
            let mut block = chain.empty_draft();
            block.header.elapsed = got;
            block.header = searched(block.header);
            let refused = chain.check_and_connect(&block).unwrap_err();
            assert_eq!(refused, HeaderRule::Elapsed { got, expected }.into(), "a gap of {gap}");
        }
        chain.mine(1);
    }
    for params in [Params::dev(), Params { start_bits: LIMIT_BITS_MAX, ..Params::tutorial() }] {
        let mut chain = Chain::new(params);
        chain.mine(2);
        for time in [u64::MAX - 1, u64::MAX] {
            chain.mine_block_at(time, &[]);
        }
        // Nothing comes after the last moment.
        let mut block = chain.empty_draft_at(u64::MAX);
        for time in [0, u64::MAX - 1, u64::MAX] {
            block.header.time = time;
            let refused = chain.check_and_connect(&block).unwrap_err();
            assert_eq!(refused, HeaderRule::Time { got: time, parent: u64::MAX }.into());
        }
    }
    // A network that begins at either end of time is one all the same.
    for genesis_time in [0, u64::MAX - 1] {
        let mut chain = Chain::new(Params { genesis_time, ..Params::dev() });
        chain.mine_block_at(genesis_time + 1, &[]);
        assert_eq!(chain.expected_header().elapsed, chain.params().spacing);
    }
}
