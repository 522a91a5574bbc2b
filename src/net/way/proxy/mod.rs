//! Reaching a server through a proxy: dialling it, TLS with it, and asking it to connect.
//!
//! What is said to a proxy is put together and taken apart by [`http_connect`] and [`socks`],
//! which do no I/O. Must not know: what is said to the server.
//!
//! Invariants: what can't be said to a proxy is found before anything is sent; what the server has
//! sent behind the proxy's answer is handed on; credentials are in no error and in no log.

mod http_connect;
mod socks;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    dial::{Dialing, dial, resolve},
    exchange::{Exchange, secure},
    target::{Target, authority, checked_host},
};
use crate::{
    error::{Error, Phase, ProxyError, Result, TlsError},
    net::{stream::Stream, tls::TlsOptions, wait::Wait},
    protocol::http::{Response, check_header},
};
use socks::{Negotiation, Next, Place, Version};

/// A proxy, and what it is told.
#[derive(Clone)]
pub struct Proxy {
    scheme: Scheme,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    user_agent: Option<String>,
    /// How TLS is done with an `https` proxy.
    pub tls: TlsOptions,
    /// The name to ask for and verify in TLS with the proxy, where it is not its host.
    pub server_hostname: Option<String>,
}

/// User name and password.
pub type Credentials = (String, String);

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 4, where names are resolved here.
    Socks4,
    /// SOCKS 4A, where names are resolved by the proxy.
    Socks4a,
    /// SOCKS 5 (RFC 1928), where names are resolved here.
    Socks5,
    /// SOCKS 5, where names are resolved by the proxy.
    Socks5h,
}

impl Proxy {
    /// A proxy, or the rule that is broken by what is said of it.
    pub fn new(
        scheme: Scheme,
        host: &str,
        port: u16,
        credentials: Option<Credentials>,
    ) -> Result<Self> {
        if let Some((username, password)) = &credentials {
            if scheme.is_http() {
                http_connect::check_credentials(username)?;
            } else {
                socks::check_credentials(username, password)?;
            }
        }
        Ok(Self {
            scheme,
            host: checked_host("proxy host", host)?,
            port,
            credentials,
            user_agent: None,
            tls: TlsOptions::default(),
            server_hostname: None,
        })
    }

    /// Sets the user agent that HTTP proxies are told.
    pub fn set_user_agent(&mut self, user_agent: Option<String>) -> Result<()> {
        if let Some(user_agent) = &user_agent {
            check_header("User-Agent", user_agent)?;
        }
        self.user_agent = user_agent;
        Ok(())
    }

    /// Whether TLS is done with the proxy.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Has the proxy connect to the target. Returns the stream to the target, and what came of it
    /// already.
    pub fn connect(
        &self,
        target: &Target<'_>,
        dialing: &Dialing,
        wait: &Wait<'_>,
    ) -> Result<(Stream, Vec<u8>)> {
        let request = self.request(target, wait)?;
        if self.is_secure() {
            self.tls.prepare()?;
        }
        self.negotiate(request, dialing, wait)
            .map_err(|error| self.explained(error))
    }

    /// What to ask for. For some, the target's name has to be looked up.
    fn request(&self, target: &Target<'_>, wait: &Wait<'_>) -> Result<Request> {
        let credentials = self.credentials.as_ref();
        let (version, is_resolved_here) = match self.scheme {
            Scheme::Http | Scheme::Https => {
                let user_agent = self.user_agent.as_deref();
                let head = http_connect::request(target, user_agent, credentials);
                return Ok(Request::Http(head));
            }
            Scheme::Socks4 => (Version::V4, true),
            Scheme::Socks4a => (Version::V4, false),
            Scheme::Socks5 => (Version::V5, true),
            Scheme::Socks5h => (Version::V5, false),
        };
        let place = match target.host.parse::<IpAddr>() {
            Ok(address) => Place::Address(address),
            Err(_) if is_resolved_here => {
                let found = resolve(target.host, target.port, version.family(), wait)?;
                // Proxies reach IPv4 more often. Without any address, looking up has failed.
                let address = found.iter().min_by_key(|address| address.is_ipv6());
                address.map_or(Place::Name(target.host), |address| {
                    Place::Address(address.ip())
                })
            }
            Err(_) => Place::Name(target.host),
        };
        Negotiation::new(version, place, target.port, credentials).map(Request::Socks)
    }

