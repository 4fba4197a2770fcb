//! What a panic says, in one line for the user, and what it does: one in a thread without which the
//! program would only look alive ends the process. Everything acknowledged is durable, so an end
//! at any moment is safe. Must not know which threads these are: the program names them.

use std::panic::{self, PanicHookInfo};
use std::thread;

use crate::exit::ExitCode;
use crate::output::Output;

/// Installs the hook for a program of that name and version: a panic of one of `fatal_threads`
/// ends the process. The store's own hook, which is put over it later, keeps the panics of the
/// storage engine away from it.
pub fn install(program: &'static str, version: &'static str, fatal_threads: &'static [&'static str]) {
    panic::set_hook(Box::new(move |info| {
        let current = thread::current();
        let name = current.name().unwrap_or("without a name");
        Output::new(false).note(&format!("internal error in {program} {version}, {}", report(name, info)));
        if fatal_threads.contains(&name) {
            std::process::exit(ExitCode::Other.into());
        }
    }));
}

fn report(thread: &str, info: &PanicHookInfo<'_>) -> String {
    let said = info.payload_as_str().unwrap_or("no reason given").replace('\n', " ");
    let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
    format!("thread {thread}{place}: {said}. Please report this line")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    /// The child of the next test: lives on for a while unless the hook ends it.
    #[test]
    #[ignore = "ends its process; run by a_panic_of_a_fatal_thread_ends_the_process"]
    fn threads_panic() {
        install("scales", "1.2.3", &["beam", "pan"]);
        for name in ["weight", "pan"] {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(|| panic!("no\nway"));
            thread.unwrap().join().unwrap_err();
        }
        thread::sleep(Duration::from_secs(30));
    }

    #[test]
    fn a_panic_of_a_fatal_thread_ends_the_process() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["crash::tests::threads_panic", "--exact", "--ignored", "--nocapture"]);
        let ended = child.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        for thread in ["weight", "pan"] {
            let start = format!("internal error in scales 1.2.3, thread {thread} at ");
            let line = said.lines().find(|line| line.starts_with(&start));
            assert!(line.is_some_and(|line| line.ends_with(": no way. Please report this line")), "{said}");
        }
    }
}
