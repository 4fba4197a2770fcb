//! Two pieces of work that do not depend on each other, and who does them: this crate has no threads, its
//! caller may have some to lend. Must not know what the work is.

/// One of two pieces of work. It is called once.
pub type Work<'a> = &'a mut (dyn FnMut() + Send);

/// Does both, in any order or at once, and comes back when both are done. Results cannot depend on which.
pub type Join = fn(Work<'_>, Work<'_>);

/// One after the other: for whoever has no threads to lend.
pub fn in_turn(first: Work<'_>, second: Work<'_>) {
    first();
    second();
}
