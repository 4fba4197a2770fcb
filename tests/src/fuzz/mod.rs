//! Bodies of fuzz targets that need more than the pure crate: frames, files, stored values. See
//! [`steelyard_ledger::fuzz`], where the others are. Must not know who runs them.
//!
//! | file | targets |
//! |---|---|
//! | [`frame`] | `frame`: a stream cut anyhow, and the messages in it |
//! | [`files`] | `network_file`, `keystore` |
//! | [`stored`] | `stored`: what the node and the wallet keep |
//! | [`tap`] | listening in between two ends, for inputs from real traffic |

pub mod files;
pub mod frame;
pub mod stored;
pub mod tap;

use steelyard_ledger::fuzz::Target;

/// Every target here.
pub const TARGETS: &[Target] = &[
    ("frame", frame::frame),
    ("keystore", files::keystore),
    ("network_file", files::network_file),
    ("stored", stored::stored),
];
