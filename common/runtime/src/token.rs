//! Access tokens: 256 random bits in a file only its owner may read, new at every start.
//! Must not know what a token allows.

use std::hint::black_box;
use std::io;
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::ready;

/// Bytes of a token before it is written as hex.
const TOKEN_BYTES: usize = 32;

/// Length of a token as text, lower-case hex digits.
pub const TOKEN_CHARS: usize = 2 * TOKEN_BYTES;

/// Makes a new token and writes it to `path`, mode 0600, replacing an older one.
///
/// # Errors
/// Those of the machine.
pub fn create(path: &Path) -> io::Result<String> {
    let token = random()?;
    ready::write_atomically(path, format!("{token}\n").as_bytes(), 0o600)?;
    Ok(token)
}

/// Reads the token another process wrote to `path`.
///
/// # Errors
/// Those of the machine; `InvalidData` when the file holds no token.
pub fn read(path: &Path) -> io::Result<String> {
    let bytes = ready::read_bounded(path)?;
    let text = std::str::from_utf8(&bytes).map(str::trim_end).unwrap_or_default();
    let is_token = text.len() == TOKEN_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_token {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file holds no token"));
    }
    Ok(text.to_owned())
}

/// A new token, not written anywhere.
///
/// # Errors
/// Those of the system's source of randomness.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether two tokens are equal, in a time that tells nothing but whether their lengths are.
pub fn same(given: &str, wanted: &str) -> bool {
    if given.len() != wanted.len() {
        return false;
    }
    let difference = given.bytes().zip(wanted.bytes()).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_its_own_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        let first = create(&path).unwrap();
        assert_eq!(read(&path).unwrap(), first);
        assert_eq!(first.len(), TOKEN_CHARS);
        let second = create(&path).unwrap();
        assert_ne!(first, second);
        assert_eq!(read(&path).unwrap(), second);
    }

    #[test]
    fn a_file_without_a_token_is_invalid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        for text in ["", "abc", &"g".repeat(TOKEN_CHARS)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same("abcd", "abcd"));
        assert!(!same("abcd", "abce"));
        assert!(!same("bbcd", "abcd"));
        assert!(!same("abc", "abcd"));
        assert!(!same("", "abcd"));
    }
}
