//! Messages that are too large to be copied as a whole: the thread that sends one writes it piece by
//! piece, with the writing half in its hands.

use std::{
    io,
    slice::Chunks,
    sync::{Arc, atomic::Ordering},
};

use super::writer::Writer;
use crate::{
    buffer::OutOfMemory,
    connection::Connection,
    error::{Error, Phase, Result},
    net::{
        stream::{Halt, Patience},
        wait::Wait,
    },
    protocol::{
        close::Cause,
        frame::{MAX_HEADER, append_masked},
        message::Kind,
    },
};

impl Connection {
    /// Writes a message that is too large to be copied as a whole, piece by piece.
    pub(super) fn write_large(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        let mut writer = loop {
            let Some(mut writer) = self.sending.half.acquire(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            // Frames that were accepted earlier go out first.
            match self.write_waiting(&mut writer, wait) {
                Ok(()) => break writer,
                stopped => {
                    drop(writer);
                    self.go_on(stopped, wait)?;
                }
            }
        };
        let mask = self.begin_large(kind, payload, &mut writer)?;
        let mut pieces = payload.chunks(PIECE);
        let halt = loop {
            let Some(piece) = pieces.next() else {
                return Ok(());
            };
            let masked = append_masked(piece, mask, &mut writer.plaintext);
            let masked = masked.map_err(Halt::from);
            if let Err(halt) = masked.and_then(|()| self.write_piece(&mut writer, wait)) {
                break halt;
            }
        };
        if matches!(halt, Halt::Failed(_)) {
            self.abandon_writing(&mut writer);
        } else if append_rest(pieces, mask, &mut writer) {
            // A frame that has begun must be finished; the connection thread will see to it.
            self.sending.unfinished.store(true, Ordering::SeqCst);
        } else {
            // Half a frame makes the connection useless.
            self.abandon_writing(&mut writer);
            let interrupted = io::ErrorKind::Interrupted.into();
            self.closing().fail(Cause::Io(Arc::new(interrupted)));
        }
        drop(writer);
        self.thread.wake();
        self.go_on(Err(halt), wait)
    }

    /// Puts the header of a large message into the empty writing half. Returns the key to mask the
    /// message with. Fails before anything is written if there is no memory for a piece.
    fn begin_large(&self, kind: Kind, payload: &[u8], writer: &mut Writer) -> Result<[u8; 4]> {
        let reserved = writer
            .plaintext
            .reserve(MAX_HEADER + payload.len().min(PIECE));
        reserved.map_err(|OutOfMemory| Error::OutOfMemory)?;
        self.sending
            .outbox
            .header(kind, payload.len(), &mut writer.plaintext)
            .map_err(|refusal| self.refused(refusal))
    }

    /// Writes a piece of a frame, waiting as long as it takes.
    fn write_piece(&self, writer: &mut Writer, wait: &Wait<'_>) -> Result<(), Halt> {
        self.note_size(writer.plaintext.len());
        writer.seal()?;
        match writer.flush(Patience::None) {
            Err(Halt::WouldBlock) => {}
            other => return other,
        }
        self.write_on(wait, |wait| {
            loop {
                match writer.flush(Patience::Until(wait, Phase::Send)) {
                    // In the middle of a frame the half cannot be let go of. A handler that sends
                    // is told so by its error.
                    Err(Halt::Interrupted) => (wait.interrupt)().map_err(Halt::Stopped)?,
                    other => return other,
                }
            }
        })
    }
}

/// Appends the rest of a frame to what is to be written. Returns whether it has: not if that would
/// take long, or if there is no memory for it.
fn append_rest(mut pieces: Chunks<'_, u8>, mask: [u8; 4], writer: &mut Writer) -> bool {
    let rest: usize = pieces.clone().map(<[u8]>::len).sum();
    rest <= FINISHED
        && pieces.all(|piece| append_masked(piece, mask, &mut writer.plaintext).is_ok())
}

/// The size of the pieces: a multiple of four, so that the mask begins anew with each.
const PIECE: usize = 1024 * 1024;
/// The rest of a message that is still finished after its sender was interrupted.
const FINISHED: usize = 16 * 1024 * 1024;
