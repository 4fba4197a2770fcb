//! What every program here shares: a target run under a bound of memory, which grows with its input
//! alone. libFuzzer's own -malloc_limit_mb needs a sanitizer and is without effect on a stable
//! toolchain. Must not know what a target does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub use libfuzzer_sys;

/// Bytes that a target may have at once for itself.
const BYTES_MAX: usize = 4 << 20;
/// Bytes that it may have besides for each byte of its input.
const BYTES_PER_BYTE_MAX: usize = 64;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted by thread.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn count(held: usize) {
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call is passed on as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(HELD.get().wrapping_add(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(HELD.get().wrapping_add(size).wrapping_sub(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs a target and holds its memory against its bound.
pub fn run(target: fn(&[u8]), input: &[u8]) {
    let before = HELD.get();
    MOST.set(before);
    target(input);
    let most = MOST.get().wrapping_sub(before);
    let max = BYTES_MAX + BYTES_PER_BYTE_MAX * input.len();
    assert!(most <= max, "{most} bytes at once for an input of {}", input.len());
}

/// The program of a target.
#[macro_export]
macro_rules! program {
    ($target:path) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: {
                // What is made once is not the first input's.
                $target(&[]);
            },
            |input: &[u8]| $crate::run($target, input)
        );
    };
}
