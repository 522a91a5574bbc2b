//! Requests and their answers on a stream that one thread has for itself: what comes before the
//! frames of WebSocket, with a proxy, with TLS and with the server.
//!
//! Must not know what is asked. Invariant: what comes after an answer stays in
//! [`Exchange::received`], for it belongs to whoever talks next.

use crate::{
    buffer::Buffer,
    error::{Error, Phase, Result},
    net::{
        stream::{Patience, Stream, persist},
        tls::{Session, TlsOptions},
        wait::Wait,
    },
    protocol::http::{MAX_HEAD, Response, ResponseError},
};

/// An exchange on a stream.
#[derive(Debug)]
pub struct Exchange<'a> {
    stream: &'a Stream,
    wait: &'a Wait<'a>,
    phase: Phase,
    /// What is being attempted, for the text of errors.
    attempt: &'static str,
    /// What has come and was not used yet.
    pub received: Vec<u8>,
    ciphertext: Buffer,
}

impl<'a> Exchange<'a> {
    /// An exchange that begins with what has `arrived` already.
    pub fn new(
        stream: &'a Stream,
        wait: &'a Wait<'a>,
        phase: Phase,
        attempt: &'static str,
        arrived: Vec<u8>,
    ) -> Self {
        Self {
            stream,
            wait,
            phase,
            attempt,
            received: arrived,
            ciphertext: Buffer::default(),
        }
    }

    /// Sends all of a request.
    pub fn send(&mut self, request: Vec<u8>) -> Result<()> {
        let (mut request, mut wire) = (Buffer::from(request), Buffer::default());
        persist(self.wait, self.attempt, || {
            self.stream.seal(&mut request, &mut wire)
        })?;
        let patience = Patience::Until(self.wait, self.phase);
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let sent = persist(self.wait, self.attempt, || self.stream.send(rest, patience))?;
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Waits until more has come, and appends it to `received`. 0 is the end of the stream.
    pub fn receive(&mut self) -> Result<usize> {
        // A peer that sends without end never makes this wait, which would notice both.
        self.wait.deadline.check(self.phase)?;
        (self.wait.interrupt)()?;
        let before = self.received.len();
        self.received.resize(before + MAX_HEAD / 16, 0);
        let patience = Patience::Until(self.wait, self.phase);
        let space = &mut self.received[before..];
        let result = persist(self.wait, self.attempt, || {
            // If TLS itself has something to send, it goes out with the next request.
            self.stream
                .read(space, &mut self.ciphertext, patience, &|| ())
        });
        self.received
            .truncate(before + result.as_ref().map_or(0, |count| *count));
        result
    }

    /// Receives an HTTP response, and its body if that is to be received. `failed` makes an error
    /// of what is wrong with it.
    pub fn response(
        &mut self,
        with_body: impl Fn(&Response) -> bool,
        failed: impl Fn(ResponseError) -> Error,
    ) -> Result<Response> {
        let (mut response, len) = loop {
            if let Some(parsed) = Response::parse(&self.received).map_err(&failed)? {
                break parsed;
            }
            if self.receive()? == 0 {
                return Err(failed(ResponseError::Eof));
            }
        };
        self.received.drain(..len);
        if with_body(&response) {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>> {
        let mut is_end = false;
        loop {
            if let Some(body) = response.body(&self.received, is_end) {
                return Ok(body);
            }
            is_end = match self.receive() {
                Ok(count) => count == 0,
                // The status is what matters; a body that does not come is done without.
                Err(Error::Timeout { .. } | Error::Io { .. } | Error::Tls(_)) => true,
                Err(error) => return Err(error),
            };
        }
    }
}

/// The stream under TLS: performs the TLS handshake with the server of this name. `arrived` has been
/// read of the stream, and is where the server's part begins.
pub fn secure(
    stream: Stream,
    arrived: Vec<u8>,
    options: &TlsOptions,
    name: &str,
    wait: &Wait<'_>,
) -> Result<Stream> {
    let attempt = "complete the TLS handshake";
    let mut exchange = Exchange::new(&stream, wait, Phase::TlsHandshake, attempt, arrived);
    let session = Session::open(options, name, &mut |outgoing, incoming| {
        exchange.send(outgoing.to_vec())?;
        if exchange.received.is_empty() {
            exchange.receive()?;
        }
        incoming.append(&mut exchange.received);
        Ok(())
    })?;
    stream.with_tls(session)
}
