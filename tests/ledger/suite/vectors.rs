//! Published test vectors through the project's own functions. The folder is named by
//! `STEELYARD_VECTORS`: set, a missing file is a failure; unset, each test says that it skips. Each
//! test counts its cases, so that an empty file cannot pass; those of a wallet's keys are run with the
//! wallet. A file that is neither run nor said to be of no use is a failure. Must not hold any
//! expected value.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use steelyard_core::address::{AddressError, parse};
use steelyard_core::asert::{Anchor, next_target};
use steelyard_core::crypto::keys::{PublicKey, SecretKey, Signature};
use steelyard_core::hash::sha256d;
use steelyard_core::merkle::{Frontier, Join, Levels, top_of_path};
use steelyard_core::work::{U256, from_bits, to_bits};
use steelyard_ledger::published::{VECTORS_ENV, json, text};

use crate::properties::trees::is_consistent;

fn bits(text: &str) -> u32 {
    u32::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

fn target(text: &str) -> U256 {
    U256::from_big_endian(&hex::decode(text).unwrap())
}

/// A run file's `##   name: value` line.
fn setting<'a>(run: &'a str, name: &str) -> &'a str {
    let line =
        run.lines().find_map(|line| line.strip_prefix("##")?.trim().strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}")).trim()
}

#[test]
fn asert_runs() {
    let mut lines = 0;
    for number in 1..=12 {
        let name = format!("asert-aserti3-2d/run{number:02}");
        let Some(run) = text(&name) else { return };
        let anchor_height: u64 = setting(&run, "anchor height").parse().unwrap();
        let anchor_time: i128 = setting(&run, "anchor parent time").parse().unwrap();
        let anchor = Anchor {
            target: from_bits(bits(setting(&run, "anchor nBits"))).unwrap(),
            spacing: 600,
            half_life: 172_800,
            floor: U256::one(),
            limit: from_bits(0x1d00_ffff).unwrap(),
        };
        let before = lines;
        for line in run.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, height, time, expected] = fields[..] else { panic!("{name}: {line}") };
            let blocks = height.parse::<u64>().unwrap() - anchor_height + 1;
            let elapsed = time.parse::<i128>().unwrap() - anchor_time;
            assert_eq!(to_bits(next_target(&anchor, elapsed, blocks)), bits(expected), "{name}: {line}");
            lines += 1;
        }
        let stated: u64 = setting(&run, "iterations").parse().unwrap();
        println!("{name}: {} lines, {stated} stated", lines - before);
    }
    assert_eq!(lines, 13_998);
}

#[derive(Deserialize)]
struct AsertUnit {
    ref_target: String,
    target_spacing: u64,
    halflife: u64,
    time_diff: i128,
    height_diff: u64,
    pow_limit: String,
    expected_target: String,
    expected_nbits: String,
}

#[test]
fn asert_units() {
    let Some(cases) = json::<Vec<AsertUnit>>("asert-aserti3-2d/calculate_asert_unit.json") else { return };
    for case in &cases {
        let anchor = Anchor {
            target: target(&case.ref_target),
            spacing: case.target_spacing,
            half_life: case.halflife,
            floor: U256::one(),
            limit: target(&case.pow_limit),
        };
        let found = next_target(&anchor, case.time_diff, case.height_diff + 1);
        let place = (case.time_diff, case.height_diff);
        assert_eq!(to_bits(found), bits(&case.expected_nbits), "{place:?}");
        assert_eq!(to_bits(target(&case.expected_target)), bits(&case.expected_nbits), "{place:?}");
    }
    assert_eq!(cases.len(), 18);
}

#[test]
fn bip340() {
    let Some(table) = text("bip340-test-vectors.csv") else { return };
    let (mut verified, mut signed) = (0, 0);
    for line in table.lines().skip(1).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.splitn(8, ',').collect();
        let [index, secret, public, randomness, message, signature, result, comment] = fields[..] else {
            panic!("{line}")
        };
        let array = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
        let public = PublicKey(array(public));
        let message = hex::decode(message).unwrap();
        let signature = Signature(hex::decode(signature).unwrap().try_into().unwrap());
        assert_eq!(public.verifies(&message, &signature), result == "TRUE", "{index}: {comment}");
        verified += 1;
        if !secret.is_empty() {
            let secret = SecretKey::new(array(secret)).unwrap();
            assert_eq!(secret.public(), public, "{index}");
            assert_eq!(secret.sign_with(&message, &array(randomness)), signature, "{index}");
            signed += 1;
        }
    }
    assert_eq!((verified, signed), (19, 8));
}

