//! Requests and their answers on a stream that one thread has for itself: what comes before the
//! frames of WebSocket, with a proxy, with TLS and with the server.
//!
//! Must not know what is asked. Invariant: what comes after an answer stays in
//! [`Exchange::received`], for it belongs to whoever talks next.

use super::{
    stream::{Patience, Stream, persist},
    wait::Wait,
};
use crate::{
    error::{Error, Phase, Result},
    protocol::handshake::{
        HandshakeError,
        response::{MAX_HEAD, Response},
    },
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
    ciphertext: Vec<u8>,
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
            ciphertext: Vec::new(),
        }
    }

    /// Sends all of a request.
    pub fn send(&mut self, mut request: Vec<u8>) -> Result<()> {
        let mut wire = Vec::new();
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
        self.received.reserve(MAX_HEAD / 16);
        let patience = Patience::Until(self.wait, self.phase);
        persist(self.wait, self.attempt, || {
            // What TLS may have to say, it says with what is sent next.
            self.stream
                .read(&mut self.received, &mut self.ciphertext, patience, &|| ())
        })
    }

    /// Receives an HTTP response, and its body if that is to be received. `failed` makes an error
    /// of what is wrong with it.
    pub fn response(
        &mut self,
        with_body: impl Fn(&Response) -> bool,
        failed: impl Fn(HandshakeError) -> Error,
    ) -> Result<Response> {
        let (mut response, len) = loop {
            if let Some(parsed) = Response::parse(&self.received).map_err(&failed)? {
                break parsed;
            }
            if self.receive()? == 0 {
                return Err(failed(HandshakeError::Eof));
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
                Err(Error::Timeout { .. } | Error::Io { .. }) => true,
                Err(error) => return Err(error),
            };
        }
    }
}
