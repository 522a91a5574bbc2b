//! Connectors: the options and the trust store in OpenSSL's form, built once and kept.
//!
//! Building one parses the system's certificate authorities, which takes 40 to 140 ms. The cache's
//! lock guards only the list; whoever needs a connector that is being built by another thread
//! waits for that one alone.

use std::sync::{Arc, OnceLock};

use native_tls::{Certificate, Protocol, TlsConnector};

use super::{TlsOptions, Trust, Verify, Version};
use crate::{
    error::{Error, Result, TlsError},
    net::wakeup::Wakeup,
    process::PerProcess,
};

/// The connector for these options, from the cache or new.
pub(super) fn connector(options: &TlsOptions) -> Result<TlsConnector> {
    let entry = cached(options);
    let outcome = entry.outcome.get_or_init(|| read_and_build(options));
    if outcome.is_err() {
        // Files may be put right while the process runs.
        forget(&entry);
    }
    outcome.clone()
}

/// OpenSSL passes over a file that it can't open, so that a connector would trust nobody for ever
/// if there was no descriptor for it just then.
fn read_and_build(options: &TlsOptions) -> Result<TlsConnector> {
    let check_descriptors = || match options.trust {
        Trust::System => Wakeup::new()
            .map(drop)
            .map_err(|error| Error::io(READ, error)),
        Trust::Anchors(_) => Ok(()),
    };
    check_descriptors()?;
    let connector = build(options).map_err(Error::Tls)?;
    check_descriptors()?;
    Ok(connector)
}

/// Has OpenSSL set itself up, which it does once. To be called where the process can't be forked
/// meanwhile: its child would wait for the thread that began, which isn't there.
pub fn initialise() {
    // Whatever goes through OpenSSL begins with it, also what turns out to be no certificate.
    drop(Certificate::from_der(&[]));
}

/// To be called after a fork, in the new process, which goes on with what its parent has built. For
/// what was being built it would wait for ever: the thread that did isn't there.
pub fn forked() {
    if let Some(mut entries) = CACHE.forked() {
        entries.retain(|entry| entry.outcome.get().is_some());
        *CACHE.lock() = entries;
    }
}

struct Entry {
    options: TlsOptions,
    outcome: OnceLock<Result<TlsConnector>>,
}

fn cached(options: &TlsOptions) -> Arc<Entry> {
    let mut cache = CACHE.lock();
    let entry = match cache.iter().position(|entry| entry.options == *options) {
        Some(index) => cache.remove(index),
        None => Arc::new(Entry {
            options: options.clone(),
            outcome: OnceLock::new(),
        }),
    };
    // The most recently used entry comes last.
    if cache.len() >= CACHED_AT_MOST {
        cache.remove(0);
    }
    cache.push(Arc::clone(&entry));
    entry
}

fn forget(entry: &Arc<Entry>) {
    CACHE.lock().retain(|other| !Arc::ptr_eq(other, entry));
}

fn build(options: &TlsOptions) -> std::result::Result<TlsConnector, TlsError> {
    options.check()?;
    let mut builder = TlsConnector::builder();
    builder
        .min_protocol_version(options.min_version.map(protocol))
        .max_protocol_version(options.max_version.map(protocol))
        .danger_accept_invalid_certs(options.verify == Verify::Off)
        .danger_accept_invalid_hostnames(options.verify != Verify::Full);
    if let Trust::Anchors(anchors) = &options.trust {
        builder.disable_built_in_roots(true);
        for anchor in anchors {
            let anchor = Certificate::from_der(anchor).map_err(|error| {
                TlsError::Configuration(format!("a trust anchor is not a certificate: {error}"))
            })?;
            builder.add_root_certificate(anchor);
        }
    }
    if let Some(identity) = &options.identity {
        builder.identity(identity.parse()?);
    }
    let alpn: Vec<&str> = options.alpn.iter().map(String::as_str).collect();
    builder.request_alpns(&alpn);
    builder
        .build()
        .map_err(|error| TlsError::Configuration(format!("TLS cannot be set up: {error}")))
}

fn protocol(version: Version) -> Protocol {
    match version {
        Version::Tls12 => Protocol::Tlsv12,
        Version::Tls13 => Protocol::Tlsv13,
    }
}

const READ: &str = "read the certificates that the system trusts";

/// Oldest use first.
static CACHE: PerProcess<Vec<Arc<Entry>>> = PerProcess::new(Vec::new(), Vec::new);

/// A trust store of the system takes about a megabyte. Programs use one or two sets of options.
const CACHED_AT_MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let used = TlsOptions {
            max_version: Some(Version::Tls13),
            trust: Trust::Anchors(Vec::new()),
            ..TlsOptions::default()
        };
        let first = cached(&used);
        for count in 0..2 * CACHED_AT_MOST {
            let other = TlsOptions {
                alpn: vec![format!("other {count}")],
                ..TlsOptions::default()
            };
            forget(&cached(&other));
            cached(&other);
            assert!(Arc::ptr_eq(&first, &cached(&used)));
            assert!(CACHE.lock().len() <= CACHED_AT_MOST);
        }
    }

    #[test]
    fn a_refused_configuration_is_not_kept() {
        let refused = TlsOptions {
            alpn: vec!["h2".into(), "http/1.1".into()],
            ..TlsOptions::default()
        };
        assert!(matches!(
            connector(&refused),
            Err(Error::Tls(TlsError::Configuration(text))) if text.contains("\"h2\"")
        ));
        let cache = CACHE.lock();
        assert!(cache.iter().all(|entry| entry.options != refused));
    }
}
