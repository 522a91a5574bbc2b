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

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    fmt,
    io::{self, BufWriter, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{Asn1Flag, EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{SslAcceptor, SslMethod, SslStream},
    x509::{
        X509, X509NameBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName,
            SubjectKeyIdentifier,
        },
    },
};
use socket2::SockRef;
use tungstenite::{
    Error, Message, WebSocket, accept_hdr_with_config,
    handshake::server::{Callback, ErrorResponse, Request, Response},
    protocol::{
        CloseFrame, WebSocketConfig,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
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
    let stream = Stream(BufWriter::with_capacity(BUFFER_SIZE, transport));

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

/// What a connection does with messages.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Echo,
    Flood,
    Sink,
}

/// Chooses the behaviour by the path of the opening handshake's request.
struct Route<'a>(&'a mut Behaviour);

impl Callback for Route<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.0 = match request.uri().path() {
            "/flood" => Behaviour::Flood,
            "/sink" => Behaviour::Sink,
            _ => Behaviour::Echo,
        };
        Ok(response)
    }
}

fn echo(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
    loop {
        let message = websocket.read()?;
        // tungstenite answers Ping and Close itself, in the next `read`.
        if message.is_text() || message.is_binary() {
            websocket.write(message)?;
        }
    }
}

fn sink(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
    let (mut messages, mut bytes) = (0_u64, 0_u64);
    loop {
        match websocket.read()? {
            Message::Text(text) if text == "report" => {
                websocket.send(Message::text(format!("{messages} {bytes}")))?;
                (messages, bytes) = (0, 0);
            }
            message @ (Message::Text(_) | Message::Binary(_)) => {
                messages += 1;
                bytes += message.len() as u64;
            }
            _ => {}
        }
    }
}

fn flood(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
    loop {
        let Message::Text(command) = websocket.read()? else {
            continue;
        };
        if let Some(burst) = Burst::parse(&command) {
            burst.push(websocket)?;
        } else if websocket.can_write() {
            websocket.close(Some(CloseFrame {
                code: CloseCode::Policy,
                reason: "expected: COUNT SIZE [text]".into(),
            }))?;
        }
    }
}

/// The messages asked for by a command of `/flood`.
#[derive(Debug, PartialEq, Eq)]
struct Burst {
    count: u64,
    size: usize,
    kind: Data,
}

impl Burst {
    fn parse(command: &str) -> Option<Self> {
        let mut words = command.split_whitespace();
        let count = words.next()?.parse().ok()?;
        let size = words
            .next()?
            .parse()
            .ok()
            .filter(|size| *size <= MAX_SIZE)?;
        let kind = match (words.next(), words.next()) {
            (None, _) => Data::Binary,
            (Some("text"), None) => Data::Text,
            _ => return None,
        };
        Some(Self { count, size, kind })
    }

    /// Writes the messages, many in one piece.
    ///
    /// The frames of a server are not masked, so all of them are equal: one chunk of whole frames,
    /// made once, is written again and again. That is several times faster than formatting each
    /// frame, and the benchmarks need a server that is faster than the client it serves.
    fn push(self, websocket: &mut WebSocket<Stream>) -> Result<(), Error> {
        // A command that came behind our Close frame is not answered.
        if !websocket.can_write() {
            return Ok(());
        }
        let mut frame = Vec::new();
        Frame::message(vec![b'x'; self.size], OpCode::Data(self.kind), true).format(&mut frame)?;
        let per_chunk = (BUFFER_SIZE / frame.len()).max(1);
        let chunk = frame.repeat(per_chunk);

        websocket.flush()?;
        let stream = websocket.get_mut();
        let mut left = self.count;
        while left > 0 {
            let frames = usize::try_from(left).unwrap_or(usize::MAX).min(per_chunk);
            stream.write_all(&chunk[..frames * frame.len()])?;
            left -= frames as u64;
        }
        Ok(stream.flush()?)
    }
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

/// The buffered byte stream below the WebSocket.
struct Stream(BufWriter<Transport>);

impl Stream {
    /// Sends what is buffered, ends our direction, and waits a little for the peer to end its own.
    ///
    /// Closing a socket with unread input resets the connection, which may destroy the Close frame
    /// on its way to the peer; so the input is read first, for a bounded time.
    fn finish(&mut self, socket: &TcpStream) -> io::Result<()> {
        self.flush()?;
        if let Transport::Tls(session) = self.0.get_mut() {
            let _ = session.shutdown();
        }
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LINGER))?;
        let deadline = Instant::now() + LINGER;
        let mut discarded = [0; 4096];
        let mut input = socket;
        while Instant::now() < deadline && input.read(&mut discarded)? > 0 {}
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.flush()?;
        self.0.get_mut().read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

enum Transport {
    Plain(Socket),
    Tls(SslStream<Socket>),
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(session) => session.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All at once: OpenSSL takes 16 KiB at a time, and tungstenite moves the whole rest of a
        // message to the front of its buffer after each partial write.
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(session) => session.write_all(bytes),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The TCP socket, without the interruptions by signals that OpenSSL takes for failures.
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| (&*self.0).read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| (&*self.0).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A TLS acceptor with a fresh self-signed certificate, and that certificate in PEM form.
fn self_signed_acceptor() -> io::Result<(SslAcceptor, String)> {
    let key = private_key()?;
    let certificate = self_signed_certificate(&key)?;
    // Not native-tls's acceptor: that one refuses TLS 1.3, which most servers speak today.
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(&certificate)?;
    // One recv(2) for all the records that have arrived, instead of two for each.
    acceptor.set_read_ahead(true);
    let pem = String::from_utf8(certificate.to_pem()?).map_err(io::Error::other)?;
    Ok((acceptor.build(), pem))
}

fn private_key() -> Result<PKey<Private>, ErrorStack> {
    let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// A certificate that is its own trust anchor, but no authority for others.
fn self_signed_certificate(key: &PKey<Private>) -> io::Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "localhost")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(159, MsbOption::MAYBE_ZERO, false)?;
    let unix_now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let now = i64::try_from(unix_now.as_secs()).map_err(io::Error::other)?;

    let mut builder = X509::builder()?;
    // The field counts from zero: this is X.509 version 3, the one with extensions.
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    // A day of grace for clients whose clock is behind ours.
    builder.set_not_before(&*Asn1Time::from_unix(now - DAY)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(now + 30 * DAY)?)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip(&Ipv4Addr::LOCALHOST.to_string())
        .ip(&Ipv6Addr::LOCALHOST.to_string())
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    let subject_key = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(subject_key)?;
    let authority_key = AuthorityKeyIdentifier::new()
        .keyid(true)
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(authority_key)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// The stack of each thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;
/// What is read, and what is gathered for one write, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;
/// The largest message that is received or pushed, in bytes.
const MAX_SIZE: usize = 1 << 30;
/// How long a peer may stay silent during the opening handshakes of TLS and WebSocket.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closed connection waits for the peer to close its end.
const LINGER: Duration = Duration::from_secs(1);
/// The pause after a failed accept, so that a lack of descriptors is not met by spinning.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
