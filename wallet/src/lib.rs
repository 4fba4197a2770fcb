//! The wallet daemon: keeps the keys, keeps no chain, trusts no node, and pays exactly once.
//!
//! ```text
//! limits                       every bound
//! intent keystore              what a send is; words, keys and their sealed file
//! view                         what everybody reads
//! light store                  the link to nodes; what is on disk
//! desk                         the one thread that changes anything
//! rpc                          HTTP on the socket, from the view
//! daemon                       the only file that knows all parts
//! cli                          commands, which ask the daemon
//! ```
//!
//! Rows import only from rows above them. Must never import the node.

pub mod cli;
pub mod daemon;
pub mod desk;
pub mod intent;
pub mod keystore;
pub mod light;
pub mod limits;
pub mod rpc;
pub mod store;
pub mod view;
