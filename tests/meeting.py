"""Where our client meets `websockets` and `wsproto`, and how far they may differ.

The same bytes of a server go to all three, and whatever they make of them has to be the
same: messages, Pongs, Close frames, and the exception. Where it is not, the reason
stands in `DIFFERENCES`; anything else is a fault of one of the three.
"""

from __future__ import annotations

import random
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from raw_server import MS, Peer
from references import Outcome, control_frames, with_websockets, with_wsproto
from support import QUICK
from websocket_rs.exceptions import ConnectionClosed
from websocket_rs.sync_client import connect


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conversations import Conversation


@dataclass(frozen=True)
class Difference:
    """A difference that is accepted.

    Attributes:
        reason: Why it is none of our faults.
        applies: Tells whether it explains a difference, by what we, they, and the
            other ones have made of a conversation.
    """

    reason: str
    applies: Callable[[Outcome, Outcome, Outcome], bool]


def same_messages(ours: Outcome, theirs: Outcome) -> bool:
    """Tell whether both agree upon what came before the end."""
    return (ours.messages, ours.pongs) == (theirs.messages, theirs.pongs)


DIFFERENCES = {
    "late UTF-8": Difference(
        "websockets validates a text when the program takes the message; we, and "
        "wsproto, as it arrives (RFC 6455, section 8.1, says `fail`)",
        lambda ours, theirs, other: ours == other and ours.sent == 1007,
    ),
    "late frame": Difference(
        "websockets looks at a frame when all of it has come; we look at the header "
        "and at each piece, as wsproto does, so that nothing is awaited in vain",
        lambda ours, theirs, other: (
            ours == other and ours.sent == 1002 and theirs.sent in (None, 1007, 1009)
        ),
    ),
    "shortest length": Difference(
        "websockets takes a length in more bytes than it needs; `the minimal number of "
        "bytes MUST be used` (RFC 6455, section 5.2)",
        lambda ours, theirs, other: ours == other and ours.sent == 1002,
    ),
    "close between fragments": Difference(
        "websockets fails when a Close frame comes inside of a fragmented message; "
        "control frames may (RFC 6455, section 5.4)",
        lambda ours, theirs, other: (
            ours == other
            and ours.rcvd == ours.sent == theirs.rcvd
            and theirs.sent == 1002
        ),
    ),
    "bad gateway": Difference(
        "wsproto does not know the close code 1014, which was registered later",
        lambda ours, theirs, other: (
            ours == other and theirs.sent == 1002 and 1014 in (ours.rcvd, None)
        ),
    ),
    "no limit": Difference(
        "wsproto has no limit for the size of a message",
        lambda ours, theirs, other: ours == other and ours.sent == 1009,
    ),
    "text before corruption": Difference(
        "the others drop what was inflated before a fault in the compression; we "
        "validate it first, so that bad UTF-8 in it does not depend on what follows",
        lambda ours, theirs, other: (
            ours.sent == 1007
            and {theirs.sent, other.sent} <= {None, 1002}
            and same_messages(ours, theirs)
        ),
    ),
}


def explain(
    ours: Outcome, theirs: Outcome, other: Outcome, names: Iterable[str]
) -> str | None:
    """Return the first of these reasons that explains a difference, if any does."""
    for name in names:
        if DIFFERENCES[name].applies(ours, theirs, other):
            return name
    return None


class Meeting:
    """Holds conversations with our client, each over a connection of its own."""

    def __init__(self, raw_server: Callable) -> None:
        self.conversations: list[Conversation] = []
        self.wires: dict[int, bytes] = {}
        self.server = raw_server(self._script)

    def _script(self, peer: Peer) -> None:
        number = int(peer.read_request().target[1:])
        conversation, chance = self.conversations[number], random.Random(number)
        headers = []
        if conversation.agreement:
            headers = [f"Sec-WebSocket-Extensions: {conversation.agreement.header}"]
        raw = conversation.raw
        early = chance.randrange(len(raw) + 1) if chance.random() < 0.2 else 0
        peer.sock.sendall(peer.response(*headers) + raw[:early])
        most = chance.choice([1, 30, 1000, 1 << 20])
        while early < len(raw):
            size = chance.randrange(most) + 1
            peer.sock.sendall(raw[early : early + size])
            early += size
            if chance.random() < 0.03:
                # Segments that come late are read one by one, more often than not.
                time.sleep(0.5 * MS * chance.random())
        peer.sock.shutdown(socket.SHUT_WR)
        wire = bytearray()
        while data := peer.sock.recv(1 << 16):
            wire += data
        self.wires[number] = bytes(wire)

    def hold(self, conversations: Iterable[Conversation]) -> list[Outcome]:
        """Return what our client makes of each of the conversations."""
        start = len(self.conversations)
        self.conversations += conversations
        outcomes = [
            self._receive(number) for number in range(start, len(self.conversations))
        ]
        self.server.join()
        for number, outcome in enumerate(outcomes, start):
            note = self.conversations[number].note
            outcome.pongs, sent = control_frames(self.wires[number])
            assert sent == outcome.sent, f"{note}: {sent} is on the wire"
        return outcomes

    def _receive(self, number: int) -> Outcome:
        conversation, outcome = self.conversations[number], Outcome()
        compression = "deflate" if conversation.agreement else None
        url = f"{self.server.url}/{number}"
        with connect(url, compression=compression, **QUICK) as ws:
            with pytest.raises(ConnectionClosed) as caught:
                outcome.messages.extend(iter(ws.recv, None))
            closed = caught.value
            if closed.rcvd:
                outcome.rcvd, outcome.reason = closed.rcvd.code, closed.rcvd.reason
            outcome.sent = closed.sent and closed.sent.code
            assert type(closed).__name__ == outcome.error, conversation.note
        return outcome


def hold(
    raw_server: Callable, conversations: list[Conversation]
) -> list[tuple[Conversation, Outcome]]:
    """Return conversations, each with what our client makes of it."""
    outcomes = Meeting(raw_server).hold(conversations)
    return list(zip(conversations, outcomes, strict=True))


def compare(
    conversation: Conversation, ours: Outcome, names: Iterable[str]
) -> list[str]:
    """Compare our outcome with both others, and return the reasons of differences."""
    outcomes = [with_websockets(conversation), with_wsproto(conversation)]
    reasons = []
    for theirs, other in [outcomes, reversed(outcomes)]:
        if ours == theirs:
            continue
        reason = explain(ours, theirs, other, names)
        if reason is None:
            pytest.fail(
                f"{conversation}:\n"
                f"  ours:       {ours}\n"
                f"  websockets: {outcomes[0]}\n  wsproto:    {outcomes[1]}",
                pytrace=False,
            )
        reasons.append(reason)
    return reasons
