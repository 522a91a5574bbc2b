//! The options of a connection. Python has checked the types of what comes in here, and gives values
//! by name; the values are checked here, before any I/O.

use std::{os::fd::RawFd, time::Duration};

use pyo3::{exceptions::PyValueError, prelude::*};

use super::{
    attached, exceptions,
    numbers::{self, Integer},
};
use crate::{
    connection::options::{self, Reader},
    error::{Error, TlsError},
    net::{
        tls::{self, Identity, TlsOptions, Trust, Verify, Version},
        way::{
            dial::{Dialing, Family},
            proxy::{Credentials, Proxy},
            route::{Destination, Route},
            socket::ConnectedSocket,
            target,
            unix::UnixPath,
        },
    },
    protocol::{
        extension::{ClientWindow, Offer},
        reference,
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

/// `websocket_rs._client.values.Connect`.
#[derive(FromPyObject)]
pub(super) struct ConnectValues {
    headers: Vec<(String, String)>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    compression: Option<Py<DeflateOffer>>,
    user_agent: Option<String>,
    server_hostname: Option<String>,
    /// What the user calls the time for opening the connection, and how many seconds it is.
    open_timeout: (String, Option<f64>),
    receive_timeout: Option<f64>,
    close_timeout: Option<f64>,
    ping_interval: Option<f64>,
    ping_timeout: Option<f64>,
    /// For messages, and for each of their fragments.
    max_size: (Option<Integer>, Option<Integer>),
    /// When reading pauses, and when it goes on.
    max_queue: (Option<Integer>, Option<Integer>),
    inbox_limit: Integer,
    write_limit: Integer,
    /// Who reads for asyncio.
    reader: String,
}

/// `websocket_rs._client.values.Route`.
#[derive(FromPyObject)]
pub(super) struct RouteValues {
    address: Option<(Option<String>, Option<Integer>)>,
    /// What the user calls the address to connect from, and the address.
    source: Option<(String, String, Integer)>,
    family: Integer,
    happy_eyeballs_delay: Option<f64>,
    path: Option<Vec<u8>>,
}

/// `websocket_rs._client.values.Proxy`.
#[derive(FromPyObject)]
pub(super) struct ProxyValues {
    scheme: String,
    host: String,
    port: Integer,
    credentials: Option<Credentials>,
    user_agent: Option<String>,
    server_hostname: Option<String>,
    tls: Option<TlsValues>,
}

/// `websocket_rs._client.tls.values.TlsArguments`.
#[derive(FromPyObject)]
pub(super) struct TlsValues {
    verify: String,
    anchors: Option<Vec<Vec<u8>>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    identity_names: (String, String),
    min_version: Option<String>,
    max_version: Option<String>,
    alpn: Vec<String>,
}

#[pymethods]
impl ConnectOptions {
    #[new]
    fn new(py: Python<'_>, uri: &str, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let _inside = attached::enter(py);
        let values: ConnectValues = extract(values)?;
        let raise = |error| exceptions::raise(py, error);
        let mut inner = options::ConnectOptions::new(uri).map_err(raise)?;
        if inner.uri.secure {
            // Nothing forks while this thread is attached to the interpreter.
            tls::initialise();
        }
        inner.request.headers = values.headers;
        inner.request.origin = values.origin;
        inner.request.subprotocols = values.subprotocols;
        inner.request.compression = values.compression.map(|offer| offer.get().0);
        inner.request.user_agent = values.user_agent;
        inner.request.check().map_err(|error| raise(error.into()))?;
        if let Some(name) = values.server_hostname {
            inner.set_server_hostname(&name).map_err(raise)?;
        }
        let (name, seconds) = values.open_timeout;
        inner.connect_timeout = numbers::timeout(&name, seconds)?;
        // Each call that waits for a message is given it anew.
        numbers::timeout("receive_timeout", values.receive_timeout)?;
        inner.close_timeout = numbers::timeout("close_timeout", values.close_timeout)?;
        inner.ping_interval = interval("ping_interval", values.ping_interval)?;
        inner.ping_timeout = numbers::timeout("ping_timeout", values.ping_timeout)?;
        inner.limits.message = limit("max_size", values.max_size.0)?;
        inner.limits.frame = limit("max_size", values.max_size.1)?;
        inner.marks.bytes = size("inbox_limit", values.inbox_limit)?;
        inner.marks.frames = water_marks(values.max_queue)?;
        inner.write_limit = size("write_limit", values.write_limit)?;
        inner.reader = reader(&values.reader)?;
        Ok(Self { inner })
    }

    /// The same options, of whose `connect_timeout` so many seconds have been used already.
    fn with_elapsed(&self, seconds: f64) -> PyResult<Self> {
        let mut inner = self.inner.clone();
        let elapsed = numbers::timeout("elapsed", Some(seconds))?;
        inner.elapsed = elapsed.unwrap_or(Duration::MAX);
        Ok(Self { inner })
    }

    /// The same options with another way to the server.
    fn with_route(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let _inside = attached::enter(py);
        let values: RouteValues = extract(values)?;
        let raise = |error| exceptions::raise(py, error);
        let destination = match (values.path, values.address) {
            (Some(path), _) => Destination::Unix(UnixPath::new(path).map_err(raise)?),
            (None, Some((host, port))) => Destination::Tcp {
                host: host
                    .map(|host| checked_host(py, "host", &host))
                    .transpose()?,
                port: port.map(|port| checked_port("port", port, 1)).transpose()?,
            },
            (None, None) => Destination::default(),
        };
        let dialing = Dialing {
            family: family(values.family)?,
            source: values
                .source
                .map(|(name, host, port)| {
                    // An empty one is any address of this machine.
                    let host = match host.as_str() {
                        "" => host,
                        _ => checked_host(py, &name, &host)?,
                    };
                    PyResult::Ok((host, checked_port(&name, port, 0)?))
                })
                .transpose()?,
            // Infinity leaves the next address alone until the one before has failed.
            head_start: match numbers::timeout(HEAD_START, values.happy_eyeballs_delay)? {
                None if values.happy_eyeballs_delay.is_some() => Some(Duration::MAX),
                delay => delay,
            },
        };
        Ok(self.with_change(|route| {
            route.destination = destination;
            route.dialing = dialing;
        }))
    }

    /// The same options with a connected socket, of which the descriptor is duplicated.
    fn with_socket(&self, py: Python<'_>, fd: RawFd) -> PyResult<Self> {
        let socket = ConnectedSocket::new(fd).map_err(|error| exceptions::raise(py, error))?;
        Ok(self.with_change(|route| route.destination = Destination::Socket(socket)))
    }

    /// The same options with a proxy.
    fn with_proxy(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let _inside = attached::enter(py);
        let values: ProxyValues = extract(values)?;
        let raise = |error| exceptions::raise(py, error);
        let port = checked_port("port of the proxy", values.port, 1)?;
        let scheme = values.scheme.parse().map_err(raise)?;
        let mut proxy =
            Proxy::new(scheme, &values.host, port, values.credentials).map_err(raise)?;
        proxy.set_user_agent(values.user_agent).map_err(raise)?;
        proxy.server_hostname = values
            .server_hostname
            .map(|name| checked_host(py, "proxy_server_hostname", &name))
            .transpose()?;
        if proxy.is_secure() {
            tls::initialise();
        }
        if let Some(tls) = values.tls {
            if !proxy.is_secure() {
                return Err(PyValueError::new_err("TLS is for an https proxy only"));
            }
            proxy.tls = tls_options(py, tls)?;
        }
        Ok(self.with_change(|route| route.proxy = Some(proxy)))
    }

    /// The same options with TLS as given.
    fn with_tls(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let _inside = attached::enter(py);
        let mut inner = self.inner.clone();
        inner.tls = tls_options(py, extract(values)?)?;
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
    fn with_change(&self, change: impl FnOnce(&mut Route)) -> Self {
        let mut inner = self.inner.clone();
        change(&mut inner.route);
        Self { inner }
    }
}

/// Takes values by name out of an object.
///
/// What is wrong with one, such as a `str` that UTF-8 can't express, is raised as it is.
fn extract<'py, T>(values: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let py = values.py();
    values.extract().map_err(|error: PyErr| {
        let mut innermost = error;
        while let Some(cause) = innermost.cause(py) {
            innermost = cause;
        }
        innermost
    })
}

/// An offer to compress messages, as a `ClientPerMessageDeflateFactory` describes it. Raises
/// `ValueError`, naming the number, if one is out of range.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct DeflateOffer(Offer);

/// `True`, `False` or a number.
#[derive(FromPyObject, Clone, Copy)]
enum Window {
    Any(bool),
    AtMost(Integer),
}

#[pymethods]
impl DeflateOffer {
    #[new]
    fn new(
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: Option<Integer>,
        client_max_window_bits: Option<Window>,
        level: Option<Integer>,
    ) -> PyResult<Self> {
        let (window, bits) = match client_max_window_bits {
            None | Some(Window::Any(false)) => (ClientWindow::Fixed, None),
            Some(Window::Any(true)) => (ClientWindow::Any, None),
            Some(Window::AtMost(Integer(bits))) => (ClientWindow::Fixed, Some(bits)),
        };
        let number = |Integer(number)| number;
        let offer = Offer {
            server_no_context_takeover,
            client_no_context_takeover,
            client_max_window_bits: window,
            ..Offer::default()
        };
        offer
            .with_numbers(server_max_window_bits.map(number), bits, level.map(number))
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.0))
    }
}

