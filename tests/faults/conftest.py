"""Fixtures for the tests of the fault server itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.peer import Peer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.faults.server import FaultServer


@pytest.fixture
def connect() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def open_peer(server: FaultServer, context: ssl.SSLContext | None = None) -> Peer:
            peer = Peer(server, context)
            stack.enter_context(contextlib.closing(peer.sock))
            return peer

        yield open_peer
