//! Messages received and not yet taken, frame by frame.
//!
//! Two batches: the reading half fills the one at the back, the program takes from the one at
//! the front, and when the front is used up the two change places. So neither side waits for
//! the other for longer than an exchange, and in steady state nothing is allocated: small
//! payloads lie one behind the other in the batch's own buffer, at about their own size.
//!
//! A message can be taken when all of its frames are there; while the program streams, each
//! frame by itself. Frames of a message that is not complete are counted apart, since taking
//! messages can't make room of them.
//!
//! Above the high-water mark reading should pause, which fills the socket's buffer and so slows
//! the peer down; at the low one, reading resumes. The inbox knows no stream: it only says so.

#[cfg(test)]
mod tests;

use std::sync::{
    Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::batch::{Batch, Load, Message};
use crate::protocol::message::Kind;

/// The received messages of one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Held by the program while it takes a message.
    front: Mutex<Batch>,
    /// Held by the reading half while it delivers, and for the exchange.
    back: Mutex<Batch>,
    /// What the whole messages in each batch amount to, as its holder last said.
    front_load: AtomicU64,
    back_load: AtomicU64,
    /// What the frames of an incomplete message at its end amount to.
    front_partial: AtomicU64,
    back_partial: AtomicU64,
    /// Whether the program takes frames, not messages.
    streaming: AtomicBool,
    /// Whether reading has paused at the high-water mark.
    paused: AtomicBool,
    marks: Marks,
}

/// The water marks of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// How many bytes reading pauses at; it resumes at half of them.
    pub bytes: usize,
    /// Reading pauses above the first number of frames, and resumes at the second.
    pub frames: Option<(usize, usize)>,
}

impl Inbox {
    /// An empty inbox.
    pub(super) fn new(marks: Marks) -> Self {
        Self {
            front: Mutex::default(),
            back: Mutex::default(),
            front_load: AtomicU64::new(0),
            back_load: AtomicU64::new(0),
            front_partial: AtomicU64::new(0),
            back_partial: AtomicU64::new(0),
            streaming: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            marks: Marks {
                // A limit that nothing fits under would stop everything.
                bytes: marks.bytes.max(1),
                ..marks
            },
        }
    }

    /// Takes the next message, if there is one and `convert` succeeds.
    ///
    /// `convert` must not call back into the connection. Returns `None` also while another
    /// thread is taking a message.
    pub(super) fn pop<R, E>(
        &self,
        convert: impl FnOnce(&Message<'_>) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        let mut front = self.try_front()?;
        if front.load().is_empty() {
            if self.back_load.load(Ordering::Acquire) == 0 {
                return None;
            }
            self.exchange(&mut front);
        }
        let result = front.take_message(convert)?;
        self.front_load.store(front.load().pack(), Ordering::SeqCst);
        Some(result)
    }

    /// Takes the next frame, if there is one and `convert` succeeds; `convert` is told whether it
    /// is the last of its message.
    pub(super) fn pop_frame<R, E>(
        &self,
        convert: impl FnOnce(Kind, bool, &[u8]) -> Result<R, E>,
    ) -> Option<Result<R, E>> {
        let mut front = self.try_front()?;
        if front.is_empty() {
            self.exchange(&mut front);
        }
        let result = front.take_frame(convert)?;
        self.front_load.store(front.load().pack(), Ordering::SeqCst);
        let partial = front.partial().pack();
        self.front_partial.store(partial, Ordering::SeqCst);
        Some(result)
    }

    /// Notes whether the program takes frames, as they come, or whole messages.
    pub(super) fn stream(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::SeqCst);
    }

    /// Delivers frames in one go. Returns whether anything can be taken.
    pub(super) fn deliver<R>(&self, fill: impl FnOnce(&mut Batch) -> R) -> (R, bool) {
        let mut back = lock(&self.back);
        let before = back.partial();
        let result = fill(&mut back);
        self.back_load.store(back.load().pack(), Ordering::SeqCst);
        if back.partial() != before {
            let partial = back.partial().pack();
            self.back_partial.store(partial, Ordering::SeqCst);
        }
        let any = !back.load().is_empty() || !self.is_empty();
        (result, any)
    }

    /// Gives the buffers back that are empty.
    pub(super) fn give_back(&self) {
        if let Some(mut front) = self.try_front() {
            front.give_back();
        }
        lock(&self.back).give_back();
    }

    /// Whether a batch alone is reason enough for reading to pause.
    pub(super) fn is_filled_by(&self, batch: &Batch) -> bool {
        batch.load().bytes >= self.marks.bytes
    }

    /// Whether nothing can be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.load().is_empty()
    }

    /// Whether reading should pause. It is remembered, until [`Self::resumes`].
    pub(super) fn pauses(&self) -> bool {
        let full = self.is_full();
        if full {
            self.paused.store(true, Ordering::SeqCst);
            // The taker may have passed the low-water mark before it could see the pause.
            if !self.is_full() {
                self.paused.store(false, Ordering::SeqCst);
                return false;
            }
        }
        full
    }

    /// Whether reading had paused and should now resume. True once for each pause.
    pub(super) fn resumes(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
            && self.is_low()
            && self.paused.swap(false, Ordering::SeqCst)
    }

    fn is_full(&self) -> bool {
        let load = self.load();
        let high = self.marks.frames.map(|(high, _)| high);
        load.bytes >= self.marks.bytes || high.is_some_and(|high| load.frames > high)
    }

    fn is_low(&self) -> bool {
        let load = self.load();
        let low = self.marks.frames.map(|(_, low)| low);
        load.bytes <= self.marks.bytes / 2 && low.is_none_or(|low| load.frames <= low)
    }

    /// What can be taken.
    fn load(&self) -> Load {
        let load = |atomic: &AtomicU64| Load::unpack(atomic.load(Ordering::SeqCst));
        let whole = load(&self.front_load) + load(&self.back_load);
        if self.streaming.load(Ordering::SeqCst) {
            whole + load(&self.front_partial) + load(&self.back_partial)
        } else {
            whole
        }
    }

    fn try_front(&self) -> Option<MutexGuard<'_, Batch>> {
        match self.front.try_lock() {
            Ok(front) => Some(front),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Takes what is at the back to the front.
    fn exchange(&self, front: &mut Batch) {
        let mut back = lock(&self.back);
        let is_plain = front.partial().is_empty() && back.partial().is_empty();
        front.absorb(&mut back);
        if !is_plain {
            let partial = front.partial().pack();
            self.front_partial.store(partial, Ordering::SeqCst);
            self.back_partial.store(0, Ordering::SeqCst);
        }
        self.front_load.store(front.load().pack(), Ordering::SeqCst);
        self.back_load.store(0, Ordering::SeqCst);
    }
}

fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}
