//! How a call waits for the network: until when, and what may end it early.
//!
//! Knows no protocol. A wait is a system call that a signal interrupts, never a loop of naps.

use std::{os::fd::AsFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::wake::Wake;
use crate::{
    deadline::Deadline,
    error::{Error, Phase, Result},
};

/// How a call waits: until when, and what may end it early.
#[derive(Clone, Copy)]
pub struct Wait<'a> {
    /// When to give up.
    pub deadline: Deadline,
    /// Called, with no lock held, when a signal has interrupted the wait or `wake` is set. Its
    /// error ends the wait.
    pub interrupt: &'a dyn Fn() -> Result<()>,
    /// Lets another thread interrupt the wait.
    pub wake: Option<&'a Wake>,
}

impl Wait<'_> {
    /// A wait that nothing ends early.
    pub const FOR_EVER: Wait<'static> = Wait {
        deadline: Deadline::NEVER,
        interrupt: &|| Ok(()),
        wake: None,
    };
}

impl std::fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Waits until `fd` is ready for one of `flags`, or has failed, which the next call on it tells.
pub fn wait_ready(fd: &impl AsFd, flags: PollFlags, wait: &Wait<'_>, phase: Phase) -> Result<()> {
    loop {
        let left = wait.deadline.remaining();
        if left.is_some_and(|left| left.is_zero()) {
            // What is there is taken even when there is no time left.
            let mut fds = [PollFd::new(fd, flags)];
            return match poll(&mut fds, Some(&Timespec::default())) {
                Ok(1..) => Ok(()),
                _ => Err(wait.deadline.error(phase)),
            };
        }
        let mut fds = [
            PollFd::new(fd, flags),
            // Without a wake-up, the first descriptor stands twice, asked for nothing.
            match wait.wake {
                Some(wake) => PollFd::new(wake, PollFlags::IN),
                None => PollFd::new(fd, PollFlags::empty()),
            },
        ];
        match poll(&mut fds, left.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("wait for the network", error.into())),
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        if let Some(wake) = wait.wake {
            wake.clear();
        }
        (wait.interrupt)()?;
    }
}

/// A duration as `poll` takes it; one that does not fit is as good as for ever.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
