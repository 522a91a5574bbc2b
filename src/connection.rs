//! A connection: where the protocol, the stream, the inbox and the outbox meet.
//!
//! There are two halves, each a [`Turn`]: the reading half belongs to whoever reads, the program's
//! thread or the connection thread, and the writing half to whoever writes. Everything else is
//! guarded by short locks that are never held while waiting. Lock order, outermost first: a half,
//! the inbox, the outbox or the closing handshake; the last two are never held together.
//!
//! Invariants: after the first failure nothing more is received; a Close frame is the last frame
//! sent; whoever changes the state of the connection wakes its thread, which does what remains.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::event::PollFlags;

use crate::{
    attendance::Attendance,
    connection_thread::Control,
    deadline::Wait,
    error::{Error, Phase, Result},
    inbox::{Batch, Inbox},
    net::{
        stream::{Halt, Patience, Stream, wait_ready},
        wake::Wake,
    },
    opening::Established,
    options::ConnectOptions,
    outbox::Outbox,
    process,
    protocol::{
        close::{ABNORMAL, Cause, CloseFrame, Closing, Closure, State},
        frame::append_masked,
        message::{Decoder, Kind, Sink},
    },
    turn::Turn,
};

/// An open connection, shared between the program and its connection thread.
#[derive(Debug)]
pub struct Connection {
    /// The thread that serves this connection.
    pub control: Arc<Control>,
    /// The subprotocol agreed upon.
    pub subprotocol: Option<String>,
    /// The addresses of this end and of the peer.
    pub addresses: (Option<SocketAddr>, Option<SocketAddr>),
    /// Messages received and not yet taken.
    pub inbox: Inbox,
    /// Who is reading.
    pub attendance: Attendance,
    /// How long the closing handshake may take.
    pub close_timeout: Option<Duration>,
    reader: Turn<Reader>,
    writer: Turn<Writer>,
    outbox: Outbox,
    write_limit: usize,
    /// Guards the state of the closing handshake.
    closing: Mutex<Closing>,
    /// The program has closed the connection and receives no more, though the peer has not
    /// answered yet.
    receiving_is_over: AtomicBool,
    /// A message has been sent since the program last waited for one.
    in_burst: AtomicBool,
    /// The writing half holds something that the socket would not take.
    unfinished: AtomicBool,
    observer: Box<dyn Observer>,
    /// Guards whether the connection thread is done with the connection, and who waits for it.
    end: Mutex<End>,
    process: process::Generation,
}

/// Who wants to know what happens on a connection without waiting for it in a thread.
///
/// Called on any thread, possibly with the reading or the writing half held.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A message can be taken, or none will come any more.
    fn arrived(&self);
    /// The outbox has room again, or nothing will be sent any more.
    fn drained(&self);
    /// The connection has ended and its resources are free.
    fn ended(&self);
}

/// The end of a connection.
#[derive(Debug, Default)]
struct End {
    has_come: bool,
    waiting: Vec<Arc<Wake>>,
}

/// The reading half.
#[derive(Debug)]
struct Reader {
    stream: Arc<Stream>,
    decoder: Decoder,
    ciphertext: Vec<u8>,
}

/// The writing half.
#[derive(Debug)]
struct Writer {
    stream: Arc<Stream>,
    /// Frames taken from the outbox, or begun by a large message, and not yet sealed.
    plaintext: Vec<u8>,
    /// What is going over the wire, of which `sent` bytes have gone.
    wire: Vec<u8>,
    sent: usize,
    /// How many bytes of the outbox the wire carries.
    carries: usize,
}

/// What came of reading once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Some bytes came, and were dealt with.
    Some,
    /// Nothing more will come, or another thread is reading.
    Nothing,
}

impl Connection {
    /// A connection over a stream on which the opening handshake has succeeded.
    pub fn new(
        established: Established,
        options: &ConnectOptions,
        control: Arc<Control>,
        observer: Box<dyn Observer>,
    ) -> Result<(Self, Arc<Stream>)> {
        let stream = Arc::new(established.stream);
        let connection = Self {
            control,
            subprotocol: established.subprotocol,
            addresses: stream.addresses(),
            inbox: Inbox::new(options.inbox_limit),
            attendance: Attendance::default(),
            close_timeout: options.close_timeout,
            reader: Turn::new(Reader {
                stream: Arc::clone(&stream),
                decoder: Decoder::new(options.max_size, established.arrived),
                ciphertext: Vec::new(),
            }),
            writer: Turn::new(Writer {
                stream: Arc::clone(&stream),
                plaintext: Vec::new(),
                wire: Vec::new(),
                sent: 0,
                carries: 0,
            }),
            outbox: Outbox::new().map_err(|error| Error::io("make masking keys", error))?,
            write_limit: options.write_limit,
            closing: Mutex::default(),
            receiving_is_over: AtomicBool::new(false),
            in_burst: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            observer,
            end: Mutex::default(),
            process: process::Generation::current(),
        };
        // Frames may have come in one segment with the response.
        if let Some(mut reader) = connection.reader.try_take() {
            connection.decode(&mut reader);
        }
        Ok((connection, stream))
    }

