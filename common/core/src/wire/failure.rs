//! A request that is not answered, though the connection goes on: the node is busy, or still
//! reading. Must not know which request it was: the frame says that.

use super::hello::{CODE_BYTES_MAX, REASON_BYTES_MAX};
use super::{COUNT_BYTES, Message, Text};
use crate::struct_codec;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable name, snake_case.
    pub code: Text<CODE_BYTES_MAX>,
    /// In words.
    pub reason: Text<REASON_BYTES_MAX>,
}

struct_codec!(Failure { code, reason });

impl Message for Failure {
    const KIND: u8 = 5;
    const BYTES_MAX: usize = (COUNT_BYTES + CODE_BYTES_MAX) + (COUNT_BYTES + REASON_BYTES_MAX);
}

impl Failure {
    /// A reason.
    #[must_use]
    pub fn new(code: &str, reason: &str) -> Self {
        Self { code: Text::new(code), reason: Text::new(reason) }
    }
}
