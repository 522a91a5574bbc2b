//! A wake-up for a thread or an event loop that waits in `poll`: an eventfd.
//!
//! It carries no data: it says "look", and who is woken looks for what there is to do.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd. Setting it any number of times wakes once.
#[derive(Debug)]
pub struct Wakeup {
    fd: OwnedFd,
}

impl Wakeup {
    /// A wake-up that is not set. Fails if the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Sets it.
    pub fn set(&self) {
        // The write fails only when the counter is full, and then the wake-up is set.
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }

    /// Clears it. Do so before looking for what there is to do, not after.
    pub fn clear(&self) {
        // The read fails only when the counter is zero, and then the wake-up is clear.
        let _ = rustix::io::read(&self.fd, &mut [0_u8; 8]);
    }

    /// The number of the file descriptor, to register with an event loop.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
