"""A server that redirects, for the tests of those that follow."""

from __future__ import annotations


class Site:
    """A server that redirects some paths and accepts the others.

    Args:
        raw_server: Starts servers.
        moved: Where each path leads to, as the value of the ``Location`` header.
        status: The status of the redirects.
        options: Further arguments of the server.

    Attributes:
        requests: The requests that have come.
    """

    def __init__(self, raw_server, moved=None, status=302, **options):
        self.moved = moved or {}
        self.status = status
        self.requests = []
        self.server = raw_server(self._script, **options)
        self.url = self.server.url

    def _script(self, peer):
        request = peer.read_request()
        self.requests.append(request)
        location = self.moved.get(request.target)
        if location is None:
            peer.sock.sendall(peer.response())
            peer.answer_close()
        else:
            head = f"HTTP/1.1 {self.status} Moved\r\nLocation: {location}\r\n"
            peer.sock.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
            peer.wait_eof()

    @property
    def targets(self):
        """The targets of the requests."""
        return [request.target for request in self.requests]
