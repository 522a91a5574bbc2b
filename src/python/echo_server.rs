//! The embedded echo server, for `python -m websocket_rs` and the tests.

use std::sync::{Mutex, PoisonError};

use pyo3::{exceptions::PyValueError, prelude::*};

use super::{attached, exceptions::os_error, numbers::Integer};
use crate::{echo_server, process::Generation};

/// A server that sends every message back. It runs until stopped.
#[pyclass(frozen, module = "websocket_rs._core")]
pub(super) struct EchoServer {
    /// The process that the server's threads run in.
    process: Generation,
    /// Guards the server until it is stopped.
    server: Mutex<Option<echo_server::EchoServer>>,
    #[pyo3(get)]
    host: String,
    #[pyo3(get)]
    port: u16,
    #[pyo3(get)]
    url: String,
    #[pyo3(get)]
    certificate: Option<String>,
}

#[pymethods]
impl EchoServer {
    /// Starts the server. Raises `OSError` if the address cannot be had.
    #[new]
    #[pyo3(
        signature = (host="127.0.0.1", port=Integer(0), tls=false),
        text_signature = "(host='127.0.0.1', port=0, tls=False)"
    )]
    fn new(py: Python<'_>, host: &str, port: Integer, tls: bool) -> PyResult<Self> {
        let Integer(number) = port;
        let port = u16::try_from(number)
            .map_err(|_| PyValueError::new_err(format!("port must be 0 to 65535, not {number}")))?;
        let server = attached::detach(py, || echo_server::EchoServer::start(host, port, tls));
        let server = server.map_err(|error| os_error(&error, &error.to_string()))?;
        let address = server.address();
        let scheme = if tls { "wss" } else { "ws" };
        Ok(Self {
            process: Generation::current(),
            host: address.ip().to_string(),
            port: address.port(),
            url: format!("{scheme}://{address}"),
            certificate: server.certificate_pem().map(ToOwned::to_owned),
            server: Mutex::new(Some(server)),
        })
    }

    /// Ends the server and its connections.
    fn stop(&self, py: Python<'_>) {
        let server = self
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(server) = server {
            attached::detach(py, || self.process.end(server));
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _exc_type: &Bound<'_, PyAny>,
        _exc_value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.stop(py);
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        // The last reference is dropped attached; the server's threads never attach.
        let server = self
            .server
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(server) = server {
            self.process.end(server);
        }
    }
}
