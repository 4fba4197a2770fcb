//! The link against nodes of all manners, over real connections.

mod checks;
mod fake;
mod heard;
mod ledger;
mod lies;
mod manners;
mod reads;
mod sends;
