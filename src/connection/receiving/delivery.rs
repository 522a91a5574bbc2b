//! From the decoder to where each thing belongs: messages to the inbox, pings and pongs to those that
//! answer them.

use super::batch::Batch;
use crate::{
    buffer::Buffer,
    connection::{Connection, LOG},
    protocol::{
        close::{Cause, CloseFrame},
        decoder::Sink,
        frame::Control,
        message::Kind,
    },
};

/// Takes what the decoder finds to where it belongs.
pub(super) struct Delivery<'a> {
    pub(super) connection: &'a Connection,
    pub(super) batch: &'a mut Batch,
    /// Messages are dropped.
    pub(super) discards: bool,
    /// The Close frame, if it has come.
    pub(super) close: &'a mut Option<CloseFrame>,
}

impl Delivery<'_> {
    fn trace(&self, what: impl std::fmt::Debug, fin: bool, size: usize) {
        let more = if fin { "" } else { ", continued" };
        log::trace!(logger: self.connection.thread.logger, target: LOG, "< {what:?} [{size} bytes{more}]");
    }
}

impl Sink for Delivery<'_> {
    fn frame(&mut self, kind: Kind, fin: bool, payload: &[u8]) -> Result<(), Cause> {
        self.trace(kind, fin, payload.len());
        if self.discards {
            return Ok(());
        }
        self.batch.push(kind, fin, payload)
    }

    fn large_frame(&mut self, kind: Kind, fin: bool, payload: Buffer) -> Result<(), Cause> {
        self.trace(kind, fin, payload.len());
        if self.discards {
            return Ok(());
        }
        self.batch.push_large(kind, fin, payload)
    }

    fn buffer(&mut self, size: usize) -> Buffer {
        self.batch.spare(size)
    }

    fn write_message(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        if self.discards {
            return write(&mut Vec::new());
        }
        let size = self.batch.write_message(kind, write)?;
        self.trace(kind, true, size);
        Ok(())
    }

    fn is_full(&self) -> bool {
        !self.discards && self.connection.receiving.is_filled_by(self.batch)
    }

    fn ping(&mut self, payload: &[u8]) {
        self.trace(Control::Ping, true, payload.len());
        self.connection.sending.push_pong(payload);
    }

    fn pong(&mut self, payload: &[u8]) {
        self.trace(Control::Pong, true, payload.len());
        self.connection.acknowledge(payload);
    }

    fn close(&mut self, frame: CloseFrame) {
        log::trace!(logger: self.connection.thread.logger, target: LOG, "< Close {}", frame.code);
        *self.close = Some(frame);
    }
}
