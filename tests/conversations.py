"""Conversations for the differential tests: what a server may send, and may not.

Everything is made of seeded randomness, so a number names a conversation for good.
Frames and compression are made by `raw_server` and by the `zlib` of Python, which share
no code with the package under test.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field, replace

from raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    encode_frame,
)


ALPHABETS = ["ab", "The quick brown fox, ", "aé✓🎉", "κόσμε grüße 日本語 "]
CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 3000, 4000, 4999]
COMPRESSED = 4
"""The reserved bit of a compressed message, RSV1."""


@dataclass(frozen=True)
class Agreement:
    """What was agreed upon of permessage-deflate (RFC 7692)."""

    server_alone: bool = False
    client_alone: bool = False
    server_bits: int = 15
    client_bits: int = 15

    @property
    def header(self) -> str:
        """The value of the response's header, with no more parameters than needed."""
        parameters = ["permessage-deflate"]
        if self.server_alone:
            parameters.append("server_no_context_takeover")
        if self.client_alone:
            parameters.append("client_no_context_takeover")
        if self.server_bits != 15:
            parameters.append(f"server_max_window_bits={self.server_bits}")
        if self.client_bits != 15:
            parameters.append(f"client_max_window_bits={self.client_bits}")
        return "; ".join(parameters)


@dataclass(frozen=True)
class Conversation:
    """All the bytes that a server sends before it ends the stream.

    Attributes:
        frames: The bytes, cut where frames were before a mutation.
        agreement: What was agreed upon; None for no compression.
        note: How it came about, for the reader of a failure.
    """

    frames: tuple[bytes, ...]
    agreement: Agreement | None = None
    note: str = ""

    @property
    def raw(self) -> bytes:
        """The bytes as they are sent."""
        return b"".join(self.frames)

    def __str__(self) -> str:
        """Return how it came about, and how its frames begin."""
        lines = [f"{self.note}, {self.agreement}"]
        for frame in self.frames:
            lines.append(f"    {len(frame):6} bytes: {frame[:32].hex(' ')}")
        return "\n".join(lines)


def random_agreement(chance: random.Random) -> Agreement:
    """Return one of the agreements that every implementation can keep."""
    return Agreement(
        server_alone=chance.random() < 0.5,
        client_alone=chance.random() < 0.5,
        server_bits=chance.choice([9, 10, 12, 15, 15]),
        client_bits=chance.choice([9, 10, 12, 15, 15]),
    )


def random_text(chance: random.Random, size: int) -> str:
    """Return text of that many characters, which compress more or less well."""
    return "".join(chance.choices(chance.choice(ALPHABETS), k=size))


