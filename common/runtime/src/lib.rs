//! What both programs need of the machine they run on, and nothing of the ledger.
//!
//! | module | holds |
//! |---|---|
//! | [`sled_door`] | the only way to sled: safe open, one-batch commits, in-process reopen |
//! | [`failpoint`] | named places where a debug build can be made to die, for crash tests |
//! | [`exit`] | the exit codes and the error a command ends with |
//! | [`arguments`], [`words`] | arguments read, and quantities as people read and write them |
//! | [`output`], [`progress`] | what a command prints, and progress of long work |
//! | [`logs`] | the log stream on stderr |
//! | [`settings`] | layered settings, each value with where it came from |
//! | [`dirs`], [`lock`] | the folders, and one process per folder |
//! | [`disk`], [`process`] | how much room there is, and what this process takes |
//! | [`network_file`] | a network's parameters as a file |
//! | [`clock`] | the one file that asks the time |
//! | [`signals`], [`crash`] | what asks a program to stop, and what a panic does |
//! | [`version`] | which version this is |
//! | [`connections`] | a listener with bounds |
//! | [`frame`] | a stream cut into frames, and back |
//! | [`link`] | a connection that speaks frames: handshake, deadlines, hang-up |
//! | [`ready`], [`token`] | small files written whole: ready files, notes, access tokens |
//!
//! It must not know: blocks, amounts, keys, networks' rules, protocol messages but the handshake's,
//! or which program calls it. A rule of the ledger belongs to `steelyard-core`.
//!
//! Read next: [`sled_door`], then [`settings`].

pub mod arguments;
pub mod bucket;
pub mod clock;
pub mod connections;
pub mod crash;
pub mod dirs;
pub mod disk;
pub mod exit;
pub mod failpoint;
pub mod frame;
pub mod link;
pub mod lock;
pub mod logs;
pub mod network_file;
pub mod output;
pub mod process;
pub mod progress;
pub mod ready;
pub mod settings;
pub mod signals;
pub mod sled_door;
pub mod token;
pub mod version;
pub mod words;
