"""Classes that are made of a few values, such as `dataclasses.dataclass` makes.

They are used alike, also by the functions of `dataclasses`, and are quicker to import
and to define; so they stand for named tuples, too.
"""

from __future__ import annotations


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from inspect import Signature
    from typing import Any, ClassVar

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform() -> Callable[[type], type]:
        """Do nothing: it tells type checkers what there is."""
        return lambda cls: cls


__all__ = ["Record"]


def _own_annotations(cls: type) -> dict[str, Any]:
    # The function of `inspect` for it would be slow to import.
    own: dict[str, Any] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063
    return own


def _dataclass(cls: type[Record]) -> type:
    """Return the dataclass of the same values."""
    import dataclasses

    annotations: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        annotations.update(_own_annotations(base))
    fields: list[Any] = [
        (name, annotations[name], dataclasses.field(default=getattr(cls, name)))
        if hasattr(cls, name)
        else (name, annotations[name])
        for name in cls.__match_args__
    ]
    return dataclasses.make_dataclass(cls.__name__, fields)


class _OfDataclass:
    """An attribute by which a dataclass is known, made for who asks."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type[Record]) -> Any:
        return getattr(_dataclass(owner), self._name)


class _Signature:
    """The attribute in which `inspect` looks for the parameters, made for who asks."""

    def __get__(self, instance: object, owner: type[Record]) -> Signature:
        import inspect

        return inspect.signature(_dataclass(owner))


@dataclass_transform()
class Record:
    """Base class of classes whose annotations are their values."""

    if not TYPE_CHECKING:
        __match_args__: tuple[str, ...] = ()
        __dataclass_fields__ = _OfDataclass()
        __dataclass_params__ = _OfDataclass()
        __signature__ = _Signature()
        __hash__ = None

        def __init__(self, *args: Any, **keywords: Any) -> None:
            names = self.__match_args__
            if len(args) > len(names):
                raise TypeError(f"{type(self).__name__}() takes {len(names)} values")
            values = dict(zip(names, args, strict=False))
            for name, value in keywords.items():
                if name in values or name not in names:
                    raise TypeError(f"{type(self).__name__}() got a wrong {name!r}")
                values[name] = value
            for name in names:
                if name not in values and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__}() is missing {name!r}")
                setattr(self, name, values.get(name, getattr(type(self), name, None)))

    else:
        __match_args__: ClassVar[tuple[str, ...]]
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        names = (*cls.__match_args__, *_own_annotations(cls))
        cls.__match_args__ = names  # type: ignore[misc]

    def _replace(self, **changes: Any) -> Self:
        """Return a copy with other values, as of a named tuple."""
        unknown = changes.keys() - set(self.__match_args__)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    def __replace__(self, **changes: Any) -> Self:
        return self._replace(**changes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __repr__(self) -> str:
        names = self.__match_args__
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({values})"

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)
