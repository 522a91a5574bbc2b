//! The options of a connection, checked as soon as they are given.

use std::{os::fd::RawFd, time::Duration};

use pyo3::{exceptions::PyValueError, prelude::*};

use super::{convert, exceptions};
use crate::{
    error::TlsError,
    net::{
        dial::{self, Dialing, Family},
        given::Given,
        proxy::Proxy,
        route::{Destination, Route},
        tls::{Identity, TlsOptions, Trust, Verify, Version},
        unix::UnixPath,
    },
    options,
    protocol::{
        extension::{ClientWindow, Offer},
        uri::Uri,
    },
};

/// What a connection is opened with.
///
/// Raises `InvalidURI`, `ValueError` or `TypeError` for what cannot be; does no I/O.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct ConnectOptions {
    pub(super) inner: options::ConnectOptions,
}

#[pymethods]
impl ConnectOptions {
    #[new]
    #[pyo3(signature = (
        uri, *, headers, origin, subprotocols, compression, user_agent, server_hostname,
        connect_timeout, close_timeout, ping_interval, ping_timeout,
        max_size, max_queue, inbox_limit, write_limit,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the keywords of connect"
    )]
    fn new(
        py: Python<'_>,
        uri: &str,
        headers: Vec<(String, String)>,
        origin: Option<String>,
        subprotocols: Vec<String>,
        compression: Option<Compression>,
        user_agent: Option<String>,
        server_hostname: Option<String>,
        connect_timeout: Option<f64>,
        close_timeout: Option<f64>,
        ping_interval: Option<f64>,
        ping_timeout: Option<f64>,
        max_size: (Option<usize>, Option<usize>),
        max_queue: Option<(usize, usize)>,
        inbox_limit: usize,
        write_limit: usize,
    ) -> PyResult<Self> {
        let raise = |error| exceptions::raise(py, error);
        let mut inner = options::ConnectOptions::new(uri).map_err(raise)?;
        inner.request.headers = headers;
        inner.request.origin = origin;
        inner.request.subprotocols = subprotocols;
        inner.request.compression = compression.map(offer);
        inner.request.user_agent = user_agent;
        inner.request.check().map_err(|error| raise(error.into()))?;
        if let Some(name) = server_hostname {
            inner.set_server_hostname(&name).map_err(raise)?;
        }
        inner.connect_timeout = convert::timeout("connect_timeout", connect_timeout)?;
        inner.close_timeout = convert::timeout("close_timeout", close_timeout)?;
        inner.ping_interval = convert::timeout("ping_interval", ping_interval)?;
        inner.ping_timeout = convert::timeout("ping_timeout", ping_timeout)?;
        inner.limits.message = max_size.0.unwrap_or(usize::MAX);
        inner.limits.frame = max_size.1.unwrap_or(usize::MAX);
        inner.marks.bytes = inbox_limit;
        inner.marks.frames = max_queue;
        inner.write_limit = write_limit;
        Ok(Self { inner })
    }

    /// The same options, of whose `connect_timeout` so many seconds have been used already.
    fn with_elapsed(&self, seconds: f64) -> PyResult<Self> {
        let mut inner = self.inner.clone();
        let elapsed = convert::timeout("elapsed", Some(seconds))?;
        inner.elapsed = elapsed.unwrap_or(Duration::MAX);
        Ok(Self { inner })
    }

    /// The same options with another host or port to connect to.
    fn with_address(
        &self,
        py: Python<'_>,
        host: Option<&str>,
        port: Option<i64>,
    ) -> PyResult<Self> {
        let host = host
            .map(|host| checked_host(py, "host", host))
            .transpose()?;
        let port = port.map(|port| checked_port(port, 1)).transpose()?;
        Ok(self.with_route(|route| route.destination = Destination::Tcp { host, port }))
    }

    /// The same options with addresses tried as given.
    fn with_dialing(
        &self,
        py: Python<'_>,
        family: i32,
        source: Option<(String, i64)>,
        head_start: Option<f64>,
    ) -> PyResult<Self> {
        let dialing = Dialing {
            family: match (family, Family::from_number(family)) {
                (0, _) => None,
                (_, Some(family)) => Some(family),
                (_, None) => {
                    let text = format!("family must be 0, AF_INET or AF_INET6, not {family}");
                    return Err(PyValueError::new_err(text));
                }
            },
            source: source
                .map(|(host, port)| {
                    // An empty one is any address of this machine.
                    let host = match host.as_str() {
                        "" => host,
                        _ => checked_host(py, "source host", &host)?,
                    };
                    PyResult::Ok((host, checked_port(port, 0)?))
                })
                .transpose()?,
            head_start: match head_start {
                None => None,
                // Infinity leaves the next address alone until the one before has failed.
                given => Some(convert::timeout("head_start", given)?.unwrap_or(Duration::MAX)),
            },
        };
        Ok(self.with_route(|route| route.dialing = dialing))
    }

    /// The same options with a Unix socket to connect to.
    fn with_unix_path(&self, py: Python<'_>, path: Vec<u8>) -> PyResult<Self> {
        let path = UnixPath::new(path).map_err(|error| exceptions::raise(py, error))?;
        Ok(self.with_route(|route| route.destination = Destination::Unix(path)))
    }

    /// The same options with a connected socket, of which the descriptor is duplicated.
    fn with_socket(&self, py: Python<'_>, fd: RawFd) -> PyResult<Self> {
        let given = Given::new(fd).map_err(|error| exceptions::raise(py, error))?;
        Ok(self.with_route(|route| route.destination = Destination::Given(given)))
    }

    /// The same options with a proxy.
    fn with_proxy(
        &self,
        py: Python<'_>,
        scheme: &str,
        host: &str,
        port: i64,
        credentials: Option<(String, String)>,
        user_agent: Option<String>,
    ) -> PyResult<Self> {
        let port = checked_port(port, 1)?;
        let proxy = scheme
            .parse()
            .and_then(|scheme| Proxy::new(scheme, host, port, credentials, user_agent))
            .map_err(|error| exceptions::raise(py, error))?;
        Ok(self.with_route(|route| route.proxy = Some(proxy)))
    }

    /// The same options with TLS with the proxy as given.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the fields of one value"
    )]
    fn with_proxy_tls(
        &self,
        py: Python<'_>,
        server_hostname: Option<&str>,
        verify: &str,
        anchors: Option<Vec<Vec<u8>>>,
        certificate: Option<Vec<u8>>,
        key: Option<Vec<u8>>,
        min_version: Option<&str>,
        max_version: Option<&str>,
        alpn: Vec<String>,
    ) -> PyResult<Self> {
        let name = server_hostname
            .map(|name| checked_host(py, "proxy_server_hostname", name))
            .transpose()?;
        let tls = tls_options(
            verify,
            anchors,
            certificate.zip(key),
            (min_version, max_version),
            alpn,
        )?;
        let mut inner = self.inner.clone();
        match &mut inner.route.proxy {
            Some(proxy) if proxy.is_secure() => {
                proxy.server_hostname = name;
                proxy.tls = tls;
            }
            _ => return Err(PyValueError::new_err("there is no https proxy")),
        }
        Ok(Self { inner })
    }

    /// The same options with TLS as given.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the fields of one value"
    )]
    fn with_tls(
        &self,
        verify: &str,
        anchors: Option<Vec<Vec<u8>>>,
        certificate: Option<Vec<u8>>,
        key: Option<Vec<u8>>,
        min_version: Option<&str>,
        max_version: Option<&str>,
        alpn: Vec<String>,
    ) -> PyResult<Self> {
        let mut inner = self.inner.clone();
        inner.tls = tls_options(
            verify,
            anchors,
            certificate.zip(key),
            (min_version, max_version),
            alpn,
        )?;
        Ok(Self { inner })
    }

    /// Whether the scheme is `wss`.
    #[getter]
    fn secure(&self) -> bool {
        self.inner.uri.secure
    }

    /// The URI without credentials and query.
    #[getter]
    fn target(&self) -> String {
        self.inner.uri.to_string()
    }
}

