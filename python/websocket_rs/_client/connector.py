"""A `connect` object, whichever way it waits: what may be asked, set and overridden.

Subclasses of `connect` override `process_redirect` and `process_exception`, and read or
set the attributes, as with `websockets`.
"""

from __future__ import annotations

import logging

from ..client import backoff, process_exception as default_process_exception
from ..uri import parse_uri
from .entry import Entry
from .settings import header_pairs


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from .. import _core
    from ..uri import WebSocketURI
    from .opening import Opening


__all__ = ["Connector"]


class Connector:
    """Attempts to connect, and what a program may ask and change of them.

    Args:
        opening: What to connect to, and how.
        connection_class: What to make, if the program doesn't say.
        process_exception: Whether to connect again after an exception.
        reconnect_delays: The pauses in between.

    Attributes:
        uri: The server's URI; once it has redirected, where that led to. The next
            attempt begins where the first one did, unless the program sets it.
        additional_headers, user_agent_header, proxy, open_timeout, create_connection:
            The arguments. If they are changed, the next attempt has the new values.
        process_exception, reconnect_delays: The arguments.
        logger: Where it is logged that an attempt has failed.
    """

    def __init__(
        self,
        opening: Opening,
        connection_class: type[Any],
        process_exception: Callable[
            [Exception], Exception | None
        ] = default_process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
    ) -> None:
        settings = opening.settings
        self.uri = opening.uri
        self.additional_headers = opening.additional_headers
        self.user_agent_header = settings.user_agent_header
        self.proxy = settings.proxy
        self.open_timeout = settings.open_timeout
        self.create_connection = settings.create_connection or connection_class
        self.logger = settings.logger or logging.getLogger("websocket_rs.client")
        self.reconnect_delays = reconnect_delays
        # The method of a subclass counts, unless the program gives another one.
        is_given = process_exception is not default_process_exception
        if is_given or not hasattr(type(self), "process_exception"):
            self.process_exception = process_exception
        self._opening = opening
        self._entry = Entry()
        # Where redirects have led to, if they have.
        self._followed: str | None = None

    @property
    def ws_uri(self) -> WebSocketURI:
        """The parts of ``uri``."""
        return parse_uri(self.uri)

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Tell whether an attempt has failed by a redirect that can be followed.

        A subclass may follow less, or more. ``uri`` is what was connected to.

        Args:
            exc: Why the attempt has failed.

        Returns:
            The URI to connect to instead, or the exception to raise.
        """
        return self._opening.redirect(self.uri, exc)

    def attempts(self) -> Generator[_core.ConnectOptions, Exception, None]:
        """Yield what to open a connection with.

        The exception of an attempt that has failed is to be sent in: the next options
        are what it redirects to. If it doesn't, or can't be followed, an exception is
        raised.
        """
        if self.uri == self._followed:
            self.uri = self._opening.uri
        self._followed = None
        opening = self._opening = self._opening.changed(
            self.uri,
            additional_headers=header_pairs(self.additional_headers),
            user_agent_header=self.user_agent_header,
            proxy=self.proxy,
            open_timeout=self.open_timeout,
        )
        uri, attempts = self.uri, opening.attempts()
        options = next(attempts)
        while True:
            exc = yield options
            # Others may be following redirects of their own meanwhile.
            self.uri = uri
            target = self.process_redirect(exc)
            if target is exc:
                raise exc
            if isinstance(target, Exception):
                raise target from exc
            uri = self.uri = self._followed = target
            options = attempts.send(target)
