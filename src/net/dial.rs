//! From a host name to a connected TCP socket, within one deadline.
//!
//! Name look-up cannot be interrupted, so it runs on a thread of its own that is left behind if
//! the deadline passes first. The addresses are then tried in the order of the resolver, each
//! with a head start on the next (RFC 8305, "happy eyeballs"), so that a dead one costs a
//! quarter of a second rather than the whole time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use dns_lookup::{AddrInfoHints, SockType, getaddrinfo};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    wait::{Wait, timespec, wait_ready},
    wake::Wake,
};
use crate::{
    error::{Error, Phase, Result},
    process,
};

/// Connects to `host`, a name or an IP address.
pub fn dial(host: &str, port: u16, wait: &Wait<'_>) -> Result<Socket> {
    connect(&resolve(host, port, wait)?, wait)
}

/// The addresses of a host, in the order in which to try them.
fn resolve(host: &str, port: u16, wait: &Wait<'_>) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |error| Error::io("look up a host name", error);
    let done = Arc::new(Wake::new().map_err(failed)?);
    let (sender, answer) = crossbeam_channel::bounded(1);
    let name = host.to_owned();
    let look_up = {
        let done = Arc::clone(&done);
        move || {
            // Nobody listens any more if the deadline has passed.
            drop(sender.send(look_up(&name, port)));
            done.set();
        }
    };
    process::spawn("websocket-dns".to_owned(), look_up).map_err(failed)?;
    loop {
        wait_ready(&done, PollFlags::IN, wait, Phase::Resolve)?;
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
    }
}

/// Asks the system, which may take long.
fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| Error::Resolve {
        host: host.to_owned(),
        code: error.error_num(),
        message: io::Error::from(error)
            .to_string()
            .rsplit(": ")
            .next()
            .unwrap_or("unknown host")
            .to_owned(),
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for info in found {
        let mut address = info
            .map_err(|error| Error::io(format!("look up {host:?}"), error))?
            .sockaddr;
        address.set_port(port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// A connection attempt that is under way.
struct Attempt {
    socket: Socket,
    address: SocketAddr,
}

/// Connects to the first of the addresses that answers.
fn connect(addresses: &[SocketAddr], wait: &Wait<'_>) -> Result<Socket> {
    let mut untried = addresses.iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut next_start = Instant::now();
    let mut last_error = Error::io(
        "connect",
        io::Error::new(io::ErrorKind::NotFound, "the host has no address"),
    );
    loop {
        if attempts.is_empty() || Instant::now() >= next_start {
            match untried.next().map(|&address| start(address)) {
                Some(Ok(attempt)) => attempts.push(attempt),
                Some(Err(error)) => {
                    last_error = error;
                    continue;
                }
                None if attempts.is_empty() => return Err(last_error),
                None => {}
            }
            next_start = Instant::now() + HEAD_START;
        }
        wait.deadline.check(Phase::Connect)?;
        let head_start =
            (untried.len() > 0).then(|| next_start.saturating_duration_since(Instant::now()));
        wait_for_any(&attempts, head_start, wait)?;
        for index in (0..attempts.len()).rev() {
            match outcome(&attempts[index]) {
                None => {}
                Some(Ok(())) => {
                    let socket = attempts.swap_remove(index).socket;
                    let ready = socket
                        .set_nonblocking(false)
                        .and_then(|()| socket.set_tcp_nodelay(true));
                    return match ready {
                        Ok(()) => Ok(socket),
                        Err(error) => Err(Error::io("set up the socket", error)),
                    };
                }
                Some(Err(error)) => {
                    last_error = error;
                    attempts.swap_remove(index);
                    // The next address need not wait for a failure to grow old.
                    next_start = Instant::now();
                }
            }
        }
    }
}

/// Begins to connect, without waiting.
fn start(address: SocketAddr) -> Result<Attempt> {
    let failed = |error| Error::io(format!("connect to {address}"), error);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )
    .map_err(failed)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            Err(failed(error))
        }
        _ => Ok(Attempt { socket, address }),
    }
}

/// What has become of an attempt; `None` while it is under way.
fn outcome(attempt: &Attempt) -> Option<Result<()>> {
    let failed = |error| Error::io(format!("connect to {}", attempt.address), error);
    match attempt.socket.take_error() {
        Ok(None) => attempt.socket.peer_addr().is_ok().then_some(Ok(())),
        Ok(Some(error)) | Err(error) => Some(Err(failed(error))),
    }
}

/// Waits until an attempt has an outcome, the head start is over, or the deadline has passed.
fn wait_for_any(attempts: &[Attempt], head_start: Option<Duration>, wait: &Wait<'_>) -> Result<()> {
    let timeout = [head_start, wait.deadline.remaining()]
        .into_iter()
        .flatten()
        .min();
    let mut fds: Vec<PollFd<'_>> = attempts
        .iter()
        .map(|attempt| PollFd::new(&attempt.socket, PollFlags::OUT))
        .chain(wait.wake.map(|wake| PollFd::new(wake, PollFlags::IN)))
        .collect();
    match poll(&mut fds, timeout.map(timespec).as_ref()) {
        Ok(_)
            if fds[..attempts.len()]
                .iter()
                .any(|fd| !fd.revents().is_empty()) =>
        {
            return Ok(());
        }
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(Error::io("connect", error.into())),
    }
    if let Some(wake) = wait.wake {
        wake.clear();
    }
    (wait.interrupt)()
}

/// Recommended by RFC 8305, section 5.
const HEAD_START: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use std::net::TcpListener;

    fn within(milliseconds: u64) -> Wait<'static> {
        Wait {
            deadline: Deadline::after(Some(Duration::from_millis(milliseconds))),
            ..Wait::FOR_EVER
        }
    }

    #[test]
    fn dial_connects_by_name_and_by_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            dial(host, port, &within(5000)).unwrap_or_else(|error| panic!("{host}: {error}"));
        }
    }

    #[test]
    fn dial_tries_every_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let dead = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        connect(&[dead, good], &within(5000)).unwrap();
    }

    #[test]
    fn dial_reports_a_refusal_as_such() {
        let dead = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        match connect(&[dead], &within(5000)) {
            Err(Error::Io { source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dial_names_the_host_that_does_not_exist() {
        match dial("host.invalid", 80, &within(20_000)) {
            Err(Error::Resolve { host, code, .. }) => {
                assert_eq!(host, "host.invalid");
                assert_ne!(code, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}