/// A node of the certificate log's tree, as long as a case makes it.
#[derive(Clone, PartialEq)]
struct LogNode(Vec<u8>);

impl Join for LogNode {
    fn join(left: &Self, right: &Self) -> Self {
        Self(Sha256::digest([&[1], &left.0[..], &right.0].concat()).to_vec())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
    file: String,
}

/// An empty hash is an error by the rules of that project's API, and nothing to this one's tree.
const API_RULE: &str = "empty-root-and-leaf.json";

#[test]
fn rfc6962_inclusion() {
    let Some(cases) = json::<Vec<Inclusion>>("rfc6962-inclusion.json") else { return };
    let (mut held, mut refused, mut skipped) = (0, 0, 0);
    for case in &cases {
        if case.file.contains("single-entry") && case.file.ends_with(API_RULE) {
            skipped += 1;
            continue;
        }
        let node = |text: &String| LogNode(base64(text));
        let path: Vec<LogNode> = case.proof.iter().flatten().map(node).collect();
        let top = top_of_path(&node(&case.leaf_hash), case.leaf_idx, case.tree_size, &path);
        let is_held = top == Some(node(&case.root));
        assert_eq!(is_held, !case.want_err, "{}", case.file);
        if is_held { held += 1 } else { refused += 1 }
    }
    assert_eq!((cases.len(), held, refused, skipped), (98, 6, 91, 1));
}

#[derive(Deserialize)]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    #[serde(rename = "wantErr")]
    want_err: bool,
    file: String,
}

/// The ledger sends no consistency proofs, but its history tree must have them: a header's history is
/// that of every later one, cut off. Walked by the function that walks inclusion paths.
#[test]
fn rfc6962_consistency() {
    let Some(cases) = json::<Vec<Consistency>>("rfc6962-consistency.json") else { return };
    let (mut held, mut refused) = (0, 0);
    for case in &cases {
        let node = |text: &String| LogNode(base64(text));
        let proof: Vec<LogNode> = case.proof.iter().flatten().map(node).collect();
        let (old, new) = (node(&case.root1), node(&case.root2));
        let is_held = is_consistent((case.size1, &old), (case.size2, &new), &proof);
        assert_eq!(is_held, !case.want_err, "{}", case.file);
        if is_held { held += 1 } else { refused += 1 }
    }
    assert_eq!((cases.len(), held, refused), (98, 6, 92));
}

thread_local! {
    /// Nodes of the mountain range so far.
    static NODES: Cell<u64> = const { Cell::new(0) };
}

/// The peaks below a node, largest first, as the published cases name them: by order of making and by
/// height. Two of one height become a mountain; of different heights they only stand side by side.
#[derive(Clone)]
struct Range(Vec<(u64, u32)>);

impl Range {
    fn next(height: u32) -> Self {
        Self(vec![(NODES.replace(NODES.get() + 1), height)])
    }
}

impl Join for Range {
    fn join(left: &Self, right: &Self) -> Self {
        match (&left.0[..], &right.0[..]) {
            ([(_, left)], [(_, right)]) if left == right => Self::next(left + 1),
            _ => Self([&left.0[..], &right.0].concat()),
        }
    }
}

#[derive(Deserialize)]
struct RangeFile {
    vectors: Vec<RangeCase>,
}

#[derive(Deserialize)]
struct RangeCase {
    leaves: u64,
    mmr_size: u64,
    peaks: Vec<u64>,
    peak_heights: Vec<u32>,
    last_leaf_pos: u64,
}

