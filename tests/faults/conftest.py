"""Fixtures for the tests beside the fault server, and of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.peer import Peer
from tests.faults.uploads import BIG

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.server import FaultServer


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of `BIG`."""
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    return path


@pytest.fixture
def connect() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def open_peer(server: FaultServer, context: ssl.SSLContext | None = None) -> Peer:
            peer = Peer(server, context)
            stack.enter_context(contextlib.closing(peer.sock))
            return peer

        yield open_peer
