//! How a call waits for the network: until when, and what may end it early.
//!
//! Knows no protocol. A wait is a system call that a signal interrupts, never a loop of naps.

use std::{os::fd::AsFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::wakeup::Wakeup;
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
    pub wake: Option<&'a Wakeup>,
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
    while !wait_once(fd, flags, wait, phase)? {
        (wait.interrupt)()?;
    }
    Ok(())
}

/// Waits as [`wait_ready`] does, but returns `false` when the wait is interrupted.
pub fn wait_once(fd: &impl AsFd, flags: PollFlags, wait: &Wait<'_>, phase: Phase) -> Result<bool> {
    loop {
        let left = wait.deadline.remaining();
        let mut fds = [
            PollFd::new(fd, flags),
            // Without a wake-up, the first descriptor stands twice, asked for nothing.
            match wait.wake {
                Some(wake) => PollFd::new(wake, PollFlags::IN),
                None => PollFd::new(fd, PollFlags::empty()),
            },
        ];
        let interrupted = match poll(&mut fds, left.map(timespec).as_ref()) {
            Ok(_) => false,
            Err(Errno::INTR) => true,
            Err(error) => return Err(Error::io("wait for the network", error.into())),
        };
        // Data that has arrived is taken even if no time is left.
        if !interrupted && !fds[0].revents().is_empty() {
            return Ok(true);
        }
        if let (Some(wake), false) = (wait.wake, fds[1].revents().is_empty()) {
            wake.clear();
            return Ok(false);
        }
        if interrupted {
            return Ok(false);
        }
        wait.deadline.check(phase)?;
    }
}

/// Waits until one of `fds` is ready, and no longer than `limit`, the deadline, or a signal.
/// The caller finds out which of these it was.
pub fn wait_for_any(
    fds: &[impl AsFd],
    flags: PollFlags,
    limit: Option<Duration>,
    wait: &Wait<'_>,
) -> Result<()> {
    let timeout = [limit, wait.deadline.remaining()]
        .into_iter()
        .flatten()
        .min();
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::new(fd, flags))
        .chain(wait.wake.map(|wake| PollFd::new(wake, PollFlags::IN)))
        .collect();
    match poll(&mut polled, timeout.map(timespec).as_ref()) {
        Ok(_) => {
            let mut of_fds = polled[..fds.len()].iter();
            if of_fds.any(|fd| !fd.revents().is_empty()) {
                return Ok(());
            }
        }
        Err(Errno::INTR) => {}
        Err(error) => return Err(Error::io("wait for the network", error.into())),
    }
    if let Some(wake) = wait.wake {
        wake.clear();
    }
    (wait.interrupt)()
}

/// Waits for this time, but no longer than the deadline or a signal.
pub fn pause(time: Duration, wait: &Wait<'_>) -> Result<()> {
    let nothing: [&Wakeup; 0] = [];
    wait_for_any(&nothing, PollFlags::empty(), Some(time), wait)
}

/// A duration as `poll` takes it; one that does not fit is as long as no limit.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
