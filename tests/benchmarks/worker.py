"""Runs one contender in one case for one round, and prints one line of JSON.

Run as a script, by the interpreter of the contender's environment; so it must not need
anything beyond the standard library, nor know this suite by the name of its package.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import inspect
import json
import os
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders import load_all
from payloads import texts


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


# A window has this many messages, or as many as fit in WINDOW_BYTES but at least one: a
# client that does not read while it sends, and a server that does not read while it
# writes, would wait for each other for ever once the buffers of the kernel are full.
WINDOW = 100
WINDOW_BYTES = 2 * 1024 * 1024
# Between two reports of the server, so that a client that queues without limit stays
# small.
PUSH_BYTES = 16 * 1024 * 1024


async def result_of(value: Any) -> Any:
    """Return what a loop returned, whether the contender is blocking or not."""
    return await value if inspect.isawaitable(value) else value


def expect(actual: object, expected: object) -> None:
    """Fail the round unless everything has been delivered."""
    if actual != expected:
        raise AssertionError(f"delivered {actual!r}, expected {expected!r}")


async def request_response(connection: Any, message: bytes, count: int) -> int:
    """Send one message and wait for its echo, `count` times."""
    expect(await result_of(connection.round_trips(message, count)), len(message))
    return count


async def pipeline(connection: Any, message: bytes, count: int) -> int:
    """Send a window of messages and then receive their echoes, `count` times."""
    window = max(1, min(WINDOW, WINDOW_BYTES // len(message)))
    for _ in range(count):
        await result_of(connection.send_many(message, window))
        expect(await result_of(connection.receive_many(window)), len(message))
    return count * window


async def flood(connection: Any, message: bytes, count: int) -> int:
    """Receive `count` messages that the server pushes."""
    await result_of(connection.tell(f"{count} {len(message)}"))
    expect(await result_of(connection.receive_many(count)), len(message))
    return count


async def fan(connections: list[Any], message: bytes, count: int) -> int:
    """Have `count` round trips on each of many connections at once."""
    trips = (connection.round_trips(message, count) for connection in connections)
    expect(set(await asyncio.gather(*trips)), {len(message)})
    return count * len(connections)


async def many(connections: list[Any], message: bytes, count: int) -> int:
    """Receive `count` messages on each of many connections, as they are sent."""
    received = (connection.receive_many(count) for connection in connections)
    expect(set(await asyncio.gather(*received)), {len(message)})
    return count * len(connections)


async def delay(connection: Any, message: bytes, count: int) -> int:
    """Receive `count` messages, as the server sends them, and time each."""
    DELAYS.extend(await result_of(connection.receive_timed(count)))
    return count


async def busy(connection: Any, message: bytes, count: int) -> int:
    """Have round trips, and time each, while another thread computes."""
    for _ in range(count):
        started = time.perf_counter_ns()
        await request_response(connection, message, 1)
        DELAYS.append(time.perf_counter_ns() - started)
    return count


def compute() -> None:
    """Keep the interpreter busy for ever."""
    number = 0
    while True:
        number += 1


DELAYS: list[int] = []
"""How many nanoseconds each message was under way, or each round trip."""


async def push(connection: Any, message: bytes, count: int) -> int:
    """Send at least `count` messages, and have the server confirm each portion."""
    portion = min(count, max(1, PUSH_BYTES // len(message)))
    portions = -(-count // portion)
    for _ in range(portions):
        await result_of(connection.send_many(message, portion))
        report = await result_of(connection.ask("report"))
        expect(report, f"{portion} {portion * len(message)}")
    return portions * portion


async def senders(connection: Any, message: bytes, count: int) -> int:
    """Have many threads or tasks send at once, and the server count what came."""
    number = NUMBERS["senders"]
    portion = max(1, count // number)
    arguments = (message, portion)
    if inspect.iscoroutinefunction(connection.send_many):
        sending = (connection.send_many(*arguments) for _ in range(number))
        await asyncio.gather(*sending)
    else:
        threads = [
            threading.Thread(target=connection.send_many, args=arguments)
            for _ in range(number)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sent = portion * number
    report = await result_of(connection.ask("report"))
    expect(report, f"{sent} {sent * len(message)}")
    return sent


async def inflate(connection: Any, message: bytes, count: int) -> int:
    """Receive `count` compressed messages that the server pushes."""
    expect(await result_of(connection.receive_many(count)) >= len(message), True)
    return count


async def deflate(connection: Any, message: bytes, count: int) -> int:
    """Send compressed messages, a portion at a time that the server confirms."""
    portion = deflate_portion(len(message))
    messages = texts(len(message))
    messages = (messages * -(-portion // len(messages)))[:portion]
    for _ in range(count):
        await result_of(connection.send_texts(messages))
        expect(await result_of(connection.receive_many(1)), len("counted"))
    return count * portion


def deflate_portion(size: int) -> int:
    """Return how many messages of a size the server confirms at a time."""
    return max(32, min(1000, 2 * 1024 * 1024 // size))


# The path of the server and the batch of each case. A batch of `count` returns how many
# messages (rr: round trips) it was.
CASES: dict[str, tuple[str, Callable[[Any, bytes, int], Awaitable[int]]]] = {
    "rr": ("/", request_response),
    "busy": ("/", busy),
    "fan": ("/", fan),
    "delay": ("/pace/1000/{size}", delay),
    "many": ("/pace/10/{size}", many),
    "pipe": ("/", pipeline),
    "flood": ("/flood", flood),
    "push": ("/sink", push),
    "senders": ("/sink", senders),
    "inflate": ("/inflate/{size}", inflate),
    "deflate": ("/deflate/{size}/{portion}", deflate),
}
DEFLATING = ("inflate", "deflate")
CROWDED = ("fan", "many")
NUMBERS = {"fan": 100, "many": 1000, "senders": 16}
"""How many connections one event loop has, or how many threads or tasks send on one."""


async def measure(loops: type[Any], options: argparse.Namespace) -> dict[str, Any]:
    """Open, warm up, measure for the given time, close.

    Returns:
        The number of messages, the seconds they took, and the CPU seconds (user and
        system, all threads) that this process spent on them; and the median delay in
        seconds, where that was measured.
    """
    path, batch = CASES[options.case]
    message = b"x" * options.size
    path = path.format(size=options.size, portion=deflate_portion(options.size))
    deflates = options.case in DEFLATING
    crowded = options.case in CROWDED
    connections = [loops() for _ in range(NUMBERS[options.case] if crowded else 1)]
    for one in connections:
        await result_of(one.open(options.url + path, options.certificate, deflates))
    connection = connections if crowded else connections[0]
    if options.case == "busy":
        threading.Thread(target=compute, daemon=True).start()

    # The warm-up finds the size of a batch that takes a tenth of the round.
    count = 1
    while True:
        started = time.perf_counter()
        await batch(connection, message, count)
        took = time.perf_counter() - started
        if took >= options.seconds / 10:
            break
        count *= max(2, min(10, int(options.seconds / 10 / took)))

    DELAYS.clear()
    messages = 0
    cpu_started = time.process_time()
    started = time.perf_counter()
    elapsed = 0.0
    while elapsed < options.seconds:
        messages += await batch(connection, message, count)
        elapsed = time.perf_counter() - started
    cpu = time.process_time() - cpu_started

    result = {"messages": messages, "seconds": elapsed, "cpu_seconds": cpu}
    if DELAYS:
        result["delay"] = median(DELAYS) / 1e9
    # A server that only sends answers no Close frame.
    if not crowded and options.case != "delay":
        await result_of(connections[0].close())
    return result


def run_blocking(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends; a blocking client meets no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    raise AssertionError("a blocking contender suspended")


def main() -> None:
    """Run the round that the command line describes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender")
    parser.add_argument("face")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("size", type=int)
    parser.add_argument("--url", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pin", type=int)
    parser.add_argument("--number", type=int, help="of connections, or of senders")
    options = parser.parse_args()

    if options.pin is not None:
        os.sched_setaffinity(0, {options.pin})
    if options.number is not None:
        NUMBERS[options.case] = options.number
    module = load_all()[options.contender]
    versions = {"version": importlib.metadata.version(module.DISTRIBUTION)}
    if options.face == "sync":
        result = run_blocking(measure(module.Sync, options))
    elif options.face == "asyncio":
        result = asyncio.run(measure(module.Async, options))
    else:
        import uvloop

        versions["uvloop"] = uvloop.__version__
        loop = uvloop.new_event_loop()
        result = loop.run_until_complete(measure(module.Async, options))
        loop.close()
    print(json.dumps(result | versions), flush=True)
    # What computes never ends.
    os._exit(0)


if __name__ == "__main__":
    main()
