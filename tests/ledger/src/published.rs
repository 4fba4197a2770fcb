//! Published test vectors, from the folder in `STEELYARD_VECTORS`: set, a missing file is a failure;
//! unset, each test says that it skips. Must not know what they are vectors of.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// Where the vectors are.
pub const VECTORS_ENV: &str = "STEELYARD_VECTORS";

/// The text of a file of vectors; `None`, said aloud, where nobody says where they are.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os(VECTORS_ENV) else {
        println!("SKIPPED: {name}: {VECTORS_ENV} names no folder of vectors");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The same, read as JSON.
#[must_use]
pub fn json<T: DeserializeOwned>(name: &str) -> Option<T> {
    text(name).map(|text| serde_json::from_str(&text).unwrap())
}
