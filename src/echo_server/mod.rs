//! The embedded echo server: something to talk to for `python -m websocket_rs echo-server` and
//! `demo`, for the tests and for the benchmarks.
//!
//! It stands on tungstenite's server side alone, so that the client is measured and tested against
//! a WebSocket implementation that shares no code with it. It knows neither Python nor any other
//! module of this crate. It is not made for the open network: it trusts its peers with 1 GiB of
//! memory per message.
//!
//! The path of the request chooses what a connection does:
//!
//! | path | behaviour |
//! |---|---|
//! | `/flood` | on the text message `COUNT SIZE`, or `COUNT SIZE text`, pushes COUNT messages of SIZE bytes |
//! | `/sink` | swallows messages; on the text message `report` answers `MESSAGES BYTES` since the last report |
//! | any other | echoes text and binary messages |
//!
//! Rules:
//! 1. One thread per connection, and one that accepts. Each of them blocks on one socket only, so
//!    shutting the sockets down ends every thread, and joining them takes bounded time.
//! 2. Nothing a peer sends causes a panic; it ends that peer's connection, with the Close code of
//!    [RFC 6455 section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1).
//! 3. What has been written is sent before the connection waits for input. So the answers to all
//!    messages that arrived in one read leave in one write.

mod behaviour;
mod certificate;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use openssl::ssl::SslAcceptor;
use socket2::SockRef;
use tungstenite::{
    Error, accept_hdr_with_config,
    protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
};

use self::{
    behaviour::{Behaviour, Route, echo, flood, sink},
    certificate::self_signed_acceptor,
    stream::{Socket, Stream, Transport},
};

/// A running server; stopped by [`EchoServer::stop`] or by dropping it.
pub struct EchoServer {
    address: SocketAddr,
    certificate_pem: Option<String>,
    listener: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl EchoServer {
    /// Listens on `host` and `port` (0 takes any free port) and serves in the background.
    ///
    /// With `tls` the server speaks `wss` and makes itself a certificate for `localhost`,
    /// `127.0.0.1` and `::1`, whatever `host` is.
    ///
    /// # Errors
    /// An address that cannot be resolved or bound, a certificate that cannot be made, or a thread
    /// that cannot be started.
    pub fn start(host: &str, port: u16, tls: bool) -> io::Result<Self> {
        let (acceptor, certificate_pem) = if tls {
            let (acceptor, certificate_pem) = self_signed_acceptor()?;
            (Some(acceptor), Some(certificate_pem))
        } else {
            (None, None)
        };
        let listener = Arc::new(TcpListener::bind((host, port))?);
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let accepting = thread::Builder::new()
            .name("echo-server".to_owned())
            .stack_size(STACK_SIZE)
            .spawn({
                let listener = Arc::clone(&listener);
                let stopping = Arc::clone(&stopping);
                move || accept_connections(&listener, acceptor.as_ref(), &stopping)
            })?;
        Ok(Self {
            address,
            certificate_pem,
            listener,
            stopping,
            accepting: Some(accepting),
        })
    }

    /// The address the server listens on, with the port it really got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate a client has to trust, in PEM form; `None` if the server speaks plain `ws`.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// Cuts all connections, stops listening, and waits until every thread has ended.
    ///
    /// The wait is bounded, since no thread has anything left to wait for. A caller from Python
    /// has to detach from the interpreter first.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // On Linux, shutting a listening socket down wakes the thread blocked in accept(2).
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl fmt::Debug for EchoServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EchoServer")
            .field("address", &self.address)
            .field("tls", &self.certificate_pem.is_some())
            .finish_non_exhaustive()
    }
}

/// A connection as the accepting thread sees it.
struct Connection {
    // Weak, so that the descriptor is freed as soon as the connection's thread ends.
    socket: Weak<TcpStream>,
    thread: JoinHandle<()>,
}

fn accept_connections(
    listener: &TcpListener,
    acceptor: Option<&SslAcceptor>,
    stopping: &AtomicBool,
) {
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let accepted = listener.accept();
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        connections.retain(|connection| !connection.thread.is_finished());
        match accepted {
            // Without memory for one more thread, the peer sees its connection cut.
            Ok((socket, _)) => connections.extend(spawn_connection(socket, acceptor).ok()),
            // Out of descriptors, or the peer has gone already: neither ends the server.
            Err(_) => thread::sleep(ACCEPT_RETRY),
        }
    }
    for connection in &connections {
        if let Some(socket) = connection.socket.upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
    for connection in connections {
        let _ = connection.thread.join();
    }
}

fn spawn_connection(socket: TcpStream, acceptor: Option<&SslAcceptor>) -> io::Result<Connection> {
    let acceptor = acceptor.cloned();
    let socket = Arc::new(socket);
    Ok(Connection {
        socket: Arc::downgrade(&socket),
        thread: thread::Builder::new()
            .name("echo-connection".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                // An error has nobody to go to: the peer is told by a Close frame, if at all.
                let _ = serve(&socket, acceptor.as_ref());
            })?,
    })
}

/// Serves one connection from its first byte to its last.
fn serve(socket: &Arc<TcpStream>, acceptor: Option<&SslAcceptor>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let plain = Socket(Arc::clone(socket));
    let transport = match acceptor {
        None => Transport::Plain(plain),
        Some(acceptor) => match acceptor.accept(plain) {
            Ok(session) => Transport::Tls(session),
            Err(_) => return Ok(()),
        },
    };
    let stream = Stream(io::BufWriter::with_capacity(BUFFER_SIZE, transport));

    let mut behaviour = Behaviour::Echo;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_SIZE)
        // `Stream` does the buffering, because it knows when the connection is about to wait.
        .write_buffer_size(0)
        .max_frame_size(Some(MAX_SIZE))
        .max_message_size(Some(MAX_SIZE));
    let route = Route(&mut behaviour);
    let Ok(mut websocket) = accept_hdr_with_config(stream, route, Some(config)) else {
        return Ok(());
    };
    socket.set_read_timeout(None)?;

    let Err(ended) = match behaviour {
        Behaviour::Echo => echo(&mut websocket),
        Behaviour::Flood => flood(&mut websocket),
        Behaviour::Sink => sink(&mut websocket),
    };
    if let Some(code) = close_code(&ended) {
        // 30 characters surely fit the 123 bytes that a Close frame has for them.
        let reason = ended
            .to_string()
            .chars()
            .take(30)
            .collect::<String>()
            .into();
        let _ = websocket.close(Some(CloseFrame { code, reason }));
    }
    websocket.get_mut().finish(socket)
}

/// The code to fail the connection with, or `None` if there is nobody left to tell.
fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Capacity(_) => Some(CloseCode::Size),
        _ => None,
    }
}

/// The stack of each thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;
/// What is read, and what is gathered for one write, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;
/// The largest message that is received or pushed, in bytes.
const MAX_SIZE: usize = 1 << 30;
/// How long a peer may stay silent during the opening handshakes of TLS and WebSocket.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept, so that a lack of descriptors is not met by spinning.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);
