//! The desk with a store in a folder: ids, funds, bounds, many callers, failures, size.

use std::collections::BTreeSet;
use std::sync::Arc;

use steelyard_core::hash::Address;
use steelyard_core::params::DEV_WORDS;
use steelyard_core::wire::Verdict;
use steelyard_runtime::clock;
use steelyard_runtime::exit::CliError;

use super::super::{Desk, DeskError, WalletAtStart};
use super::request;
use super::restart::{ADDRESSES, Bench, dev_wallet, id, keystore, name};
use crate::intent::{Amount, IntentId, Request, State, WalletName};
use crate::keystore::Words;
use crate::light::{LightEvent, Reading};
use crate::limits::{ADDRESSES_TOTAL_MAX, SYNCED_MS_MAX};

fn cli(error: DeskError) -> (String, u8) {
    let error = CliError::from(error);
    (error.code.clone(), error.exit.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_one_payment_for_ever() {
    let bench = Bench::new();
    bench.read(10, (1_000, 0), &[]).await;
    let first = bench.send(1, &request(5)).await.unwrap();
    assert_eq!(first.state, State::Signed {});
    assert_eq!(bench.send(1, &request(5)).await.unwrap(), first);
    for other in [request(6), Request { amount: Amount::Max {}, ..request(5) }] {
        assert_eq!(cli(bench.send(1, &other).await.unwrap_err()), ("id_reused".to_owned(), 6));
    }
    let refused = bench.desk.cancel(&name(), &id(1)).await.unwrap_err();
    assert_eq!(cli(refused), ("not_cancellable".to_owned(), 6));
    let unknown = bench.desk.cancel(&name(), &id(2)).await.unwrap_err();
    assert!(matches!(unknown, DeskError::UnknownIntent { .. }));
    let listed = bench.desk.list(&name(), None, 10).await.unwrap();
    assert_eq!(listed, [first]);
    // Another wallet's ids are its own.
    let nobody: WalletName = "nobody".parse().unwrap();
    assert!(matches!(bench.desk.find(&nobody, &id(1)).await, Err(DeskError::UnknownWallet { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_spends_what_is_not_there() {
    let bench = Bench::new();
    bench.read(10, (1_000, 0), &[]).await;
    let DeskError::InsufficientFunds { have, need, spread } =
        bench.send(1, &request(1_001)).await.unwrap_err()
    else {
        panic!("another refusal")
    };
    assert_eq!((have, need, spread), (1_000, 1_001, true));
    let error = bench.send(1, &request(10_001)).await.unwrap_err();
    assert!(error.to_string().contains("have 0.00001, need 0.00010001"), "{error}");
    assert_eq!(cli(error), ("insufficient_funds".to_owned(), 6));
    assert_eq!(bench.desk.find(&name(), &id(1)).await.unwrap(), None);
    // Each address once, the last one by what is left.
    for number in 0..ADDRESSES {
        let sent = bench.send(number, &request(900)).await.unwrap();
        assert_eq!(sent.plan.unwrap().index as usize, number);
    }
    assert!(matches!(
        bench.send(99, &request(101)).await,
        Err(DeskError::InsufficientFunds { have: 100, .. })
    ));
    assert!(matches!(bench.desk.preview(&name(), &request(101)), Err(DeskError::InsufficientFunds { .. })));
    let plan = bench.desk.preview(&name(), &Request { amount: Amount::Max {}, ..request(1) }).unwrap();
    assert_eq!((plan.amount, plan.index, plan.fee), (100, 0, 0));
    let view = bench.desk.shared.read().clone();
    let wallet = &view.wallets[&name()];
    let figures = Desk::figures(&view, wallet, None);
    assert_eq!((figures.total, figures.reserved, figures.spendable), (10_000, 9_000, 1_000));
    let one = Desk::figures(&view, wallet, Some(&wallet.addresses[3]));
    assert_eq!((one.total, one.reserved, one.spendable), (1_000, 900, 100));
    let foreign = Request { from: Some(Address([9; 32])), ..request(1) };
    assert_eq!(cli(bench.send(99, &foreign).await.unwrap_err()), ("foreign_address".to_owned(), 2));
    assert_eq!(cli(bench.send(99, &request(0)).await.unwrap_err()), ("amount_zero".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_signed_on_stale_figures() {
    let bench = Bench::new();
    let accounts: Vec<_> = bench.addresses().into_iter().map(|address| (address, 1_000, 0)).collect();
    let stale = clock::now_ms() - SYNCED_MS_MAX - 1;
    let reading = |taken| {
        let snapshot = super::snapshot(10, taken, &accounts);
        LightEvent::Reading(Box::new(Reading { snapshot, standings: Vec::new() }))
    };
    bench.tell(reading(stale)).await;
    let kept = bench.send(1, &request(600)).await.unwrap();
    assert_eq!(kept.state, State::Intended {});
    assert_eq!(kept.obstacle.as_ref().unwrap().code.as_str(), "no_node");
    assert!(!Desk::is_synced(&bench.desk.shared.read(), clock::now_ms()));
    // It is counted for all that.
    let on_first = Request { from: Some(bench.addresses()[0]), ..request(600) };
    assert!(matches!(bench.send(2, &on_first).await, Err(DeskError::InsufficientFunds { have: 400, .. })));
    bench.tell(reading(clock::now_ms())).await;
    assert_eq!(bench.stands(1, &request(600)).await.state, State::Signed {});
    assert!(Desk::is_synced(&bench.desk.shared.read(), clock::now_ms()));
    // A new address was not asked about yet.
    let (index, address) = bench.desk.new_address(&name()).await.unwrap();
    assert_eq!((index as usize, bench.addresses().last()), (ADDRESSES, Some(&address)));
    assert!(!Desk::is_synced(&bench.desk.shared.read(), clock::now_ms()));
    assert!(bench.wanted.borrow().addresses.contains(&address));
    assert!(bench.wanted.borrow().addresses.is_sorted());
    let from_new = Request { from: Some(address), ..request(1) };
    assert_eq!(bench.send(3, &from_new).await.unwrap().state, State::Intended {});
    assert_eq!(bench.again().await.addresses().len(), ADDRESSES + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_take_every_nonce_once() {
    const CALLERS: usize = 8;
    const SENDS: usize = 100;
    let bench = Bench::new();
    bench.read(10, (1_000_000, 0), &[]).await;
    let from = bench.addresses()[0];
    let started = clock::start();
    let callers = (0..CALLERS).map(|caller| {
        let desk = bench.desk.clone();
        tokio::spawn(async move {
            let mut nonces = Vec::new();
            for send in 0..SENDS {
                let id: IntentId = format!("{caller}.{send}").parse().unwrap();
                let asked = Request { from: Some(from), ..request(1) };
                let intent = desk.send(&name(), id, asked).await.unwrap();
                nonces.push(intent.signed.as_ref().unwrap().nonce);
            }
            assert!(nonces.is_sorted(), "a caller's sends go out in its order");
            nonces
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut nonces = BTreeSet::new();
    for caller in callers {
        nonces.extend(caller.await.unwrap());
    }
    println!("{} sends in {} ms", CALLERS * SENDS, started.elapsed().as_millis());
    assert_eq!(nonces, (0..(CALLERS * SENDS) as u64).collect());
    let outgoing = bench.wanted.borrow().outgoing.clone();
    let live = bench.desk.shared.read().wallets[&name()].live.clone();
    let order: Vec<_> = outgoing.iter().map(|tx| tx.id).collect();
    let mut by_nonce: Vec<_> = live.values().map(|intent| intent.signed.clone().unwrap()).collect();
    by_nonce.sort_by_key(|signed| signed.nonce);
    assert_eq!(order, by_nonce.iter().map(|signed| signed.id).collect::<Vec<_>>());
    let bench = bench.again().await;
    assert_eq!(bench.desk.shared.read().wallets[&name()].live, live);
    assert_eq!(bench.desk.list(&name(), Some(100), 30).await.unwrap()[0].seq, 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallets_and_addresses_are_bounded_and_distinct() {
    let bench = Bench::new();
    let dir = Arc::clone(&bench.dir);
    let words = Words::generate(12).unwrap();
    let wallet = |name: &str, words: &Words| {
        let keystore = keystore(dir.path(), name, words, None);
        let keys = Some(keystore.unlock(None).unwrap());
        WalletAtStart { name: name.parse().unwrap(), keystore, keys }
    };
    let twin = bench.desk.add_wallet(wallet("twin", &Words::parse(DEV_WORDS).unwrap()), 1).await;
    assert!(matches!(twin, Err(DeskError::SameKeys { .. })));
    bench.desk.add_wallet(wallet("other", &words), 3).await.unwrap();
    assert_eq!(bench.wanted.borrow().addresses.len(), ADDRESSES + 3);
    let again = bench.desk.add_wallet(wallet("other", &words), 3).await;
    assert!(matches!(again, Err(DeskError::WalletExists { .. })));
    let many = u32::try_from(ADDRESSES_TOTAL_MAX).unwrap();
    let fourth = bench.desk.add_wallet(wallet("fourth", &Words::generate(12).unwrap()), many).await;
    assert!(matches!(fourth, Err(DeskError::TooManyAddresses)));
    for _ in ADDRESSES + 3..ADDRESSES_TOTAL_MAX {
        bench.desk.new_address(&name()).await.unwrap();
    }
    assert!(matches!(bench.desk.new_address(&name()).await, Err(DeskError::TooManyAddresses)));
    // A copy of a keystore under another name is the same wallet.
    let (dir, ended) = bench.stop().await;
    ended.unwrap();
    std::fs::copy(dir.path().join("main.keys"), dir.path().join("copy")).unwrap();
    let copy = wallet("copy", &words);
    let wallets = vec![dev_wallet(dir.path(), false), copy];
    let (dir, error) = Bench::with(dir, wallets).err().unwrap();
    assert!(matches!(error, DeskError::SameKeys { .. }), "{error}");
    let bench = Bench::with(Arc::clone(&dir), vec![wallet("other", &words)]).map_err(|(_, e)| e).unwrap();
    let other = "other".parse().unwrap();
    assert_eq!(bench.desk.shared.read().wallets[&other].addresses.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_store_ends_everything_and_says_so() {
    let bench = Bench::new();
    bench.send(1, &request(5)).await.unwrap();
    // A record of an id that does not decode: what it stood for is not known any more.
    let store = bench.desk.store.upgrade().unwrap();
    let mut batch = steelyard_runtime::sled_door::Batch::new();
    let wallet = dev_wallet(bench.dir.path(), false).keystore.id();
    batch.put(crate::store::schema::of_wallet(crate::store::schema::Space::Id, &wallet, b"id-2"), [1, 2, 3]);
    store.door().commit(batch).unwrap();
    drop(store);
    let error = bench.send(2, &request(5)).await.unwrap_err();
    assert!(error.to_string().contains("id id-2 of wallet"), "{error}");
    assert_eq!(cli(error), ("store_damaged".to_owned(), 8));
    let desk = bench.desk.clone();
    let (_, ended) = bench.stop().await;
    assert!(ended.is_err());
    assert!(desk.shared.read().failed.as_ref().unwrap().contains("id-2"));
    assert!(matches!(desk.new_address(&name()).await, Err(DeskError::Stopped)));
    assert!(matches!(desk.find(&name(), &id(7)).await, Err(DeskError::Stopped)));
}

/// Readings are not kept: the folder after ten thousand is as small as after ten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_does_not_grow_with_the_chain() {
    async fn bytes_after(readings: u64, gain: u64) -> (u64, u64) {
        let bench = Bench::new();
        let mut changes = bench.desk.shared.changes();
        let height_shown = || {
            let view = bench.desk.shared.read();
            view.snapshot.as_ref().map_or(0, |snapshot| snapshot.tip.height)
        };
        for height in 1..=readings {
            bench.read(height, (1_000 + gain * height, 0), &[]).await;
            // One by one, or a group of them would be written once.
            while height_shown() < height {
                changes.changed().await.unwrap();
            }
        }
        let sent = bench.send(1, &request(5)).await.unwrap();
        bench.verdict(sent.signed.as_ref().unwrap().id, Verdict::Pending {}).await;
        assert_eq!(bench.stands(1, &request(5)).await.state, State::Pending {});
        let (dir, _) = bench.stop().await;
        let files = std::fs::read_dir(dir.path().join("store")).unwrap().map(Result::unwrap);
        let blocks = |meta: std::fs::Metadata| std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        let sizes = files.map(|file| file.metadata().unwrap()).map(|meta| (meta.len(), blocks(meta)));
        sizes.fold((0, 0), |(length, used), (more, more_used)| (length + more, used + more_used))
    }
    let few = bytes_after(10, 0).await;
    let quiet = bytes_after(10_000, 0).await;
    // Each block pays us: then each reading is written, in place of the one before.
    let busy = bytes_after(10_000, 1).await;
    println!("bytes (length, on disk): 10 {few:?}, 10,000 {quiet:?}, 10,000 with gains {busy:?}");
    assert!(quiet.1 <= few.1 + 64 * 1024, "{few:?} {quiet:?}");
    assert!(busy.1 <= few.1 + 16 * 1024 * 1024, "{few:?} {busy:?}");
}
