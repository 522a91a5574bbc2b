"""The opening handshake: each answer that a server can give, and what comes of it.

Every answer is given in one segment and byte by byte, in the clear and over TLS. The
rules are in the core, so the sync client stands for both; a few rows at the end go
through the asyncio client. Refusals with their bodies are in
`test_opening_refusal.py`; times, sizes and ends of the stream in
`test_opening_stream.py`.
"""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidHeaderFormat as OtherHeaderFormat
from websockets.headers import parse_extension

from answers import ACCEPT, CUTS, answer, head, refused
from raw_server import Peer, messages
from websocket_rs.async_client import connect as connect_async
from websocket_rs.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
    SecurityError,
)
from websocket_rs.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websocket_rs.sync_client import connect


# Test acceptance.

ACCEPTED = {
    "plain": head(),
    "other case": head(
        upgrade="UPGRADE:WebSocket",
        connection="connection:\tUPGRADE\t",
        accept="sec-websocket-accept:\t {accept} \t",
    ),
    "list": head(connection="Connection: keep-alive, Upgrade"),
    "two lines": head(connection="Connection: keep-alive\r\nConnection: upgrade"),
    "empty elements": head(connection="Connection: ,, upgrade ,"),
    "unusual reason": head(status="HTTP/1.1 101 \tWeb Socket Protocol Handshake\x80"),
    "empty reason": head(status="HTTP/1.1 101 "),
    "no reason": head(status="HTTP/1.1 101"),
    "latin-1": head("X-Name: \xe9\xff", "X-Not-UTF-8: \xc0\x80\xed\xa0\x80\xf5"),
    "empty value": head("X-Empty:", "X-Blank:  \t"),
    "odd name": head("!#$%&'*+-.^_`|~09Az: x"),
    "repeated": head("Set-Cookie: a=1", "Set-Cookie: b=2", "Set-Cookie: a=1"),
    # RFC 9112, section 2.2: a recipient may take these for what they mean.
    "empty lines first": "\r\n\r\n" + head(),
    "LF": head("X-Line: y").replace("\r\n", "\n"),
    "one LF": head("X-Line: y").replace("\r\n", "\n", 1),
    # RFC 9112, section 6.3: a 101 has no body, whatever its headers say.
    "length": head("Content-Length: 5"),
    "huge length": head(f"Content-Length: {1 << 70}"),
    "chunked": head("Transfer-Encoding: chunked"),
    "128 headers": head(*["X-Header: y"] * 125),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_connect_acceptance(scripted, text):
    """What the rules allow is accepted, and the frame behind it is the first one."""
    frames = messages("hi").decode("latin-1")
    address = scripted(answer(text + frames, *CUTS, then=Peer.answer_close))
    for _ in CUTS:
        with connect(address.url, **address.options) as ws:
            assert ws.recv() == "hi"
            assert ws.subprotocol is None


INTERIM = {
    "100": "HTTP/1.1 100 Continue\r\n\r\n",
    "103": "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "five": "HTTP/1.1 102 Processing\r\n\r\n" * 5,
    "misleading": "HTTP/1.1 103 \r\nSec-WebSocket-Protocol: x\r\nUpgrade: y\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_connect_interim_responses(scripted, interim):
    """Interim responses are passed over, and what they say counts for nothing."""
    address = scripted(answer(interim + head(), *CUTS, then=Peer.answer_close))
    for _ in CUTS:
        connect(address.url, **address.options).close()
    refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    exc = refused(scripted, interim + refusal)
    assert type(exc) is InvalidStatus
    assert (exc.response.status_code, exc.response.body) == (403, b"no")


# Test the headers of the handshake.

KEY, UP, CO = "Sec-WebSocket-Accept", "Upgrade", "Connection"

WRONG_HEADERS = [
    (head(accept=None), InvalidHeader, KEY, None),
    (head(accept=f"{KEY}:"), InvalidHeaderValue, KEY, ""),
    (head(accept=f"{KEY}: d3Jvbmc="), InvalidHeaderValue, KEY, "d3Jvbmc="),
    (head(accept=f"{KEY}: a,b"), InvalidHeaderValue, KEY, "a,b"),
    (head(accept=f"{KEY}: \xe9"), InvalidHeaderValue, KEY, "\xe9"),
    (head(upgrade=None), InvalidUpgrade, UP, None),
    (head(upgrade="Upgrade: h2c"), InvalidUpgrade, UP, "h2c"),
    (head(upgrade="Upgrade: websockets"), InvalidUpgrade, UP, "websockets"),
    (head(upgrade="Upgrade: websocket/13"), InvalidUpgrade, UP, "websocket/13"),
    (head(upgrade="Upgrade: h2c, websocket"), InvalidUpgrade, UP, "h2c, websocket"),
    (
        head(upgrade="Upgrade: websocket\r\nUpgrade: h2c"),
        InvalidUpgrade,
        UP,
        "websocket, h2c",
    ),
    (head(connection=None), InvalidUpgrade, CO, None),
    (head(connection="Connection: close"), InvalidUpgrade, CO, "close"),
    (head(connection="Connection: Upgraded"), InvalidUpgrade, CO, "Upgraded"),
    (
        head(connection="Connection: keep-alive\r\nConnection: x"),
        InvalidUpgrade,
        CO,
        "keep-alive, x",
    ),
]


@pytest.mark.parametrize(
    ("text", "error", "name", "value"),
    WRONG_HEADERS,
    ids=[f"{name}={value!a}" for _, _, name, value in WRONG_HEADERS],
)
def test_connect_wrong_header(scripted, text, error, name, value):
    """A header that is missing or wrong is named, with its value, as in websockets."""
    exc = refused(scripted, text)
    assert (type(exc), exc.name, exc.value) == (error, name, value)
    texts = {None: f"missing {name} header", "": f"empty {name} header"}
    assert str(exc) == texts.get(value, f"invalid {name} header: {value}")


NEARLY = {
    "key twice": (head(ACCEPT), InvalidHeader, KEY),
    "key and another": (head(f"{KEY}: d3Jvbmc="), InvalidHeader, KEY),
    "key in a list": (head(accept=ACCEPT + ", {accept}"), InvalidHeader, KEY),
    "key and more": (head(accept=ACCEPT + "="), InvalidHeaderValue, KEY),
    "key quoted": (head(accept=f'{KEY}: "{{accept}}"'), InvalidHeaderValue, KEY),
    # Only spaces and tabs surround a value (RFC 9110, section 5.5).
    "key and NBSP": (head(accept=ACCEPT + "\xa0"), InvalidHeaderValue, KEY),
    "key and NEL": (head(accept=ACCEPT + "\x85"), InvalidHeaderValue, KEY),
    "upgrade and NBSP": (head(upgrade="Upgrade: websocket\xa0"), InvalidHeader, UP),
    "upgrade twice": (head("Upgrade: websocket"), InvalidUpgrade, UP),
    "upgrade quoted": (head(upgrade='Upgrade: "websocket"'), InvalidHeader, UP),
    "upgrade empty": (head(upgrade="Upgrade:"), InvalidHeader, UP),
    "connection empty": (head(connection="Connection:"), InvalidHeader, CO),
    "connection ;": (head(connection="Connection: x; Upgrade"), InvalidHeader, CO),
    "connection NBSP": (head(connection="Connection: \xa0Upgrade"), InvalidHeader, CO),
}


@pytest.mark.parametrize(("text", "error", "name"), NEARLY.values(), ids=NEARLY)
def test_connect_nearly_right_header(scripted, text, error, name):
    """A header that only looks like the right one is refused by its name."""
    exc = refused(scripted, text)
    assert isinstance(exc, error)
    assert exc.name == name


# Test subprotocols and extensions.


@pytest.mark.parametrize("offered", [["superchat", "chat"], ["chat"]])
def test_connect_subprotocol_of_the_offer(scripted, offered):
    """The subprotocol is the one that the server chose, else None."""
    chosen = head("Sec-WebSocket-Protocol:\tchat ")
    for text, subprotocol in [(chosen, "chat"), (head(), None)]:
        address = scripted(answer(text, *CUTS, then=Peer.answer_close))
        for _ in CUTS:
            with connect(address.url, subprotocols=offered, **address.options) as ws:
                assert ws.subprotocol == subprotocol


SUBPROTOCOLS = {
    "unrequested": (None, ["chat"]),
    "another": (["chat"], ["news"]),
    "other case": (["chat"], ["Chat"]),
    "empty": (["chat"], [""]),
    "the offer": (["chat", "news"], ["chat, news"]),
    "two of the offer": (["chat", "news"], ["chat", "news"]),
    "one twice": (["chat"], ["chat", "chat"]),
    "with parameter": (["chat"], ["chat; v=1"]),
    "with NBSP": (["chat"], ["chat\xa0"]),
}


@pytest.mark.parametrize(("offered", "chosen"), SUBPROTOCOLS.values(), ids=SUBPROTOCOLS)
def test_connect_wrong_subprotocol(scripted, offered, chosen):
    """Anything but one subprotocol of the offer is a NegotiationError."""
    text = head(*[f"Sec-WebSocket-Protocol: {value}" for value in chosen])
    exc = refused(scripted, text, subprotocols=offered)
    assert type(exc) is NegotiationError
    assert all(value in str(exc) for value in chosen)


DEFLATE = "permessage-deflate"
BITS = ["0", "7", "16", "99", "08", "-9", "+9", "abc", f"{1 << 70}"]

EXTENSIONS = {
    "unknown": ["foo", "x-webkit-deflate-frame", f"{DEFLATE}, foo", f"foo, {DEFLATE}"],
    "twice": [f"{DEFLATE}, {DEFLATE}"],
    "server bits": [f"{DEFLATE}; server_max_window_bits={bits}" for bits in BITS],
    "client bits": [f"{DEFLATE}; client_max_window_bits={bits}" for bits in BITS],
    "no bits": [f"{DEFLATE}; {side}_max_window_bits" for side in ["server", "client"]],
    "repeated": [
        f"{DEFLATE}; server_max_window_bits=9; server_max_window_bits=9",
        f"{DEFLATE}; server_no_context_takeover; server_no_context_takeover",
    ],
    "value": [f"{DEFLATE}; server_no_context_takeover=1"],
    "unknown parameter": [f"{DEFLATE}; unknown", f"{DEFLATE}; unknown=1"],
}


@pytest.mark.parametrize("values", EXTENSIONS.values(), ids=EXTENSIONS)
def test_connect_wrong_extension(scripted, values):
    """An extension, or a parameter of one, that can't be meant fails the handshake."""
    for value in values:
        text = head(f"Sec-WebSocket-Extensions: {value}")
        exc = refused(scripted, text, compression="deflate")
        assert type(exc) is NegotiationError, ascii(value)


MALFORMED = [
    "", ",", ";", '"', "\xe9", f"{DEFLATE};", f"{DEFLATE} foo", f"foo, {DEFLATE}; =1",
    f"{DEFLATE}\xa0", f"{DEFLATE}; server_max_window_bits=9\xa0",
    f"{DEFLATE}; x=", f'{DEFLATE}; x="', f'{DEFLATE}; x=""', f'{DEFLATE}; x="1"2',
    f'{DEFLATE}; x="1,2"', f'{DEFLATE}; x="1\\"',
]  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED)
def test_connect_malformed_extension(scripted, value):
    """A header that can't be parsed is refused in the words of websockets."""
    with pytest.raises(OtherHeaderFormat) as theirs:
        parse_extension(value)
    text = head(f"Sec-WebSocket-Extensions: {value}")
    exc = refused(scripted, text, compression="deflate")
    assert type(exc) is InvalidHeaderFormat
    assert str(exc) == str(theirs.value)
    assert (exc.name, exc.value) == (theirs.value.name, theirs.value.value)


@pytest.mark.parametrize("value", ["", ",", DEFLATE, f"{DEFLATE}; unknown"])
def test_connect_extension_without_offer(scripted, value):
    """Where nothing is offered, nothing can be chosen."""
    exc = refused(scripted, head(f"Sec-WebSocket-Extensions: {value}"))
    assert type(exc) is NegotiationError


UNASKED = {
    "client bits": ({"client_max_window_bits": None}, "client_max_window_bits=10"),
    "more client bits": ({"client_max_window_bits": 9}, "client_max_window_bits=10"),
    "more server bits": ({"server_max_window_bits": 9}, "server_max_window_bits=10"),
    "no server bits": ({"server_max_window_bits": 9}, "client_max_window_bits=9"),
    "context": ({"server_no_context_takeover": True}, "client_no_context_takeover"),
}


@pytest.mark.parametrize(("offer", "parameter"), UNASKED.values(), ids=UNASKED)
def test_connect_extension_beyond_offer(scripted, offer, parameter):
    """Parameters that do not fit the offer fail the handshake."""
    text = head(f"Sec-WebSocket-Extensions: {DEFLATE}; {parameter}")
    offers = [ClientPerMessageDeflateFactory(**offer)]
    assert type(refused(scripted, text, extensions=offers)) is NegotiationError


CHOSEN = [
    DEFLATE,
    f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover",
    f"{DEFLATE}; server_max_window_bits=8; client_max_window_bits=15",
    f'{DEFLATE}\t;server_max_window_bits = "9" ;client_max_window_bits=10',
    f'{DEFLATE}; server_max_window_bits="1\\0"',
    f",, {DEFLATE} ,",
]


def test_connect_extension_of_the_offer(scripted):
    """What may be chosen of the offer is accepted, however it is spelled."""
    for value in CHOSEN:
        text = head(f"Sec-WebSocket-Extensions: {value}")
        address = scripted(answer(text, *CUTS, then=Peer.answer_close))
        for _ in CUTS:
            connect(address.url, compression="deflate", **address.options).close()


# Test what is no response.

NOT_HTTP = {
    "versions": [
        head(status="HTTP/1.0 101 Switching Protocols"),
        head(status="HTTP/2.0 101 Switching Protocols"),
        head(status="HTTP/2 101 Switching Protocols"),
        head(status="http/1.1 101 Switching Protocols"),
    ],
    "status lines": [
        head(status="HTTP/1.1  101 Switching Protocols"),
        head(status="HTTP/1.1\t101 Switching Protocols"),
        head(status=" HTTP/1.1 101 Switching Protocols"),
        head(status="HTTP/1.1 1O1 Switching Protocols"),
        head(status="HTTP/1.1 -101 Switching Protocols"),
        head(status="HTTP/1.1 10"),
    ],
    "other protocols": [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "220 mail.example.com ESMTP\r\n",
        "<!DOCTYPE html>\n<html>hello</html>\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        messages("hi").decode("latin-1"),
    ],
    "NUL": [
        head(status="HTTP/1.1 101 Swit\0ching"),
        head("X-Value: a\0b"),
        head("X\0Value: a"),
    ],
    "CR": [
        head(status="HTTP/1.1 101 Swit\rching"),
        head("X-Value: a\rb"),
        head().replace("\r\n", "\r"),
        head().replace("\r\n", "\r\r\n"),
    ],
    "other controls": [
        head(status="HTTP/1.1 403 \x1b[31mching"),
        head("X-Value: a\x1bb"),
        head("X-Value: a\x7fb"),
    ],
    "folded": [
        head("X-Value: a\r\n b"),
        head("X-Value: a\r\n\tb"),
        head(upgrade=" Upgrade: websocket"),
    ],
    "names": [
        head("X-Value : a"),
        head("X Value: a"),
        head("X-Valu\xe9: a"),
        head(": a"),
        head("X-Value"),
    ],
}


@pytest.mark.parametrize("texts", NOT_HTTP.values(), ids=NOT_HTTP)
def test_connect_no_http(scripted, texts):
    """What is no response of HTTP/1.1 is InvalidMessage, without awaiting its end."""
    for text in texts:
        exc = refused(scripted, text)
        assert type(exc) is InvalidMessage, ascii(text)
        assert str(exc) == "did not receive a valid HTTP response"
        assert isinstance(exc.__cause__, ValueError)
        assert str(exc.__cause__)


# Test the asyncio client.

ASYNC_ROWS = {
    "status": ("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", InvalidStatus),
    "header": (head(accept=f"{KEY}: d3Jvbmc="), InvalidHeaderValue),
    "upgrade": (head(upgrade=None), InvalidUpgrade),
    "extension": (head("Sec-WebSocket-Extensions: foo"), NegotiationError),
    "no HTTP": (head("X-Value: a\0b"), InvalidMessage),
    "too many headers": (head(*["X: y"] * 126), SecurityError),
}


@pytest.mark.parametrize(("text", "error"), ASYNC_ROWS.values(), ids=ASYNC_ROWS)
async def test_async_connect_refused(scripted, text, error):
    """The asyncio client raises what the sync client raises."""
    address = scripted(answer(text, *CUTS))
    for _ in CUTS:
        with pytest.raises(InvalidHandshake) as caught:
            await connect_async(address.url, **address.options)
        assert type(caught.value) is error


async def test_async_connect_acceptance(scripted):
    """The asyncio client gets the frame behind an acceptance as its first one."""
    frames = messages("hi").decode("latin-1")
    address = scripted(answer(head() + frames, *CUTS, then=Peer.answer_close))
    for _ in CUTS:
        async with connect_async(address.url, **address.options) as ws:
            assert await ws.recv() == "hi"
