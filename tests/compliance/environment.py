"""The virtual environment in which the fuzzing server is installed.

Autobahn|Testsuite runs on CPython 2.7 only. The environment is made on demand, kept in
a cache folder, and made anew when the requirements or the interpreter change. Our own
package is not installed here: it is tested as it is installed for the interpreter that
runs the suite.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "websocket-rs-compliance"

# The last one that makes environments for CPython 2.7.
VIRTUALENV = "virtualenv==20.21.1"
SUITE = "autobahntestsuite==25.10.1"
# What the server imports, and no more: pip is not to follow the requirements that the
# suite declares, which ask for versions that can't be installed any more.
REQUIREMENTS = (
    SUITE,
    "attrs==21.4.0",
    "autobahn==0.10.9",
    "cffi==1.15.1",
    "constantly==15.1.0",
    "cryptography==3.3.2",
    "enum34==1.1.10",
    "hyperlink==21.0.0",
    "idna==2.10",
    "incremental==22.10.0",
    "ipaddress==1.0.23",
    "jinja2==2.11.3",
    "linecache2==1.0.0",
    "markupsafe==1.1.1",
    "pyopenssl==21.0.0",
    "six==1.17.0",
    "traceback2==1.4.0",
    "Twisted==20.3.0",
    "txaio==2.1.0",
    "typing==3.10.0.0",
    "unittest2==1.1.0",
    "wsaccel==0.6.2",
    "zope.interface==5.5.2",
)


def server_interpreter(base: Path | None, folder: Path) -> Path:
    """Return the interpreter of the environment, which is made if need be.

    Args:
        base: The CPython 2.7 to make it with; `None` to look for one.
        folder: Where the environment is kept.

    Raises:
        LookupError: There is no CPython 2.7.
        subprocess.CalledProcessError: pip or virtualenv failed.
    """
    base, version = _base_interpreter(base)
    environment = folder / "server"
    python = environment / "bin" / "python"
    # Written last, so that an environment that was left half-made is not taken for a
    # whole one.
    stamp = environment / "requirements.txt"
    wanted = "\n".join([*REQUIREMENTS, f"# {version}", ""])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making {environment}", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    with tempfile.TemporaryDirectory() as maker:
        subprocess.run([sys.executable, "-m", "venv", maker], check=True)
        _pip(Path(maker) / "bin" / "python", VIRTUALENV)
        subprocess.run(
            [f"{maker}/bin/virtualenv", "--quiet", "--python", base, environment],
            check=True,
        )
    _pip(python, "--no-deps", *REQUIREMENTS)
    stamp.write_text(wanted)
    return python


def _pip(python: Path, *arguments: str) -> None:
    options = ["--quiet", "--disable-pip-version-check"]
    # Otherwise pip of CPython 2.7 says each time that it is deprecated.
    variables = os.environ | {"PIP_NO_PYTHON_VERSION_WARNING": "1"}
    subprocess.run(
        [python, "-m", "pip", "install", *options, *arguments],
        check=True,
        env=variables,
    )


def _base_interpreter(wanted: Path | None) -> tuple[Path, str]:
    for python in _candidates() if wanted is None else [wanted]:
        # What is called so may be a shim of pyenv that leads nowhere.
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            version = subprocess.check_output(
                [python, "-c", "import sys; print(' '.join(sys.version.split()))"],
                stderr=subprocess.DEVNULL,
                text=True,
            )
            if version.startswith("2.7."):
                return python, version.strip()
    raise LookupError(
        "the fuzzing server needs CPython 2.7: install it (`pyenv install 2.7.18`), "
        "or say by --python2 where it is"
    )


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("python2.7")
    if on_path is not None:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/2.7.*/bin/python2.7"), reverse=True)
