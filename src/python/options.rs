//! The options of a connection, checked as soon as they are given.

use pyo3::{exceptions::PyValueError, prelude::*};

use super::{convert, exceptions};
use crate::{
    error::TlsError,
    net::tls::{Identity, TlsOptions, Trust, Verify, Version},
    options,
    protocol::extension::{ClientWindow, Offer},
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
        inner.tls = TlsOptions {
            verify: match verify {
                "full" => Verify::Full,
                "without-hostname" => Verify::WithoutHostname,
                "off" => Verify::Off,
                other => return Err(PyValueError::new_err(format!("verify: {other:?}"))),
            },
            trust: anchors.map_or(Trust::System, Trust::Anchors),
            identity: certificate
                .zip(key)
                .map(|(certificates, key)| Identity { certificates, key }),
            min_version: min_version.map(version).transpose()?,
            max_version: max_version.map(version).transpose()?,
            alpn,
        };
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
