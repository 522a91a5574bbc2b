"""Two other implementations of the protocol, driven without I/O.

`websockets` and `wsproto` share no code with each other nor with the package under
test. Both are given the bytes of a server, and tell what a client makes of them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import DATA_OPCODES, CloseCode, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from raw_server import CLOSE, PONG, TEXT, Frame, unmask


if TYPE_CHECKING:
    from conversations import Agreement, Conversation


OK_CODES = {1000, 1001, 1005}
MAX_SIZE = 2**27
STEP = 64


@dataclass
class Outcome:
    """What a client has made of a conversation.

    Attributes:
        messages: What the program has received.
        pongs: The payloads of the Pongs that were sent.
        rcvd: The code of the Close frame received; None without one.
        reason: The reason in it.
        sent: The code of the Close frame sent; None without one.
    """

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    rcvd: int | None = None
    reason: str = ""
    sent: int | None = None

    @property
    def error(self) -> str:
        """The name of the exception that ends the conversation."""
        ok = self.rcvd in OK_CODES and self.sent in OK_CODES
        return "ConnectionClosedOK" if ok else "ConnectionClosedError"


def client_frames(raw: bytes) -> list[Frame]:
    """Return the frames that a client has sent, which must be whole and masked."""
    frames, at = [], 0
    while at < len(raw):
        first, second = raw[at], raw[at + 1]
        at, size = at + 2, second & 0x7F
        if size == 126:
            (size,) = struct.unpack_from("!H", raw, at)
            at += 2
        elif size == 127:
            (size,) = struct.unpack_from("!Q", raw, at)
            at += 8
        assert second & 0x80, "a client's frame is not masked"
        mask, payload = raw[at : at + 4], raw[at + 4 : at + 4 + size]
        at += 4 + size
        assert at <= len(raw), "the client has ended the stream inside a frame"
        payload = unmask(bytearray(payload), mask)
        frames.append(Frame(bool(first & 0x80), first >> 4 & 7, first & 15, payload))
    return frames


def control_frames(raw: bytes) -> tuple[list[bytes], int | None]:
    """Return the payloads of the Pongs, and the code of the Close frame at the end."""
    frames = client_frames(raw)
    sent = None
    if frames and frames[-1].opcode == CLOSE:
        sent = frames.pop().close_code or 1005
    assert {frame.opcode for frame in frames} <= {PONG}
    return [frame.payload for frame in frames], sent


class Inflater:
    """What `zlib.decompressobj` returns, but stricter and with more patience.

    A final block is not the end: another may follow it (RFC 7692, section 7.2.1), which
    neither of the two implementations knows. And what refers to more than the window is
    refused, which zlib does only in small steps.
    """

    unconsumed_tail = b""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._state = zlib.decompressobj(wbits=-window_bits)

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        """Inflate data, behind as many final blocks as there are."""
        output, step = b"", b""
        while data or len(step) == STEP:
            step = self._state.decompress(data, STEP)
            output += step
            data = self._state.unconsumed_tail
            if self._state.eof:
                data = self._state.unused_data
                self._state = zlib.decompressobj(wbits=-self._window_bits)
        if max_length and len(output) > max_length:
            self.unconsumed_tail = b"more"
        return output[: max_length or None]

    def flush(self) -> bytes:
        """Return what is held back, which is nothing."""
        return b""


# websockets.


class FixedDeflate(PerMessageDeflate):
    """The extension of `websockets` with another inflater."""

    decoder = property(
        lambda self: self._inflater,
        lambda self, _: setattr(self, "_inflater", self._new_inflater()),
        lambda self: delattr(self, "_inflater"),
    )

    def _new_inflater(self) -> Inflater:
        return Inflater(self.remote_max_window_bits)

    def decode(self, frame: Any, *, max_size: int | None = None) -> Any:
        """Refuse what version 16 takes, the last one for Python 3.10."""
        if frame.opcode is Opcode.CONT and frame.rsv1:
            raise ProtocolError("RSV1 bit set in continuation frame")
        return super().decode(frame, max_size=max_size)


def websockets_deflate(agreement: Agreement) -> PerMessageDeflate:
    """Return the client's side of that agreement."""
    return FixedDeflate(
        remote_no_context_takeover=agreement.server_alone,
        local_no_context_takeover=agreement.client_alone,
        remote_max_window_bits=agreement.server_bits,
        local_max_window_bits=agreement.client_bits,
    )


