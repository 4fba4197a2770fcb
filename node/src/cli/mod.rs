//! The commands: typed arguments, resolved settings, one file per command, and what each shows.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the arguments, and what is said about wrong ones |
//! | `config` | the settings of one run, and `config print` |
//! | `run`, `signals`, `fresh` | `dev` and `run`: start, wait, stop |
//! | `screen`, `events`, `words` | what a running node shows |
//! | `new_network`, `status`, `verify`, `version` | the command of that name |
//! | `crash` | what a panic says and does |
//!
//! Must not know rules of the ledger: it starts [`crate::node`] or asks one that runs.

mod args;
mod config;
mod crash;
mod events;
mod fresh;
mod new_network;
mod run;
mod screen;
mod signals;
mod status;
mod verify;
mod version;
mod words;

use std::ffi::OsString;

use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;

use self::args::{Cli, Command, ConfigCommand};
use self::config::Resolved;

/// Runs the command that `args` ask for, and answers how the process is to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crash::install();
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let out = Output::new(cli.globals.json);
    match command(&cli, out) {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            out.error(&error);
            error.exit
        }
    }
}

fn command(cli: &Cli, out: Output) -> Result<(), CliError> {
    let resolve = |flags| Resolved::new(&cli.globals, flags);
    match &cli.command {
        Command::Dev(args) => run::dev(&resolve(args.flags()?)?, args.fresh, out),
        Command::Run(args) => run::run(&resolve(args.flags()?)?, out),
        Command::NewNetwork(args) => new_network::run(args, out),
        Command::Verify(args) => verify::run(&resolve(args.flags())?, args.full, out),
        Command::Status(args) => status::run(&resolve(args.flags())?, out),
        Command::Config(ConfigCommand::Print(args)) => config::print(&resolve(args.flags()?)?, out),
        Command::Version => {
            version::print(out);
            Ok(())
        }
    }
}