    fn negotiate(
        &self,
        request: Request,
        dialing: &Dialing,
        wait: &Wait<'_>,
    ) -> Result<(Stream, Vec<u8>)> {
        let socket = dial(&self.host, self.port, dialing, wait)?;
        let mut stream = Stream::plain(socket)?;
        if self.is_secure() {
            let name = self.server_hostname.as_deref().unwrap_or(&self.host);
            stream = secure(stream, Vec::new(), &self.tls, name, wait)?;
        }
        let attempt = "connect to the server";
        let mut exchange = Exchange::new(&stream, wait, Phase::Proxy, attempt, Vec::new());
        match request {
            Request::Http(head) => connect_by_http(&mut exchange, head)?,
            Request::Socks(negotiation) => connect_by_socks(&mut exchange, negotiation)?,
        }
        let arrived = exchange.received;
        Ok((stream, arrived))
    }

    /// The error of dealing with the proxy, made to tell that from dealing with the server.
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Timeout {
                phase: Phase::Connect | Phase::TlsHandshake,
                seconds,
            } => Error::Timeout {
                phase: Phase::Proxy,
                seconds,
            },
            Error::Io { attempt, source } => Error::Io {
                attempt: format!("{attempt} (proxy {self})"),
                source,
            },
            Error::Tls(TlsError::Verification { reason, hint }) => {
                let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
                let hint = Some(format!("proxy {self}{hint}"));
                Error::Tls(TlsError::Verification { reason, hint })
            }
            Error::Tls(TlsError::Protocol(text)) => {
                Error::Tls(TlsError::Protocol(format!("{text} (proxy {self})")))
            }
            other => other,
        }
    }
}

/// What a proxy is asked for.
enum Request {
    Http(Vec<u8>),
    Socks(Negotiation),
}

fn connect_by_http(exchange: &mut Exchange<'_>, head: Vec<u8>) -> Result<()> {
    exchange.send(head)?;
    // A proxy may keep the connection open after a refusal, and say no more.
    let with_body = |response: &Response| {
        !http_connect::is_accepted(response.status) && response.says_how_long()
    };
    let response = exchange.response(with_body, |error| refused(error.into()))?;
    if http_connect::is_accepted(response.status) {
        Ok(())
    } else {
        Err(refused(ProxyError::Status(response)))
    }
}

fn connect_by_socks(exchange: &mut Exchange<'_>, mut negotiation: Negotiation) -> Result<()> {
    exchange.send(negotiation.greeting())?;
    loop {
        let Some((len, next)) = negotiation.receive(&exchange.received).map_err(refused)? else {
            if exchange.receive()? == 0 {
                return Err(refused(ProxyError::Eof));
            }
            continue;
        };
        exchange.received.drain(..len);
        match next {
            Next::Send(request) => exchange.send(request)?,
            Next::Connected => return Ok(()),
        }
    }
}

fn refused(error: ProxyError) -> Error {
    Error::Proxy(Box::new(error))
}

impl Scheme {
    fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        SCHEMES
            .into_iter()
            .find(|scheme| scheme.name() == name)
            .ok_or_else(|| Error::InvalidArgument(format!("scheme {name:?} isn't one of a proxy")))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = authority(&self.host, self.port);
        write!(f, "{}://{authority}", self.scheme.name())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

const SCHEMES: [Scheme; 6] = [
    Scheme::Http,
    Scheme::Https,
    Scheme::Socks4,
    Scheme::Socks4a,
    Scheme::Socks5,
    Scheme::Socks5h,
];