    /// Fails in a process forked from the one that the connection belongs to.
    pub fn check_process(&self) -> Result<()> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.closing().state()
    }

    /// Where the connection stands for the program.
    pub fn reported_state(&self) -> State {
        self.closing().reported_state()
    }

    /// How the connection has ended, or is ending.
    pub fn closure(&self) -> Closure {
        self.closing().closure().clone()
    }

    // Receiving.

    /// Waits in the calling thread until a message can be taken from the inbox.
    ///
    /// What had been received when the time ran out is kept, and the next call goes on from it.
    pub fn receive(&self, wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        let _visit = self.attendance.enter(&self.control);
        loop {
            if !self.inbox.is_empty() {
                return Ok(());
            }
            self.check_receivable()?;
            let Some(mut reader) = self.reader.take(wait, Phase::Receive)? else {
                return Err(self.closed());
            };
            // The connection thread may have read ahead while it had the turn.
            if !self.inbox.is_empty() {
                return Ok(());
            }
            self.check_receivable()?;
            match self.read_once(&mut reader, Patience::Until(wait, Phase::Receive)) {
                Ok(_) | Err(Halt::WouldBlock | Halt::Failed(_)) => {}
                Err(Halt::Stopped(error)) => return Err(error),
            }
            // A peer that sends without end need not complete a message.
            if self.inbox.is_empty() && self.check_receivable().is_ok() {
                wait.deadline.check(Phase::Receive)?;
            }
        }
    }

    /// Whether a message can still come; otherwise, how the connection ended.
    pub fn check_receivable(&self) -> Result<()> {
        let closing = self.closing();
        let over = match closing.state() {
            State::Open => false,
            State::Closing => {
                closing.closure().rcvd.is_some()
                    || closing.closure().cause.is_some()
                    || self.receiving_is_over.load(Ordering::SeqCst)
            }
            State::Closed => true,
        };
        if over {
            Err(Error::Closed(Box::new(closing.closure().clone())))
        } else {
            Ok(())
        }
    }

    /// Reads what there is without waiting, unless another thread is reading.
    pub fn read_ahead(&self) -> Reading {
        let Some(mut reader) = self.reader.try_take() else {
            return Reading::Nothing;
        };
        self.read_once(&mut reader, Patience::None)
            .unwrap_or(Reading::Nothing)
    }

    /// Ends waiting in `receive`, though the peer has not answered the Close frame yet.
    pub fn dismiss_receivers(&self, stream: &Stream) {
        if self.receiving_is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.attendance.is_attended() {
            stream.dismiss_reader();
        }
        self.observer.arrived();
    }

    /// Reads once and deals with all that this completes.
    fn read_once(&self, reader: &mut Reader, patience: Patience<'_>) -> Result<Reading, Halt> {
        let Reader {
            stream,
            decoder,
            ciphertext,
        } = reader;
        match decoder.fill(|space| stream.read(space, ciphertext, patience)) {
            Ok(0) if stream.reader_is_dismissed() => Ok(Reading::Nothing),
            Ok(0) => {
                self.end_of_stream(Cause::Eof);
                Ok(Reading::Nothing)
            }
            Ok(_) => {
                self.decode(reader);
                Ok(Reading::Some)
            }
            Err(Halt::Failed(error)) => {
                self.end_of_stream(Cause::Io(Arc::new(error)));
                Ok(Reading::Nothing)
            }
            Err(halt) => Err(halt),
        }
    }

    /// Deals with what has been read.
    fn decode(&self, reader: &mut Reader) {
        let mut close = None;
        // A program that has closed the connection takes little interest in further messages.
        let discards = self.state() != State::Open && self.inbox.pauses();
        let (result, any) = self.inbox.deliver(|batch| {
            reader.decoder.decode(&mut Delivery {
                id: self.control.id,
                batch,
                discards,
                outbox: &self.outbox,
                close: &mut close,
            })
        });
        if let Some(frame) = close {
            log::debug!(target: LOG, id = self.control.id; "closed by peer, code {}", frame.code);
            let answer = self.closing().receive(frame);
            if let Some(answer) = answer {
                self.outbox.push_close(&answer);
            }
            self.control.wake();
        }
        if let Err(cause) = result {
            self.fail(cause);
        }
        if any || self.state() != State::Open {
            self.observer.arrived();
        }
        if !self.outbox.is_empty() || reader.stream.has_outgoing() {
            self.write_now();
        }
    }

    /// Fails the connection: the peer broke the protocol (RFC 6455, section 7.1.7).
    fn fail(&self, cause: Cause) {
        log::debug!(target: LOG, id = self.control.id; "failing the connection: {cause}");
        let frame = self.closing().fail(cause);
        match frame {
            Some(frame) => self.outbox.push_close(&frame),
            None => self.outbox.finish(),
        }
        self.control.wake();
    }

    /// Nothing more will come.
    fn end_of_stream(&self, cause: Cause) {
        log::debug!(target: LOG, id = self.control.id; "end of stream: {cause}");
        self.closing().end(Some(cause));
        self.outbox.finish();
        self.observer.arrived();
        self.observer.drained();
        self.control.wake();
    }

    // Sending.

    /// Sends a message from the calling thread; returns when the system has all of it.
    ///
    /// If the wait is ended early by a signal, the message is still sent as a whole; unless more
    /// than 16 MiB are left, which fails the connection.
    pub fn send(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
        if payload.len() > LARGE {
            return self.send_large(kind, payload, wait);
        }
        let end = self.outbox.push(kind, payload).map_err(|_| self.closed())?;
        while self.outbox.written() < end {
            let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
                return Err(self.closed());
            };
            let result = self.write_waiting(&mut writer, wait);
            drop(writer);
            result?;
        }
        self.write_what_was_left();
        Ok(())
    }

    /// Accepts a message for sending, without waiting or writing. Call [`Self::hand_over`] next.
    ///
    /// Returns whether it is the first since the program has waited for a message. Such a one is
    /// best written at once, for the sake of request and response. Those that follow are left to
    /// the connection thread, which writes many at a time.
    pub fn post(&self, kind: Kind, payload: &[u8]) -> Result<bool> {
        log::trace!(target: LOG, id = self.control.id; "> {kind:?} [{} bytes]", payload.len());
        self.outbox.push(kind, payload).map_err(|_| self.closed())?;
        Ok(!self.in_burst.swap(true, Ordering::Relaxed))
    }

    /// Sees to it that what was posted is written: at once, without waiting, or later.
    pub fn hand_over(&self, at_once: bool) {
        if at_once {
            self.write_now();
        } else {
            self.control.wake_if_asleep();
        }
    }

    /// Whether more may be posted.
    pub fn has_room(&self) -> bool {
        self.outbox.pending() <= self.write_limit
    }

    /// Fails if nothing can be sent any more.
    pub fn check_sendable(&self) -> Result<()> {
        if self.state() == State::Open {
            Ok(())
        } else {
            Err(self.closed())
        }
    }

    /// Notes that the program waits for a message, so that its next one ends the burst.
    pub fn note_waiting(&self) {
        self.in_burst.store(false, Ordering::Relaxed);
    }

    /// Whether something waits to be written.
    pub fn has_unwritten(&self) -> bool {
        self.unfinished.load(Ordering::SeqCst) || !self.outbox.is_empty()
    }

    /// Writes what the socket takes at once. Returns whether it would not take all.
    pub fn try_write(&self) -> bool {
        while let Some(mut writer) = self.writer.try_take() {
            let result = self.write(&mut writer, Patience::None);
            drop(writer);
            match result {
                Ok(()) => {}
                Err(Halt::WouldBlock | Halt::Stopped(_)) => return true,
                Err(Halt::Failed(error)) => {
                    self.write_failed(error);
                    return false;
                }
            }
            // Someone may have added to the outbox and found the writing half taken.
            if self.outbox.is_empty() {
                return false;
            }
        }
        false
    }

    /// Writes what the socket takes at once, and leaves the rest to the connection thread.
    fn write_now(&self) {
        if self.try_write() {
            self.control.wake_if_asleep();
        }
    }

    /// Writes all there is, waiting as long as it takes.
    fn write_waiting(&self, writer: &mut Writer, wait: &Wait<'_>) -> Result<()> {
        let halt = match self.write(writer, Patience::None) {
            Err(Halt::WouldBlock) => {
                // The peer may not read before it has been read from.
                let _absence = self.attendance.call_in_a_reader(&self.control);
                self.write(writer, Patience::Until(wait, Phase::Send))
            }
            other => other,
        };
        self.resolve(halt)
    }

    /// Turns what stopped a writer into an error.
    fn resolve(&self, result: Result<(), Halt>) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(Halt::Stopped(error)) => Err(error),
            Err(Halt::Failed(error)) => {
                self.write_failed(error);
                Err(self.closed())
            }
            Err(Halt::WouldBlock) => unreachable!("the writer may wait"),
        }
    }

    /// Writes until nothing is left.
    fn write(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        let result = self.write_all(writer, patience);
        self.unfinished.store(result.is_err(), Ordering::SeqCst);
        result
    }

    fn write_all(&self, writer: &mut Writer, patience: Patience<'_>) -> Result<(), Halt> {
        loop {
            writer.flush(patience)?;
            if writer.carries > 0 {
                self.outbox
                    .note_written(std::mem::take(&mut writer.carries));
                if self.outbox.pending() <= self.write_limit / 2 {
                    self.observer.drained();
                }
            }
            if writer.plaintext.is_empty() {
                self.outbox.take(&mut writer.plaintext);
                writer.carries = writer.plaintext.len();
            }
            if writer.plaintext.is_empty() && !writer.stream.has_outgoing() {
                return Ok(());
            }
            writer.seal()?;
        }
    }

    /// Sends a message that is too large to be copied as a whole, piece by piece.
    fn send_large(&self, kind: Kind, payload: &[u8], wait: &Wait<'_>) -> Result<()> {
        let Some(mut writer) = self.writer.take(wait, Phase::Send)? else {
            return Err(self.closed());
        };
        // What was accepted before goes first.
        self.write_waiting(&mut writer, wait)?;
        let mask = self
            .outbox
            .header(kind, payload.len(), &mut writer.plaintext)
            .map_err(|_| self.closed())?;
        let mut pieces = payload.chunks(PIECE);
        let mut result = Ok(());
        for piece in &mut pieces {
            append_masked(piece, mask, &mut writer.plaintext);
            result = writer.seal().and_then(|()| writer.flush(Patience::None));
            if let Err(Halt::WouldBlock) = result {
                let _absence = self.attendance.call_in_a_reader(&self.control);
                result = writer.flush(Patience::Until(wait, Phase::Send));
            }
            if result.is_err() {
                break;
            }
        }
        let rest: usize = pieces.clone().map(<[u8]>::len).sum();
        if result.is_err() && rest > FINISHED {
            // Copying the rest would take long, and half a frame makes the connection useless.
            drop(writer);
            self.write_failed(std::io::ErrorKind::Interrupted.into());
        } else if let Err(Halt::Stopped(_)) = result {
            // A frame that has begun must be finished; the connection thread will see to it.
            for piece in pieces {
                append_masked(piece, mask, &mut writer.plaintext);
            }
            self.unfinished.store(true, Ordering::SeqCst);
            drop(writer);
            self.control.wake();
        } else {
            drop(writer);
        }
        let result = self.resolve(result);
        self.write_what_was_left();
        result
    }

    /// After the writing half is passed on: sees to what others have added meanwhile.
    fn write_what_was_left(&self) {
        if !self.outbox.is_empty() {
            self.write_now();
        }
    }

    /// The stream takes no more. What the peer had sent before may still say why.
    fn write_failed(&self, error: std::io::Error) {
        self.outbox.finish();
        while self.read_ahead() == Reading::Some {}
        let mut closing = self.closing();
        if closing.closure().rcvd.is_none() {
            closing.fail(Cause::Io(Arc::new(error)));
        }
        drop(closing);
        self.observer.arrived();
        self.observer.drained();
        self.control.wake();
    }

    // Closing.

    /// Starts the closing handshake, unless it is under way. Does not wait.
    pub fn begin_close(&self, frame: CloseFrame) {
        let Some(frame) = self.closing().begin(frame) else {
            return;
        };
        log::debug!(target: LOG, id = self.control.id; "closing with code {}", frame.code);
        log::trace!(target: LOG, id = self.control.id; "> Close {}", frame.code);
        self.outbox.push_close(&frame);
        self.write_now();
        self.control.wake();
    }

    /// Waits in the calling thread until the connection has ended and its resources are free.
    pub fn wait_ended(&self, wait: &Wait<'_>) -> Result<()> {
        self.check_process()?;
        let wake = {
            let mut end = self.end_state();
            if end.has_come {
                None
            } else {
                let wake = Wake::new().map_err(|error| Error::io("make an eventfd", error))?;
                let wake = Arc::new(wake);
                end.waiting.push(Arc::clone(&wake));
                Some(wake)
            }
        };
        if let Some(wake) = wake {
            // The connection thread keeps to the deadline.
            wait_ready(&wake, PollFlags::IN, wait, Phase::Close)?;
        }
        self.control.join();
        Ok(())
    }

    /// Whether the connection has ended and its resources are free.
    pub fn has_ended(&self) -> bool {
        self.end_state().has_come
    }

    /// Ends the connection and frees what it holds. Only the connection thread calls this.
    pub fn end(&self, stream: &Stream) {
        self.closing().end(None);
        self.outbox.finish();
        // TLS says goodbye only between records, not into the middle of one.
        if let Some(writer) = self.writer.try_take() {
            if writer.sent == writer.wire.len() {
                stream.close_notify();
            }
        }
        stream.shutdown();
        self.reader.retire();
        self.writer.retire();
        let closure = self.closure();
        let code = closure.rcvd.map_or(ABNORMAL, |frame| frame.code);
        log::debug!(target: LOG, id = self.control.id; "connection has ended, code {code}");
    }

    /// Tells everyone that [`Self::end`] is done and the descriptors are closed.
    pub fn announce_end(&self) {
        let mut end = self.end_state();
        end.has_come = true;
        for wake in end.waiting.drain(..) {
            wake.set();
        }
        drop(end);
        self.observer.arrived();
        self.observer.drained();
        self.observer.ended();
    }

    /// The error of an operation that the closed connection cannot carry out.
    pub fn closed(&self) -> Error {
        Error::Closed(Box::new(self.closure()))
    }

    /// Whether both Close frames have passed.
    pub fn close_is_agreed(&self) -> bool {
        self.closing().agreed()
    }

    fn end_state(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closing(&self) -> MutexGuard<'_, Closing> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Makes ciphertext, or the frames as they are, out of what is to be written next.
    fn seal(&mut self) -> Result<(), Halt> {
        self.stream.seal(&mut self.plaintext, &mut self.wire)
    }

    /// Writes the wire buffer until it is empty.
    fn flush(&mut self, patience: Patience<'_>) -> Result<(), Halt> {
        while self.sent < self.wire.len() {
            self.sent += self.stream.send(&self.wire[self.sent..], patience)?;
        }
        self.sent = 0;
        self.wire.clear();
        // A large message must not be paid for until the end of the connection.
        for buffer in [&mut self.wire, &mut self.plaintext] {
            if buffer.is_empty() && buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }
}

/// Takes what the decoder finds to where it belongs.
struct Delivery<'a> {
    /// The number of the connection, for the log.
    id: u64,
    batch: &'a mut Batch,
    /// Messages are dropped.
    discards: bool,
    outbox: &'a Outbox,
    close: &'a mut Option<CloseFrame>,
}

