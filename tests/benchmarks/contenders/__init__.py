"""The clients that are compared, one module each.

To add a client, add a module here and its pinned requirement to
`environments.REQUIREMENTS`. A module defines

* `NAME`: what the client is called in options and reports;
* `DISTRIBUTION`: the distribution whose version is reported;
* `ENVIRONMENT`: the key of `environments.REQUIREMENTS` it is installed by, or `None` if
  it is installed for the interpreter that runs the suite;
* `Sync`, if it has a blocking client, and `Async`, if it has one for asyncio: a
  subclass of `SyncLoops` or `AsyncLoops` that overrides what its client does in another
  way.

A module must not import its client before `open`, because the modules are also loaded
where the client is not installed.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from types import ModuleType


FACES = ("sync", "asyncio", "uvloop")
OURS = "websocket_rs"


def load_all() -> dict[str, ModuleType]:
    """Return the modules of all contenders by name, ours first."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if not found.name.startswith("_")
    ]
    modules.sort(key=lambda module: (module.NAME != OURS, module.NAME))
    return {module.NAME: module for module in modules}


def has_face(module: ModuleType, face: str, deflate: bool) -> bool:
    """Tell whether a contender takes part in a face, with compression if need be."""
    loops = getattr(module, "Sync" if face == "sync" else "Async", None)
    return loops is not None and (loops.deflates or not deflate)
