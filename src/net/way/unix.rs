//! From a path to a connected Unix socket, within one deadline.
//!
//! Invariant: connecting never blocks in the system call. A server whose queue is full can't be
//! waited for there, so it is asked again and again.

use std::{ffi::OsStr, fmt, io, os::unix::ffi::OsStrExt as _, time::Duration};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{
    error::{Error, Phase, Result},
    net::wait::{Wait, pause},
};

/// The path of a Unix socket, or an abstract name, which begins with a zero byte.
#[derive(Clone)]
pub struct UnixPath {
    bytes: Vec<u8>,
    address: SockAddr,
}

impl UnixPath {
    /// Checks a path.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let invalid = |rule: &str| {
            let shown = show(&bytes);
            Err(Error::InvalidArgument(format!(
                "path of a Unix socket {rule}: {shown:?}"
            )))
        };
        if bytes.is_empty() {
            return invalid("is empty");
        }
        if bytes[0] != 0 && bytes.contains(&0) {
            return invalid("contains a zero byte");
        }
        match SockAddr::unix(OsStr::from_bytes(&bytes)) {
            Ok(address) => Ok(Self { bytes, address }),
            Err(_) => invalid("is too long"),
        }
    }

    /// Connects to it.
    pub fn connect(&self, wait: &Wait<'_>) -> Result<Socket> {
        let failed = |error| Error::io(format!("connect to {self}"), error);
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::UNIX, kind, None).map_err(failed)?;
        let mut rest = FIRST_REST;
        loop {
            wait.deadline.check(Phase::Connect)?;
            match socket.connect(&self.address) {
                Ok(()) => break,
                Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => {
                    pause(rest, wait)?;
                    rest = (2 * rest).min(LONGEST_REST);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (wait.interrupt)()?,
                Err(error) => return Err(failed(error)),
            }
        }
        socket.set_nonblocking(false).map_err(failed)?;
        Ok(socket)
    }
}

impl fmt::Display for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.bytes))
    }
}

impl fmt::Debug for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixPath({self})")
    }
}

/// A path as programs show it: abstract names begin with an at sign.
fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "@")
}

/// How long to let a server be whose queue is full, at first.
const FIRST_REST: Duration = Duration::from_millis(1);
/// How long to let it be when it has been full for some time.
const LONGEST_REST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::{
        os::{
            linux::net::SocketAddrExt as _,
            unix::net::{SocketAddr, UnixListener},
        },
        time::Instant,
    };

    use super::*;
    use crate::deadline::Deadline;

    fn within(milliseconds: u64) -> Wait<'static> {
        Wait {
            deadline: Deadline::after(Some(Duration::from_millis(milliseconds))),
            ..Wait::FOR_EVER
        }
    }

    fn path(name: &str) -> UnixPath {
        UnixPath::new(name.as_bytes().to_vec()).unwrap()
    }

    /// An abstract name that nobody else has.
    fn abstract_name() -> String {
        format!("websocket-rs-{:x}", rand::random::<u64>())
    }

    #[test]
    fn connects_by_path_and_by_abstract_name() {
        let file = std::env::temp_dir().join(abstract_name());
        let _by_path = UnixListener::bind(&file).unwrap();
        let socket = path(file.to_str().unwrap()).connect(&within(5000)).unwrap();
        assert!(!socket.nonblocking().unwrap());
        std::fs::remove_file(file).unwrap();

        let name = abstract_name();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _by_name = UnixListener::bind_addr(&address).unwrap();
        path(&format!("\0{name}")).connect(&within(5000)).unwrap();
    }

    #[test]
    fn who_is_not_there_is_named() {
        let error = path("/nowhere/at all").connect(&within(5000)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot connect to /nowhere/at all: No such file"));
    }

    /// A server whose queue one connection fills, and where it is.
    fn listener() -> (Socket, UnixPath) {
        let name = abstract_name();
        let address = SockAddr::unix(format!("\0{name}")).unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        (listener, path(&format!("\0{name}")))
    }

    #[test]
    fn a_full_queue_is_waited_for_until_the_deadline() {
        let (listener, path) = listener();
        let _first = path.connect(&within(5000)).unwrap();

        let start = Instant::now();
        let error = path.connect(&within(100)).unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(100));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(error.to_string(), "timed out in connecting after 0.1 s");

        // Each time that it lets the server be, it looks whether a signal has come.
        let accept = || {
            listener.accept().unwrap();
            Ok(())
        };
        let wait = Wait {
            interrupt: &accept,
            ..within(10_000)
        };
        path.connect(&wait).unwrap();
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_full_queue() {
        let (_listener, path) = listener();
        let _first = path.connect(&within(5000)).unwrap();
        let wait = Wait {
            interrupt: &|| Err(Error::Cancelled),
            ..within(10_000)
        };
        assert!(matches!(path.connect(&wait), Err(Error::Cancelled)));
    }

    #[test]
    fn paths_that_no_socket_has_are_refused() {
        for (bytes, rule) in [
            (&b""[..], "is empty"),
            (b"/a\0b", "contains a zero byte"),
            (&[b'a'; 108], "is too long"),
            (&[0; 109], "is too long"),
        ] {
            match UnixPath::new(bytes.to_vec()) {
                Err(Error::InvalidArgument(text)) => assert!(text.contains(rule), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
