"""The Rust tests of the core, as part of the one command that runs all tests."""

from __future__ import annotations

import faulthandler
import shutil
import subprocess
from pathlib import Path

import pytest


ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not on PATH")
def test_cargo_test():
    """The core passes its own tests, without Python.

    They are built as for release, so that they share what was built for the package:
    OpenSSL alone takes minutes.
    """
    # Building takes longer than any test in which something must have gone wrong.
    faulthandler.cancel_dump_traceback_later()
    done = subprocess.run(
        [
            *("cargo", "test", "--release", "--locked"),
            *("--no-default-features", "--features", "echo-server"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "test result: ok" in done.stdout
