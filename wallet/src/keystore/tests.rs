//! The keystore as a whole: made, opened, unlocked, damaged, tampered with.

use sha2::{Digest, Sha256};
use steelyard_core::consensus::transaction::shape;
use steelyard_core::hash::AssetId;
use steelyard_core::params::{DEV_WORDS, dev_addresses};
use steelyard_core::types::transaction::{Action, BODY_FORMAT, Payment};
use steelyard_runtime::exit::{CliError, ExitCode};
use tempfile::TempDir;

use super::*;

const NETWORK: NetworkId = NetworkId([7; 32]);
/// The least there is: a test tries hundreds of passphrases.
const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
const SENTENCE: &str = "correct horse battery staple";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

fn new<'a>(words: &'a Words, passphrase: Option<&'a Passphrase>) -> NewKeystore<'a> {
    let (birthday, created_ms) = (12_345, 1_767_225_600_123);
    NewKeystore {
        network: NETWORK,
        birthday,
        created_ms,
        origin: Origin::Created,
        words,
        passphrase,
        cost: CHEAP,
    }
}

/// A folder with one keystore in it.
struct Made {
    dir: TempDir,
    words: Words,
    keystore: Keystore,
}

impl Made {
    fn with(sentence: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let words = Words::generate(24).unwrap();
        let passphrase = sentence.map(passphrase);
        let keystore = Keystore::create(&dir.path().join("w"), new(&words, passphrase.as_ref())).unwrap();
        Self { dir, words, keystore }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("w")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    fn opened_from(&self, bytes: &[u8]) -> Result<Keystore, KeystoreError> {
        fs::write(self.path(), bytes).unwrap();
        Keystore::open(&self.path())
    }
}

/// The bytes with a checksum that fits, as somebody leaves them who changes a file on purpose.
fn resummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 32;
    let checksum = Sha256::digest(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum);
    bytes
}

fn payment(sender: Address) -> TxBody {
    let payments = vec![Payment { asset: AssetId::COINS, to: Address([9; 32]), amount: 5 }];
    let action = Action::Transfer { payments: List::new(payments).unwrap() };
    let memo = List::new(b"memo".to_vec()).unwrap();
    TxBody { format: BODY_FORMAT, network: NETWORK, sender, nonce: 3, fee: 1, expiry: 9, memo, action }
}

#[test]
fn what_was_made_is_opened_and_unlocked() {
    for sentence in [None, Some(""), Some(SENTENCE)] {
        let made = Made::with(sentence);
        let opened = Keystore::open(&made.path()).unwrap();
        for keystore in [&made.keystore, &opened] {
            assert_eq!(keystore.is_encrypted(), sentence == Some(SENTENCE));
            assert_eq!((keystore.id(), keystore.network()), (made.keystore.id(), NETWORK));
            assert_eq!((keystore.birthday(), keystore.created_ms()), (12_345, 1_767_225_600_123));
            assert_eq!(keystore.origin(), Origin::Created);
            let keys = keystore.unlock(sentence.map(passphrase).as_ref()).unwrap();
            assert_eq!(keys.words().as_str(), made.words.as_str());
        }
    }
}

#[test]
fn every_kind_of_words_and_origin_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sentence = passphrase(SENTENCE);
    for (count, origin) in
        WORD_COUNTS.into_iter().zip([Origin::Created, Origin::Restored, Origin::Dev].into_iter().cycle())
    {
        let words = Words::generate(count).unwrap();
        let path = dir.path().join(count.to_string());
        Keystore::create(&path, NewKeystore { origin, ..new(&words, Some(&sentence)) }).unwrap();
        let keystore = Keystore::open(&path).unwrap();
        assert_eq!(keystore.origin(), origin);
        assert_eq!(keystore.unlock(Some(&sentence)).unwrap().words().as_str(), words.as_str());
        assert_eq!(fs::read(&path).unwrap().len(), file::FILE_BYTES, "the length tells the count of words");
    }
}

#[test]
fn a_passphrase_is_needed_and_must_be_the_right_one() {
    let made = Made::with(Some(SENTENCE));
    for none in [None, Some(passphrase(""))] {
        assert!(matches!(made.keystore.unlock(none.as_ref()), Err(KeystoreError::Locked)));
    }
    for wrong in ["Correct horse battery staple", "correct horse battery stapl", "x"] {
        let refused = made.keystore.unlock(Some(&passphrase(wrong)));
        assert!(matches!(refused, Err(KeystoreError::WrongPassphrase)), "{wrong}");
    }
    assert!(Made::with(None).keystore.unlock(Some(&passphrase("any"))).is_ok());
}

