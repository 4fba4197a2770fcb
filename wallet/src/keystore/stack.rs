//! The stack that work with secrets leaves behind. The libraries below pass keys by value, each
//! move leaves a copy where it was, and no owner erases those. Must not know what the work is.

use std::hint::black_box;

use zeroize::Zeroize;

/// Words of 8 bytes to overwrite: 32 KiB. A quarter of it is enough for a search of memory to find
/// nothing after a wallet's whole life.
const STACK_WORDS: usize = 4096;

/// Does `work`, then overwrites the part of the stack it used. What it returns should keep its
/// secrets on the heap: the caller's own stack is not in reach.
pub fn swept<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    overwrite();
    result
}

/// In frames of its own, which end before [`overwrite`] begins, at the same place.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut words = [0u64; STACK_WORDS];
    black_box(&mut words).zeroize();
}
