"""HTTP headers: a case-insensitive mapping in which names may repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["Headers", "HeadersLike", "MultipleValuesError"]


class MultipleValuesError(LookupError):
    """Raised when a header is asked for that has several values."""

    def __str__(self) -> str:
        # KeyError and LookupError show the repr of a single argument.
        return repr(self.args[0]) if len(self.args) == 1 else super().__str__()


class Headers(MutableMapping[str, str]):
    """Headers in the order in which they were received or given.

    Looking a name up ignores its case. A name that occurs several times raises
    `MultipleValuesError`; `get_all` returns all of its values. Setting a name adds a
    value.
    """

    __slots__ = ("_items",)

    def __init__(self, *args: HeadersLike, **kwargs: str) -> None:
        self._items: list[tuple[str, str]] = []
        self.update(*args, **kwargs)

    def __str__(self) -> str:
        """Return the headers as they look on the wire."""
        return "".join(f"{name}: {value}\r\n" for name, value in self._items) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        if len(values) > 1:
            raise MultipleValuesError(name)
        return values[0]

    def __setitem__(self, name: str, value: str) -> None:
        self._items.append((name, value))

    def __delitem__(self, name: str) -> None:
        lower = name.lower()
        self._items = [item for item in self._items if item[0].lower() != lower]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._items))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._items})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._by_name() == other._by_name()

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> Headers:
        """Return a copy."""
        return Headers(self._items)

    def clear(self) -> None:
        """Remove all headers."""
        self._items.clear()

    def update(self, *args: Any, **kwargs: str) -> None:
        """Add headers from a mapping, from pairs, or from keywords."""
        args = tuple(
            arg.raw_items() if isinstance(arg, Headers) else arg for arg in args
        )
        super().update(*args, **kwargs)

    def get_all(self, name: str) -> list[str]:
        """Return all the values of a header, an empty list if there is none."""
        lower = name.lower()
        return [value for key, value in self._items if key.lower() == lower]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Return an iterator over names and values, as they were received or given."""
        return iter(tuple(self._items))

    def _by_name(self) -> dict[str, list[str]]:
        return {name: self.get_all(name) for name in self}


HeadersLike = Headers | Mapping[str, str] | Iterable[tuple[str, str]]
"""What is accepted where headers are given."""