#[test]
fn two_files_of_the_same_words_share_nothing_but_the_account() {
    let words = Words::parse(DEV_WORDS).unwrap();
    let sentence = passphrase(SENTENCE);
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str| Keystore::create(&dir.path().join(name), new(&words, Some(&sentence))).unwrap();
    let (one, other) = (make("one"), make("other"));
    assert_ne!(one.id(), other.id());
    let (one_lock, other_lock) = (one.header.lock.clone().unwrap(), other.header.lock.clone().unwrap());
    assert!(one_lock.salt != other_lock.salt && one_lock.nonce != other_lock.nonce);
    assert_ne!(one.sealed.secret, other.sealed.secret);
    assert_eq!(one.address(3).unwrap(), other.address(3).unwrap());
}

#[test]
fn a_file_is_never_replaced() {
    let made = Made::with(Some(SENTENCE));
    let before = made.bytes();
    let refused = Keystore::create(&made.path(), new(&made.words, None)).unwrap_err();
    assert!(matches!(refused, KeystoreError::Exists { .. }), "{refused}");
    // The second door, for what comes into being after the first was passed.
    let refused = file::create(&made.path(), &made.keystore.header, &made.keystore.sealed).unwrap_err();
    assert!(matches!(refused, KeystoreError::Exists { .. }), "{refused}");
    assert_eq!(made.bytes(), before);
    assert_eq!(fs::read_dir(made.dir.path()).unwrap().count(), 1, "something was left behind");
    let nowhere = made.dir.path().join("no/where");
    assert!(matches!(Keystore::create(&nowhere, new(&made.words, None)), Err(KeystoreError::Io { .. })));
    assert!(matches!(Keystore::open(&nowhere), Err(KeystoreError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    for sentence in [None, Some(SENTENCE)] {
        let mode = fs::metadata(Made::with(sentence).path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn every_changed_byte_and_every_other_length_is_damage() {
    for sentence in [None, Some(SENTENCE)] {
        let made = Made::with(sentence);
        let whole = made.bytes();
        assert_eq!(whole.len(), file::FILE_BYTES);
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let fault = made.opened_from(&bytes).unwrap_err();
                assert!(matches!(fault, KeystoreError::Damaged { .. }), "byte {at}: {fault}");
            }
        }
        let longer = [whole.clone(), vec![0; 5000]].concat();
        for length in (0..whole.len()).chain([whole.len() + 1, whole.len() + 32, longer.len()]) {
            let fault = made.opened_from(&longer[..length]).unwrap_err();
            let expected = matches!(fault, KeystoreError::Damaged { fault: Fault::Length { .. }, .. });
            assert!(expected, "{length} bytes: {fault}");
        }
    }
}

/// Who changes a byte on purpose mends the checksum. In the clear that may be believed until the
/// wallet is unlocked; then it is not, and no key ever signs for a wrong address.
#[test]
fn every_byte_changed_on_purpose_is_refused_at_unlocking() {
    let made = Made::with(Some(SENTENCE));
    let whole = made.bytes();
    let sentence = passphrase(SENTENCE);
    let (mut at_open, mut at_unlock) = (0, 0);
    for at in 0..whole.len() - 32 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let Ok(keystore) = made.opened_from(&resummed(bytes)) else {
            at_open += 1;
            continue;
        };
        let refused = keystore.unlock(Some(&sentence)).unwrap_err();
        assert!(matches!(refused, KeystoreError::WrongPassphrase), "byte {at}: {refused}");
        at_unlock += 1;
    }
    assert_eq!(at_open + at_unlock, whole.len() - 32);
    assert!(at_open > 10 && at_unlock > 100, "{at_open} and {at_unlock}");
}

#[test]
fn an_unsealed_secret_that_was_changed_is_damage() {
    let made = Made::with(None);
    let whole = made.bytes();
    for at in file::HEADER_BYTES..whole.len() - 32 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let fault =
            made.opened_from(&resummed(bytes)).and_then(|keystore| keystore.unlock(None)).unwrap_err();
        assert!(matches!(fault, KeystoreError::Damaged { .. }), "byte {at}: {fault}");
    }
    // The public half of another wallet.
    let other = Made::with(None);
    let account = file::HEADER_BYTES - derive::ACCOUNT_BYTES..file::HEADER_BYTES;
    let mut bytes = whole.clone();
    bytes[account.clone()].copy_from_slice(&other.bytes()[account]);
    let fault = made.opened_from(&resummed(bytes)).unwrap().unlock(None).unwrap_err();
    assert!(matches!(fault, KeystoreError::Damaged { fault: Fault::Mismatch, .. }), "{fault}");
}

#[test]
fn a_hostile_cost_is_refused_before_it_is_paid() {
    let made = Made::with(Some(SENTENCE));
    let whole = made.bytes();
    let at = 10 + 16 + 32 + 8 + 8 + 1 + 1;
    assert_eq!(whole[at..at + 12], [8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    for cost in [
        [u32::MAX, 1, 1],
        [8, u32::MAX, 1],
        [8, 1, u32::MAX],
        [1 << 21, 1, 1],
        [7, 1, 1],
        [8, 0, 1],
        [8, 1, 0],
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + 12].copy_from_slice(cost.map(u32::to_le_bytes).as_flattened());
        let fault = made.opened_from(&resummed(bytes)).unwrap_err();
        assert!(matches!(fault, KeystoreError::Damaged { fault: Fault::Cost(_), .. }), "{cost:?}: {fault}");
    }
    let sentence = passphrase(SENTENCE);
    let dear =
        NewKeystore { cost: KdfCost { memory_kib: 1 << 21, ..CHEAP }, ..new(&made.words, Some(&sentence)) };
    let refused = Keystore::create(&made.dir.path().join("dear"), dear).unwrap_err();
    assert!(matches!(refused, KeystoreError::Cost(_)), "{refused}");
    assert_eq!(CliError::from(refused).exit, ExitCode::Usage);
}

#[test]
fn another_version_is_not_damage() {
    let made = Made::with(None);
    let mut bytes = made.bytes();
    bytes[8] = 2;
    let refused = made.opened_from(&resummed(bytes)).unwrap_err();
    assert!(matches!(refused, KeystoreError::Version { found: 2, expected: 1, .. }), "{refused}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_secret_is_in_an_encrypted_file_nor_in_what_is_printed() {
    let made = Made::with(Some(SENTENCE));
    let (entropy, length) = made.words.entropy();
    let seed = made.words.seed("");
    let bytes = made.bytes();
    for part in entropy[..length].chunks(4).chain(seed.chunks(4)) {
        assert!(!contains(&bytes, part));
    }
    assert!(made.words.as_str().as_bytes().chunks_exact(8).all(|part| !contains(&bytes, part)));
    assert!(!contains(&bytes, SENTENCE.as_bytes()));
    // The search finds what is there.
    let open = Made::with(None);
    assert!(contains(&open.bytes(), &open.words.entropy().0[..4]));

    let sentence = passphrase(SENTENCE);
    let keys = made.keystore.unlock(Some(&sentence)).unwrap();
    assert_eq!(format!("{sentence:?} {:?} {keys:?}", made.words), "Passphrase(..) Words(..) Keys(..)");
    let sealed = hex::encode(open.words.entropy().0.as_slice());
    for text in [format!("{:?}", open.keystore), format!("{:#?}", new(&made.words, Some(&sentence)))] {
        assert!(!text.contains(&sealed) && !text.contains(SENTENCE), "{text}");
        assert!(!text.contains(&made.words.as_str()[..12]), "{text}");
    }
}

#[test]
fn the_published_words_give_the_dev_networks_addresses() {
    let words = Words::parse(DEV_WORDS).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let keystore = Keystore::create(&dir.path().join("dev"), new(&words, None)).unwrap();
    let addresses: Vec<_> = (0..10).map(|index| keystore.address(index).unwrap()).collect();
    assert_eq!(addresses, dev_addresses());
}

#[test]
fn what_is_signed_is_valid_and_the_same_every_time() {
    let made = Made::with(Some(SENTENCE));
    let keys = made.keystore.unlock(Some(&passphrase(SENTENCE))).unwrap();
    for index in [0, 1, 77, (1 << 31) - 1] {
        let body = payment(made.keystore.address(index).unwrap());
        let signed = keys.sign(index, body.clone()).unwrap();
        assert_eq!(signed.authorization.policy.check().unwrap(), made.keystore.policy(index).unwrap());
        let shaped = shape(&NETWORK, &signed.to_bytes()).unwrap();
        assert!(shaped.verify().is_ok(), "{index}");
        let again = Keystore::open(&made.path()).unwrap().unlock(Some(&passphrase(SENTENCE))).unwrap();
        assert_eq!(again.sign(index, body).unwrap().to_bytes(), signed.to_bytes());
    }
}

#[test]
fn a_key_signs_for_its_own_address_and_network_only() {
    let made = Made::with(None);
    let keys = made.keystore.unlock(None).unwrap();
    let body = payment(made.keystore.address(0).unwrap());
    assert!(matches!(keys.sign(1, body.clone()), Err(KeystoreError::WrongSender { index: 1 })));
    let elsewhere = TxBody { network: NetworkId([8; 32]), ..body.clone() };
    assert!(matches!(keys.sign(0, elsewhere), Err(KeystoreError::WrongNetwork)));
    assert!(matches!(keys.sign(1 << 31, body), Err(KeystoreError::NoKey { .. })));
    assert!(matches!(made.keystore.address(1 << 31), Err(KeystoreError::NoKey { .. })));
}

#[test]
fn commands_end_as_scripts_expect() {
    let made = Made::with(Some(SENTENCE));
    let ends = |error: KeystoreError| {
        let told = CliError::from(error);
        (told.exit, told.code, told.hint.is_some())
    };
    let unlock = |text: &str| made.keystore.unlock(Some(&passphrase(text))).unwrap_err();
    assert_eq!(ends(unlock("no")), (ExitCode::Locked, "wrong_passphrase".into(), false));
    assert_eq!(ends(unlock("")), (ExitCode::Locked, "wallet_locked".into(), true));
    let exists = Keystore::create(&made.path(), new(&made.words, None)).unwrap_err();
    assert_eq!(ends(exists), (ExitCode::Refused, "wallet_exists".into(), true));
    let missing = Keystore::open(&made.dir.path().join("none")).unwrap_err();
    assert_eq!(ends(missing), (ExitCode::Other, "keystore_unavailable".into(), false));
    let damaged = made.opened_from(b"STEELKEY and no more of it").unwrap_err();
    assert!(damaged.to_string().contains(made.path().to_str().unwrap()), "{damaged}");
    assert_eq!(ends(damaged), (ExitCode::Damaged, "keystore_damaged".into(), true));
}

/// Every writable byte of this process is searched for every secret of a wallet whose owner has
/// gone. The patterns are masked, or they would be found themselves.
#[cfg(target_os = "linux")]
mod memory {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};

    const MASK: u8 = 0x5a;

    type Masked = (&'static str, Vec<u8>);

    fn masked(name: &'static str, secret: &[u8]) -> Masked {
        (name, secret.iter().map(|byte| byte ^ MASK).collect())
    }

    fn found(patterns: &[Masked]) -> Vec<&'static str> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = fs::File::open("/proc/self/mem").unwrap();
        let mut found = Vec::new();
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (range, mode) = (fields.next().unwrap(), fields.next().unwrap());
            if !mode.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
            // Erased: it holds what is alive, and would be found by the next search.
            let mut bytes = Zeroizing::new(vec![0; usize::try_from(to - from).unwrap()]);
            memory.seek(SeekFrom::Start(from)).unwrap();
            // Another test's thread may have given it back meanwhile.
            if memory.read_exact(&mut bytes).is_err() {
                continue;
            }
            // Unmasking what was read would write the secrets that are looked for.
            let same = |(byte, masked): (&u8, &u8)| byte ^ MASK == *masked;
            for (name, pattern) in patterns {
                if bytes.windows(pattern.len()).any(|window| window.iter().zip(pattern).all(same)) {
                    found.push(*name);
                }
            }
        }
        found
    }

    /// A wallet's whole life, and what must be gone after it.
    fn life(dir: &Path) -> (Vec<Masked>, Keys) {
        let words = Words::generate(24).unwrap();
        let sentence = Passphrase::new(hex::encode(random::bytes::<16>().unwrap()));
        let keystore = Keystore::create(&dir.join("w"), new(&words, Some(&sentence))).unwrap();
        let keys = keystore.unlock(Some(&sentence)).unwrap();
        keys.sign(0, payment(keystore.address(0).unwrap())).unwrap();
        let patterns = swept(|| {
            let seed = words.seed("");
            let path = format!("{}/0", derive::ACCOUNT_PATH).parse().unwrap();
            let branch = derive::ExtendedSecret::derive_from_path(seed.as_slice(), &path).unwrap();
            let leaf = branch.derive_child(0.into()).unwrap();
            let key = key_of(&sentence, keystore.header.lock.as_ref().unwrap()).unwrap();
            vec![
                masked("words", words.as_str().as_bytes()),
                masked("passphrase", sentence.as_bytes()),
                masked("entropy", words.entropy().0.as_slice()),
                masked("seed", seed.as_slice()),
                masked("key of the seal", key.as_slice()),
                masked("key of the branch", &branch.to_bytes()),
                masked("key of the address", &leaf.to_bytes()),
            ]
        });
        (patterns, keys)
    }

    #[test]
    fn nothing_of_a_wallet_outlives_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (patterns, keys) = life(dir.path());
        let mut alive = found(&patterns);
        alive.sort_unstable();
        assert_eq!(alive, ["key of the branch", "words"], "what an unlocked wallet keeps, and no more");
        drop(keys);
        assert_eq!(found(&patterns), [""; 0]);
    }
}
