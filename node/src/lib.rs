//! The node: keeps the chain, the pending transactions and the peers, and survives anything.
//!
//! ```text
//! limits threads                    every bound; a second thread for the core
//! store mempool                     what is on disk; what is pending
//! chain                             the one thread that changes anything, and what others see
//! disk mark memory                  the room there is; how far the store was, beside it; what was freed
//! finder                            the index behind the tip: where in the chain to look for what
//! miner verify lookup sync          those that read the view and submit, find in bodies, judge the store,
//!                                   or decide what to ask of which peer
//! backup blockfile repair           the store and the chain as files; a store made again from its blocks
//! peers                             other nodes: sync and relay with sockets
//! api net                           HTTP and the framed protocol, from the view
//! node                              the only file that knows all parts
//! doctor                            what is wrong with a node's folder
//! cli                               commands
//! ```
//!
//! Rows import only from rows above them. Never holds a private key.

pub mod api;
pub mod backup;
pub mod blockfile;
pub mod chain;
pub mod cli;
pub mod disk;
pub mod doctor;
pub mod finder;
pub mod limits;
pub mod lookup;
pub mod mark;
pub mod memory;
pub mod mempool;
pub mod miner;
pub mod net;
pub mod node;
pub mod peers;
pub mod repair;
pub mod store;
pub mod sync;
pub mod threads;
pub mod verify;
