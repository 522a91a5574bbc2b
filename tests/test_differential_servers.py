"""The client before servers made of other implementations: `websockets` and `wsproto`.

Whatever it sends has to be accepted by both, and to be what was meant; whatever they
send back, compressed in their way, has to come out the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake as OtherInvalidHandshake
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory as OtherFactory,
)
from websockets.headers import build_extension
from websockets.uri import parse_uri

from conversations import random_bytes, random_size, random_text
from reference_servers import WebsocketsServer, WsprotoServer
from support import QUICK
from websocket_rs import async_client, sync_client
from websocket_rs.exceptions import InvalidHeaderFormat, NegotiationError
from websocket_rs.extensions.permessage_deflate import ClientPerMessageDeflateFactory


if TYPE_CHECKING:
    from raw_server import Peer


SERVERS = [WebsocketsServer, WsprotoServer]
LARGE = [65_535, 70_000, 300_000]
OFFERS: list[dict[str, Any]] = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 10},
    {"client_max_window_bits": None},
    {"client_max_window_bits": 9},
    {
        "server_no_context_takeover": True,
        "client_no_context_takeover": True,
        "server_max_window_bits": 9,
        "client_max_window_bits": 12,
    },
]
WISHES: list[dict[str, Any]] = [
    {},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
]
"""What servers want; both of them know these parameters."""


def random_calls(seed: int) -> list[tuple[str, Any]]:
    """Return names of methods, each with its argument."""
    chance = random.Random(seed)
    calls: list[tuple[str, Any]] = []
    for number in range(chance.randrange(3, 12)):
        size = random_size(chance)
        kind = chance.choice([random_text, random_bytes])
        match chance.randrange(5):
            case 0:
                pieces = range(chance.randrange(1, 5))
                calls.append(("send", [kind(chance, size) for _ in pieces]))
            case 1:
                payload = number.to_bytes(2, "big") + chance.randbytes(size % 124)
                calls.append(("ping", payload))
            case 2:
                calls.append(("pong", chance.randbytes(size % 126)))
            case _:
                calls.append(("send", kind(chance, size)))
    if seed % 16 == 0:
        size = chance.choice(LARGE)
        calls.append(("send", random_text(chance, size // 2)))
        calls.append(("send", random_bytes(chance, size)))
    return calls


def joined(argument: Any) -> str | bytes:
    """Return the message that fragments are sent for."""
    if not isinstance(argument, list):
        return argument
    return type(argument[0])().join(argument)


def fragments_of(argument: Any) -> int:
    """Return how many frames a message is sent in."""
    return len(argument) + 1 if isinstance(argument, list) else 1


def check(server: Any, calls: list[tuple[str, Any]], received: list[Any]) -> None:
    """Compare what was understood and what came back with what was sent."""
    arguments = [argument for method, argument in calls if method == "send"]
    heard = server.heard
    assert heard.failure is None
    assert heard.messages == [joined(argument) for argument in arguments]
    assert heard.fragments == [fragments_of(argument) for argument in arguments]
    assert heard.pings == [argument for method, argument in calls if method == "ping"]
    assert heard.pongs == [argument for method, argument in calls if method == "pong"]
    assert heard.close == (4000, "grüße")
    assert received == heard.messages


def use_sync(url: str, options: dict[str, Any], calls: list) -> list[Any]:
    """Make the calls of a sync client, and return the messages that came back."""
    with sync_client.connect(url, **options, **QUICK) as ws:
        received, waiters = [], []
        for method, argument in calls:
            waiter = getattr(ws, method)(argument)
            if method == "send":
                received.append(ws.recv())
            elif method == "ping":
                waiters.append(waiter)
        assert all(waiter.wait(QUICK["receive_timeout"]) for waiter in waiters)
        ws.close(4000, "grüße")
    return received


async def use_async(url: str, options: dict[str, Any], calls: list) -> list[Any]:
    """Make the calls of an asyncio client, several ahead of what comes back."""
    async with async_client.connect(url, **options, **QUICK) as ws:
        waiters = []

        async def send() -> None:
            for method, argument in calls:
                waiter = await getattr(ws, method)(argument)
                if method == "ping":
                    waiters.append(waiter)

        sending = asyncio.create_task(send())
        count = sum(method == "send" for method, _ in calls)
        received = [await ws.recv() for _ in range(count)]
        await sending
        await asyncio.gather(*waiters)
        await ws.close(4000, "grüße")
    return received


@pytest.mark.parametrize("kind", SERVERS)
def test_send_without_compression(raw_server, kind):
    """What is sent is what other servers understand, and comes back."""
    for seed in range(40):
        server, calls = kind(None), random_calls(seed)
        raw = raw_server(server)
        received = use_sync(raw.url, {"compression": "deflate"}, calls)
        raw.join()
        assert server.heard.header is None
        check(server, calls, received)


@pytest.mark.parametrize("wish", WISHES, ids=" ".join)
@pytest.mark.parametrize("kind", SERVERS)
def test_send_compressed(raw_server, kind, wish):
    """What is sent compressed is what other servers inflate, whatever was agreed."""
    for number, offer in enumerate(OFFERS):
        for seed in range(8 * number, 8 * number + 3):
            server, calls = kind(wish), random_calls(seed)
            raw = raw_server(server)
            extension = ClientPerMessageDeflateFactory(**offer)
            received = use_sync(raw.url, {"extensions": [extension]}, calls)
            raw.join()
            assert server.heard.header, "the server has agreed"
            check(server, calls, received)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("bits", [9, 11, 15])
@pytest.mark.parametrize("kind", SERVERS)
def test_send_compressed_window(raw_server, kind, bits, level):
    """Nothing that is sent refers to more than the window that the server wants."""
    wish = {"client_max_window_bits": bits, "server_max_window_bits": bits}
    chance = random.Random(bits)
    # What comes again is just out of the smallest window.
    pattern = chance.randbytes(300).hex()
    calls = [("send", chance.randbytes(20).hex() + pattern) for _ in range(20)]
    calls.append(("send", [pattern, pattern, "", pattern * 20]))
    server = kind(wish)
    raw = raw_server(server)
    extension = ClientPerMessageDeflateFactory(
        server_max_window_bits=bits, compress_settings={"level": level}
    )
    received = use_sync(raw.url, {"extensions": [extension]}, calls)
    raw.join()
    check(server, calls, received)


@pytest.mark.parametrize("kind", SERVERS)
async def test_send_async(raw_server, kind):
    """What the asyncio client sends is what other servers understand."""
    for number, offer in enumerate([None, *OFFERS]):
        server, calls = kind(WISHES[number % 4]), random_calls(4 * number)
        raw = raw_server(server)
        factory = offer is not None and ClientPerMessageDeflateFactory(**offer)
        options = {"extensions": [factory]} if factory else {}
        received = await use_async(raw.url, options, calls)
        await asyncio.to_thread(raw.join)
        check(server, calls, received)


# The negotiation.


GOOD = [
    "permessage-deflate",
    "permessage-deflate;server_no_context_takeover",
    "permessage-deflate ;\tclient_no_context_takeover",
    'permessage-deflate; client_max_window_bits = "10"',
    ",permessage-deflate,,",
]
ANSWERS = [
    *GOOD,
    *[
        f"permessage-deflate; {parameters}"
        for parameters in [
            *(f"server_max_window_bits={bits}" for bits in range(7, 17)),
            *(f"client_max_window_bits={bits}" for bits in [7, *range(9, 17)]),
            "server_max_window_bits=010",
            "client_max_window_bits=+10",
            "client_max_window_bits='10'",
            'server_max_window_bits=""',
            'server_max_window_bits="10',
            "server_max_window_bits",
            "client_max_window_bits",
            "server_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits=10; server_max_window_bits=10",
            "SERVER_NO_CONTEXT_TAKEOVER",
            "server no_context_takeover",
            "server_max_window_bits=10 x",
            "unknown",
            "unknown=1",
            "=1",
            "",
            ";",
            "server_no_context_takeover; server_max_window_bits=9",
            "server_no_context_takeover; server_max_window_bits=10; "
            "client_no_context_takeover; client_max_window_bits=11",
        ]
    ],
    "permessage-deflate, permessage-deflate",
    "permessage-deflate, unknown",
    "unknown, permessage-deflate",
    "Permessage-Deflate",
    '"permessage-deflate"',
    "x-webkit-deflate-frame",
    "permessage-deflate unknown",
]


def other_accepts(factory: OtherFactory, answer: str) -> bool:
    """Tell whether `websockets` accepts a server's answer."""
    protocol = ClientProtocol(parse_uri("ws://localhost"), extensions=[factory])
    try:
        protocol.process_extensions(Headers({"Sec-WebSocket-Extensions": answer}))
    except OtherInvalidHandshake:
        return False
    return True


@pytest.mark.parametrize("offer", OFFERS, ids=" ".join)
def test_connect_extension_answers(raw_server, offer):
    """Of the answers that a server may give, those are accepted that others accept."""
    answers, requests = iter(ANSWERS), []

    def script(peer: Peer) -> None:
        answer = next(answers)
        peer.accept_handshake(f"Sec-WebSocket-Extensions: {answer}")
        requests.append(peer.request.one("Sec-WebSocket-Extensions"))
        # A client that does not agree sends nothing.
        with contextlib.suppress(EOFError, ConnectionError):
            peer.answer_close()

    url, other = raw_server(script).url, OtherFactory(**offer)
    extension = ClientPerMessageDeflateFactory(**offer)
    accepted = []
    for answer in ANSWERS:
        try:
            ws = sync_client.connect(url, extensions=[extension], **QUICK)
        except (NegotiationError, InvalidHeaderFormat):
            pass
        else:
            ws.close()
            accepted.append(answer)
    assert accepted == [answer for answer in ANSWERS if other_accepts(other, answer)]
    assert accepted
    offered = [(other.name, other.get_request_params())]
    assert set(requests) == {build_extension(offered)}