def random_bytes(chance: random.Random, size: int) -> bytes:
    """Return bytes, which compress very well or not at all."""
    if chance.random() < 0.5:
        return chance.randbytes(size)
    return (chance.randbytes(7) * (size // 7 + 1))[:size]


def random_size(chance: random.Random) -> int:
    """Return a size, of those where something changes more often than others."""
    edges = [0, 0, 1, 2, 47, 48, 125, 126, 127, 300]
    return chance.choice(edges) if chance.random() < 0.6 else chance.randrange(1500)


def cut(chance: random.Random, raw: bytes, most: int) -> list[bytes]:
    """Return the bytes in at most that many pieces, some of which may be empty."""
    places = sorted(
        chance.randrange(len(raw) + 1) for _ in range(chance.randrange(most))
    )
    return [
        raw[start:end]
        for start, end in zip([0, *places], [*places, len(raw)], strict=True)
    ]


@dataclass
class Deflater:
    """Compresses messages as a server may, in as many ways as `zlib` has."""

    chance: random.Random
    agreement: Agreement
    state: zlib._Compress | None = field(default=None)

    def deflate(self, message: bytes) -> bytes:
        """Return the payload of a compressed message (RFC 7692, section 7.2.1)."""
        if self.state is None or self.agreement.server_alone:
            self.state = zlib.compressobj(
                level=self.chance.choice([0, 1, 6, 9]),
                wbits=-self.agreement.server_bits,
                memLevel=self.chance.randint(1, 9),
                strategy=self.chance.randint(zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED),
            )
        payload = b""
        for piece in cut(self.chance, message, 4):
            payload += self.state.compress(piece)
            payload += self.state.flush(
                self.chance.choice([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH])
            )
        payload += self.state.flush(zlib.Z_FULL_FLUSH)
        # A flush with nothing to flush writes nothing.
        return payload[:-4] if payload.endswith(b"\0\0\xff\xff") else b"\0"


def random_control(chance: random.Random) -> bytes:
    """Return a Ping, or a Pong that nobody has asked for."""
    payload = chance.randbytes(chance.choice([0, 1, 4, 125]))
    return encode_frame(chance.choice([PING, PING, PONG]), payload)


def random_message(chance: random.Random, deflater: Deflater | None) -> list[bytes]:
    """Return the frames of a message, with control frames in between."""
    size = random_size(chance)
    if chance.random() < 0.5:
        opcode, payload = TEXT, random_text(chance, size).encode()
    else:
        opcode, payload = BINARY, random_bytes(chance, size)
    rsv = 0
    if deflater is not None and chance.random() < 0.7:
        rsv, payload = COMPRESSED, deflater.deflate(payload)
    pieces = cut(chance, payload, chance.choice([1, 1, 2, 5]))
    frames = []
    for number, piece in enumerate(pieces, 1):
        fin = number == len(pieces)
        frames.append(encode_frame(opcode, piece, fin=fin, rsv=rsv))
        opcode, rsv = CONTINUATION, 0
        if not fin and chance.random() < 0.3:
            frames.append(random_control(chance))
    return frames


def valid_conversation(seed: int) -> Conversation:
    """Return messages and control frames that break no rule."""
    chance = random.Random(seed)
    agreement = random_agreement(chance) if chance.random() < 0.6 else None
    deflater = Deflater(chance, agreement) if agreement else None
    frames: list[bytes] = []
    for _ in range(chance.randrange(6)):
        if chance.random() < 0.3:
            frames.append(random_control(chance))
        frames += random_message(chance, deflater)
    end = chance.random()
    if end < 0.3:
        code, reason = chance.choice(CLOSE_CODES), random_text(chance, 20)
        frames.append(encode_frame(CLOSE, close_payload(code, reason)))
    elif end < 0.6:
        frames.append(encode_frame(CLOSE))
    return Conversation(tuple(frames), agreement, f"valid {seed}")


def mutated_conversation(seed: int) -> Conversation:
    """Return a conversation of which something was changed after it was made."""
    chance = random.Random(seed)
    original = valid_conversation(chance.randrange(1 << 30))
    while not original.frames:
        original = valid_conversation(chance.randrange(1 << 30))
    frames = list(original.frames)
    at = chance.randrange(len(frames))
    frame = bytearray(frames[at])
    # The header is short, and most rules are about it.
    place = chance.randrange(
        len(frame) if chance.random() < 0.5 else min(4, len(frame))
    )
    mutation = chance.choice(
        ["bit", "byte", "add", "drop", "cut", "twice", "move", "lose"]
    )
    if mutation == "bit":
        frame[place] ^= 1 << chance.randrange(8)
    elif mutation == "byte":
        frame[place] = chance.randrange(256)
    elif mutation == "add":
        frame.insert(place, chance.randrange(256))
    elif mutation == "drop":
        del frame[place]
    elif mutation == "cut":
        del frame[place:], frames[at + 1 :]
    frames[at] = bytes(frame)
    if mutation == "twice":
        frames.insert(at, frames[at])
    elif mutation == "move":
        frames.insert(chance.randrange(len(frames)), frames.pop(at))
    elif mutation == "lose":
        del frames[at]
    note = f"mutated {seed}: {mutation} at {place} of frame {at}, {original.note}"
    return replace(original, frames=tuple(frames), note=note)
