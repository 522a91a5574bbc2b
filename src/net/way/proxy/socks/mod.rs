//! SOCKS 4, 4A and 5 (RFC 1928, RFC 1929): the client's side as a state machine.
//!
//! Bytes in, bytes out. Invariants: nothing is said that does not fit into its length; of what is
//! received, no more is used than the reply has, however it is cut.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use crate::{
    error::{Error, ProxyError, Result},
    net::way::dial::Family,
};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Also 4A, which differs in the request alone.
    V4,
    V5,
}

/// Where the proxy is to connect to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Address(IpAddr),
    Name(&'a str),
}

/// A negotiation with a proxy.
pub(super) struct Negotiation {
    expected: Reply,
    greeting: Vec<u8>,
    /// What answers the question for credentials.
    authentication: Option<Vec<u8>>,
    /// The request to connect, in version 5.
    request: Vec<u8>,
}

/// What is to be done after a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send this, and await the next reply.
    Send(Vec<u8>),
    /// All that comes now is from the server.
    Connected,
}

/// The reply that comes next.
#[derive(Debug, Clone, Copy)]
enum Reply {
    /// To the request of version 4.
    V4,
    /// Which method of authentication is chosen.
    Method,
    /// Whether the credentials are accepted.
    Authentication,
    /// To the request of version 5.
    V5,
}

impl Version {
    /// The addresses that the protocol can express; `None` is any.
    pub(super) fn family(self) -> Option<Family> {
        match self {
            Self::V4 => Some(Family::V4),
            Self::V5 => None,
        }
    }
}

/// Checks what the protocols can't express.
pub(super) fn check_credentials(username: &str, password: &str) -> Result<()> {
    check_length("user name for a proxy", username)?;
    check_length("password for a proxy", password)?;
    if username.contains('\0') {
        // It ends the user name in version 4.
        let text = "the user name for a proxy contains a zero byte";
        return Err(Error::InvalidArgument(text.to_owned()));
    }
    Ok(())
}

impl Negotiation {
    /// A negotiation that has not begun. Fails if the proxy can't be asked for this place.
    pub(super) fn new(
        version: Version,
        place: Place<'_>,
        port: u16,
        credentials: Option<&(String, String)>,
    ) -> Result<Self> {
        if let Place::Name(name) = place {
            check_length("host name", name)?;
        }
        if version == Version::V4 {
            let username = credentials.map_or("", |(username, _)| username);
            return Ok(Self {
                expected: Reply::V4,
                greeting: encode_v4(place, port, username)?,
                authentication: None,
                request: Vec::new(),
            });
        }
        Ok(Self {
            expected: Reply::Method,
            greeting: match credentials {
                None => vec![5, 1, NO_AUTHENTICATION],
                Some(_) => vec![5, 2, NO_AUTHENTICATION, USERNAME_AND_PASSWORD],
            },
            authentication: credentials.map(|(username, password)| {
                let mut bytes = vec![1];
                push_text(&mut bytes, username);
                push_text(&mut bytes, password);
                bytes
            }),
            request: encode_v5(place, port),
        })
    }

    /// What to send first.
    pub(super) fn greeting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.greeting)
    }

    /// Takes the next reply from the start of `received`. Returns how long it is, and what it
    /// asks for; `None` if it is not complete yet.
    pub(super) fn receive(&mut self, received: &[u8]) -> Result<Option<(usize, Next)>, ProxyError> {
        match self.expected {
            Reply::V4 => decode_v4(received),
            Reply::V5 => decode_v5(received),
            Reply::Method => self.choose(received),
            Reply::Authentication => self.authenticated(received),
        }
    }

    fn choose(&mut self, received: &[u8]) -> Result<Option<(usize, Next)>, ProxyError> {
        check_first(received, 5)?;
        let &[_, method, ..] = received else {
            return Ok(None);
        };
        let next = match (method, self.authentication.take()) {
            (NO_AUTHENTICATION, _) => self.ask(),
            (USERNAME_AND_PASSWORD, Some(authentication)) => {
                self.expected = Reply::Authentication;
                Next::Send(authentication)
            }
            (NO_ACCEPTABLE_METHOD, None) => return Err(refusal("authentication required", None)),
            (NO_ACCEPTABLE_METHOD, Some(_)) => {
                return Err(refusal("no acceptable authentication method", None));
            }
            (other, _) => {
                let text = format!("proxy chose authentication method {other}, not offered");
                return Err(ProxyError::Protocol(text));
            }
        };
        Ok(Some((2, next)))
    }

    fn authenticated(&mut self, received: &[u8]) -> Result<Option<(usize, Next)>, ProxyError> {
        check_first(received, 1)?;
        match received {
            [_, 0, ..] => Ok(Some((2, self.ask()))),
            [_, _, ..] => Err(refusal("authentication failed", None)),
            _ => Ok(None),
        }
    }

    fn ask(&mut self) -> Next {
        self.expected = Reply::V5;
        Next::Send(std::mem::take(&mut self.request))
    }
}

