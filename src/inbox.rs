//! Messages received and not yet taken.
//!
//! Two batches: the reading half fills the one at the back, the program takes from the one at
//! the front, and when the front is used up the two change places. So neither side waits for
//! the other for longer than an exchange, and in steady state nothing is allocated: small
//! payloads lie one behind the other in the batch's own buffer, at about their own size.
//!
//! Above the high-water mark reading should pause, which fills the socket's buffer and so slows
//! the peer down; at half of it, reading resumes. The inbox knows no stream: it only says so.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::protocol::message::Kind;

/// The received messages of one connection.
#[derive(Debug)]
pub struct Inbox {
    /// Held by the program while it takes a message.
    front: Mutex<Batch>,
    /// Held by the reading half while it delivers, and for the exchange.
    back: Mutex<Batch>,
    /// What is left in the front, as its taker last said.
    front_cost: AtomicUsize,
    back_cost: AtomicUsize,
    /// Whether reading has paused at the high-water mark.
    paused: AtomicBool,
    limit: usize,
}

/// What a payload lies in.
#[derive(Debug)]
pub enum Payload<'a> {
    /// A part of the batch's buffer.
    Small(&'a [u8]),
    /// A buffer of its own.
    Large(Vec<u8>),
}

/// Messages in order.
#[derive(Debug, Default)]
pub struct Batch {
    entries: VecDeque<Entry>,
    small: Vec<u8>,
    /// So much of `small` has been taken.
    taken: usize,
    large: VecDeque<Vec<u8>>,
    cost: usize,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    is_large: bool,
    len: usize,
}

impl Inbox {
    /// An empty inbox that holds about `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            front: Mutex::default(),
            back: Mutex::default(),
            front_cost: AtomicUsize::new(0),
            back_cost: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            // A limit that nothing fits under would stop everything.
            limit: limit.max(1),
        }
    }

    /// Takes the next message, if there is one.
    ///
    /// `convert` must not call back into the connection. Returns `None` also while another
    /// thread is taking a message.
    pub fn pop<R>(&self, convert: impl FnOnce(Kind, Payload<'_>) -> R) -> Option<R> {
        let mut front = match self.front.try_lock() {
            Ok(front) => front,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if front.entries.is_empty() {
            if self.back_cost.load(Ordering::Acquire) == 0 {
                return None;
            }
            front.reset();
            let mut back = lock(&self.back);
            std::mem::swap(&mut *front, &mut *back);
            self.back_cost.store(0, Ordering::SeqCst);
        }
        front.pop(|kind, payload, left| {
            self.front_cost.store(left, Ordering::SeqCst);
            convert(kind, payload)
        })
    }

    /// Delivers messages in one go. Returns whether there are any.
    pub fn deliver<R>(&self, fill: impl FnOnce(&mut Batch) -> R) -> (R, bool) {
        let mut back = lock(&self.back);
        let result = fill(&mut back);
        let cost = back.cost;
        self.back_cost.store(cost, Ordering::SeqCst);
        (result, cost > 0)
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.cost() == 0
    }

    /// Whether reading should pause. It is remembered, until [`Self::resumes`].
    pub fn pauses(&self) -> bool {
        let full = self.cost() >= self.limit;
        if full {
            self.paused.store(true, Ordering::SeqCst);
            // The taker may have passed the low-water mark before it could see the pause.
            if self.cost() < self.limit {
                self.paused.store(false, Ordering::SeqCst);
                return false;
            }
        }
        full
    }

    /// Whether reading had paused and should now resume. True once for each pause.
    pub fn resumes(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
            && self.cost() <= self.limit / 2
            && self.paused.swap(false, Ordering::SeqCst)
    }

    /// About how many bytes the waiting messages take.
    fn cost(&self) -> usize {
        self.front_cost.load(Ordering::SeqCst) + self.back_cost.load(Ordering::SeqCst)
    }
}

impl Batch {
    /// Appends a message, copied.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) {
        self.small.extend_from_slice(payload);
        self.push_entry(kind, payload.len(), false);
    }

    /// Appends a message that has a buffer of its own.
    pub fn push_large(&mut self, kind: Kind, payload: Vec<u8>) {
        if payload.len() < SMALL {
            return self.push(kind, &payload);
        }
        self.push_entry(kind, payload.len(), true);
        self.large.push_back(payload);
    }

    fn push_entry(&mut self, kind: Kind, len: usize, is_large: bool) {
        self.cost += len + size_of::<Entry>();
        self.entries.push_back(Entry {
            kind,
            is_large,
            len,
        });
    }

    /// Takes a message; `convert` is also told the cost of what is left.
    fn pop<R>(&mut self, convert: impl FnOnce(Kind, Payload<'_>, usize) -> R) -> Option<R> {
        let entry = self.entries.pop_front()?;
        self.cost -= entry.len + size_of::<Entry>();
        let payload = if entry.is_large {
            Payload::Large(self.large.pop_front().unwrap_or_default())
        } else {
            let start = self.taken;
            self.taken += entry.len;
            Payload::Small(&self.small[start..self.taken])
        };
        Some(convert(entry.kind, payload, self.cost))
    }

    /// Makes an emptied batch ready to be filled again. Buffers that a burst has made large are
    /// given back.
    fn reset(&mut self) {
        self.taken = 0;
        self.small.clear();
        if self.small.capacity() > KEPT {
            self.small = Vec::new();
        }
        if self.entries.capacity() > KEPT / size_of::<Entry>() {
            self.entries = VecDeque::new();
        }
    }
}

impl Payload<'_> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Small(payload) => payload,
            Self::Large(payload) => payload,
        }
    }
}

fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Below this, copying a payload is cheaper than keeping a buffer for it.
const SMALL: usize = 4096;
/// The largest buffer that an empty batch keeps.
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn take(inbox: &Inbox) -> Option<(Kind, Vec<u8>)> {
        inbox.pop(|kind, payload| (kind, payload.as_slice().to_vec()))
    }

    #[test]
    fn messages_come_out_in_order_small_and_large() {
        let inbox = Inbox::new(1 << 20);
        assert!(inbox.is_empty());
        let large = vec![7; SMALL * 2];
        for round in 0..3 {
            let ((), any) = inbox.deliver(|batch| {
                batch.push(Kind::Text, b"one");
                batch.push_large(Kind::Binary, large.clone());
                batch.push(Kind::Binary, b"");
            });
            assert!(any);
            assert_eq!(take(&inbox), Some((Kind::Text, b"one".to_vec())));
            inbox.deliver(|batch| batch.push(Kind::Text, &[round]));
            assert_eq!(take(&inbox), Some((Kind::Binary, large.clone())));
            assert_eq!(take(&inbox), Some((Kind::Binary, Vec::new())));
            assert_eq!(take(&inbox), Some((Kind::Text, vec![round])));
            assert_eq!(take(&inbox), None);
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn reading_pauses_at_the_limit_and_resumes_at_half_of_it() {
        let inbox = Inbox::new(10 * (100 + size_of::<Entry>()));
        inbox.deliver(|batch| (0..9).for_each(|_| batch.push(Kind::Binary, &[0; 100])));
        assert!(!inbox.pauses());
        inbox.deliver(|batch| batch.push(Kind::Binary, &[0; 100]));
        assert!(inbox.pauses());
        let mut resumed_at = None;
        for taken in 1..=10 {
            assert!(take(&inbox).is_some());
            if inbox.resumes() {
                assert_eq!(resumed_at.replace(taken), None);
            }
        }
        assert_eq!(resumed_at, Some(5));
    }

    #[test]
    fn empty_message_counts_so_that_a_flood_of_them_is_bounded() {
        let inbox = Inbox::new(1000);
        inbox.deliver(|batch| (0..1000).for_each(|_| batch.push(Kind::Text, b"")));
        assert!(inbox.pauses());
    }

    #[test]
    fn emptied_inbox_gives_a_large_buffer_back() {
        let inbox = Inbox::new(1 << 30);
        for _ in 0..2 {
            inbox.deliver(|batch| (0..2000).for_each(|_| batch.push(Kind::Binary, &[0; 1000])));
            while take(&inbox).is_some() {}
        }
        inbox.deliver(|batch| batch.push(Kind::Binary, b"x"));
        assert!(take(&inbox).is_some());
        inbox.deliver(|batch| batch.push(Kind::Binary, b"x"));
        assert!(take(&inbox).is_some());
        assert!(lock(&inbox.front).small.capacity() <= KEPT);
        assert!(lock(&inbox.back).small.capacity() <= KEPT);
    }
}
