"""The progress of one attempt, shared between the engine that watches and the client that acts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """How far the sending of a request has come.

    `progress` only ever grows, in bytes, while the other side takes something in; `drained`: it has
    taken in all.  `last_ack_age_s`: seconds since it last acknowledged anything.  `rto_s`: the
    retransmission timeout before back-off (RFC 6298), 0.0 where it is not known.
    """

    progress: int
    drained: bool
    last_ack_age_s: float
    rto_s: float


class Exchange:
    """The progress of one attempt, written by the client while it happens.

    `connect_timeout_s` bounds a handshake; `fresh` asks for a new connection, to another address than
    `avoid` where there is one.  Times are what `now()` gave: seconds on the run's clock, 0.0 for not
    yet.  `connect_s` is how long the handshake took, `request_s` when the request began on a
    connection, `sent_s` when its last byte had left the client.  `abort` (makes `send` raise
    `AttemptError` soon) and `probe` are set by the client while the request is under way.  `note` is
    the client's own: what it made the request with.
    """

    __slots__ = (
        "abort",
        "address",
        "avoid",
        "cancelled",
        "connect_s",
        "connect_timeout_s",
        "first_byte_s",
        "fresh",
        "new_connection",
        "note",
        "now",
        "probe",
        "request_s",
        "sent_s",
        "started_s",
    )

    def __init__(
        self, now: Callable[[], float], connect_timeout_s: float, *, fresh: bool = False, avoid: str = ""
    ) -> None:
        self.now = now
        self.connect_timeout_s = connect_timeout_s
        self.fresh = fresh
        self.avoid = avoid
        self.started_s = now()
        self.connect_s = 0.0
        self.request_s = 0.0
        self.sent_s = 0.0
        self.first_byte_s = 0.0
        self.address = ""
        self.new_connection = False
        self.cancelled = False
        self.abort: Callable[[str], None] | None = None
        self.probe: Callable[[], Transfer] | None = None
        self.note: object = None

    def cancel(self, reason: str) -> None:
        """Ends the attempt now or, during a handshake, before its request begins."""
        self.cancelled = True
        if self.abort is not None:
            self.abort(reason)
