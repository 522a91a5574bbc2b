//! What the code under test allocates: a global allocator that counts, for each thread by itself.
//!
//! A block that grows counts as growing where it is, as the C library does with large ones.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Measures from where it was started, in the thread that started it. One at a time.
#[derive(Debug)]
pub(crate) struct Meter {
    held: isize,
    total: usize,
}

struct Counting;

impl Meter {
    pub(crate) fn start() -> Self {
        PEAK.set(HELD.get());
        Self {
            held: HELD.get(),
            total: TOTAL.get(),
        }
    }

    /// The most that was held at once beyond what was held at the start, in bytes.
    pub(crate) fn peak(&self) -> usize {
        usize::try_from(PEAK.get() - self.held).unwrap_or(0)
    }

    /// What was allocated since the start, freed or not, in bytes.
    pub(crate) fn total(&self) -> usize {
        TOTAL.get() - self.total
    }
}

// SAFETY: everything is left to the system's allocator; counting allocates nothing, since the
// counters have neither an initializer nor a destructor to run.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What a state for inflating takes, with its window of 32 KiB.
pub(crate) const INFLATE_STATE: usize = 48 << 10;
/// What the text of an error takes at most.
pub(crate) const TEXT: usize = 1 << 10;

/// Notes that a block of one size has become one of another.
fn count(before: usize, after: usize) {
    let held = HELD.get() + after.cast_signed() - before.cast_signed();
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
    TOTAL.set(TOTAL.get().wrapping_add(after.saturating_sub(before)));
}

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
