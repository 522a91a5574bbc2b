"""The demonstration: both clients at work, checked and measured.

Everything that is received is compared with what was sent. The figures are those of one
short run on whatever else the machine is doing; `tests/benchmarks` measures properly.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .. import _core, async_client, sync_client


@dataclass(frozen=True)
class Figures:
    """What was measured of one client with one kind of message."""

    round_trips: float
    median: float
    p99: float
    streamed: float


MESSAGES: dict[str, str | bytes] = {
    "text, 256 B": "Grüße! " * 28 + "a" * 32,
    "binary, 256 B": bytes(range(256)),
    "binary, 1 MiB": bytes(range(256)) * 4096,
}
# So many messages are under way while streaming, and at most so many bytes.
WINDOW = 100
WINDOW_BYTES = 4 * 1024 * 1024


def demo(seconds: float) -> int:
    """Run the demonstration and print its table. Returns the exit status."""
    print(
        f"{'client':<8} {'scheme':<7} {'message':<14} {'round trips/s':>13} "
        f"{'median us':>10} {'p99 us':>10} {'streamed/s':>11}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for tls in (False, True):
            with _core.EchoServer(tls=tls) as server:
                _print_rows(server, Path(folder), seconds)
    print("Everything received was what had been sent.")
    return 0


def _print_rows(server: _core.EchoServer, folder: Path, seconds: float) -> None:
    """Print a row for each client and message."""
    ca_file = None
    if server.certificate is not None:
        ca_file = folder / "certificate.pem"
        ca_file.write_text(server.certificate)
    scheme = server.url.split(":")[0]
    for client in (_sync, _async):
        for name, message in MESSAGES.items():
            figures = client(server.url, ca_file, message, seconds)
            print(
                f"{client.__name__[1:]:<8} {scheme:<7} "
                f"{name:<14} {figures.round_trips:>13,.0f} "
                f"{figures.median * 1e6:>10,.0f} "
                f"{figures.p99 * 1e6:>10,.0f} "
                f"{figures.streamed:>11,.0f}"
            )


def _check(received: str | bytes, sent: str | bytes) -> None:
    if received != sent:
        raise AssertionError(
            f"received {type(received).__name__} of {len(received)} instead of "
            f"{type(sent).__name__} of {len(sent)}"
        )


def _figures(latencies: list[float], elapsed: float, streamed: float) -> Figures:
    ordered = sorted(latencies)
    return Figures(
        round_trips=len(ordered) / elapsed,
        median=statistics.median(ordered),
        p99=ordered[int(len(ordered) * 0.99)],
        streamed=streamed,
    )


def _window(message: str | bytes) -> int:
    return max(1, min(WINDOW, WINDOW_BYTES // len(message)))


def _sync(
    url: str, ca_file: Path | None, message: str | bytes, seconds: float
) -> Figures:
    with sync_client.connect(url, ca_file=ca_file, proxy=None) as ws:
        latencies: list[float] = []
        start = last = time.perf_counter()
        while not latencies or last - start < seconds:
            ws.send(message)
            _check(ws.recv(), message)
            now = time.perf_counter()
            latencies.append(now - last)
            last = now
        elapsed = last - start

        window = _window(message)
        for _ in range(window):
            ws.send(message)
        count = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for _ in range(window):
                _check(ws.recv(), message)
                ws.send(message)
            count += window
        streamed = count / (time.perf_counter() - start)
        for _ in range(window):
            _check(ws.recv(), message)
    return _figures(latencies, elapsed, streamed)


def _async(
    url: str, ca_file: Path | None, message: str | bytes, seconds: float
) -> Figures:
    return asyncio.run(_measure(url, ca_file, message, seconds))


async def _measure(
    url: str, ca_file: Path | None, message: str | bytes, seconds: float
) -> Figures:
    async with async_client.connect(url, ca_file=ca_file, proxy=None) as ws:
        latencies: list[float] = []
        start = last = time.perf_counter()
        while not latencies or last - start < seconds:
            await ws.send(message)
            _check(await ws.recv(), message)
            now = time.perf_counter()
            latencies.append(now - last)
            last = now
        elapsed = last - start

        window = _window(message)
        for _ in range(window):
            await ws.send(message)
        count = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for _ in range(window):
                _check(await ws.recv(), message)
                await ws.send(message)
            count += window
        streamed = count / (time.perf_counter() - start)
        for _ in range(window):
            _check(await ws.recv(), message)
    return _figures(latencies, elapsed, streamed)
