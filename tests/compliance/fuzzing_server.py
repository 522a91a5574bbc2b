"""Runs the fuzzing server. A script for CPython 2.7.

Its argument is a specification as Autobahn|Testsuite wants it, in JSON, and in it, as
`count`, the most messages that a case with compression may take (0 for no limit), and,
as `html`, whether the reports are also to be written for people.

It listens on a free port of the loopback interface, prints one line of JSON with its
`url` and the `cases`, and serves until its standard input is closed; then it writes the
reports and ends. So it does not outlive whoever has started it.
"""

import json
import sys
import threading
import time

# Installs Twisted's reactor, so it comes before all that uses one.
import autobahntestsuite.choosereactor  # noqa: F401
from autobahntestsuite.case import Cases
from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor


# Seconds that connections have to end before the reports are written without them.
PATIENCE = 5.0


def cap(count):
    """Have the cases with compression take at most `count` messages."""
    for case in Cases:
        if count and case.__name__.startswith(("Case12_", "Case13_")):
            case.COUNT = min(case.COUNT, count)


def finish(factory, deadline):
    """Write the reports once all cases have ended, and end."""
    if factory.countConnections and time.time() < deadline:
        reactor.callLater(0.05, finish, factory, deadline)
        return
    factory.createReports(produceHtml=factory.spec["html"])
    reactor.stop()


def wait_for_end_of_input(factory):
    """Run in a thread of its own, since reading blocks."""
    sys.stdin.read()
    reactor.callFromThread(finish, factory, time.time() + PATIENCE)


def main():
    """Serve, until standard input is closed."""
    specification = json.loads(sys.argv[1])
    # The suite prints, and who reads our line does not go on reading.
    output, sys.stdout = sys.stdout, sys.stderr
    cap(specification["count"])
    # Port 0 here means that the Host header of the clients may name any.
    factory = FuzzingServerFactory(dict(specification, url="ws://127.0.0.1:0"))
    address = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost()
    url = "ws://127.0.0.1:" + str(address.port)
    output.write(json.dumps({"url": url, "cases": factory.specCases}) + "\n")
    output.flush()
    waiting = threading.Thread(target=wait_for_end_of_input, args=(factory,))
    waiting.daemon = True
    waiting.start()
    reactor.run()


if __name__ == "__main__":
    main()
