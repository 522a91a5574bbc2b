//! Opening a connection: the way to the server, TLS and the opening handshake, under one deadline.

use std::{fmt, time::Instant};

use crate::{
    error::{Error, Phase, Result},
    net::{exchange::Exchange, stream::Stream, tls::TlsOptions, wait::Wait},
    options::ConnectOptions,
    protocol::handshake::{
        HandshakeError,
        request::{Agreed, Request},
        response::Response,
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
pub fn open(options: &ConnectOptions, id: u64, wait: &Wait<'_>) -> Result<Established> {
    let uri = &options.uri;
    let started = Instant::now();
    let claimed = options.route.claim()?;
    log::debug!(target: CLIENT, id; "connecting to {uri}");
    if uri.secure {
        // A key that does not fit its certificate is known before anything is sent.
        options.tls.prepare()?;
    }
    let proxy = options.route.proxy();
    if let Some(proxy) = proxy {
        log::debug!(target: CLIENT, id; "connecting to proxy {proxy}");
        if proxy.is_secure() {
            warn_of_anyone(&proxy.tls, proxy, id);
        }
    }
    let (mut stream, mut arrived) = options.route.connect(claimed, &options.target(), wait)?;
    if let Some(proxy) = proxy {
        log::debug!(target: CLIENT, id; "connected to proxy {proxy}");
    }
    if uri.secure {
        warn_of_anyone(&options.tls, &uri.authority, id);
        stream = stream.secure(arrived, &options.tls, options.tls_name(), wait)?;
        arrived = Vec::new();
        log::debug!(target: TLS, id; "TLS handshake with {} succeeded", options.tls_name());
    }
    let request = Request::new(uri, &options.request);
    log::debug!(
        target: HANDSHAKE, id;
        "sending opening handshake request for {uri} with headers {}",
        names(&request.headers)
    );
    let phase = Phase::OpeningHandshake;
    let attempt = "complete the opening handshake";
    let mut exchange = Exchange::new(&stream, wait, phase, attempt, arrived);
    exchange.send(request.encode())?;
    let response = exchange.response(|response| response.status != 101, handshake)?;
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
        handshake: Box::new(Handshake { request, response }),
        arrived,
    })
}

/// Warns of TLS in which nothing is verified.
fn warn_of_anyone(options: &TlsOptions, peer: &dyn fmt::Display, id: u64) {
    if options.verification_is_off() {
        log::warn!(
            target: TLS, id;
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
