//! Published test vectors of the wallet's keys through the wallet's own functions: words (BIP 39),
//! derivation (BIP 32), passphrases (RFC 9106), the seal (Wycheproof). Where they are and when they
//! are skipped: see `vectors`. Must not hold any expected value.

use serde::Deserialize;

use steelyard_ledger::published::{json, text};
use steelyard_wallet::keystore::derive::{ACCOUNT_BYTES, Account, ExtendedPublic, ExtendedSecret, Prefix};
use steelyard_wallet::keystore::{KdfCost, KdfInput, Words, argon2id, seal, unseal};

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// The sets of all languages; ours is the English one.
#[derive(Deserialize)]
struct Bip39 {
    english: Vec<Sentence>,
}

/// Entropy, words, seed with the passphrase below, and the root of the tree.
#[derive(Deserialize)]
struct Sentence(String, String, String, String);

/// Said beside the vectors, not in them.
const BIP39_PASSPHRASE: &str = "TREZOR";

#[test]
fn bip39_sentences() {
    let Some(Bip39 { english }) = json::<Bip39>("bip39-trezor-vectors.json") else { return };
    for Sentence(entropy, sentence, seed, root) in &english {
        let words = Words::from_entropy(&bytes(entropy)).unwrap();
        assert_eq!(words.as_str(), sentence);
        let read = Words::parse(sentence).unwrap();
        assert_eq!(hex::encode(read.seed(BIP39_PASSPHRASE).as_slice()), *seed, "{sentence}");
        assert_ne!(read.seed(""), read.seed(BIP39_PASSPHRASE));
        let secret = ExtendedSecret::new(&bytes(seed)).unwrap();
        assert_eq!(*secret.to_string(Prefix::XPRV), *root, "{sentence}");
    }
    assert_eq!(english.len(), 24);
}

/// Word i of the list is the first word of any entropy whose first eleven bits are i.
#[test]
fn bip39_list() {
    let Some(list) = text("bip39-english.txt") else { return };
    let mut count = 0;
    for (index, word) in list.lines().enumerate() {
        let mut entropy = [0; 16];
        entropy[..2].copy_from_slice(&(u16::try_from(index).unwrap() << 5).to_be_bytes());
        let words = Words::from_entropy(&entropy).unwrap();
        assert_eq!(words.as_str().split(' ').next(), Some(word));
        count += 1;
    }
    assert_eq!(count, 2048);
}

#[derive(Deserialize)]
struct Bip32 {
    valid: Vec<Tree>,
    invalid_extended_keys: Vec<Invalid>,
}

#[derive(Deserialize)]
struct Tree {
    seed: String,
    chains: Vec<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    path: String,
    ext_pub: String,
    ext_prv: String,
}

#[derive(Deserialize)]
struct Invalid {
    key: String,
    reason: String,
}

#[test]
fn bip32_chains() {
    let Some(Bip32 { valid, .. }) = json::<Bip32>("bip32-vectors.json") else { return };
    let (mut chains, mut from_public) = (0, 0);
    for Tree { seed, chains: all } in &valid {
        let mut parent: Option<(&str, ExtendedPublic)> = None;
        for Chain { path, ext_pub, ext_prv } in all {
            let secret = ExtendedSecret::derive_from_path(&bytes(seed), &path.parse().unwrap()).unwrap();
            assert_eq!(*secret.to_string(Prefix::XPRV), *ext_prv, "{path}");
            assert_eq!(secret.public_key().to_string(Prefix::XPUB), *ext_pub, "{path}");
            let read: ExtendedPublic = ext_pub.parse().unwrap();
            assert_eq!(ext_prv.parse::<ExtendedSecret>().unwrap().public_key(), read, "{path}");
            // What a locked wallet does: the public child of the public parent.
            let child = path.rsplit_once('/').and_then(|(above, number)| {
                let (path, key) = parent.as_ref()?;
                (above == *path).then_some((key, number.parse::<u32>().ok()?))
            });
            if let Some((key, number)) = child {
                assert_eq!(key.derive_child(number.into()).unwrap(), read, "{path}");
                from_public += 1;
            }
            parent = Some((path, read));
            chains += 1;
        }
    }
    assert_eq!((chains, from_public), (17, 6));
}

/// The library reads text forms that claim to be a root and have a parent. Nothing here reads a
/// text form: a keystore holds key and chain code, so of these no field is there to be wrong.
const TEXT_RULE: &str = "zero depth";

