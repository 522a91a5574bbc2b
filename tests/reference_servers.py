"""Servers made of `websockets` and of `wsproto`, which send every message back.

They are scripts for a `RawServer`: the two implementations do no I/O. What they have
understood is kept, to be compared with what was sent.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    Request as WsprotoRequest,
    TextMessage,
)

from references import FixedDeflate, FixedWsprotoDeflate


if TYPE_CHECKING:
    from raw_server import Peer


@dataclass
class Heard:
    """What a server has understood of a client, in the order of each kind.

    Attributes:
        messages: Messages.
        fragments: How many frames each of them had.
        pings: The payloads of Pings.
        pongs: The payloads of Pongs.
        close: The code and the reason of the Close frame.
        failure: Why the connection was failed; None if it was not.
        header: What the server has agreed upon; None without compression.
    """

    messages: list[str | bytes] = field(default_factory=list)
    fragments: list[int] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: tuple[int, str] | None = None
    failure: object = None
    header: str | None = None


class WebsocketsServer:
    """A server made of `websockets`.

    Args:
        parameters: What it wants of permessage-deflate; None for no compression.
    """

    def __init__(self, parameters: dict[str, Any] | None) -> None:
        self.parameters = parameters
        self.heard = Heard()
        self._is_text = False
        self._pieces: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        """Serve a connection until it ends."""
        extensions = None
        if self.parameters is not None:
            extensions = [ServerPerMessageDeflateFactory(**self.parameters)]
        protocol = ServerProtocol(extensions=extensions, max_size=None)
        while data := peer.sock.recv(1 << 16):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    self._accept(protocol, event)
                else:
                    self._note(protocol, event)
            for data in protocol.data_to_send():
                if data:
                    peer.sock.sendall(data)
                else:
                    peer.sock.shutdown(socket.SHUT_WR)
        self.heard.failure = protocol.parser_exc

    def _accept(self, protocol: ServerProtocol, request: Request) -> None:
        response = protocol.accept(request)
        self.heard.header = response.headers.get("Sec-WebSocket-Extensions")
        protocol.send_response(response)
        for extension in protocol.extensions:
            # What is too far back is found by ours only.
            extension.__class__ = FixedDeflate
            extension.decoder = None

    def _note(self, protocol: ServerProtocol, frame: Any) -> None:
        payload = bytes(frame.data)
        if frame.opcode is Opcode.PING:
            self.heard.pings.append(payload)
        elif frame.opcode is Opcode.PONG:
            self.heard.pongs.append(payload)
        elif frame.opcode is Opcode.CLOSE:
            close = Close.parse(payload)
            self.heard.close = (int(close.code), close.reason)
        else:
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
                assert frame.opcode in (Opcode.TEXT, Opcode.BINARY)
            self._pieces.append(payload)
            if frame.fin:
                self._finish(protocol)

    def _finish(self, protocol: ServerProtocol) -> None:
        message = b"".join(self._pieces)
        self.heard.fragments.append(len(self._pieces))
        self._pieces.clear()
        if self._is_text:
            self.heard.messages.append(message.decode())
            protocol.send_text(message)
        else:
            self.heard.messages.append(message)
            protocol.send_binary(message)


class WsprotoServer:
    """A server made of `wsproto`.

    Args:
        parameters: What it wants of permessage-deflate; None for no compression.
    """

    def __init__(self, parameters: dict[str, Any] | None) -> None:
        self.extension = None
        if parameters is not None:
            self.extension = FixedWsprotoDeflate(**parameters)
        self.heard = Heard()
        self._parts: list[Any] = []
        self._frames = 0

    def __call__(self, peer: Peer) -> None:
        """Serve a connection until it ends."""
        connection = WSConnection(ConnectionType.SERVER)
        while not self.heard.close and (data := peer.sock.recv(1 << 16)):
            connection.receive_data(data)
            for event in connection.events():
                peer.sock.sendall(self._answer(connection, event))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait_eof()

    def _answer(self, connection: WSConnection, event: Any) -> bytes:
        heard = self.heard
        if isinstance(event, WsprotoRequest):
            extensions = [self.extension] if self.extension else []
            raw = connection.send(AcceptConnection(extensions=extensions))
            if self.extension and self.extension.enabled():
                heard.header = repr(self.extension)
                self.extension.peer_bits = self.extension.client_max_window_bits
            return raw
        if isinstance(event, Ping):
            heard.pings.append(bytes(event.payload))
            return connection.send(event.response())
        if isinstance(event, Pong):
            heard.pongs.append(bytes(event.payload))
            return b""
        if isinstance(event, CloseConnection):
            heard.close = (int(event.code), event.reason or "")
            return connection.send(event.response())
        return self._note(connection, event)

    def _note(self, connection: WSConnection, event: Message) -> bytes:
        assert isinstance(event, (TextMessage, BytesMessage))
        self._parts.append(event.data)
        self._frames += event.frame_finished
        if not event.message_finished:
            return b""
        message = type(event.data)().join(self._parts)
        self.heard.messages.append(message)
        self.heard.fragments.append(self._frames)
        self._parts.clear()
        self._frames = 0
        return connection.send(type(event)(data=message))
