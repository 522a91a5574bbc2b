"""Every Python example of the documents runs, with only its host replaced.

An example is run in a process of its own, as its reader would run it. Fragments are
completed as little as possible: one that speaks of `connect` or `ws` without having
made it is given it, and one that only defines a function has it called.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import websocket_rs
from support import run_script


if TYPE_CHECKING:
    from collections.abc import Iterator

    from raw_server import Peer


ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNER = (Path(__file__).parent / "example_runner.py").read_text()


@dataclass(frozen=True)
class Example:
    """A Python code block of a document."""

    document: Path
    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"

    @property
    def is_signature(self) -> bool:
        """Tell whether the block is a declaration without a body."""
        if not re.match(r"(async )?def ", self.source):
            return False
        try:
            ast.parse(self.source)
        except SyntaxError:
            return True
        return False


def examples() -> Iterator[Example]:
    """Yield the Python code blocks of all documents."""
    fence = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
    for document in DOCUMENTS:
        if not document.exists():
            continue
        text = document.read_text()
        for block in fence.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            source = inspect.cleandoc("\n" + block[2])
            yield Example(document, line, source)


EXAMPLES = list(examples())
SIGNATURES = [example for example in EXAMPLES if example.is_signature]
PROGRAMS = [example for example in EXAMPLES if not example.is_signature]


def test_documents_have_examples():
    """The examples are found: a change of the fences must not lose them silently."""
    assert (ROOT / "docs" / "api.md").exists()
    found = [example for example in EXAMPLES if example.document.name == "api.md"]
    assert len(found) >= 20
    assert len([example for example in found if example.is_signature]) >= 8


def stream(peer: Peer) -> None:
    """Send a few prices to a subscriber, then close."""
    peer.accept_handshake()
    assert b"subscribe" in peer.read_message()
    for price in [101, 102, 103]:
        peer.send_text(str(price))
    peer.finish(1000)


EXPECTED_LINES = {
    "print(ws.recv())\n": ["Hello"],
    "print(await ws.recv())\n": ["Hello"],
    '["Hello", "World", "Goodbye"]': [
        "Sent: Hello, Received: Hello",
        "Sent: World, Received: World",
        "Sent: Goodbye, Received: Goodbye",
    ],
    "/users/create": ["{'endpoint': '/users/create', 'data': {'name': 'Alice'}}"],
    '"channel": "prices"': ["Received: 101", "Received: 102", "Received: 103"],
    "websocket_rs.__version__": [websocket_rs.__version__],
}
"""What an example that contains the key must print, among other lines."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("example", PROGRAMS, ids=str)
def test_example(example, echo_server, tls_echo_server, raw_server, tmp_path):
    """The example runs to its end and prints what it promises."""
    trust = tmp_path / "ca.pem"
    trust.write_text(tls_echo_server.certificate)
    plain = echo_server
    if "stream.example.com" in example.source:
        plain = raw_server(stream)
    source = replace_hosts(
        example.source,
        f"{plain.host}:{plain.port}",
        f"localhost:{tls_echo_server.port}",
    )
    done = run_script(
        RUNNER,
        source,
        echo_server.url,
        str(tmp_path),
        environment={"SSL_CERT_FILE": str(trust)},
    )
    assert done.returncode == 0, f"{source}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    assert "Unexpected error" not in done.stdout
    assert "WebSocket error" not in done.stdout
    lines = done.stdout.splitlines()
    for part, expected in EXPECTED_LINES.items():
        if part in example.source + "\n":
            assert [line for line in lines if line in expected] == expected


def replace_hosts(source: str, plain: str, tls: str) -> str:
    """Return the example with its hosts, and nothing else, replaced."""
    address = r"(?P<scheme>wss?)://[^/\"'\s)]+"

    def other_host(match: re.Match[str]) -> str:
        scheme = match["scheme"]
        return f"{scheme}://{tls if scheme == 'wss' else plain}"

    return re.sub(address, other_host, source)


@pytest.mark.parametrize("example", SIGNATURES, ids=str)
def test_signature(example):
    """A declared signature is the real one, as far as it goes."""
    [declared] = ast.parse(example.source + ": ...").body
    assert isinstance(declared, ast.FunctionDef | ast.AsyncFunctionDef)
    actual = documented_object(example)
    parameters = inspect.signature(actual).parameters
    names = [argument.arg for argument in declared.args.args]
    assert list(parameters)[: len(names)] == names
    defaults = [ast.literal_eval(default) for default in declared.args.defaults]
    with_default = names[len(names) - len(defaults) :]
    assert [parameters[name].default for name in with_default] == defaults
    required = {
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    assert required == set(names) - set(with_default)
    if isinstance(declared, ast.AsyncFunctionDef) and declared.name != "connect":
        assert inspect.iscoroutinefunction(actual)


def documented_object(example: Example) -> object:
    """Return what the heading above a signature names."""
    lines = example.document.read_text().splitlines()[: example.line]
    [heading, *_] = (line for line in reversed(lines) if line.startswith("#"))
    found = re.search(r"`([\w.]+?)\(\)`", heading)
    assert found, f"{example}: no name in {heading!r}"
    path = found[1]
    if path.startswith("AsyncWebSocket."):
        path = f"websocket_rs.async_client.{path}"
    elif path.startswith("WebSocket."):
        path = f"websocket_rs.sync_client.{path}"
    module, *names = re.split(r"(?<=_client)\.", path)
    value: object = importlib.import_module(module)
    for name in names[0].split("."):
        value = getattr(value, name)
    return value


def test_version_is_that_of_the_distribution():
    """__version__ is the version that was installed."""
    from importlib.metadata import version

    assert websocket_rs.__version__ == version("websocket-rs")