fn encode_v4(place: Place<'_>, port: u16, username: &str) -> Result<Vec<u8>> {
    let (address, name) = match place {
        Place::Address(IpAddr::V4(address)) => (address, None),
        // An address that can't be one says that a name follows.
        Place::Name(name) => (Ipv4Addr::new(0, 0, 0, 1), Some(name)),
        Place::Address(IpAddr::V6(address)) => {
            let text = format!("SOCKS 4 can't express the IPv6 address {address}");
            return Err(Error::Proxy(Box::new(ProxyError::Protocol(text))));
        }
    };
    let mut bytes = vec![4, CONNECT];
    bytes.extend(port.to_be_bytes());
    bytes.extend(address.octets());
    bytes.extend(username.bytes());
    bytes.push(0);
    if let Some(name) = name {
        bytes.extend(name.bytes());
        bytes.push(0);
    }
    Ok(bytes)
}

fn encode_v5(place: Place<'_>, port: u16) -> Vec<u8> {
    let mut bytes = vec![5, CONNECT, 0];
    match place {
        Place::Address(IpAddr::V4(address)) => {
            bytes.push(IPV4);
            bytes.extend(address.octets());
        }
        Place::Address(IpAddr::V6(address)) => {
            bytes.push(IPV6);
            bytes.extend(address.octets());
        }
        Place::Name(name) => {
            bytes.push(NAME);
            push_text(&mut bytes, name);
        }
    }
    bytes.extend(port.to_be_bytes());
    bytes
}

/// Appends a text and its length, which has been checked.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u8::try_from(text.len()));
    bytes.extend(text.bytes());
}

fn decode_v4(received: &[u8]) -> Result<Option<(usize, Next)>, ProxyError> {
    check_first(received, 0)?;
    if received.len() < 8 {
        return Ok(None);
    }
    match received[1] {
        90 => Ok(Some((8, Next::Connected))),
        91 => Err(refusal("request rejected or failed", None)),
        92 => Err(refusal("proxy can't reach identd on this host", None)),
        93 => Err(refusal("identd reports another user name", None)),
        other => Err(unknown(other)),
    }
}

fn decode_v5(received: &[u8]) -> Result<Option<(usize, Next)>, ProxyError> {
    check_first(received, 5)?;
    let &[_, code, ..] = received else {
        return Ok(None);
    };
    // Proxies that refuse don't always complete their reply.
    match code {
        0 => {}
        1 => return Err(refusal("general SOCKS server failure", None)),
        2 => return Err(refusal("connection not allowed by ruleset", None)),
        3 => return Err(refusal("network unreachable", Some(Errno::NETUNREACH))),
        4 => return Err(refusal("host unreachable", Some(Errno::HOSTUNREACH))),
        5 => return Err(refusal("connection refused", Some(Errno::CONNREFUSED))),
        6 => return Err(refusal("TTL expired", None)),
        7 => return Err(refusal("command not supported", None)),
        8 => return Err(refusal("address type not supported", None)),
        other => return Err(unknown(other)),
    }
    let address = match received.get(3..) {
        None | Some([] | [NAME]) => return Ok(None),
        Some([IPV4, ..]) => 4,
        Some([IPV6, ..]) => 16,
        Some([NAME, len, ..]) => 1 + usize::from(*len),
        Some([other, ..]) => {
            let text = format!("proxy replied with address type {other}");
            return Err(ProxyError::Protocol(text));
        }
    };
    let len = 4 + address + 2;
    Ok((received.len() >= len).then_some((len, Next::Connected)))
}

/// Every reply begins with a number that is known.
fn check_first(received: &[u8], expected: u8) -> Result<(), ProxyError> {
    match received.first() {
        Some(&first) if first != expected => Err(ProxyError::Protocol(format!(
            "not a SOCKS reply: it begins with {first}, not {expected}"
        ))),
        _ => Ok(()),
    }
}

fn check_length(what: &str, text: &str) -> Result<()> {
    if text.len() > LONGEST {
        return Err(Error::InvalidArgument(format!(
            "{what} is longer than the {LONGEST} bytes that SOCKS can express"
        )));
    }
    Ok(())
}

fn refusal(reason: &'static str, code: Option<Errno>) -> ProxyError {
    let code = code.map(Errno::raw_os_error);
    ProxyError::Refusal { reason, code }
}

fn unknown(code: u8) -> ProxyError {
    ProxyError::Protocol(format!("proxy replied with unknown code {code}"))
}

/// The longest text, in bytes.
const LONGEST: usize = 255;
/// The command.
const CONNECT: u8 = 1;
// Methods of authentication.
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
// Types of addresses.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
