//! Orders for copies of the chain.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// JSON of `POST /backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBackup {
    /// An absolute path: a folder that is missing or empty.
    pub dir: PathBuf,
}

/// JSON of `POST /export`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderExport {
    /// An absolute path, where no file is.
    pub file: PathBuf,
    /// Height of the first block.
    pub from: u64,
}
