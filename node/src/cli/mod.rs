//! The commands: typed arguments, resolved settings, one file per command, and what each shows.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the arguments |
//! | `config` | the settings of one run, and `config print` |
//! | `run`, `fresh` | `dev` and `run`: start, wait, stop |
//! | `screen`, `events` | what a running node shows |
//! | `ask` | finding a running node and asking it |
//! | `status`, `peers`, `tips`, `peer` | the command of that name, which asks |
//! | `new_network` | the command of that name |
//! | `verify`, `repair`, `backup`, `restore`, `export`, `import` | the command of that name, on a folder |
//! | `doctor`, `health` | the command of that name |
//! | `table` | columns |
//!
//! Must not know rules of the ledger: it starts [`crate::node`] or asks one that runs.

mod args;
mod ask;
mod backup;
mod config;
mod doctor;
mod events;
mod export;
mod fresh;
mod health;
mod import;
mod new_network;
mod peer;
mod peers;
mod repair;
mod restore;
mod run;
mod screen;
mod status;
mod table;
mod tips;
mod verify;

use std::ffi::OsString;

use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;
use steelyard_runtime::{arguments, crash, version};

use self::args::{Cli, Command, ConfigCommand};
use self::config::Resolved;
use crate::node::PROGRAM;
use crate::peers::{SUBMITTER_THREAD, THREAD as PEERS_THREAD};

/// The threads that [`crate::chain::Chain::start`] and [`crate::peers::start`] name so. A fault of ours
/// in one ends the process: a node whose chain stands still must not look alive.
const FATAL_THREADS: [&str; 3] = ["chain", PEERS_THREAD, SUBMITTER_THREAD];

/// Runs the command that `args` ask for, and answers how the process is to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crash::install(PROGRAM, version::text(), &FATAL_THREADS);
    let cli: Cli = match arguments::parse(args, PROGRAM) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let out = Output::new(cli.globals.json);
    match command(&cli, out) {
        Ok(code) => code,
        Err(error) => {
            out.error(&error);
            error.exit
        }
    }
}

fn command(cli: &Cli, out: Output) -> Result<ExitCode, CliError> {
    let resolve = |flags| Resolved::new(&cli.globals, flags);
    match &cli.command {
        // What they find is their answer, also when it is nothing good.
        Command::Doctor(args) => return Ok(doctor::run(resolve(args.flags()), out)),
        Command::Health(args) => return health::run(&resolve(args.flags())?, out),
        Command::Dev(args) => run::dev(&resolve(args.flags())?, args.fresh, out),
        Command::Run(args) => run::run(&resolve(args.flags())?, out),
        Command::NewNetwork(args) => new_network::run(args, out),
        Command::Verify(args) => verify::run(&resolve(args.flags())?, args.full, out),
        Command::Repair(args) => repair::run(&resolve(args.flags())?, args.force, out),
        Command::Backup(args) => backup::run(&resolve(args.flags())?, &args.dir, out),
        Command::Restore(args) => restore::run(&resolve(args.flags())?, &args.dir, out),
        Command::Export(args) => export::run(&resolve(args.flags())?, args, out),
        Command::Import(args) => import::run(&resolve(args.flags())?, &args.file, out),
        Command::Status(args) => status::run(&resolve(args.flags())?, out),
        Command::Peers(args) => peers::run(&resolve(args.flags())?, out),
        Command::Tips(args) => tips::run(&resolve(args.flags())?, out),
        Command::Peer(command) => peer::run(&resolve(command.ask().flags())?, command, out),
        Command::Config(ConfigCommand::Print(args)) => {
            config::print(&resolve(args.flags())?, out);
            Ok(())
        }
        Command::Version => {
            version::print(PROGRAM, out);
            Ok(())
        }
    }
    .map(|()| ExitCode::Ok)
}
