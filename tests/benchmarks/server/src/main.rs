//! The server that the benchmarks measure against: plain tungstenite, a thread for each connection.
//!
//! It shares nothing with the package that is measured but the recipe of its certificate. What it
//! does with messages depends on the path:
//!
//! * `/` echoes;
//! * `/flood` answers `COUNT SIZE` with so many binary messages of so many bytes;
//! * `/sink` counts messages, and answers `report` with `MESSAGES BYTES` since the last report;
//! * `/pace/RATE/SIZE` sends RATE messages a second; each begins with the time of its sending, in
//!   nanoseconds of the monotonic clock, as 8 bytes in network byte order.

#[path = "../../../../src/echo_server/certificate.rs"]
mod certificate;

use std::{
    env,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process, thread,
    time::{Duration, Instant},
};

use openssl::ssl::{SslAcceptor, SslStream};
use tungstenite::{
    Error, Message, WebSocket,
    handshake::server::{ErrorResponse, Request, Response},
    protocol::WebSocketConfig,
};

/// Either end of what a connection may come over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        arguments.get(position + 1).cloned()
    };
    let host = value("--host").unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = value("--port").unwrap_or_else(|| "0".to_owned());
    let acceptor = match arguments.iter().any(|argument| argument == "--tls") {
        true => Some(certificate::self_signed_acceptor()?),
        false => None,
    };
    let listener = TcpListener::bind(format!("{host}:{port}"))?;
    let scheme = if acceptor.is_some() { "wss" } else { "ws" };
    println!("listening on {scheme}://{}", listener.local_addr()?);
    let acceptor = match acceptor {
        Some((acceptor, pem)) => {
            let path = env::temp_dir().join(format!("neutral-server-{}.pem", process::id()));
            std::fs::write(&path, pem)?;
            println!("certificate: {}", path.display());
            Some(acceptor)
        }
        None => None,
    };
    for stream in listener.incoming() {
        let (stream, acceptor) = (stream?, acceptor.clone());
        thread::spawn(move || {
            // What ends a connection is the client's business, and told there.
            let _ = serve(stream, acceptor);
        });
    }
    Ok(())
}

fn serve(stream: TcpStream, acceptor: Option<SslAcceptor>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let stream = match acceptor {
        None => Stream::Plain(stream),
        Some(acceptor) => {
            let stream = acceptor.accept(stream).map_err(io::Error::other)?;
            Stream::Tls(Box::new(stream))
        }
    };
    let mut path = String::new();
    // The result is that of tungstenite's own callback.
    #[allow(clippy::result_large_err)]
    let note_path = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let websocket = tungstenite::accept_hdr_with_config(stream, note_path, Some(config))
        .map_err(|error| io::Error::other(error.to_string()))?;
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words[..] {
        ["flood"] => flood(websocket),
        ["sink"] => sink(websocket),
        ["pace", rate, size] => match (rate.parse(), size.parse()) {
            (Ok(rate), Ok(size)) => pace(websocket, rate, size),
            _ => Ok(()),
        },
        _ => echo(websocket),
    }
}

fn echo(mut websocket: WebSocket<Stream>) -> Result<(), Error> {
    loop {
        let message = websocket.read()?;
        if message.is_text() || message.is_binary() {
            websocket.send(message)?;
        }
    }
}

fn sink(mut websocket: WebSocket<Stream>) -> Result<(), Error> {
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

fn flood(mut websocket: WebSocket<Stream>) -> Result<(), Error> {
    loop {
        let Message::Text(command) = websocket.read()? else {
            continue;
        };
        let mut numbers = command.split(' ').map(str::parse::<usize>);
        let (Some(Ok(count)), Some(Ok(size))) = (numbers.next(), numbers.next()) else {
            return Ok(());
        };
        let message = Message::binary(vec![b'x'; size]);
        for _ in 0..count {
            websocket.write(message.clone())?;
        }
        websocket.flush()?;
    }
}

fn pace(mut websocket: WebSocket<Stream>, rate: f64, size: usize) -> Result<(), Error> {
    let began = Instant::now();
    let mut payload = vec![b'x'; size.max(8)];
    let mut number = 0_u32;
    loop {
        // A sender that was late catches up: what counts is the number in a second.
        number = number.wrapping_add(1);
        let due = began + Duration::from_secs_f64(f64::from(number) / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        payload[..8].copy_from_slice(&monotonic_ns().to_be_bytes());
        websocket.send(Message::binary(payload.clone()))?;
    }
}

/// Python's `time.monotonic_ns()`.
fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
