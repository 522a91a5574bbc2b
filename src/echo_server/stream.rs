//! The byte stream below the WebSocket: a TCP socket, plain or under TLS, with buffered writes.

use std::{
    io::{self, BufWriter, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use openssl::ssl::SslStream;

/// The buffered byte stream below the WebSocket.
pub(super) struct Stream(pub(super) BufWriter<Transport>);

impl Stream {
    /// Sends what is buffered, ends our direction, and waits a little for the peer to end its own.
    ///
    /// Closing a socket with unread input resets the connection, which may destroy the Close frame
    /// on its way to the peer; so the input is read first, for a bounded time.
    pub(super) fn finish(&mut self, socket: &TcpStream) -> io::Result<()> {
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

pub(super) enum Transport {
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
pub(super) struct Socket(pub(super) Arc<TcpStream>);

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

/// How long a closed connection waits for the peer to close its end.
const LINGER: Duration = Duration::from_secs(1);
