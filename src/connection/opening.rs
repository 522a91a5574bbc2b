//! Opening a connection: the way to the server, TLS and the opening handshake, under one deadline.

use std::{fmt, time::Instant};

use super::{logger::Logger, options::ConnectOptions};
use crate::{
    error::{Error, Phase, Result},
    net::{
        stream::Stream,
        tls::TlsOptions,
        wait::Wait,
        way::exchange::{Exchange, secure},
    },
    protocol::{
        handshake::{
            HandshakeError,
            request::{Agreed, Request},
        },
        http::Response,
    },
};

/// A stream on which the opening handshake has succeeded.
#[derive(Debug)]
pub struct Established {
    /// The stream.
    pub stream: Stream,
    /// What the opening handshake has agreed upon.
    pub agreed: Agreed,
    /// What was sent and answered.
    pub handshake: Box<Handshake>,
    /// What came after the response: the first frames.
    pub arrived: Vec<u8>,
}

/// The opening handshake, for the program to look at.
#[derive(Debug)]
pub struct Handshake {
    /// The request.
    pub request: Request,
    /// The response.
    pub response: Response,
}

/// Connects to the server and performs the opening handshake in the calling thread.
///
/// Whatever fails, nothing is left behind.
pub fn open(options: &ConnectOptions, logger: &Logger, wait: &Wait<'_>) -> Result<Established> {
    let started = Instant::now();
    let (stream, arrived) = reach(options, logger, wait)?;
    let request = Request::new(&options.uri, &options.request)
        .map_err(|error| Error::io("make a key for the opening handshake", error))?;
    log::debug!(
        logger: logger, target: HANDSHAKE,
        "sending opening handshake request for {} with headers {}",
        options.uri,
        names(&request.headers)
    );
    let phase = Phase::OpeningHandshake;
    let attempt = "complete the opening handshake";
    let mut exchange = Exchange::new(&stream, wait, phase, attempt, arrived);
    if let Err(error) = exchange.send(request.encode()) {
        return Err(last_words(&mut exchange, &request).unwrap_or(error));
    }
    let response = receive(&mut exchange)?;
    log::debug!(
        logger: logger, target: HANDSHAKE,
        "received response {} {} with headers {}",
        response.status,
        response.reason,
        names(&response.headers)
    );
    let agreed = request.accept(&response).map_err(handshake)?;
    let arrived = exchange.received;
    log::debug!(
        logger: logger, target: CLIENT,
        "connected to {} in {:.1} ms",
        options.uri,
        started.elapsed().as_secs_f64() * 1e3
    );
    Ok(Established {
        stream,
        agreed,
        handshake: Box::new(Handshake { request, response }),
        arrived,
    })
}

/// Receives the response, with the body of a refusal.
fn receive(exchange: &mut Exchange<'_>) -> Result<Response> {
    exchange.response(
        |response| response.status != 101,
        |error| handshake(error.into()),
    )
}

/// Why the server has broken the connection off before it had the request: an alert of TLS, or a
/// refusal, that it sent before and that can still be read.
fn last_words(exchange: &mut Exchange<'_>, request: &Request) -> Option<Error> {
    match receive(exchange) {
        Ok(response) => request.accept(&response).err().map(handshake),
        Err(error @ Error::Tls(_)) => Some(error),
        Err(_) => None,
    }
}

/// Connects to the server, with TLS if the URI is `wss`. Returns the stream, and what came of it
/// already.
fn reach(options: &ConnectOptions, logger: &Logger, wait: &Wait<'_>) -> Result<(Stream, Vec<u8>)> {
    let uri = &options.uri;
    let claimed = options.route.claim()?;
    log::debug!(logger: logger, target: CLIENT, "connecting to {uri}");
    if uri.secure {
        // A key that does not fit its certificate is known before anything is sent.
        options.tls.prepare()?;
    }
    let proxy = options.route.proxy();
    if let Some(proxy) = proxy {
        log::debug!(logger: logger, target: CLIENT, "connecting to proxy {proxy}");
        if proxy.is_secure() {
            warn_of_anyone(&proxy.tls, proxy, logger);
        }
    }
    let (stream, arrived) = options.route.connect(claimed, &options.target(), wait)?;
    if let Some(proxy) = proxy {
        log::debug!(logger: logger, target: CLIENT, "connected to proxy {proxy}");
    }
    if !uri.secure {
        return Ok((stream, arrived));
    }
    warn_of_anyone(&options.tls, &uri.authority, logger);
    let stream = secure(stream, arrived, &options.tls, options.tls_name(), wait)?;
    log::debug!(
        logger: logger, target: TLS,
        "TLS handshake with {} succeeded", options.tls_name()
    );
    Ok((stream, Vec::new()))
}

/// Warns of TLS in which nothing is verified.
fn warn_of_anyone(options: &TlsOptions, peer: &dyn fmt::Display, logger: &Logger) {
    if options.verification_is_off() {
        log::warn!(
            logger: logger, target: TLS,
            "the certificate of {peer} is not verified: anyone can read and change what is sent"
        );
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

const CLIENT: &str = "websocket_rs::client";
const HANDSHAKE: &str = "websocket_rs::handshake";
const TLS: &str = "websocket_rs::tls";
