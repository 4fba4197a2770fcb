//! The rules. This page is their order, and the order in which faults are reported at every door:
//!
//! 1. **Header**, in the context of its parent ([`header::check_header`]): version, height, prev
//!    time, elapsed, time, bits, proof of work, history root, total work. Nothing here needs a body,
//!    so no body is asked for before. A time ahead of one's own clock is no rule but a reason to
//!    wait ([`header::drift`]).
//! 2. **Body**, in isolation ([`block::check_block`]): root, size, coinbase's form and height,
//!    number of transactions, each transaction's form ([`transaction::shape`]), then all signatures.
//! 3. **State** ([`transition::connect_block`]): each transaction in block order (expiry, nonce, funds,
//!    asset rules), new records, the coinbase's amount, the state root.
//!
//! A transaction alone goes through its part of 2 and of 3, so the pool, the API and blocks give
//! one verdict. Each rule is one variant of [`error`]; what is not a rule (a parent nobody has, a
//! store that fails) never is.

pub mod block;
pub mod error;
pub mod header;
pub mod pow;
pub mod template;
pub mod transaction;
pub mod transition;
