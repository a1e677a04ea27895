"""One attempt as both sides see it: what `transfer/` asks, and the client's `Trace` of what became of it."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """How far the sending of a request has come.

    `progress` only ever grows, in bytes, while the other side takes something in; `drained`: it has
    taken in all.  `last_ack_age_s`: seconds since it last acknowledged anything.  `rto_s`: the
    retransmission timeout before back-off (RFC 6298), 0.0 where it is not known.  `starved`: it has taken in
    all that there is so far, and the next bytes are still being read from their source.  `left_bytes`: of the
    body, what has not been taken in, to a packet or so; `unsent_bytes`: of that, what has not even been sent.
    `trip_s`: what the way there and back takes at its best, 0.0 where that is not known.  `answer_bytes`: of
    the answer's body, what has come.
    """

    progress: int
    drained: bool
    last_ack_age_s: float
    rto_s: float
    starved: bool = False
    left_bytes: int = 0
    unsent_bytes: int = 0
    trip_s: float = 0.0
    answer_bytes: int = 0


class Answer(enum.Enum):
    """What of an answer a request needs."""

    HEADERS = "headers"
    """They prove a success."""
    WHOLE = "whole"
    """A success is proven by its body, which has to be whole."""
    LONG = "long"
    """The same, of a list that does not come in pages."""
    BODILESS = "bodiless"
    """It has no body, whatever length it names (HEAD)."""


class SendOptions(msgspec.Struct, frozen=True):
    """What is asked of the client for one attempt.

    `connect_timeout_s` bounds a handshake; `fresh` asks for a new connection, to another address than
    `avoid` where there is one.  `lease`: what the client gave the run, if that is held back.
    """

    connect_timeout_s: float
    fresh: bool = False
    avoid: str = ""
    lease: object = None


class Trace(msgspec.Struct, eq=False):
    """What has become of one attempt so far: the client tells it while it happens.

    Times are what `now()` gave: seconds on the run's clock, 0.0 for not yet.  `connect_s` is how long the
    handshake took, `request_s` when the request began on a connection, `sent_s` when its last byte had left
    the client.  `abort` (makes `send` raise `AttemptError` soon) and `probe` are there while the request is
    under way; an `abort` of None after `request_s` says that it has ended.  `note` is the client's own: what
    it made the request with.  `sent_bytes`, set when the attempt ends: how much of the body had left by then,
    as far as the client knows.  `stale`: the other side closed a connection that was waiting, without a byte
    of an answer: it had probably done so before the request came.
    """

    options: SendOptions
    now: Callable[[], float]
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
    sent_bytes: int = 0
    stale: bool = False

    def __post_init__(self) -> None:
        self.started_s = self.now()

    def cancel(self, reason: str) -> None:
        """Ends the attempt now or, during a handshake, before its request begins."""
        self.cancelled = True
        if self.abort is not None:
            self.abort(reason)

    def transfer(self) -> Transfer | None:
        """What `probe` says; None where there is none, or the socket cannot be read."""
        try:
            return self.probe() if self.probe is not None else None
        # asyncio raises OSError, and uvloop, which has closed the socket before it tells anybody, ValueError.
        except (OSError, ValueError):
            return None

    def made_with(self, note: object) -> None:
        """See `note`."""
        self.note = note

    def takes(self, *, new: bool) -> None:
        """It goes on a connection that is new, or was idle."""
        self.new_connection = new

    def dials(self, address: str) -> None:
        """A handshake with `address` begins."""
        self.address = address

    def connected(self, address: str, connect_s: float) -> None:
        """There is a connection, after a handshake of `connect_s`."""
        self.address, self.connect_s = address, connect_s

    def begins(self, address: str, abort: Callable[[str], None], probe: Callable[[], Transfer]) -> None:
        """Its request goes out on a connection."""
        self.address, self.abort, self.probe = address, abort, probe
        # On a connection that was waiting it begins at once.
        self.request_s = self.now() if self.new_connection else self.started_s

    def can_be_cut(self, abort: Callable[[str], None], sent_bytes: int) -> None:
        """Somebody else's client carries it out, and may have sent so much when it is cut."""
        self.abort, self.sent_bytes = abort, sent_bytes

    def has_slot(self) -> None:
        """That client begins with it."""
        self.request_s = self.now()

    def all_sent(self) -> None:
        """The last byte has left the client."""
        self.sent_s = self.now()

    def answered(self) -> None:
        """The first byte of an answer is there."""
        self.first_byte_s = self.now()

    def interim(self) -> None:
        """What has come was not the answer yet."""
        self.first_byte_s = 0.0

    def broke_idle(self) -> None:
        """See `stale`."""
        self.stale = True

    def ends(self, sent_bytes: int) -> None:
        """Too late for a cut or a look."""
        self.abort = self.probe = None
        self.sent_bytes = sent_bytes
