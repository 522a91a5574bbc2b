//! Opening a connection: name, TCP, TLS and the opening handshake, under one deadline.

use std::time::Instant;

use crate::{
    error::{Error, Phase, Result},
    net::wait::Wait,
    net::{
        dial::dial,
        stream::{Patience, Stream, persist},
    },
    options::ConnectOptions,
    protocol::handshake::{
        HandshakeError,
        request::{Agreed, Request},
        response::{MAX_HEAD, Response},
    },
};

/// A stream on which the opening handshake has succeeded.
#[derive(Debug)]
pub struct Established {
    /// The stream.
    pub stream: Stream,
    /// What the opening handshake has agreed upon.
    pub agreed: Agreed,
    /// What came after the response: the first frames.
    pub arrived: Vec<u8>,
}

/// Connects to the server and performs the opening handshake in the calling thread.
///
/// Whatever fails, nothing is left behind.
pub fn open(options: &ConnectOptions, id: u64, wait: &Wait<'_>) -> Result<Established> {
    let uri = &options.uri;
    let started = Instant::now();
    log::debug!(target: CLIENT, id; "connecting to {uri}");
    if uri.secure {
        // A key that does not fit its certificate is known before anything is sent.
        options.tls.prepare()?;
    }
    let socket = dial(&uri.host, uri.port, wait)?;
    let stream = if uri.secure {
        if options.tls.verification_is_off() {
            log::warn!(
                target: TLS, id;
                "the certificate of {} is not verified: anyone can read and change what is sent",
                uri.authority
            );
        }
        let stream = Stream::secure(socket, &options.tls, options.tls_name(), wait)?;
        log::debug!(target: TLS, id; "TLS handshake with {} succeeded", options.tls_name());
        stream
    } else {
        Stream::plain(socket)
    };
    let request = Request::new(uri, &options.request);
    log::debug!(
        target: HANDSHAKE, id;
        "sending opening handshake request for {uri} with headers {}",
        names(&request.headers)
    );
    let mut exchange = Exchange {
        stream: &stream,
        wait,
        received: Vec::new(),
        ciphertext: Vec::new(),
    };
    exchange.send(request.encode())?;
    let response = exchange.response()?;
    log::debug!(
        target: HANDSHAKE, id;
        "received response {} {} with headers {}",
        response.status,
        response.reason,
        names(&response.headers)
    );
    let agreed = request.accept(&response).map_err(handshake)?;
    let arrived = exchange.received;
    log::debug!(
        target: CLIENT, id;
        "connected to {uri} in {:.1} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    Ok(Established {
        stream,
        agreed,
        arrived,
    })
}

/// The exchange of request and response on a stream.
struct Exchange<'a> {
    stream: &'a Stream,
    wait: &'a Wait<'a>,
    received: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Exchange<'_> {
    fn send(&mut self, mut request: Vec<u8>) -> Result<()> {
        let mut wire = Vec::new();
        persist(self.wait, ATTEMPT, || {
            self.stream.seal(&mut request, &mut wire)
        })?;
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let patience = Patience::Until(self.wait, Phase::OpeningHandshake);
            rest = &rest[persist(self.wait, ATTEMPT, || self.stream.send(rest, patience))?..];
        }
        Ok(())
    }

    /// Receives the response, with its body if it is a refusal. What comes after it stays in
    /// `received`.
    fn response(&mut self) -> Result<Response> {
        let (mut response, len) = loop {
            if let Some(parsed) = Response::parse(&self.received).map_err(handshake)? {
                break parsed;
            }
            if self.receive()? == 0 {
                return Err(handshake(HandshakeError::Eof));
            }
        };
        self.received.drain(..len);
        if response.status != 101 {
            let mut is_end = false;
            response.body = loop {
                if let Some(body) = response.body(&self.received, is_end) {
                    break body;
                }
                is_end = match self.receive() {
                    Ok(count) => count == 0,
                    // The status is what matters; a body that does not come is done without.
                    Err(Error::Timeout { .. } | Error::Io { .. }) => true,
                    Err(error) => return Err(error),
                };
            };
        }
        Ok(response)
    }

    fn receive(&mut self) -> Result<usize> {
        // A server that sends without end never makes this wait, which would notice both.
        self.wait.deadline.check(Phase::OpeningHandshake)?;
        (self.wait.interrupt)()?;
        self.received.reserve(MAX_HEAD / 16);
        let patience = Patience::Until(self.wait, Phase::OpeningHandshake);
        persist(self.wait, ATTEMPT, || {
            // What TLS may have to say, it says with the first frame.
            self.stream
                .read(&mut self.received, &mut self.ciphertext, patience, &|| ())
        })
    }
}

fn handshake(error: HandshakeError) -> Error {
    Error::Handshake(Box::new(error))
}

/// The names of headers. Their values may be credentials.
fn names(headers: &[(String, String)]) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

const ATTEMPT: &str = "complete the opening handshake";
const CLIENT: &str = "websocket_rs::client";
const HANDSHAKE: &str = "websocket_rs::handshake";
const TLS: &str = "websocket_rs::tls";
