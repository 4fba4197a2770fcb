//! What travels and is stored: headers, transactions, bodies. Must not know whether they are valid.

pub mod body;
pub mod header;
pub mod transaction;
