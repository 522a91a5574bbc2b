//! The way to a server: where it is, how it is dialled, and what stands between.
//!
//! Must not know: TLS with the server itself, and what is said to it. Invariant: a socket that was
//! given is closed whatever fails, once it is claimed.

use socket2::Socket;

use super::{
    dial::{Dialing, dial},
    proxy::Proxy,
    socket::ConnectedSocket,
    target::Target,
    unix::UnixPath,
};
use crate::{
    error::Result,
    net::{stream::Stream, wait::Wait},
};

/// The way to a server.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Where the server is.
    pub destination: Destination,
    /// How addresses are tried, those of the proxy if there is one.
    pub dialing: Dialing,
    /// Through what the server is reached, unless it is on a Unix socket or the socket is given.
    pub proxy: Option<Proxy>,
}

/// Where a server is.
#[derive(Debug, Clone)]
pub enum Destination {
    /// On TCP, where the target says, except for what is said here.
    Tcp {
        /// The host to connect to.
        host: Option<String>,
        /// The port to connect to.
        port: Option<u16>,
    },
    /// On a Unix socket.
    Unix(UnixPath),
    /// At the other end of a socket that is connected already.
    Socket(ConnectedSocket),
}

impl Default for Destination {
    fn default() -> Self {
        Self::Tcp {
            host: None,
            port: None,
        }
    }
}

impl Route {
    /// The proxy, if one is used.
    pub fn proxy(&self) -> Option<&Proxy> {
        match &self.destination {
            Destination::Tcp { .. } => self.proxy.as_ref(),
            Destination::Unix(_) | Destination::Socket(_) => None,
        }
    }

    /// Takes the socket that was given, if one was, for [`Self::connect`].
    pub fn claim(&self) -> Result<Option<Socket>> {
        match &self.destination {
            Destination::Socket(socket) => socket.take().map(Some),
            Destination::Tcp { .. } | Destination::Unix(_) => Ok(None),
        }
    }

    /// Connects to the target. Returns what came behind the answer of a proxy, too.
    pub fn connect(
        &self,
        claimed: Option<Socket>,
        target: &Target<'_>,
        wait: &Wait<'_>,
    ) -> Result<(Stream, Vec<u8>)> {
        if let (Some(proxy), None) = (self.proxy(), &claimed) {
            return proxy.connect(&self.redirected(target), &self.dialing, wait);
        }
        let socket = match (claimed, &self.destination) {
            (Some(socket), _) => socket,
            (None, Destination::Unix(path)) => path.connect(wait)?,
            (None, _) => {
                let Target { host, port, .. } = self.redirected(target);
                dial(host, port, &self.dialing, wait)?
            }
        };
        Ok((Stream::plain(socket)?, Vec::new()))
    }

    /// The target with what the destination says about it.
    fn redirected<'a>(&'a self, target: &Target<'a>) -> Target<'a> {
        match &self.destination {
            Destination::Tcp { host, port } => Target {
                host: host.as_deref().unwrap_or(target.host),
                port: port.unwrap_or(target.port),
                ..*target
            },
            Destination::Unix(_) | Destination::Socket(_) => *target,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        os::{fd::AsRawFd as _, unix::net::UnixStream},
    };

    use super::*;
    use crate::{
        error::Error,
        net::{stream::Address, way::proxy::Scheme},
    };

    const TARGET: Target<'_> = Target {
        host: "host.invalid",
        port: 80,
        authority: "host.invalid",
    };

    fn connect(route: &Route) -> Result<Stream> {
        let claimed = route.claim()?;
        let (stream, arrived) = route.connect(claimed, &TARGET, &Wait::FOR_EVER)?;
        assert!(arrived.is_empty());
        Ok(stream)
    }

    /// A proxy that is not there.
    fn nowhere() -> Option<Proxy> {
        Proxy::new(Scheme::Http, "127.0.0.1", 1, None).ok()
    }

    #[test]
    fn another_address_is_connected_to_instead() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let route = Route {
            destination: Destination::Tcp {
                host: Some("127.0.0.1".to_owned()),
                port: Some(address.port()),
            },
            ..Route::default()
        };
        let stream = connect(&route).unwrap();
        assert_eq!(stream.addresses().1, Some(Address::Inet(address)));
    }

    #[test]
    fn a_given_socket_is_used_once_and_without_a_proxy() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let route = Route {
            destination: Destination::Socket(ConnectedSocket::new(ours.as_raw_fd()).unwrap()),
            proxy: nowhere(),
            ..Route::default()
        };
        drop(ours);
        assert!(route.proxy().is_none());
        let stream = connect(&route.clone()).unwrap();
        let unnamed = Some(Address::Unix(Vec::new()));
        assert_eq!(stream.addresses(), (unnamed.clone(), unnamed));
        assert!(matches!(connect(&route), Err(Error::InvalidArgument(_))));
        theirs.write_all(b"x").unwrap();
        drop(stream);
        assert!(theirs.read(&mut [0]).is_err());
    }

    #[test]
    fn a_unix_socket_is_connected_to_without_a_proxy() {
        use std::os::{linux::net::SocketAddrExt as _, unix::net};

        let name = format!("websocket-rs-{:x}", rand::random::<u64>());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = net::UnixListener::bind_addr(&address).unwrap();
        let path = format!("\0{name}").into_bytes();
        let route = Route {
            destination: Destination::Unix(UnixPath::new(path.clone()).unwrap()),
            proxy: nowhere(),
            ..Route::default()
        };
        let (local, remote) = connect(&route).unwrap().addresses();
        assert_eq!(local, Some(Address::Unix(Vec::new())));
        assert_eq!(remote, Some(Address::Unix(path)));
    }
}
