"""What a run tells while it goes on: the events, and who hears them.

Rules:

* An event is a frozen record; times (`at_s`) are seconds on the run's clock, sizes are bytes.
* They come in the order in which things happen, on the run's loop.  A listener must not block.  What it
  raises ends the run.
* An event that nobody wants is not made.  So a run without listeners pays an `if` for each.
* Nothing secret is in an event.

`seq` tells objects apart: it is that of the `UploadReport`.  In a job of several processes those of worker n
begin at n * SEQ_OF_WORKER, and none says where in the stream of sources its object stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

import msgspec

from s3_upload.report import AttemptReport, UploadReport
from s3_upload.sources.version import NO_TIME_NS

SEQ_OF_WORKER = 1_000_000_000
"""More objects than one process comes to."""


class ObjectBegun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The first request of an object is ready to be sent. `size`: None for a stream, which tells it at its
    end."""

    at_s: float
    seq: int
    key: str
    source: str
    size: int | None


class UploadCreated(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The store has begun a multipart upload. `part_size`: of the first part; later ones may be larger.

    `size`, `mtime_ns`, `ctime_ns`: of the version of the file that is sent; None, -1 and 0 for a stream.
    `checksum_type`: "FULL_OBJECT" or "COMPOSITE", by `checksum_algorithm`; "" where the store keeps none.
    `said`: a hash of what was said of the object when it was begun; "" where that is not known.
    """

    at_s: float
    seq: int
    key: str
    upload_id: str
    part_size: int
    size: int | None = None
    mtime_ns: int = NO_TIME_NS
    ctime_ns: int = 0
    checksum_algorithm: str = ""
    checksum_type: str = ""
    said: str = ""


class PartStored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The store has a part. `checksum`: base64, "" where none was sent."""

    at_s: float
    seq: int
    key: str
    upload_id: str
    part_number: int
    bytes: int
    etag: str
    checksum: str


class BytesAcknowledged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of an object with a big body has arrived: parts that are stored, and what the other side has
    acknowledged of the bodies under way, where that can be known, else what has left.  At most ten times a
    second for each object, when it has changed.  It can shrink: an attempt may fail.  Of `bytes` an earlier
    run had sent `resumed_bytes`."""

    at_s: float
    seq: int
    key: str
    bytes: int
    size: int | None
    resumed_bytes: int = 0


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try of one request is over, whatever became of it."""

    at_s: float
    seq: int
    key: str
    report: AttemptReport


class LimitsChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What holds the run back now.

    `requests`: under way; `max_requests`: how many there may be; `limited_by`: a name of `observe.limits`;
    `rate_per_s`: requests a second that the store accepts, 0.0 where it refuses none; `bytes_per_s`: the
    pace, 0.0 where there is none; `silent_since_s`: since when the store, which nobody has found to be away,
    has not answered nor taken much in, where that is for `observe.limits.SILENT_S` or more, else None.
    """

    at_s: float
    requests: int
    max_requests: int
    limited_by: str
    rate_per_s: float = 0.0
    bytes_per_s: float = 0.0
    silent_since_s: float | None = None


class StoreAway(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The store does not answer any more, since `since_s`; it is tried again at `next_try_s`.  Told again
    for each try."""

    at_s: float
    since_s: float
    next_try_s: float
    cause: str


class StoreBack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The store answers again."""

    at_s: float
    since_s: float


class ObjectEnded(msgspec.Struct, frozen=True, kw_only=True):
    """An object is uploaded, failed or skipped."""

    at_s: float
    report: UploadReport


Event = (
    ObjectBegun
    | UploadCreated
    | PartStored
    | BytesAcknowledged
    | AttemptEnded
    | LimitsChanged
    | StoreAway
    | StoreBack
    | ObjectEnded
)
Listener = Callable[[Event], object]
KINDS: tuple[type, ...] = get_args(Event)


class Listening(msgspec.Struct, frozen=True):
    """A listener and the kinds of events that it wants; the others are not made for it."""

    listener: Listener
    kinds: frozenset[type] = frozenset(KINDS)


class Events:
    """Passes events on to those who want them. `wants` is to be asked before an event is made.

    When a listener has raised, which ends the run, nobody is called again: the end of a run tells events,
    too, and has much to do.
    """

    def __init__(self, listening: Iterable[Listening] = ()) -> None:
        self._by_kind: dict[type, list[Listener]] = {}
        for one in listening:
            for kind in one.kinds:
                self._by_kind.setdefault(kind, []).append(one.listener)

    @property
    def kinds(self) -> frozenset[type]:
        """What anybody wants."""
        return frozenset(self._by_kind)

    def wants(self, *kinds: type) -> bool:
        """Whether anybody wants any of these."""
        return not self._by_kind.keys().isdisjoint(kinds)

    def tell(self, event: Event) -> None:
        try:
            for listener in self._by_kind.get(type(event), ()):
                listener(event)
        except BaseException:
            self._by_kind.clear()
            raise


def events_for(*given: Listener | Listening | None) -> Events:
    """For those who listen to everything, or to what is said; None listens to nothing."""
    there = [one for one in given if one is not None]
    return Events([one if isinstance(one, Listening) else Listening(one) for one in there])


def joined(*given: Listening | None) -> Listening | None:
    """One who listens for all of these, each to what it wants; None where there are none."""
    there = [one for one in given if one is not None]
    if not there:
        return None
    return Listening(Events(there).tell, frozenset[type]().union(*(one.kinds for one in there)))
