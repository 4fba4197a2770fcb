//! Files that people hand around: a network's parameters, a wallet's keystore. What is read is within its
//! bounds and says what the bytes say. Must not know daemons.

use std::io::Write;

use sha2::{Digest, Sha256};
use steelyard_core::hash::NetworkId;
use steelyard_runtime::network_file::{from_toml, to_toml};
use steelyard_wallet::keystore::{Keystore, KeystoreError};

/// Bytes of the checksum at a keystore's end.
const CHECKSUM_BYTES: usize = 32;
/// Where a keystore's network stands, behind magic, version and the wallet's id.
const NETWORK: std::ops::Range<usize> = 26..58;
/// Where it says how it is sealed.
const SEAL: usize = 75;

/// The target of network files: the text.
pub fn network_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(params) = from_toml(text) else { return };
    assert_eq!(params.check(), Ok(()));
    let written = to_toml(&params);
    assert_eq!(from_toml(&written).as_ref(), Ok(&params), "{written}");
    assert_eq!(params.network_id(), from_toml(&written).expect("as before").network_id());
    let allocated = params.allocations.iter().map(|(_, amount)| amount).sum::<u64>();
    assert_eq!((params.supply(0), params.reward(0)), (allocated, 0));
    let genesis = params.genesis();
    assert_eq!(genesis.state.len(), params.allocations.len() as u64);
    assert_eq!(genesis.header.prev, params.hash());
}

/// The target of keystores: how u8 (odd: as it is; even: with a right checksum), then the file.
pub fn keystore(input: &[u8]) {
    let Some((how, content)) = input.split_first() else { return };
    let mut content = content.to_vec();
    if how % 2 == 0 && content.len() >= CHECKSUM_BYTES {
        content.truncate(content.len() - CHECKSUM_BYTES);
        let checksum = Sha256::digest(&content);
        content.extend_from_slice(&checksum);
    }
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(&content).expect("it can be written");
    match Keystore::open(file.path()) {
        Ok(keystore) => opened(&keystore, &content),
        Err(KeystoreError::Damaged { .. } | KeystoreError::Version { .. }) => {}
        Err(error) => panic!("bytes are no fault of the machine: {error}"),
    }
}

fn opened(keystore: &Keystore, content: &[u8]) {
    let (body, checksum) = content.split_at(content.len() - CHECKSUM_BYTES);
    assert_eq!(Sha256::digest(body)[..], *checksum);
    assert_eq!(keystore.network(), NetworkId(content[NETWORK].try_into().expect("32 bytes")));
    assert_eq!(keystore.is_encrypted(), content[SEAL] == 1);
    let address = keystore.address(0).expect("there is a first key");
    assert_eq!(keystore.policy(0).expect("as before").address(), address);
    if keystore.is_encrypted() {
        assert!(matches!(keystore.unlock(None), Err(KeystoreError::Locked)));
    } else if let Err(error) = keystore.unlock(None) {
        assert!(matches!(error, KeystoreError::Damaged { .. }), "{error}");
    }
}
