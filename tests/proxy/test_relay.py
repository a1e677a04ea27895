"""The proxies of the tests themselves: what they leave open fails whichever test runs next."""

from __future__ import annotations

import gc
import socket

from tests.proxy.socks import SocksProxy


def test_a_proxy_that_stops_closes_whom_it_is_accepting() -> None:
    for _ in range(50):  # each is caught in its accepting once in ten times
        with SocksProxy() as proxy:
            callers = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
        for caller in callers:
            caller.close()
    gc.collect()  # an open socket warns now, and a warning is an error
