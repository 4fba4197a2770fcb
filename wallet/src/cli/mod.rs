//! The commands: typed arguments, resolved settings, one file per command. They ask the daemon over
//! its socket, and start it when none answers.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the arguments |
//! | `config` | the settings of one run, and `config print` |
//! | `client`, `start` | a request and its answer; the daemon found or started |
//! | `failure`, `shown` | what a command ends with; what several show alike |
//! | `ask`, `secrets` | questions to a person; where passphrases and words come from |
//! | `which` | which wallet is meant |
//! | `wallets` | `create`, `restore`, `import-dev` |
//! | `address`, `balance`, `send`, `tx`, `status`, `lock` | the command of that name |
//! | `menu` | a numbered menu of three of them |
//! | `daemon`, `notify` | the daemon in the foreground, its end, what systemd is told |
//!
//! Must not know stores, keys or nodes: only `daemon` starts what does.

mod address;
mod args;
mod ask;
mod balance;
mod client;
mod config;
mod daemon;
mod failure;
mod lock;
mod menu;
mod notify;
mod secrets;
mod send;
mod shown;
mod start;
mod status;
mod tx;
mod wallets;
mod which;

use std::ffi::OsString;

use steelyard_runtime::exit::ExitCode;
use steelyard_runtime::output::Output;
use steelyard_runtime::{arguments, crash, version};

use self::args::{Cli, Command, ConfigCommand};
use self::config::Resolved;
use self::failure::Failure;
use crate::daemon::PROGRAM;

/// The thread that owns all changes. A fault of ours in it ends the process: a daemon whose desk
/// stands still must not look alive.
const DESK_THREAD: &str = "desk";

/// Runs the command that `args` ask for, and answers how the process is to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crash::install(PROGRAM, version::text(), &[DESK_THREAD]);
    let cli: Cli = match arguments::parse(args::with_nodes_last(args), PROGRAM) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let out = Output::new(cli.globals.json);
    match command(&cli, out) {
        Ok(()) => ExitCode::Ok,
        Err(failure) => {
            failure.tell(out);
            failure.error.exit
        }
    }
}

fn command(cli: &Cli, out: Output) -> Result<(), Failure> {
    cli.check()?;
    if matches!(cli.command, Command::Version) {
        version::print(PROGRAM, out);
        return Ok(());
    }
    let (resolved, yes) = (Resolved::new(&cli.globals)?, cli.globals.yes);
    match &cli.command {
        Command::Create(args) => wallets::create(&resolved, args, yes, out),
        Command::Restore(args) => wallets::restore(&resolved, args, out),
        Command::ImportDev => wallets::import_dev(&resolved, out),
        Command::Address(args) => address::run(&resolved, args, out),
        Command::Balance(args) => balance::run(&resolved, args, out),
        Command::Send(args) => send::run(&resolved, args, yes, out),
        Command::Tx(command) => tx::run(&resolved, command, out),
        Command::Menu => menu::run(&resolved, yes, out),
        Command::Status => status::run(&resolved, out),
        Command::Lock => lock::lock(&resolved, out),
        Command::Unlock(args) => lock::unlock(&resolved, args, out),
        Command::Daemon(args) => daemon::run(&resolved, args, out),
        Command::Stop => daemon::stop(&resolved, out),
        Command::Config(ConfigCommand::Print) => {
            config::print(&resolved, out);
            Ok(())
        }
        Command::Version => Ok(()),
    }
}
