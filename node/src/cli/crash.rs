//! What a panic says, in one line for the user, and what it does: a fault of ours in the chain
//! thread ends the process, because a node whose chain stands still must not look alive.
//! Everything acknowledged is durable, so an end at any moment is safe.

use std::panic::{self, PanicHookInfo};
use std::thread;

use steelyard_runtime::exit::ExitCode;
use steelyard_runtime::output::Output;

use super::version;
use crate::node::PROGRAM;

/// The thread that [`crate::chain::Chain::start`] names so.
const CHAIN_THREAD: &str = "chain";

/// Installs the hook. The store's own, which is put over it later, keeps the panics of the storage
/// engine away from it.
pub fn install() {
    panic::set_hook(Box::new(|info| {
        let current = thread::current();
        let name = current.name().unwrap_or("without a name");
        Output::new(false).note(&report(name, info));
        if name == CHAIN_THREAD {
            std::process::exit(ExitCode::Other.into());
        }
    }));
}

fn report(thread: &str, info: &PanicHookInfo<'_>) -> String {
    let said = info.payload_as_str().unwrap_or("no reason given").replace('\n', " ");
    let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
    let version = version::text();
    format!("internal error in {PROGRAM} {version}, thread {thread}{place}: {said}. Please report this line")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    /// The child of the next test: lives on for a while unless the hook ends it.
    #[test]
    #[ignore = "ends its process; run by a_panic_of_the_chain_thread_ends_the_process"]
    fn chain_thread_panics() {
        install();
        let thread = thread::Builder::new().name(CHAIN_THREAD.to_owned()).spawn(|| panic!("no\nway"));
        thread.unwrap().join().unwrap_err();
        thread::sleep(Duration::from_secs(30));
    }

    #[test]
    fn a_panic_of_the_chain_thread_ends_the_process() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["cli::crash::tests::chain_thread_panics", "--exact", "--ignored", "--nocapture"]);
        let ended = child.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        let line = said.lines().find(|line| line.starts_with("internal error in steelyard-node ")).unwrap();
        assert!(
            line.contains("thread chain at ") && line.ends_with(": no way. Please report this line"),
            "{line}"
        );
    }
}
