"""Other people's servers and proxies, started where they are installed.

A server is given a listening socket, so its port can't be taken by another; programs
that open their own get a free port, and another one if it was taken meanwhile. Each
ends with the block that starts it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raw_server import MS


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


SCRIPTS = Path(__file__).parent / "servers"

PYTHON_SERVERS = {
    "websockets": ["websockets_server.py", "websockets"],
    "picows": ["websockets_server.py", "picows.websockets"],
    "aiohttp": ["aiohttp_server.py"],
    "uvicorn-websockets": ["asgi_server.py", "uvicorn-websockets"],
    "uvicorn-wsproto": ["asgi_server.py", "uvicorn-wsproto"],
    "hypercorn": ["asgi_server.py", "hypercorn"],
}
"""The script of each server in Python, and its arguments."""

SERVERS = [*PYTHON_SERVERS, "node-ws"]


def need_package(name: str) -> None:
    """Skip the test unless a Python package is installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} isn't installed: pip install {name}")


def need_program(name: str, package: str) -> str:
    """Return the path of a program; skip the test if it isn't installed."""
    folders = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(name, path=folders)
    if found is None:
        pytest.skip(f"{name} isn't installed: apt-get install {package}")
    return found


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block."""
    with subprocess.Popen(command, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def server(name: str) -> Iterator[str]:
    """Run a server; yield its URL."""
    if name == "node-ws":
        command, environment = node_command()
    else:
        need_package(name.split("-")[0])
        script, *arguments = PYTHON_SERVERS[name]
        command = [sys.executable, str(SCRIPTS / script), *arguments]
        environment = {}
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        descriptor = listener.fileno()
        port = listener.getsockname()[1]
        with running(
            [*command, str(descriptor)],
            pass_fds=[descriptor],
            env={**os.environ, **environment},
        ):
            listener.close()
            yield f"ws://127.0.0.1:{port}"


def node_command() -> tuple[list[str], dict[str, str]]:
    """Return how to run the server of Node's `ws`."""
    node = need_program("node", "nodejs")
    modules = os.environ.get("WEBSOCKET_RS_TESTS_NODE_MODULES", "")
    environment = {"NODE_PATH": modules}
    found = subprocess.run(
        [node, "-e", "require('ws')"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    if found.returncode != 0:
        pytest.skip(
            "Node's ws isn't installed: npm install ws, and set "
            "WEBSOCKET_RS_TESTS_NODE_MODULES to the folder node_modules"
        )
    return [node, str(SCRIPTS / "node_server.js")], environment


@contextlib.contextmanager
def on_free_port(start: Callable[[int], list[str]]) -> Iterator[int]:
    """Run a program that listens at a port that it is told; yield the port."""
    for attempt in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with running(
            start(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            if accepts(port, process):
                yield port
                return
        assert attempt < 4, f"{start(port)} doesn't start"


def accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a program accepts connections; tell whether it does."""
    deadline = time.monotonic() + 5000 * MS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def nginx(target: str, certificate: str, key: str, folder: Path) -> Iterator[str]:
    """Run nginx as a reverse proxy that speaks TLS; yield its URL."""
    program = need_program("nginx", "nginx-light")
    configuration = folder / "nginx.conf"

    def start(port: int) -> list[str]:
        configuration.write_text(
            f"""
            daemon off; master_process off; pid {folder}/nginx.pid;
            error_log {folder}/error.log;
            events {{ worker_connections 100; }}
            http {{
                access_log off;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi;
                uwsgi_temp_path {folder}/uwsgi;
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {certificate}; ssl_certificate_key {key};
                    location / {{
                        proxy_pass {target.replace("ws://", "http://")};
                        proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection "upgrade";
                    }}
                }}
            }}
            """
        )
        return [program, "-c", str(configuration), "-e", f"{folder}/start.log"]

    with on_free_port(start) as port:
        yield f"wss://localhost:{port}"


@contextlib.contextmanager
def tinyproxy(folder: Path, user: str | None = None) -> Iterator[str]:
    """Run tinyproxy; yield its address."""
    program = need_program("tinyproxy", "tinyproxy")
    configuration = folder / "tinyproxy.conf"

    def start(port: int) -> list[str]:
        lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60"]
        if user:
            lines.append(f"BasicAuth {user.replace(':', ' ')}")
        configuration.write_text("\n".join(lines) + "\n")
        return [program, "-d", "-c", str(configuration)]

    with on_free_port(start) as port:
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def microsocks(user: str | None = None) -> Iterator[str]:
    """Run microsocks; yield its address."""
    program = need_program("microsocks", "microsocks")

    def start(port: int) -> list[str]:
        name, _, password = (user or "").partition(":")
        credentials = ["-u", name, "-P", password] if user else []
        return [program, "-i", "127.0.0.1", "-p", str(port), *credentials]

    with on_free_port(start) as port:
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def dante(folder: Path) -> Iterator[str]:
    """Run Dante, which speaks SOCKS 4 and 5; yield its address."""
    program = need_program("danted", "dante-server")
    configuration = folder / "danted.conf"

    def start(port: int) -> list[str]:
        configuration.write_text(
            f"""
            logoutput: {folder}/danted.log
            internal: 127.0.0.1 port = {port}
            external: lo
            clientmethod: none
            socksmethod: none
            client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
            socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
            """
        )
        return [program, "-f", str(configuration), "-p", f"{folder}/danted.pid"]

    with on_free_port(start) as port:
        yield f"127.0.0.1:{port}"
