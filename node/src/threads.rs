//! A second thread for what the core can do at once. Must not know what that is.

use std::thread;

use steelyard_core::join::Work;

/// Does both at once, the second on a thread made for it: no pool, in which work of the API or of peers
/// would stand before it. Without a thread to be had, one after the other.
pub fn at_once(first: Work<'_>, second: Work<'_>) {
    let mut second = Some(second);
    thread::scope(|scope| {
        let waiting = &mut second;
        let run = move || waiting.take().into_iter().for_each(|work| work());
        let _ = thread::Builder::new().name("state".into()).spawn_scoped(scope, run);
        first();
    });
    second.into_iter().for_each(|work| work());
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::at_once;

    #[test]
    fn both_are_done_and_the_second_elsewhere() {
        let (mut first, mut second) = (Vec::<ThreadId>::new(), Vec::new());
        at_once(&mut || first.push(thread::current().id()), &mut || second.push(thread::current().id()));
        let [first, second] = [&first[..], &second[..]].map(|ids| match ids {
            [id] => *id,
            _ => panic!("each is done once"),
        });
        assert_eq!(first, thread::current().id());
        assert_ne!(second, first);
    }
}
