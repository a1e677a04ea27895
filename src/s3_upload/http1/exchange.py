"""The progress of one attempt, shared between the engine that watches and the client that acts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """How far the sending of a request has come.

    `progress` only ever grows, in bytes, while the other side takes something in; `drained`: it has
    taken in all.  `last_ack_age_s`: seconds since it last acknowledged anything.  `rto_s`: the
    retransmission timeout before back-off (RFC 6298), 0.0 where it is not known.  `starved`: it has taken in
    all that there is so far, and the next bytes are still being read from their source.  `left_bytes`: of the
    body, what has not been taken in, to a packet or so; `unsent_bytes`: of that, what has not even been sent.
    `trip_s`: what the way there and back takes at its best, 0.0 where that is not known.
    """

    progress: int
    drained: bool
    last_ack_age_s: float
    rto_s: float
    starved: bool = False
    left_bytes: int = 0
    unsent_bytes: int = 0
    trip_s: float = 0.0


class Exchange(msgspec.Struct, eq=False):
    """The progress of one attempt, written by the client while it happens.

    `connect_timeout_s` bounds a handshake; `fresh` asks for a new connection, to another address than
    `avoid` where there is one.  Times are what `now()` gave: seconds on the run's clock, 0.0 for not
    yet.  `connect_s` is how long the handshake took, `request_s` when the request began on a
    connection, `sent_s` when its last byte had left the client.  `abort` (makes `send` raise
    `AttemptError` soon) and `probe` are set by the client while the request is under way; an `abort` of
    None after `request_s` says that it has ended.  `note` is the client's own: what it made the request
    with.  `lease`: what the client gave the run that the attempt is of, if that is held back.
    `sent_bytes`, set when the attempt ends: how much of the body had left by then, as far as the client
    knows.  `stale`: the other side closed a connection that was waiting, without a byte of an answer: it
    had probably done so before the request came.  `bodiless`: the answer has no body, whatever length it
    names (HEAD).  `needs_body`: a success is proven by the answer's body, which has to be whole; else its
    headers suffice.
    """

    now: Callable[[], float]
    connect_timeout_s: float
    fresh: bool = False
    avoid: str = ""
    started_s: float = 0.0
    connect_s: float = 0.0
    request_s: float = 0.0
    sent_s: float = 0.0
    first_byte_s: float = 0.0
    address: str = ""
    new_connection: bool = False
    cancelled: bool = False
    abort: Callable[[str], None] | None = None
    probe: Callable[[], Transfer] | None = None
    note: object = None
    lease: object = None
    sent_bytes: int = 0
    stale: bool = False
    bodiless: bool = False
    needs_body: bool = False

    def __post_init__(self) -> None:
        self.started_s = self.now()

    def cancel(self, reason: str) -> None:
        """Ends the attempt now or, during a handshake, before its request begins."""
        self.cancelled = True
        if self.abort is not None:
            self.abort(reason)
