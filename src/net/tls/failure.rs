//! What a failure of OpenSSL means to the user.
//!
//! OpenSSL's errors are lists of codes with file names and line numbers. Here they become a
//! sentence that names the reason and, where it is known, what can be done.

use std::{env, error::Error as _, ffi::OsStr, fmt, fs, io, path::Path};

use openssl::{error::ErrorStack, ssl};

use super::{TlsOptions, Trust};
use crate::error::TlsError;

/// Why an established session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection ended without an announcement.
    EndOfStream,
    /// The peer sent a fatal alert.
    Alert(String),
    /// The ciphertext was damaged, or the peer broke the protocol.
    Protocol(String),
}

impl Failure {
    pub(super) fn to_io_error(&self) -> io::Error {
        match self {
            Self::EndOfStream => io::ErrorKind::UnexpectedEof.into(),
            Self::Alert(_) => io::Error::new(io::ErrorKind::ConnectionAborted, self.clone()),
            Self::Protocol(_) => io::Error::new(io::ErrorKind::InvalidData, self.clone()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfStream => f.write_str(UNEXPECTED_EOF),
            Self::Alert(text) | Self::Protocol(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// What TLS says of an error of a stream, if it is one of TLS rather than of the system.
pub fn of_stream(error: &io::Error) -> Option<TlsError> {
    let failure = error.get_ref()?.downcast_ref::<Failure>()?;
    Some(TlsError::Protocol(failure.to_string()))
}

/// Why a handshake failed.
pub(super) fn of_handshake(
    error: &native_tls::Error,
    options: &TlsOptions,
    server_name: &str,
) -> TlsError {
    let Some(stack) = error
        .source()
        .and_then(|source| source.downcast_ref::<ErrorStack>())
    else {
        // Without an entry of its own, OpenSSL has met the end of the stream.
        return TlsError::Protocol(ENDED_EARLY.into());
    };
    if has_reason(stack, "certificate verify failed") {
        let reason = verification_reason(error, stack);
        let hint = verification_hint(&reason, options, server_name);
        return TlsError::Verification { reason, hint };
    }
    if has_reason(stack, UNEXPECTED_EOF) {
        return TlsError::Protocol(ENDED_EARLY.into());
    }
    if NOT_TLS.iter().any(|reason| has_reason(stack, reason)) {
        return TlsError::Protocol(format!(
            "the server does not speak TLS on this port ({})",
            describe(stack)
        ));
    }
    TlsError::Protocol(with_certificate_hint(
        format!("TLS handshake failed: {}", describe(stack)),
        options.identity.is_some(),
    ))
}

/// Why reading or writing failed.
pub(super) fn of_session(error: &io::Error, has_identity: bool) -> Failure {
    let stack = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ssl::Error>())
        .and_then(ssl::Error::ssl_error);
    match stack {
        None => Failure::Protocol(error.to_string()),
        Some(stack) if has_reason(stack, UNEXPECTED_EOF) => Failure::EndOfStream,
        Some(stack) => {
            let text = with_certificate_hint(describe(stack), has_identity);
            if alert(stack).is_some() {
                Failure::Alert(text)
            } else {
                Failure::Protocol(format!("TLS failed: {text}"))
            }
        }
    }
}

/// The reasons of a list of errors, in words.
pub(super) fn describe(stack: &ErrorStack) -> String {
    if let Some(alert) = alert(stack) {
        return format!("the server sent the TLS alert \"{alert}\"");
    }
    let mut words: Vec<String> = Vec::new();
    for error in stack.errors() {
        let mut text = error.reason().unwrap_or("unknown error").to_owned();
        // Data is sometimes a part of OpenSSL's source ("Type=X509_ALGOR"); it still helps.
        if let Some(data) = error.data().filter(|data| !data.is_empty()) {
            text = format!("{text} ({data})");
        }
        if !words.contains(&text) {
            words.push(text);
        }
    }
    if words.is_empty() {
        return "unknown error".into();
    }
    words.join(", ")
}

fn has_reason(stack: &ErrorStack, reason: &str) -> bool {
    stack
        .errors()
        .iter()
        .any(|error| error.reason() == Some(reason))
}

/// The alert that the peer sent: of "tlsv13 alert certificate required", the last two words.
fn alert(stack: &ErrorStack) -> Option<&str> {
    stack
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .find_map(|reason| reason.split_once(" alert ").map(|(_, name)| name))
}

/// Alerts do not tell whether a certificate was missing or was not liked; the user must be told
/// where ours would have come from.
fn with_certificate_hint(text: String, has_identity: bool) -> String {
    let about_certificate = text.contains("alert \"")
        && [
            "certificate",
            "unknown ca",
            "handshake failure",
            "access denied",
            "decrypt error",
        ]
        .iter()
        .any(|name| text.contains(name));
    if !about_certificate {
        text
    } else if has_identity {
        format!("{text}; it may not accept the certificate in client_cert")
    } else {
        format!(
            "{text}; if it wants a client certificate, pass client_cert and client_key \
             (one that was loaded into an ssl.SSLContext cannot be read back)"
        )
    }
}

/// The text of `X509_V_ERR_*`, which native-tls shows but does not expose.
fn verification_reason(error: &native_tls::Error, stack: &ErrorStack) -> String {
    let text = error.to_string();
    text.strip_prefix(&stack.to_string())
        .and_then(|rest| rest.strip_prefix(" ("))
        .and_then(|rest| rest.strip_suffix(')'))
        .map_or_else(|| describe(stack), str::to_owned)
}

fn verification_hint(reason: &str, options: &TlsOptions, server_name: &str) -> Option<String> {
    match reason {
        "hostname mismatch" | "IP address mismatch" => Some(format!(
            "the certificate is for another name than {server_name:?}; \
             if the server is right, pass the name in its certificate as server_hostname"
        )),
        "self-signed certificate"
        | "self-signed certificate in certificate chain"
        | "unable to get issuer certificate"
        | "unable to get local issuer certificate" => Some(match &options.trust {
            Trust::System if !system_has_anchors() => "no certificate authorities were found on \
                 this system; install them (package ca-certificates), set SSL_CERT_FILE, or pass \
                 ca_file, such as certifi.where()"
                .into(),
            Trust::System => "to trust a certificate authority that the system does not know, \
                 pass its certificate as ca_file"
                .into(),
            Trust::Anchors(_) => "none of the certificate authorities given for this connection \
                 has issued it; the chain must end in a root certificate"
                .into(),
        }),
        _ => None,
    }
}

/// Whether there is any place that OpenSSL takes the system's certificate authorities from.
fn system_has_anchors() -> bool {
    let file = env::var_os("SSL_CERT_FILE");
    let directories = env::var_os("SSL_CERT_DIR");
    let files = file
        .iter()
        .map(Path::new)
        .chain(FILES.iter().map(Path::new));
    let directories = directories
        .iter()
        .flat_map(env::split_paths)
        .chain(DIRECTORIES.iter().map(Into::into));
    files
        .into_iter()
        .any(|file| fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0))
        || directories
            .into_iter()
            .any(|directory| has_hashed_certificate(&directory))
}

/// In a directory, OpenSSL looks only at files named after the hash of a subject, as 5ed36f99.0.
fn has_hashed_certificate(directory: &Path) -> bool {
    let is_hashed = |name: &OsStr| {
        name.to_str()
            .and_then(|name| name.split_once('.'))
            .is_some_and(|(hash, number)| {
                hash.len() == 8
                    && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && number.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    fs::read_dir(directory)
        .is_ok_and(|entries| entries.flatten().any(|entry| is_hashed(&entry.file_name())))
}

const UNEXPECTED_EOF: &str = "unexpected eof while reading";
const ENDED_EARLY: &str = "the server closed the connection during the TLS handshake";

/// What OpenSSL says of an answer that is not TLS.
const NOT_TLS: [&str; 5] = [
    "wrong version number",
    "http request",
    "https proxy request",
    "packet length too long",
    "record layer failure",
];

/// Where native-tls (openssl-probe) and OpenSSL look, the distribution's places first.
const FILES: [&str; 9] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/opt/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/cacert.pem",
    "/usr/local/ssl/cert.pem",
];
const DIRECTORIES: [&str; 4] = [
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/security/certificates",
    "/usr/local/ssl/certs",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_counts_if_openssl_finds_something_in_it() {
        let directory = env::temp_dir().join(format!("tls-anchors-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("authority.pem"), "").unwrap();
        assert!(!has_hashed_certificate(&directory));
        fs::write(directory.join("5ed36f99.0"), "").unwrap();
        assert!(has_hashed_certificate(&directory));
        fs::remove_dir_all(&directory).unwrap();
        assert!(!has_hashed_certificate(&directory));
    }
}
