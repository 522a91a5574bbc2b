"""`python -m websocket_rs`: a demonstration, and a server to try clients on."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__, _core


if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m websocket_rs", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="run both clients against the embedded server, and measure them"
    )
    demo.add_argument(
        "--seconds",
        type=float,
        default=0.5,
        metavar="S",
        help="how long each measurement takes (default: %(default)s)",
    )
    server = commands.add_parser("echo-server", help="start the embedded echo server")
    server.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s)"
    )
    server.add_argument(
        "--port", type=int, default=8765, help="port, 0 for any (%(default)s)"
    )
    server.add_argument(
        "--tls", action="store_true", help="wss, with a new self-signed certificate"
    )
    options = parser.parse_args(arguments)
    if options.command == "demo":
        from ._client.demo import demo as run_demo

        return run_demo(options.seconds)
    return echo_server(options.host, options.port, options.tls)


def echo_server(host: str, port: int, tls: bool) -> int:
    """Serve until interrupted."""
    try:
        server = _core.EchoServer(host, port, tls)
    except (OSError, ValueError) as exc:
        print(f"cannot listen on {host}:{port}: {exc}", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        print(f"listening on {server.url}", flush=True)
        if server.certificate is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = Path(folder) / "certificate.pem"
            path.write_text(server.certificate)
            print(f"certificate: {path}", flush=True)
        # A signal that ends the program still removes the certificate.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
