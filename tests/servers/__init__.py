"""Servers made of other people's software, run as scripts by `software.py`.

They all do the same: they echo messages, and obey a few of them.

* `close CODE REASON` closes the connection so;
* `subprotocol` is answered with the subprotocol agreed upon;
* `seen` is answered with the code and reason with which a client closed last;
* `die` ends the process;
* the path `/refuse` is refused with status 403 and the body `no`.

The last argument is a number to listen at: a descriptor, or a port for Node.
"""
