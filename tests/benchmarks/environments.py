"""The virtual environments in which the peers are installed.

They are made on demand by pip, kept in a cache folder, and made anew when their
requirements or the interpreter change. Our own package is not installed here: it is
measured as it is installed for the interpreter that runs the suite.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "websocket-rs-benchmarks"

PEERS = "peers"
UVLOOP = "uvloop==0.23.0"
REQUIREMENTS = {
    PEERS: (
        "aiohttp==3.14.5",
        "picows==2.3.1",
        "websocket-client==1.9.2",
        "websockets==17.4",
        UVLOOP,
    ),
    "websocket-rs-0.7.10": ("websocket-rs==0.7.10", UVLOOP),
}
# The oldest interpreter of an environment that does not support all those that we
# support.
OLDEST_PYTHON = {"websocket-rs-0.7.10": (3, 12)}


def is_supported(name: str | None) -> bool:
    """Tell whether an environment can be made with this interpreter."""
    return name is None or sys.version_info[:2] >= OLDEST_PYTHON.get(name, (3, 0))


def interpreter(name: str | None, folder: Path) -> Path:
    """Return the interpreter of an environment, which is made if need be.

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    if name is None:
        return Path(sys.executable)
    requirements = REQUIREMENTS[name]
    environment = folder / f"{name}-{sysconfig.get_config_var('SOABI')}"
    python = environment / "bin" / "python"
    # Written last, so that an environment that was left half-made is not taken for a
    # whole one.
    stamp = environment / "requirements.txt"
    wanted = "\n".join([*requirements, "# " + " ".join(sys.version.split()), ""])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making {environment}", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *requirements,
        ],
        check=True,
    )
    stamp.write_text(wanted)
    return python


def site_packages(python: Path) -> Path:
    """Return the folder into which the packages of an environment are installed."""
    return next(python.parent.parent.glob("lib/python*/site-packages"))
