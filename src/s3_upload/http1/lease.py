"""The connections that one run uses, where that run is held back: how they fare, and how fast they may send.

Rules:

* A pace belongs to a run.  It holds for the connections that the run's requests use, or used last.  A
  connection joins the lease when a request of the run takes it.  It leaves the lease, and is not paced any
  more, when a request of anybody else takes it, or when the run ends.  So no run holds another to its pace,
  at the same time or later.
* What a connection did before it joined is not told of it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from s3_upload.http1 import tcp_info
from s3_upload.report import ConnectionSample, Paces

if TYPE_CHECKING:
    from s3_upload.http1.connection import Connection

NUMBERS = itertools.count()
"""One for each time that a connection is looked at again."""
_UNPACED = Paces()


class Lease:
    sees = True

    def __init__(self) -> None:
        self._members: dict[Connection, tuple[int, tcp_info.Sums]] = {}  # its number, and what was before
        self._paces = _UNPACED
        self._usual = b""  # their algorithm, once it matters
        self._kernel_paces = True  # as long as nothing shows that it does not
        self._ended = False

    def join(self, connection: Connection) -> None:
        """A request of the run takes `connection`."""
        if self._ended:  # what still tidies up for the run is not held back
            return
        connection.leased(self)
        sock = connection.socket
        before = tcp_info.sums(sock) if connection.requests else tcp_info.NO_SUMS
        self._members[connection] = next(NUMBERS), before
        if self._paces == _UNPACED:
            return
        if not tcp_info.pace(sock, self._paces.each_bytes_per_s):
            self._kernel_paces = False
        if self._paces.heedless:
            self._heed(connection, losses=False)

    def leave(self, connection: Connection) -> None:
        """Somebody else takes `connection`, or it has ended."""
        del self._members[connection]
        connection.leased(None)
        if self._paces == _UNPACED:
            return
        tcp_info.pace(connection.socket, _UNPACED.each_bytes_per_s)
        if self._paces.heedless:
            self._heed(connection, losses=True)

    def end(self) -> None:
        """The run is over: all leave, and none joins any more."""
        self._ended = True
        for connection in tuple(self._members):
            self.leave(connection)

    def samples(self) -> list[ConnectionSample]:
        """See `transfer.client.Lease`."""
        found = (
            tcp_info.sample(connection.socket, number, busy=not connection.usable, before=before)
            for connection, (number, before) in self._members.items()
        )
        return [sample for sample in found if sample is not None]

    def pace(self, paces: Paces) -> bool:
        """See `transfer.client.Lease`."""
        if paces == self._paces == _UNPACED:
            return self._kernel_paces
        before, self._paces = self._paces, paces
        for connection, (number, _) in self._members.items():
            each = paces.apart.get(number, paces.each_bytes_per_s)
            if not tcp_info.pace(connection.socket, each):
                self._kernel_paces = False
            if paces.heedless != before.heedless:
                self._heed(connection, losses=not paces.heedless)
        return self._kernel_paces

    def _heed(self, connection: Connection, *, losses: bool) -> None:
        """Whether its TCP slows down for losses, as it usually does, or, if the system allows it, not."""
        if not losses:
            self._usual = self._usual or tcp_info.congestion_control(connection.socket)
        tcp_info.set_congestion_control(connection.socket, self._usual if losses else tcp_info.HEEDLESS)
