//! Bytes nobody can foresee, from the system itself. Must not know what they are for.

use std::io;

use rand::TryRngCore;
use rand::rngs::OsRng;

/// Fills `bytes`.
///
/// # Errors
/// Those of the system's source of randomness.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    OsRng.try_fill_bytes(bytes).map_err(io::Error::other)
}

/// `N` of them, for what is no secret.
///
/// # Errors
/// Those of the system's source of randomness.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