/// The name or address of a host in the form in which it is looked up. Raises `ValueError`.
#[pyfunction]
pub(super) fn host_name(py: Python<'_>, host: &str) -> PyResult<String> {
    checked_host(py, "hostname", host)
}

/// What a WebSocket URI says.
#[pyclass(frozen, get_all, module = "websocket_rs._core")]
pub(super) struct ParsedUri {
    secure: bool,
    host: String,
    port: u16,
    path: String,
    query: String,
    username: Option<String>,
    password: Option<String>,
}

/// Resolves a reference against a URI.
#[pyfunction]
pub(super) fn join_uri(uri: &str, reference: &str) -> String {
    reference::join(uri, reference)
}

/// Takes a WebSocket URI apart.
#[pyfunction]
pub(super) fn parse_uri(py: Python<'_>, uri: &str) -> PyResult<ParsedUri> {
    let uri = Uri::parse(uri).map_err(|error| exceptions::raise(py, error.into()))?;
    let (path, query) = uri.resource.split_once('?').unwrap_or((&uri.resource, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let (username, password) = uri.credentials.unzip();
    Ok(ParsedUri {
        secure: uri.secure,
        host: uri.host,
        port: uri.port,
        path,
        query,
        username,
        password,
    })
}

fn tls_options(py: Python<'_>, values: TlsValues) -> PyResult<TlsOptions> {
    let version = |name: Option<String>| {
        name.map(|name| name.parse::<Version>())
            .transpose()
            .map_err(|error: TlsError| PyValueError::new_err(error.to_string()))
    };
    let identity = values.certificate.zip(values.key);
    let options = TlsOptions {
        verify: match values.verify.as_str() {
            "full" => Verify::Full,
            "without-hostname" => Verify::WithoutHostname,
            "off" => Verify::Off,
            other => return Err(PyValueError::new_err(format!("verify: {other:?}"))),
        },
        trust: values.anchors.map_or(Trust::System, Trust::Anchors),
        identity: identity.map(|(certificates, key)| Identity {
            certificates,
            key,
            names: values.identity_names,
        }),
        min_version: version(values.min_version)?,
        max_version: version(values.max_version)?,
        alpn: values.alpn,
    };
    let checked = options.check().map(|()| options);
    checked.map_err(|error| exceptions::raise(py, Error::Tls(error)))
}

fn checked_host(py: Python<'_>, what: &str, host: &str) -> PyResult<String> {
    target::checked_host(what, host).map_err(|error| exceptions::raise(py, error))
}

/// A port that is `least` at least.
fn checked_port(name: &str, Integer(port): Integer, least: u16) -> PyResult<u16> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port >= least)
        .ok_or_else(|| {
            PyValueError::new_err(format!(
                "{name} must be a port, {least} to 65535, not {port}"
            ))
        })
}

