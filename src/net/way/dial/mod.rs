//! From a host name to a connected TCP socket, within one deadline.
//!
//! Name look-up cannot be interrupted, so it runs on a thread of its own that is left behind if
//! the deadline passes first. The addresses are then tried in the order of the resolver, each
//! with a head start on the next (RFC 8305, "happy eyeballs"), so that a dead one costs a
//! quarter of a second rather than the whole time.
//!
//! Where the program says what port to connect from, one address is tried after the other: two
//! attempts at a time can't have the same port. As in asyncio, `SO_REUSEADDR` is not set for it.

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use dns_lookup::{AddrInfoHints, SockType, getaddrinfo};
use rustix::{event::PollFlags, io::Errno};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    error::{Error, Phase, Result},
    net::{
        wait::{Wait, wait_for_any, wait_ready},
        wakeup::Wakeup,
    },
    process,
};

/// How the addresses of a host are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialing {
    /// The only family of addresses that is used; `None` uses any.
    pub family: Option<Family>,
    /// Where to connect from: a name or an IP address, and a port, of which 0 is any.
    pub source: Option<(String, u16)>,
    /// How long an address is tried before the next one is, too. `None` is what RFC 8305
    /// recommends.
    pub head_start: Option<Duration>,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Version 4 of the Internet Protocol.
    V4,
    /// Version 6 of the Internet Protocol.
    V6,
}

impl Family {
    /// The family that the system has this number for.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::V4, Self::V6]
            .into_iter()
            .find(|family| family.number() == number)
    }

    fn number(self) -> i32 {
        match self {
            Self::V4 => Domain::IPV4.into(),
            Self::V6 => Domain::IPV6.into(),
        }
    }

    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// Connects to `host`, a name or an IP address.
pub fn dial(host: &str, port: u16, dialing: &Dialing, wait: &Wait<'_>) -> Result<Socket> {
    let mut addresses = resolve(host, port, dialing.family, wait)?;
    let mut sources = Vec::new();
    let mut head_start = dialing.head_start.unwrap_or(HEAD_START);
    if let Some((source, port)) = &dialing.source {
        sources = match source.as_str() {
            // Any address of this machine, for the sake of the port.
            "" => vec![
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port),
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port),
            ],
            source => resolve(source, *port, dialing.family, wait)?,
        };
        addresses.retain(|address| candidates(&sources, *address).next().is_some());
        if addresses.is_empty() {
            let attempt = format!("connect to {host:?} from {source:?}");
            let text = "they have no addresses of the same family";
            let error = io::Error::new(io::ErrorKind::AddrNotAvailable, text);
            return Err(Error::io(attempt, error));
        }
        if *port != 0 {
            head_start = Duration::MAX;
        }
    }
    connect(&addresses, &sources, head_start, wait)
}

/// The addresses to connect from that can reach this one.
fn candidates(sources: &[SocketAddr], to: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    sources
        .iter()
        .copied()
        .filter(move |source| source.is_ipv4() == to.is_ipv4())
}

/// The addresses of a host, in the order in which to try them.
pub fn resolve(
    host: &str,
    port: u16,
    family: Option<Family>,
    wait: &Wait<'_>,
) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>()
        && family.is_none_or(|family| family.has(address))
    {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |error| Error::io("look up a host name", error);
    let done = Arc::new(Wakeup::new().map_err(failed)?);
    let (sender, answer) = crossbeam_channel::bounded(1);
    let name = host.to_owned();
    let look_up = {
        let done = Arc::clone(&done);
        move || {
            // Nobody listens any more if the deadline has passed.
            drop(sender.send(look_up(&name, port, family)));
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
fn look_up(host: &str, port: u16, family: Option<Family>) -> Result<Vec<SocketAddr>> {
    let hints = AddrInfoHints {
        address: family.map_or(0, Family::number),
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

impl AsFd for Attempt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects to the first of the addresses that answers.
fn connect(
    addresses: &[SocketAddr],
    sources: &[SocketAddr],
    head_start: Duration,
    wait: &Wait<'_>,
) -> Result<Socket> {
    let mut untried = addresses.iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    // `None` is never, unless nothing is under way.
    let mut next_start = None;
    let mut last_error = Error::io(
        "connect",
        io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address"),
    );
    loop {
        if attempts.is_empty() || next_start.is_some_and(|at| Instant::now() >= at) {
            match untried.next().map(|&address| start(address, sources)) {
                Some(Ok(attempt)) => attempts.push(attempt),
                Some(Err(error)) => {
                    last_error = error;
                    continue;
                }
                None if attempts.is_empty() => return Err(last_error),
                None => {}
            }
            next_start = Instant::now().checked_add(head_start);
        }
        wait.deadline.check(Phase::Connect)?;
        let until_next = next_start
            .filter(|_| untried.len() > 0)
            .map(|at| at.saturating_duration_since(Instant::now()));
        wait_for_any(&attempts, PollFlags::OUT, until_next, wait)?;
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
                    next_start = Some(Instant::now());
                }
            }
        }
    }
}

/// Begins to connect, without waiting.
fn start(address: SocketAddr, sources: &[SocketAddr]) -> Result<Attempt> {
    let failed = |error| Error::io(format!("connect to {address}"), error);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )
    .map_err(failed)?;
    bind(&socket, candidates(sources, address))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            Err(failed(error))
        }
        _ => Ok(Attempt { socket, address }),
    }
}

/// Binds a socket to the first of the addresses that it can be bound to, if there are any.
fn bind(socket: &Socket, sources: impl Iterator<Item = SocketAddr>) -> Result<()> {
    let mut outcome = Ok(());
    for source in sources {
        outcome = socket
            .bind(&source.into())
            .map_err(|error| Error::io(format!("connect from {source}"), error));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// What has become of an attempt; `None` while it is under way.
fn outcome(attempt: &Attempt) -> Option<Result<()>> {
    let failed = |error| Error::io(format!("connect to {}", attempt.address), error);
    match attempt.socket.take_error() {
        Ok(None) => attempt.socket.peer_addr().is_ok().then_some(Ok(())),
        Ok(Some(error)) | Err(error) => Some(Err(failed(error))),
    }
}

/// Recommended by RFC 8305, section 5.
const HEAD_START: Duration = Duration::from_millis(250);
