"""What servers say, in the texts of exceptions, which end in terminals and logs."""

from __future__ import annotations


__all__ = ["printable"]


def printable(text: str) -> str:
    """Return a text with all that a terminal or a reader of logs would act on escaped.

    These are control characters, separators of lines, and marks of direction. The
    attributes of exceptions hold what was received.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or is_space(character)
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def is_space(character: str) -> bool:
    """Tell whether a character is a space of any width, which does nothing else."""
    ends_line = character <= "\x9f" or character in "\u2028\u2029"
    return character.isspace() and not ends_line
