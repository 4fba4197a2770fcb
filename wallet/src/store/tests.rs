//! The store by itself: what is found again, what is refused, what is damage.

use super::*;
use std::fs::OpenOptions;

use steelyard_core::encode::List;
use steelyard_core::hash::Address;
use steelyard_core::types::header::Header;

use crate::intent::{Amount, Obstacle, Plan, Request, State};
use crate::view::Account;
use steelyard_core::wire::Text;

const NETWORK: NetworkId = NetworkId([1; 32]);
const WALLET: WalletId = WalletId([5; 16]);
const OTHER: WalletId = WalletId([6; 16]);

fn intent(seq: u64) -> Intent {
    let sender = Address([2; 32]);
    Intent {
        id: format!("id-{seq}").parse().unwrap(),
        seq,
        created: 1,
        changed: 2,
        request: Request {
            to: Address([1; 32]),
            amount: Amount::Units { units: seq },
            from: Some(sender),
            memo: List::new(vec![7; 256]).unwrap(),
            fee_rate: Some(3),
            expiry_blocks: None,
        },
        plan: Some(Plan { index: 1, sender, amount: seq, fee: 4, expiry: 9 }),
        signed: None,
        state: State::Intended {},
        obstacle: Some(Obstacle { code: Text::new("no_node"), reason: Text::new("waits") }),
    }
}

fn snapshot() -> Snapshot {
    let zeros = [0; steelyard_core::types::header::HEADER_BYTES];
    let tip = Header { height: 12, ..Header::from_bytes(&zeros) };
    Snapshot {
        tip,
        id: tip.id(),
        total_work: u128::MAX - 1,
        accounts: (0..200).map(|i| (Address([i; 32]), Account { balance: 9, nonce: u64::from(i) })).collect(),
        incoming: Vec::new(),
        incoming_more: false,
        node: "[fe80::1]:9333".parse().unwrap(),
        taken: 77,
    }
}

/// A store with ten intents of one wallet, the even ones final.
fn stored(dir: &Path) -> Store {
    let store = Store::open(dir, &NETWORK).unwrap();
    for seq in 1..=10 {
        let mut changes = Changes::default();
        changes.put_new_intent(&WALLET, &intent(seq));
        store.commit(changes).unwrap();
        if seq % 2 == 0 {
            let mut changes = Changes::default();
            changes.put_intent(&WALLET, &Intent { state: State::Cancelled {}, ..intent(seq) });
            store.commit(changes).unwrap();
        }
    }
    let mut changes = Changes::default();
    changes.put_addresses(&WALLET, 3);
    changes.put_snapshot(&snapshot());
    store.commit(changes).unwrap();
    store
}

fn refused(dir: &Path) -> CliError {
    Store::open(dir, &NETWORK).err().unwrap().into()
}

#[test]
fn everything_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    drop(stored(&dir));
    let store = Store::open(&dir, &NETWORK).unwrap();
    assert_eq!(store.snapshot().unwrap(), Some(snapshot()));
    assert_eq!((store.addresses(&WALLET).unwrap(), store.addresses(&OTHER).unwrap()), (Some(3), None));
    assert_eq!((store.next_seq(&WALLET).unwrap(), store.next_seq(&OTHER).unwrap()), (11, 1));
    let numbers = |intents: Vec<Intent>| intents.iter().map(|intent| intent.seq).collect::<Vec<_>>();
    assert_eq!(numbers(store.live(&WALLET).unwrap()), [1, 3, 5, 7, 9]);
    assert_eq!(store.live(&OTHER).unwrap(), []);
    assert_eq!(numbers(store.page(&WALLET, None, 3).unwrap()), [10, 9, 8]);
    assert_eq!(numbers(store.page(&WALLET, Some(8), 4).unwrap()), [7, 6, 5, 4]);
    assert_eq!(numbers(store.page(&WALLET, Some(2), 4).unwrap()), [1]);
    assert_eq!(numbers(store.page(&WALLET, Some(1), 4).unwrap()), [0; 0]);
    assert_eq!(numbers(store.page(&WALLET, Some(u64::MAX), usize::MAX).unwrap()).len(), 10);
    let id = |text: &str| text.parse::<IntentId>().unwrap();
    assert_eq!(store.by_id(&WALLET, &id("id-7")).unwrap(), Some(intent(7)));
    assert_eq!(store.by_id(&WALLET, &id("id-8")).unwrap().unwrap().state, State::Cancelled {});
    assert_eq!(store.by_id(&WALLET, &id("id-11")).unwrap(), None);
    assert_eq!(store.by_id(&OTHER, &id("id-7")).unwrap(), None);
    assert!(store.door().blobs_empty());
}

#[test]
fn a_half_made_store_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, aside) = (folder.path().join("store"), folder.path().join("store.new"));
    std::fs::create_dir(&aside).unwrap();
    std::fs::write(aside.join("conf"), [0xff; 3]).unwrap();
    std::fs::write(aside.join("db"), [7; 5_000]).unwrap();
    drop(Store::open(&dir, &NETWORK).unwrap());
    assert!(!aside.exists());
    drop(Store::open(&dir, &NETWORK).unwrap());
}