impl ConnectOptions {
    /// The same options with a change in the way to the server.
    fn with_route(&self, change: impl FnOnce(&mut Route)) -> Self {
        let mut inner = self.inner.clone();
        change(&mut inner.route);
        Self { inner }
    }
}

/// The parts of a WebSocket URI: whether it is secure, host, port, path, query, user name, password.
type Parts = (
    bool,
    String,
    u16,
    String,
    String,
    Option<String>,
    Option<String>,
);

/// Takes a WebSocket URI apart.
#[pyfunction]
pub(super) fn parse_uri(py: Python<'_>, uri: &str) -> PyResult<Parts> {
    let uri = Uri::parse(uri).map_err(|error| exceptions::raise(py, error.into()))?;
    let (path, query) = uri.resource.split_once('?').unwrap_or((&uri.resource, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let (username, password) = uri.credentials.unzip();
    Ok((
        uri.secure, uri.host, uri.port, path, query, username, password,
    ))
}

fn tls_options(
    verify: &str,
    anchors: Option<Vec<Vec<u8>>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    versions: (Option<&str>, Option<&str>),
    alpn: Vec<String>,
) -> PyResult<TlsOptions> {
    Ok(TlsOptions {
        verify: match verify {
            "full" => Verify::Full,
            "without-hostname" => Verify::WithoutHostname,
            "off" => Verify::Off,
            other => return Err(PyValueError::new_err(format!("verify: {other:?}"))),
        },
        trust: anchors.map_or(Trust::System, Trust::Anchors),
        identity: identity.map(|(certificates, key)| Identity { certificates, key }),
        min_version: versions.0.map(version).transpose()?,
        max_version: versions.1.map(version).transpose()?,
        alpn,
    })
}

fn checked_host(py: Python<'_>, what: &str, host: &str) -> PyResult<String> {
    dial::checked_host(what, host).map_err(|error| exceptions::raise(py, error))
}

/// A port that is `least` at least.
fn checked_port(port: i64, least: u16) -> PyResult<u16> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port >= least)
        .ok_or_else(|| PyValueError::new_err(format!("port must be {least} to 65535, not {port}")))
}

/// What a `ClientPerMessageDeflateFactory` says: whether server and client give up their context,
/// the windows of both, where `True` leaves the client's to the server, and the level.
type Compression = (bool, bool, Option<u8>, Option<Window>, u8);

/// `True` or a number.
#[derive(FromPyObject)]
enum Window {
    Any(bool),
    AtMost(u8),
}

fn offer(compression: Compression) -> Offer {
    let (server_no_context_takeover, client_no_context_takeover, server, client, level) =
        compression;
    Offer {
        server_no_context_takeover,
        client_no_context_takeover,
        server_max_window_bits: server,
        client_max_window_bits: match client {
            None | Some(Window::Any(false)) => ClientWindow::Fixed,
            Some(Window::Any(true)) => ClientWindow::Any,
            Some(Window::AtMost(bits)) => ClientWindow::AtMost(bits),
        },
        level,
    }
}

fn version(name: &str) -> PyResult<Version> {
    name.parse()
        .map_err(|error: TlsError| PyValueError::new_err(error.to_string()))
}