/// The kind of addresses to use, if it is to be one only.
fn family(Integer(number): Integer) -> PyResult<Option<Family>> {
    let family = i32::try_from(number).ok().and_then(Family::from_number);
    if number != 0 && family.is_none() {
        let text = format!("family must be 0, AF_INET or AF_INET6, not {number}");
        return Err(PyValueError::new_err(text));
    }
    Ok(family)
}

/// A number of bytes or frames. One that is too large for the machine is no limit.
fn size(name: &str, Integer(number): Integer) -> PyResult<usize> {
    if number < 0 {
        let text = format!("{name} must be 0 or more, not {number}");
        return Err(PyValueError::new_err(text));
    }
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn reader(name: &str) -> PyResult<Reader> {
    match name {
        "loop" => Ok(Reader::Loop),
        "thread" => Ok(Reader::Thread),
        _ => {
            let text = format!("reader must be 'loop' or 'thread', not '{name}'");
            Err(PyValueError::new_err(text))
        }
    }
}

fn limit(name: &str, number: Option<Integer>) -> PyResult<usize> {
    number.map_or(Ok(usize::MAX), |number| size(name, number))
}

/// A time that is not zero.
fn interval(name: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    match seconds {
        Some(given) if given.is_nan() || given <= 0.0 => {
            let text = format!("{name} must be more than 0 seconds or None, not {given}");
            Err(PyValueError::new_err(text))
        }
        _ => numbers::timeout(name, seconds),
    }
}

/// The frames at which reading pauses and resumes. Of two, the one that is missing follows from the
/// other.
fn water_marks(marks: (Option<Integer>, Option<Integer>)) -> PyResult<Option<(usize, usize)>> {
    let mark = |number: Option<Integer>| number.map(|number| size("max_queue", number)).transpose();
    let (high, low) = match (mark(marks.0)?, mark(marks.1)?) {
        (None, None) => return Ok(None),
        (Some(high), None) => (high, high / 4),
        (None, Some(low)) => (low.saturating_mul(4), low),
        (Some(high), Some(low)) => (high, low),
    };
    if high < low {
        let text =
            format!("max_queue: high must be greater than or equal to low, not ({high}, {low})");
        return Err(PyValueError::new_err(text));
    }
    Ok(Some((high, low)))
}

const HEAD_START: &str = "happy_eyeballs_delay";
