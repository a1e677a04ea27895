"""The progress of one attempt, shared between the engine that watches and the client that acts."""

from __future__ import annotations

from collections.abc import Callable


class Exchange:
    """The progress of one attempt, written by the client while it happens.

    `connect_timeout_s` bounds a handshake; `fresh` asks for a new connection, to another address than
    `avoid` where there is one.  Times are what `now()` gave: seconds on the run's clock, 0.0 for not
    yet.  `request_s` is when the request began on a connection, `sent_s` when its last byte had left
    the client.  `abort` is set by the client while it can be interrupted: calling it makes `send`
    raise `AttemptError` soon.
    """

    __slots__ = (
        "abort",
        "address",
        "avoid",
        "connect_timeout_s",
        "first_byte_s",
        "fresh",
        "new_connection",
        "now",
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
        self.request_s = 0.0
        self.sent_s = 0.0
        self.first_byte_s = 0.0
        self.address = ""
        self.new_connection = False
        self.abort: Callable[[str], None] | None = None
