//! Where a connection logs to: a logger that it was given, else that of the crate.
//!
//! The number of the connection goes with all that it logs, as the key `id`.

use std::{fmt, sync::Arc};

use log::{Log, Metadata, Record};

/// The logger of a connection.
pub struct Logger {
    /// The number of the connection.
    id: u64,
    own: Option<Arc<dyn Log>>,
}

impl Logger {
    /// The logger of the connection with this number, which may have one of its own.
    pub fn new(id: u64, own: Option<Arc<dyn Log>>) -> Self {
        Self { id, own }
    }

    fn inner(&self) -> &dyn Log {
        self.own.as_deref().unwrap_or_else(|| log::logger())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let id = ("id", self.id);
        self.inner()
            .log(&record.to_builder().key_values(&id).build());
    }

    fn flush(&self) {
        self.inner().flush();
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Logger")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use log::{LevelFilter, kv::Key};

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Log for Told {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            let id = record.key_values().get(Key::from_str("id")).unwrap();
            let (target, text) = (record.target(), record.args());
            self.0.lock().unwrap().push(format!("{target} {id} {text}"));
        }

        fn flush(&self) {}
    }

    #[test]
    fn a_record_goes_to_the_own_logger_with_the_number_of_the_connection() {
        log::set_max_level(LevelFilter::Trace);
        let told = Arc::new(Told::default());
        let logger = Logger::new(7, Some(told.clone()));
        log::trace!(logger: logger, target: "somewhere", "{} bytes", 5);
        log::trace!(logger: Logger::new(8, None), target: "elsewhere", "5 bytes");
        assert_eq!(*told.0.lock().unwrap(), ["somewhere 7 5 bytes"]);
    }
}