impl Sink for Delivery<'_> {
    fn message(&mut self, kind: Kind, payload: &[u8]) {
        log::trace!(target: LOG, id = self.id; "< {kind:?} [{} bytes]", payload.len());
        if !self.discards {
            self.batch.push(kind, payload);
        }
    }

    fn large_message(&mut self, kind: Kind, payload: Vec<u8>) {
        log::trace!(target: LOG, id = self.id; "< {kind:?} [{} bytes]", payload.len());
        if !self.discards {
            self.batch.push_large(kind, payload);
        }
    }

    fn ping(&mut self, payload: &[u8]) {
        log::trace!(target: LOG, id = self.id; "< Ping [{} bytes]", payload.len());
        self.outbox.push_pong(payload);
    }

    fn pong(&mut self, payload: &[u8]) {
        log::trace!(target: LOG, id = self.id; "< Pong [{} bytes]", payload.len());
    }

    fn close(&mut self, frame: CloseFrame) {
        log::trace!(target: LOG, id = self.id; "< Close {}", frame.code);
        *self.close = Some(frame);
    }
}

const LOG: &str = "websocket_rs::connection";
/// A message of more bytes is written piece by piece by the thread that sends it.
const LARGE: usize = 256 * 1024;
/// The size of the pieces: a multiple of four, so that the mask begins anew with each.
const PIECE: usize = 128 * 1024;
/// The largest buffer that the writing half keeps.
const KEPT: usize = 512 * 1024;
/// The rest of a message that is still finished after its sender was interrupted.
const FINISHED: usize = 16 * 1024 * 1024;