#[test]
fn bip32_invalid_keys() {
    let Some(Bip32 { invalid_extended_keys: cases, .. }) = json::<Bip32>("bip32-vectors.json") else {
        return;
    };
    let (mut refused, mut skipped) = (0, 0);
    for Invalid { key, reason } in &cases {
        if reason.starts_with(TEXT_RULE) {
            skipped += 1;
            continue;
        }
        assert!(key.parse::<ExtendedSecret>().is_err(), "{reason}");
        assert!(key.parse::<ExtendedPublic>().is_err(), "{reason}");
        refused += 1;
    }
    assert_eq!((cases.len(), refused, skipped), (16, 12, 4));
}

/// The form in which a keystore's file has them: key and chain code, and nothing else.
#[test]
fn bip32_account_halves() {
    let Some(Bip32 { valid, .. }) = json::<Bip32>("bip32-vectors.json") else { return };
    let mut accounts = 0;
    for Chain { path, ext_pub, .. } in valid.iter().flat_map(|tree| &tree.chains) {
        let extended: ExtendedPublic = ext_pub.parse().unwrap();
        let mut half = [0; ACCOUNT_BYTES];
        half[..33].copy_from_slice(&extended.to_bytes());
        half[33..].copy_from_slice(&extended.attrs().chain_code);
        let account = Account::from_bytes(&half).unwrap();
        for index in [0, 1, 2_000_000_000] {
            let child = extended.derive_child(0.into()).unwrap().derive_child(index.into()).unwrap();
            assert_eq!(account.key(index).unwrap().0, child.to_bytes()[1..], "{path}");
        }
        accounts += 1;
    }
    assert_eq!(accounts, 17);
}

#[derive(Deserialize)]
struct Argon2 {
    variant: String,
    version: u32,
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
    tag_len: usize,
    password: String,
    salt: String,
    secret: String,
    associated_data: String,
    tag: String,
}

/// The two other variants are not in use.
#[test]
fn rfc9106_argon2id() {
    let Some(cases) = json::<Vec<Argon2>>("argon2-rfc9106.json") else { return };
    let mut asserted = 0;
    for case in cases.iter().filter(|case| case.variant == "argon2id") {
        assert_eq!((case.version, case.tag_len), (0x13, 32));
        let cost = KdfCost { memory_kib: case.memory_kib, passes: case.iterations, lanes: case.lanes };
        cost.check().unwrap();
        let input = KdfInput {
            password: &bytes(&case.password),
            salt: &bytes(&case.salt),
            secret: &bytes(&case.secret),
            associated: &bytes(&case.associated_data),
        };
        assert_eq!(hex::encode(argon2id(&input, cost).unwrap().as_slice()), case.tag);
        asserted += 1;
    }
    assert_eq!((cases.len(), asserted), (3, 1));
}

/// Sealed texts of another project, right and wrong ones.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aead {
    test_groups: Vec<AeadGroup>,
}

#[derive(Deserialize)]
struct AeadGroup {
    tests: Vec<AeadCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AeadCase {
    tc_id: u32,
    key: String,
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    tag: String,
    result: String,
}

/// The seal of a keystore's file. A nonce of another length than its own is none by type.
#[test]
fn wycheproof_xchacha20_poly1305() {
    let Some(Aead { test_groups }) = json::<Aead>("wycheproof/xchacha20_poly1305_test.json") else { return };
    let (mut opened, mut refused, mut skipped) = (0, 0, 0);
    for case in test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(nonce) = bytes(&case.iv).try_into() else {
            assert_eq!(case.result, "invalid", "{}", case.tc_id);
            skipped += 1;
            continue;
        };
        let (key, tag) = (bytes(&case.key).try_into().unwrap(), bytes(&case.tag).try_into().unwrap());
        let (clear, mut text) = (bytes(&case.aad), bytes(&case.ct));
        let is_open = unseal(&key, &nonce, &clear, &mut text, &tag);
        assert_eq!(is_open, case.result == "valid", "{}", case.tc_id);
        if is_open {
            assert_eq!(hex::encode(&text), case.msg, "{}", case.tc_id);
            assert_eq!(seal(&key, &nonce, &clear, &mut text), tag, "{}", case.tc_id);
            opened += 1;
        } else {
            refused += 1;
        }
        // Sealed again, or left as it was.
        assert_eq!(hex::encode(&text), case.ct, "{}", case.tc_id);
    }
    assert_eq!((opened, refused, skipped), (246, 60, 9));
}