/// Which nodes there are, and which of them are peaks, of trees up to a million leaves; of the small
/// ones also as a prefix of a larger one.
#[test]
fn mmr_structure() {
    let Some(file) = json::<RangeFile>("mmr-structure.json") else { return };
    let cases: BTreeMap<u64, &RangeCase> = file.vectors.iter().map(|case| (case.leaves, case)).collect();
    let (most, prefixes) = (*cases.keys().last().unwrap(), 128);
    let (mut frontier, mut levels, mut found) = (Frontier::default(), Levels::default(), 0);
    for count in 1..=most {
        let leaf = Range::next(0);
        let place = leaf.0[0].0;
        frontier.push(leaf);
        let Some(case) = cases.get(&count) else { continue };
        assert_eq!((NODES.get(), place), (case.mmr_size, case.last_leaf_pos), "{count} leaves");
        let peaks: Vec<_> = case.peaks.iter().copied().zip(case.peak_heights.iter().copied()).collect();
        assert_eq!(frontier.top().unwrap().0, peaks, "{count} leaves");
        found += 1;
    }
    NODES.set(0);
    (0..prefixes).for_each(|_| levels.push(Range::next(0)));
    for case in cases.values().filter(|case| case.leaves <= prefixes) {
        let peaks = levels.frontier(case.leaves).unwrap().top().unwrap().0;
        assert_eq!(peaks.iter().map(|peak| peak.0).collect::<Vec<_>>(), case.peaks);
    }
    assert_eq!((file.vectors.len(), found), (69, 69));
}

/// RFC 4648 section 4.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c)
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0, 0);
    for digit in text.trim_end_matches('=').bytes().map(|c| digit(c).unwrap()) {
        held = (held << 6 | digit) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}

/// The ledger has no use for a single SHA-256; its double one is that of the digest expected.
#[test]
fn nist_sha256() {
    let mut cases = 0;
    for name in ["nist-SHA256ShortMsg.rsp", "nist-SHA256LongMsg.rsp"] {
        let Some(file) = text(name) else { return };
        let values = |key: &str| -> Vec<String> {
            let prefix = format!("{key} = ");
            file.lines()
                .filter_map(|line| line.strip_prefix(&prefix))
                .map(|text| text.trim().to_owned())
                .collect()
        };
        for ((bits, message), digest) in values("Len").iter().zip(values("Msg")).zip(values("MD")) {
            let mut message = hex::decode(message).unwrap();
            message.truncate(bits.parse::<usize>().unwrap() / 8);
            let expected: [u8; 32] = Sha256::digest(hex::decode(digest).unwrap()).into();
            assert_eq!(sha256d(&message), expected, "{name}: {bits} bits");
            cases += 1;
        }
    }
    assert_eq!(cases, 129);
}

#[derive(Deserialize)]
struct Bech32m {
    valid_bech32m: Vec<String>,
    invalid_bech32m: Vec<Invalid>,
    valid_segwit: Vec<Segwit>,
    invalid_segwit: Vec<Segwit>,
}

#[derive(Deserialize)]
struct Invalid {
    string: String,
    reason: String,
}

#[derive(Deserialize)]
struct Segwit {
    address: String,
}

/// What an address's text says with the prefix that it has itself.
fn own_verdict(text: &str) -> Result<(), AddressError> {
    let prefix = text.rsplit_once('1').map_or("", |(prefix, _)| prefix).to_lowercase();
    parse(&prefix, text).map(|_| ())
}

/// None is an address of this ledger: those with a right checksum hold something else than 32
/// bytes, so the checksum is right where the length is what is refused.
#[test]
fn bip350() {
    let Some(cases) = json::<Bech32m>("bip350-bech32m.json") else { return };
    for text in &cases.valid_bech32m {
        assert!(matches!(own_verdict(text), Err(AddressError::WrongLength { .. })), "{text}");
        assert!(matches!(parse("sy", text), Err(AddressError::WrongPrefix { .. })), "{text}");
    }
    for Invalid { string, reason } in &cases.invalid_bech32m {
        assert!(matches!(own_verdict(string), Err(AddressError::NotBech32m(_))), "{string}: {reason}");
    }
    for Segwit { address } in cases.valid_segwit.iter().chain(&cases.invalid_segwit) {
        assert!(own_verdict(address).is_err(), "{address}");
    }
    let counts = (
        cases.valid_bech32m.len(),
        cases.invalid_bech32m.len(),
        cases.valid_segwit.len() + cases.invalid_segwit.len(),
    );
    assert_eq!(counts, (7, 14, 23));
}

