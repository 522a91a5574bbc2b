"""What the modules of the core may use, and what the built library may contain.

The layers are those of docs/design.md. What is not seen by the compiler is seen here: a
module that reaches upwards compiles just as well.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from websocket_rs import _core


ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.rs"))

LAYERS = [
    "protocol",
    "error",
    "deadline",
    "process",
    "net",
    "turn",
    "inbox",
    "outbox",
    "options",
    "opening",
    "control",
    "attendance",
    "connection",
    "connection_thread",
    "echo_server",
    "python",
]
"""From the bottom up. Each may use those before it; the longest match counts."""

LINES = {".rs": 600, ".py": 600, ".pyi": 800}
"""No file is longer, so that each can be read in one go. A stub is looked up in."""


def layer_of(path: str) -> str:
    """Return the layer of a path within the crate, such as ``net::tls::Session``."""
    found = [layer for layer in LAYERS if f"{path}::".startswith(f"{layer}::")]
    assert found, f"{path} is in no layer: add its module to LAYERS"
    return max(found, key=len)


def module_of(file: Path) -> str:
    """Return the path of a file's module within the crate."""
    parts = file.relative_to(ROOT / "src").with_suffix("").parts
    return "::".join(part for part in parts if part != "mod")


def code_of(file: Path) -> str:
    """Return the code of a file without its comments and its unit tests."""
    code = re.sub(r"//.*", "", file.read_text())
    return re.split(r"#\[cfg\(test\)\]\s*mod tests \{", code)[0]


def flatten(tree: str) -> list[str]:
    """Return the paths of a use declaration: ``a::{b, c::{d, e}}`` has three."""
    prefix, brace, rest = tree.partition("{")
    if not brace:
        path = tree.split(" as ")[0].strip()
        return [path] if path else []
    paths, depth, start = [], 0, 0
    body = rest.rsplit("}", 1)[0] + ","
    for position, character in enumerate(body):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            paths += flatten(body[start:position])
            start = position + 1
    return [f"{prefix.strip()}{path}" for path in paths]


def used_by(file: Path) -> set[str]:
    """Return the paths within the crate that a file names."""
    code = code_of(file)
    uses = re.compile(r"\buse\s+crate::([^;]+);")
    paths = {path for tree in uses.findall(code) for path in flatten(tree)}
    paths |= set(re.findall(r"\bcrate::(\w+(?:::\w+)*)", uses.sub("", code)))
    return {re.sub(r"::self$", "", path) for path in paths}


MODULES = [
    file
    for file in SOURCES
    if file.stem != "lib" and "tests" not in module_of(file).split("::")
]
"""What belongs to a layer: everything but the map of the crate and unit tests."""


def test_flatten_of_nested_use():
    """A nested use declaration names every path in it."""
    tree = "net::{\n    stream::{Halt, Stream},\n    wake::Wake as Waker,\n}"
    expected = ["net::stream::Halt", "net::stream::Stream", "net::wake::Wake"]
    assert flatten(tree) == expected


@pytest.mark.parametrize("file", MODULES, ids=module_of)
def test_modules_use_lower_layers_only(file):
    """No module uses one that stands above it."""
    own = layer_of(module_of(file))
    upwards = [
        f"{module_of(file)} uses {path}"
        for path in sorted(used_by(file))
        if LAYERS.index(layer_of(path)) > LAYERS.index(own)
    ]
    assert not upwards


def test_only_the_binding_knows_python():
    """Nothing but src/python speaks of pyo3."""
    elsewhere = [
        module_of(file)
        for file in SOURCES
        if "pyo3" in file.read_text() and not module_of(file).startswith("python")
    ]
    assert not elsewhere


def test_files_are_short():
    """Every file of the package can be read in one go."""
    files = [*SOURCES, *(ROOT / "python" / "websocket_rs").rglob("*.py*")]
    long = {
        str(file.relative_to(ROOT)): lines
        for file in files
        if file.suffix in LINES
        and (lines := len(file.read_text().splitlines())) > LINES[file.suffix]
    }
    assert not long


def run(*command: str) -> str:
    """Return what a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_library_exports_its_module_only():
    """Python's own OpenSSL cannot be confused with ours: no symbol of it is visible."""
    lines = run("nm", "-D", "--defined-only", _core.__file__).splitlines()
    symbols = {line.split()[-1] for line in lines}
    assert "PyInit__core" in symbols
    assert not {s for s in symbols if re.match(r"_?(SSL|EVP|CRYPTO|OPENSSL)_", s)}


def test_library_brings_its_own_openssl():
    """The library doesn't depend on the OpenSSL of the system."""
    libraries = run("ldd", _core.__file__)
    assert "libc.so" in libraries
    assert "libssl" not in libraries
    assert "libcrypto" not in libraries
