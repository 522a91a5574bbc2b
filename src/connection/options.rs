//! What a connection is opened with, checked before any I/O.

use std::time::Duration;

use super::receiving::Marks;
use crate::{
    deadline::Deadline,
    error::Result,
    net::{
        tls::TlsOptions,
        way::{
            route::Route,
            target::{Target, checked_host},
        },
    },
    protocol::{handshake::request::RequestOptions, message::Limits, uri::Uri},
};

/// Everything that opening and running a connection depends on.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where to connect to.
    pub uri: Uri,
    /// The way there.
    pub route: Route,
    /// What goes into the opening handshake.
    pub request: RequestOptions,
    /// How TLS is done, if the URI is `wss`.
    pub tls: TlsOptions,
    /// The name to ask for and verify in TLS, where it is not the URI's host.
    pub server_hostname: Option<String>,
    /// For resolving, connecting, TLS and the opening handshake together. `None` is no limit.
    pub connect_timeout: Option<Duration>,
    /// How much of `connect_timeout` earlier attempts have used.
    pub elapsed: Duration,
    /// For the closing handshake and the end of TCP together. `None` is no limit.
    pub close_timeout: Option<Duration>,
    /// How often to send a Ping, and how long to wait for the Pong; `None` is not at all, and for
    /// ever.
    pub ping_interval: Option<Duration>,
    /// See `ping_interval`.
    pub ping_timeout: Option<Duration>,
    /// The sizes that are accepted.
    pub limits: Limits,
    /// How many received messages may wait to be taken before reading stops.
    pub marks: Marks,
    /// How many bytes of frames may wait to be written before senders wait.
    pub write_limit: usize,
    /// Who reads for asyncio.
    pub reader: Reader,
}

/// Who reads a connection of asyncio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The event loop, while it polls.
    Loop,
    /// The connection thread.
    Thread,
}

impl ConnectOptions {
    /// What opens a connection to this URI, without any limit: those are the program's to choose.
    pub fn new(uri: &str) -> Result<Self> {
        Ok(Self {
            uri: Uri::parse(uri)?,
            route: Route::default(),
            request: RequestOptions::default(),
            tls: TlsOptions::default(),
            server_hostname: None,
            connect_timeout: None,
            elapsed: Duration::ZERO,
            close_timeout: None,
            ping_interval: None,
            ping_timeout: None,
            limits: Limits::default(),
            marks: Marks {
                bytes: usize::MAX,
                frames: None,
            },
            write_limit: usize::MAX,
            reader: Reader::Loop,
        })
    }

    /// Sets the name to ask for and verify in TLS, or names the rule that it breaks.
    pub fn set_server_hostname(&mut self, name: &str) -> Result<()> {
        self.server_hostname = Some(checked_host("server_hostname", name)?);
        Ok(())
    }

    /// The deadline of an attempt to connect that begins now.
    pub fn deadline(&self) -> Deadline {
        Deadline::started(self.connect_timeout, self.elapsed)
    }

    /// The server that the URI names.
    pub fn target(&self) -> Target<'_> {
        Target {
            host: &self.uri.host,
            port: self.uri.port,
            authority: &self.uri.authority,
        }
    }

    /// The name that TLS asks for and verifies.
    pub fn tls_name(&self) -> &str {
        self.server_hostname.as_deref().unwrap_or(&self.uri.host)
    }
}
