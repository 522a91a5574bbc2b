"""When and whether to connect again, after an attempt to connect has failed."""

from __future__ import annotations

import logging
import math
import os
import random

from ._client.names import other_name
from ._client.numbers import seconds
from .exceptions import InvalidMessage, InvalidStatus


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from .typing import LoggerLike


__all__ = ["backoff", "process_exception"]


def _seconds(name: str, default: float) -> float:
    return float(os.environ.get(f"WEBSOCKETS_BACKOFF_{name}", default))


BACKOFF_INITIAL_DELAY = _seconds("INITIAL_DELAY", 5.0)
BACKOFF_MIN_DELAY = _seconds("MIN_DELAY", 3.1)
BACKOFF_MAX_DELAY = _seconds("MAX_DELAY", 90.0)
BACKOFF_FACTOR = _seconds("FACTOR", 1.618)


def backoff(
    initial_delay: float = BACKOFF_INITIAL_DELAY,
    min_delay: float = BACKOFF_MIN_DELAY,
    max_delay: float = BACKOFF_MAX_DELAY,
    factor: float = BACKOFF_FACTOR,
) -> Generator[float, None, None]:
    """Yield the seconds to wait before each further attempt to connect.

    The first delay is random, so that clients that lost the same server don't come back
    all at once. The next ones grow exponentially. The defaults can be set by the
    environment variables ``WEBSOCKETS_BACKOFF_INITIAL_DELAY``, ``..._MIN_DELAY``,
    ``..._MAX_DELAY`` and ``..._FACTOR``, which are read when the package is imported.

    Args:
        initial_delay: The largest first delay, in seconds.
        min_delay: The second delay, in seconds.
        max_delay: The largest delay, in seconds.
        factor: By how much delays grow.
    """
    initial_delay = seconds("initial_delay", initial_delay) or 0.0
    min_delay = seconds("min_delay", min_delay) or 0.0
    max_delay = seconds("max_delay", max_delay) or 0.0
    factor = seconds("factor", factor) or 0.0
    yield random.random() * initial_delay
    delay = min_delay
    while delay < max_delay:
        yield delay
        delay *= factor
    while True:
        yield max_delay


def process_exception(exc: Exception) -> Exception | None:
    """Tell whether to connect again after this exception: the default rule.

    It is worth it after network errors and timeouts, when the server ended the
    connection before it had answered, and after the HTTP statuses 500, 502, 503 and
    504.

    Returns:
        ``None`` to connect again, or the exception to raise.
    """
    # Nothing about a certificate will have changed by then, but that can be said of
    # many network errors. What `websockets` retries is retried.
    if isinstance(exc, (OSError, TimeoutError)):
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in _TRANSIENT:
        return None
    return exc


_TRANSIENT = frozenset({500, 502, 503, 504})
# A century, in seconds.
_LONGEST_DELAY = 36_525 * 86_400.0


class Reconnection:
    """The pauses between attempts to connect, whichever way they are waited for."""

    def __init__(
        self,
        process_exception: Callable[[Exception], Exception | None],
        delays: Callable[[], Generator[float, None, None]],
        logger: LoggerLike | None,
    ) -> None:
        self._process_exception = process_exception
        self._make_delays = delays
        self._delays: Generator[float, None, None] | None = None
        self._logger = logger or logging.getLogger("websocket_rs.client")

    def reset(self) -> None:
        """Begin with short delays again: an attempt has succeeded."""
        self._delays = None

    def delay_after(self, exc: Exception) -> float:
        """Return how many seconds to wait after a failure, or raise what is fatal."""
        try:
            fatal = self._process_exception(exc)
        except Exception as raised:
            # It is documented to return exceptions; raising them is a common mistake.
            fatal = raised
        if fatal is exc:
            raise exc
        if fatal is not None:
            raise fatal from exc
        if self._delays is None:
            self._delays = self._make_delays()
        # `time.sleep` takes no negative ones, unlike `asyncio.sleep`, and none that are
        # too long.
        delay = seconds("reconnect_delays", next(self._delays)) or 0.0
        if math.isnan(delay):
            raise ValueError("reconnect_delays must be numbers of seconds, not nan")
        delay = min(max(delay, 0.0), _LONGEST_DELAY)
        reason = str(exc)
        self._logger.info(
            "connect failed; reconnecting in %.1f seconds: %s",
            delay,
            f"{type(exc).__name__}: {reason}" if reason else type(exc).__name__,
        )
        return delay


def __getattr__(name: str) -> Any:
    return other_name(
        __name__,
        name,
        renamed={
            "WebSocketClientProtocol": "asyncio.client.ClientConnection",
            "connect": "asyncio.client.connect",
            "unix_connect": "asyncio.client.unix_connect",
        },
        missing={
            "ClientProtocol": "the protocol is in the core; use sync.client or "
            "asyncio.client"
        },
    )
