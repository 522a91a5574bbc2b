"""Text as services send it: JSON of the same form, each time with other values."""

from __future__ import annotations

import functools
import json
import random


VARIANTS = 64


@functools.cache
def texts(size: int) -> list[str]:
    """Return different texts of about `size` bytes, the same for everyone."""
    chance = random.Random(size)
    return [text(size, number, chance) for number in range(VARIANTS)]


def text(size: int, number: int, chance: random.Random) -> str:
    """Return one text of `size` bytes, or a little more."""
    trades: list[dict[str, object]] = []
    message = {"channel": "trades", "sequence": number, "trades": trades}
    while len(json.dumps(message)) < size:
        trades.append(
            {
                "symbol": chance.choice(["BTC-USD", "ETH-USD", "SOL-EUR", "ADA-EUR"]),
                "price": f"{chance.uniform(1, 70_000):.2f}",
                "amount": round(chance.expovariate(2), 5),
                "side": chance.choice(["buy", "sell"]),
                "time": f"2025-01-31T12:{chance.randrange(60):02}:"
                f"{chance.uniform(0, 60):09.6f}Z",
            }
        )
    return json.dumps(message)