def with_websockets(conversation: Conversation) -> Outcome:
    """Return what `websockets` makes of it, whose program takes messages at once."""
    uri = parse_uri("ws://localhost")
    protocol = ClientProtocol(uri, state=OPEN, max_size=MAX_SIZE)
    if conversation.agreement:
        protocol.extensions = [websockets_deflate(conversation.agreement)]
    outcome, wire, raw = Outcome(), b"", conversation.raw
    is_text, message, ended = False, b"", False
    step = 1 + len(raw) // 8192
    for start in range(0, len(raw), step):
        protocol.receive_data(raw[start : start + step])
        for frame in protocol.events_received():
            if frame.opcode not in DATA_OPCODES or ended:
                continue
            if frame.opcode is not Opcode.CONT:
                is_text, message = frame.opcode == TEXT, b""
            message += bytes(frame.data)
            if not frame.fin:
                continue
            try:
                outcome.messages.append(message.decode() if is_text else message)
            except UnicodeDecodeError:
                protocol.fail(CloseCode.INVALID_DATA)
                ended = True
        wire += b"".join(protocol.data_to_send())
    protocol.receive_eof()
    wire += b"".join(protocol.data_to_send())
    outcome.pongs, outcome.sent = control_frames(wire)
    exc = protocol.close_exc
    if exc.rcvd:
        outcome.rcvd, outcome.reason = int(exc.rcvd.code), exc.rcvd.reason
    assert outcome.sent == (exc.sent and exc.sent.code)
    assert outcome.error == type(exc).__name__
    return outcome


# wsproto.


class FixedWsprotoDeflate(WsprotoDeflate):
    """The extension of `wsproto` without a fault of version 1.3.

    After a control frame, that takes the rest of a compressed message for uncompressed.
    """

    peer_bits = 15
    _before: bool | None = None
    _decompressor = property(  # type: ignore[assignment]
        lambda self: vars(self).get("inflater"),
        lambda self, new: vars(self).update(inflater=new and self._new_inflater()),
    )

    def _new_inflater(self) -> Inflater:
        # The peer's window. A server's own is in the other attribute.
        return Inflater(self.peer_bits)

    def frame_inbound_header(self, proto: Any, opcode: Any, *args: Any) -> Any:
        """Remember what the message around a control frame is."""
        self._before = self._inbound_compressed
        return super().frame_inbound_header(proto, opcode, *args)

    def frame_inbound_complete(self, proto: Any, fin: bool) -> Any:
        """Go on with that message."""
        is_control = not self._inbound_is_compressible
        result = super().frame_inbound_complete(proto, fin)
        if is_control:
            self._inbound_compressed = self._before
        return result


def wsproto_deflate(agreement: Agreement) -> WsprotoDeflate:
    """Return either side of that agreement."""
    extension = FixedWsprotoDeflate()
    # It knows no window of 8, and does not need to: a larger one inflates as well.
    extension.finalize(agreement.header.replace("bits=8", "bits=9"))
    return extension


def with_wsproto(conversation: Conversation) -> Outcome:
    """Return what `wsproto` makes of it."""
    extensions = []
    if conversation.agreement:
        extensions.append(wsproto_deflate(conversation.agreement))
    connection = Connection(ConnectionType.CLIENT, extensions)
    connection.receive_data(conversation.raw)
    outcome, parts = Outcome(), []
    for event in connection.events():
        if isinstance(event, (TextMessage, BytesMessage)):
            parts.append(event.data)
            if event.message_finished:
                outcome.messages.append(type(event.data)().join(parts))
                parts.clear()
        elif isinstance(event, Ping):
            outcome.pongs.append(bytes(event.payload))
        elif isinstance(event, CloseConnection):
            corrupt = event.reason == "error in extension"
            outcome.sent = 1002 if corrupt else int(event.code)
            if connection.state is ConnectionState.REMOTE_CLOSING:
                outcome.rcvd, outcome.reason = outcome.sent, event.reason or ""
            break
    return outcome