/// 52 characters hold 260 bits: the last four of them are zero, or an address would have 16 texts.
#[test]
fn an_address_has_one_text() {
    let text = "sy1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qursdnvljk";
    let padded = "sy1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qur3s9c20y";
    assert_eq!(parse("sy", text).map(|address| address.0), Ok([7; 32]));
    assert!(matches!(parse("sy", padded), Err(AddressError::NotBech32m(_))));
}

/// Every published file, and the test that runs it or why none does.
const FILES: &[(&str, &str)] = &[
    ("argon2-rfc9106.json", "wallet_vectors::rfc9106_argon2id"),
    ("asert-aserti3-2d", "asert_runs, asert_units"),
    ("bip32-vectors.json", "wallet_vectors::bip32_chains, bip32_invalid_keys, bip32_account_halves"),
    ("bip340-test-vectors.csv", "bip340"),
    ("bip350-bech32m.json", "bip350"),
    ("bip39-english.txt", "wallet_vectors::bip39_list"),
    ("bip39-trezor-vectors.json", "wallet_vectors::bip39_sentences"),
    (
        "jmt-sha2_256_vectors.json",
        "none: a trie of fixed depth with other preimages; ours has no published vectors",
    ),
    ("mmr-structure.json", "mmr_structure"),
    ("nist-SHA256LongMsg.rsp", "nist_sha256"),
    ("nist-SHA256ShortMsg.rsp", "nist_sha256"),
    (
        "nist-SHA512ShortMsg.rsp",
        "none: SHA-512 is called by the libraries of BIP 32 and BIP 39 alone, whose vectors are run",
    ),
    ("rfc6962-consistency.json", "rfc6962_consistency"),
    ("rfc6962-inclusion.json", "rfc6962_inclusion"),
    ("wycheproof/chacha20_poly1305_test.json", "none: a nonce of 12 bytes, which nothing here seals with"),
    ("wycheproof/ecdh_secp256k1_test.json", "none: no key is agreed on"),
    ("wycheproof/ecdsa_secp256k1_sha256_bitcoin_test.json", "none: signatures are BIP 340's, never ECDSA"),
    ("wycheproof/ecdsa_secp256k1_sha256_p1363_test.json", "none: signatures are BIP 340's, never ECDSA"),
    ("wycheproof/ecdsa_secp256k1_sha256_test.json", "none: signatures are BIP 340's, never ECDSA"),
    ("wycheproof/hkdf_sha256_test.json", "none: keys are derived by BIP 32 and Argon2id"),
    (
        "wycheproof/hmac_sha256_test.json",
        "none: BIP 32 and BIP 39 have HMAC with SHA-512, and nothing else has any",
    ),
    ("wycheproof/xchacha20_poly1305_test.json", "wallet_vectors::wycheproof_xchacha20_poly1305"),
];

/// What is published beside the vectors about them.
const ABOUT: [&str; 2] = ["SHA256SUMS", "SOURCES.md"];

#[test]
fn every_published_file_is_run_or_said_to_be_of_no_use() {
    let Some(folder) = std::env::var_os(VECTORS_ENV) else {
        println!("SKIPPED: {VECTORS_ENV} names no folder of vectors");
        return;
    };
    let folder = Path::new(&folder);
    let names = |below: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder.join(below)).unwrap();
        entries.map(|entry| below.to_owned() + entry.unwrap().file_name().to_str().unwrap()).collect()
    };
    let found: BTreeSet<String> = names("").into_iter().chain(names("wycheproof/")).collect();
    let known = FILES.iter().map(|(name, _)| *name).chain(ABOUT).chain(["wycheproof"]);
    assert_eq!(found, known.map(str::to_owned).collect());
    for (name, use_of) in FILES {
        println!("{name}: {use_of}");
    }
}
