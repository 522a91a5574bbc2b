"""What modules may use, how long they may be, and what the built library may contain.

The rings are those of docs/design.md. What is not seen by the compiler is seen here: a
module that reaches upwards compiles just as well. How long and how deep a function of
the core may be is checked by clippy, see `.clippy.toml`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from websocket_rs import _core


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "websocket_rs"
RUST = sorted((ROOT / "src").rglob("*.rs"))
PYTHON = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    "buffer",
    "random",
    "protocol",
    "error",
    "deadline",
    "process",
    "net",
    "connection",
    "echo_server",
    "python",
]
"""From the bottom up. Each may use those before it; the longest match counts."""

NET_SPEAKS = {"protocol::http", "protocol::host", "protocol::InvalidArgument"}
"""Of the protocol, `net` knows what there is before WebSocket: HTTP and hosts."""

LINES = 400
"""No file has more lines of code, so that each can be read in one go."""

MAX_FUNCTION, MAX_NESTING, MAX_PARAMETERS = 50, 4, 6
"""Of a function in Python: lines of code, blocks in blocks, parameters."""


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


def is_test(file: Path) -> bool:
    """Tell whether a file of the core holds unit tests only."""
    return "tests" in module_of(file).split("::")


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
    # Within a module inside of the file, `super` is the file itself.
    uses = re.compile(r"(?m)^\s*use\s+(crate::[^;]+);|^use\s+((?:super|self)::[^;]+);")
    trees = [crate or own for crate, own in uses.findall(code)]
    paths = {path for tree in trees for path in flatten(tree)}
    paths |= set(re.findall(r"\b(crate::\w+(?:::\w+)*)", uses.sub("", code)))
    return {absolute(re.sub(r"::self$", "", path), file) for path in paths}


def absolute(path: str, file: Path) -> str:
    """Return a path that a file names, from the root of the crate."""
    at, parts = module_of(file).split("::"), path.split("::")
    if parts[0] == "crate":
        at = []
    while parts and parts[0] in ("crate", "self", "super"):
        if parts.pop(0) == "super":
            at.pop()
    return "::".join(at + parts)


MODULES = [file for file in RUST if file.stem != "lib" and not is_test(file)]
"""What belongs to a ring: everything but the map of the crate and unit tests."""


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


def test_net_knows_no_handshake():
    """Of the protocol, nothing that moves bytes knows more than HTTP."""
    paths = {
        path
        for file in MODULES
        if module_of(file).startswith("net::")
        for path in used_by(file)
        if path.startswith("protocol::")
    }
    assert not {
        path for path in paths if not any(path.startswith(own) for own in NET_SPEAKS)
    }


def test_only_the_binding_knows_python():
    """Nothing but src/python speaks of pyo3."""
    elsewhere = [
        module_of(file)
        for file in RUST
        if "pyo3" in file.read_text() and not module_of(file).startswith("python")
    ]
    assert not elsewhere


def test_only_one_module_detaches():
    """Who is attached in the core is counted, wherever it detaches."""
    elsewhere = [
        module_of(file)
        for file in RUST
        if re.search(r"\b(py|python)\.detach\(|\.detach\(\|\|", code_of(file))
    ]
    assert elsewhere == ["python::attached"]


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of a circle, if there is one."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_circle_is_found():
    """Modules that use each other are told, and others are not."""
    assert circle_in({"a": {"b"}, "b": {"c"}}) == []
    assert sorted(set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}))) == [*"abc"]


def test_modules_of_the_core_use_each_other_in_one_direction():
    """No module uses one that uses it, but for a room, whose parts know it."""
    names = {module_of(file) for file in MODULES}

    def modules(file: Path) -> Iterator[str]:
        own = module_of(file)
        for path in used_by(file):
            while path and path not in names:
                path = path.rpartition("::")[0]
            if path and path != own and not own.startswith(f"{path}::"):
                yield path

    assert not circle_in({module_of(file): set(modules(file)) for file in MODULES})


def python_name(file: Path) -> str:
    """Return the name by which a file of the package is imported."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_by(file: Path) -> set[str]:
    """Return the modules of the package that a file imports, anywhere in it."""
    names = {python_name(other) for other in PYTHON} | {_core.__name__}
    name = python_name(file)
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        start = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*start, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{source}.{alias.name}"
            found.add(full if full in names else source)
    return found & names - {name}