#[test]
fn a_store_that_lost_its_content_is_no_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    drop(Door::open(&dir, DOOR).unwrap());
    let error = Store::open(&dir, &NETWORK).err().unwrap();
    assert!(matches!(error, StoreOpenError::Version(VersionError::Unreadable)), "{error}");
}

#[test]
fn another_network_and_another_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let store = stored(&dir);
    let error: CliError = {
        drop(store);
        Store::open(&dir, &NetworkId([2; 32])).err().unwrap().into()
    };
    assert_eq!((error.code.as_str(), u8::from(error.exit)), ("other_network", 2));
    let door = Door::open(&dir, DOOR).unwrap();
    let mut batch = Batch::new();
    batch.put(migrations::LAYOUT.version_key, 7_u32.to_le_bytes());
    door.commit(batch).unwrap();
    drop(door);
    let error = refused(&dir);
    assert_eq!((error.code.as_str(), u8::from(error.exit)), ("schema_version", 8));
    assert!(error.message.contains('7'), "{}", error.message);
}

/// Any cut loses commits or nothing: the first is damage, and never a store that forgot.
#[test]
fn a_store_that_was_cut_short_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    drop(stored(&dir));
    let whole = std::fs::read(dir.join("db")).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut damaged = 0;
    for part in 0..40 {
        let copy = folder.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            // A clean start's snapshot would stand for what is cut off.
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
            }
        }
        let file = OpenOptions::new().write(true).open(copy.join("db")).unwrap();
        file.set_len((used * part / 40) as u64).unwrap();
        match Store::open(&copy, &NETWORK) {
            Ok(store) => assert_eq!(store.next_seq(&WALLET).unwrap(), 11),
            Err(error) => {
                damaged += 1;
                assert_eq!(u8::from(CliError::from(error).exit), 8);
            }
        }
        std::fs::remove_dir_all(&copy).unwrap();
    }
    assert!(damaged > 20, "{damaged} of 40");
}

#[test]
fn a_flipped_bit_is_damage_and_its_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let store = stored(&dir);
    let places = [
        (of_wallet(Space::Intent, &WALLET, &3_u64.to_be_bytes()), "intent 3 of wallet"),
        (of_wallet(Space::Id, &WALLET, b"id-3"), "id id-3 of wallet"),
        (of_wallet(Space::Wallet, &WALLET, &[]), "record of wallet"),
        (single(Space::Snapshot, ONE), "last reading"),
    ];
    for (key, name) in places {
        let value = store.door().get(&key).unwrap().unwrap();
        for at in 0..value.len() {
            let mut batch = Batch::new();
            let mut flipped = value.clone();
            flipped[at] ^= 1;
            batch.put(&key, flipped);
            store.door().write(batch).unwrap();
            let id = "id-3".parse().unwrap();
            let results = [
                store.live(&WALLET).err(),
                store.by_id(&WALLET, &id).err(),
                store.addresses(&WALLET).err(),
                store.snapshot().err(),
            ];
            let errors: Vec<String> = results.iter().flatten().map(ToString::to_string).collect();
            assert!(errors.iter().any(|error| error.contains(name)), "{name}, byte {at}: {errors:?}");
        }
        let mut batch = Batch::new();
        batch.put(&key, value);
        store.door().write(batch).unwrap();
    }
    // A record in another's place is none either.
    let mut batch = Batch::new();
    let key = of_wallet(Space::Intent, &WALLET, &5_u64.to_be_bytes());
    let value = store.door().get(of_wallet(Space::Intent, &WALLET, &3_u64.to_be_bytes())).unwrap().unwrap();
    batch.put(&key, value);
    store.door().write(batch).unwrap();
    assert!(store.live(&WALLET).unwrap_err().to_string().contains("intent 5 of wallet"));
    let mut batch = Batch::new();
    batch.remove(&key);
    store.door().write(batch).unwrap();
    assert!(store.live(&WALLET).unwrap_err().to_string().contains("intent 5 of wallet"));
}

#[test]
fn a_lost_mark_is_made_again_and_a_later_one_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    drop(stored(&dir));
    for bytes in [&[][..], &[1, 2, 3], &[0xff; 16]] {
        std::fs::write(dir.join("commits"), bytes).unwrap();
        drop(Store::open(&dir, &NETWORK).unwrap());
    }
    let (mut mark, _) = Mark::open(&dir).unwrap();
    mark.set(1_000).unwrap();
    let error = refused(&dir);
    assert_eq!((error.code.as_str(), u8::from(error.exit)), ("store_damaged", 8));
    assert!(error.message.contains("of 1000 commits"), "{}", error.message);
}

/// The database is written back as it was some commits ago, whole and well: only the mark knows.
#[test]
fn an_older_copy_of_the_database_alone_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    drop(Store::open(&dir, &NETWORK).unwrap());
    let old: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "commits")
        .map(|entry| (entry.path(), std::fs::read(entry.path()).unwrap()))
        .collect();
    drop(stored(&dir));
    for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    old.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    assert_eq!(u8::from(refused(&dir).exit), 8);
}
