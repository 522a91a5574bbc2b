//! What a connection of the server does with messages; the path of its request chooses.

use std::{convert::Infallible, io::Write as _};

use tungstenite::{
    Error, Message, WebSocket,
    handshake::server::{Callback, ErrorResponse, Request, Response},
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use super::{BUFFER_SIZE, MAX_SIZE, stream::Stream};

/// What a connection does with messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behaviour {
    Echo,
    Flood,
    Sink,
}

/// Chooses the behaviour by the path of the opening handshake's request.
pub(super) struct Route<'a>(pub(super) &'a mut Behaviour);

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

pub(super) fn echo(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
    loop {
        let message = websocket.read()?;
        // tungstenite answers Ping and Close itself, in the next `read`.
        if message.is_text() || message.is_binary() {
            websocket.write(message)?;
        }
    }
}

pub(super) fn sink(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
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

pub(super) fn flood(websocket: &mut WebSocket<Stream>) -> Result<Infallible, Error> {
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