def test_modules_of_the_package_use_each_other_in_one_direction():
    """No module of the package imports one that imports it, not even for its types.

    The package itself is the door: it imports what is below, and nothing imports it.
    """
    graph = {python_name(file): imported_by(file) for file in PYTHON}
    assert not circle_in(graph)


def lines_of(file: Path) -> int:
    """Count the lines of code, without comments, docstrings and blank lines."""
    text = file.read_text()
    if file.suffix == ".rs":
        return sum(bool(line.strip()) for line in re.sub(r"//.*", "", text).split("\n"))
    return code_lines(ast.parse(text))


def code_lines(tree: ast.AST) -> int:
    """Count the lines on which code of a piece of Python stands."""
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = {
        line
        for node in ast.walk(tree)
        if hasattr(node, "lineno")
        for line in (node.lineno, node.end_lineno)
    }
    return len(lines - texts)


def test_code_lines_are_counted():
    """Comments, docstrings and blank lines are no code."""
    text = '''
        def f(a,
              b):
            """Return a.

            Not b.
            """

            # It was asked for.
            return a
    '''
    assert code_lines(ast.parse(textwrap.dedent(text))) == 3


@pytest.mark.parametrize("folder", ["src", "python", "tests"])
def test_files_are_short(folder):
    """Every file can be read in one go."""
    files = [
        file
        for file in (ROOT / folder).rglob("*.*")
        if file.suffix in (".rs", ".py", ".pyi")
    ]
    long = {
        str(file.relative_to(ROOT)): lines
        for file in files
        if (lines := lines_of(file)) > LINES
    }
    assert files
    assert not long


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions of the package with their names."""
    for file in PYTHON:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{python_name(file)}.{node.name}:{node.lineno}", node


BLOCKS = (
    ast.AsyncFor,
    ast.AsyncWith,
    ast.For,
    ast.If,
    ast.Match,
    ast.Try,
    ast.While,
    ast.With,
)


def depth(node: ast.AST) -> int:
    """Return how many blocks in blocks a piece of Python has at its deepest."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        # An `elif` stands beside its `if`.
        is_beside = isinstance(node, ast.If) and node.orelse == [child]
        is_elif = is_beside and isinstance(child, ast.If)
        deepest = max(deepest, depth(child) - is_elif)
    return deepest + isinstance(node, BLOCKS)


def test_depth_of_blocks():
    """Blocks in blocks are counted, and not what stands beside them."""
    text = "if a:\n  pass\nelif b:\n  for c in d:\n    pass\nelse:\n  pass\n"
    assert depth(ast.parse(text)) == 2


def test_functions_are_short_and_shallow():
    """Every function of the package can be seen at a glance."""
    measured = {
        name: (sum(map(code_lines, node.body)), depth(node))
        for name, node in functions()
    }
    assert measured
    assert not {
        name: (lines, nesting)
        for name, (lines, nesting) in measured.items()
        if lines > MAX_FUNCTION or nesting > MAX_NESTING
    }


OWN = {"websocket_rs.sync_client", "websocket_rs.async_client"}
REPLACING = {"websocket_rs.sync", "websocket_rs.asyncio"}
"""The clients of this package, and those with the interface of `websockets`."""


def test_functions_take_few_arguments():
    """But for `connect`, no function has more parameters than one can remember."""
    doors = [*OWN, *(f"{package}.client" for package in REPLACING)]
    many = {}
    for name, node in functions():
        given = node.args
        names = [arg.arg for arg in given.posonlyargs + given.args + given.kwonlyargs]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > MAX_PARAMETERS:
            many[name.partition(":")[0]] = count
    allowed = {f"{door}.{name}" for door in doors for name in ("connect", "__init__")}
    assert not many.keys() - allowed


def test_clients_stand_beside_each_other():
    """Our own clients don't stand on those that replace `websockets`."""
    graph = {python_name(file): imported_by(file) for file in PYTHON}
    reached, waiting = set(), set(OWN)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= graph.get(name, set()) - reached
    assert reached > OWN
    assert not {
        name
        for name in reached
        if any(f"{name}.".startswith(f"{package}.") for package in REPLACING)
    }


def test_both_clients_have_the_same_files():
    """What one knows of the blocking client can be found in the asyncio client."""
    for folder in (PACKAGE, PACKAGE / "_client"):
        sync, other = (
            {file.name for file in (folder / kind).glob("*.py")}
            for kind in ("sync", "asyncio")
        )
        assert sync
        assert sync <= other


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
