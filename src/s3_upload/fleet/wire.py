"""What the processes of a fleet say to each other: frames over a socket.

Rules:

* A frame is four bytes of its length, big-endian, and a pickled record.  Both ends are this very program, of
  one user, and the socket has no name that anybody else could find.
* Of an event go its fields, in their order: there are many events, and a record by name costs more.  An
  object's `ObjectSource` stays with the process that has handed it out.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.worker_rates import Seen
from s3_upload.control.concurrency.worker_rates import Told as RateTold
from s3_upload.errors import ConfigError
from s3_upload.observe.events import KINDS, AttemptEnded, Event, ObjectEnded
from s3_upload.report import AttemptReport, UploadReport
from s3_upload.request_fields import RequestFields
from s3_upload.transfer.resume import Resumed

_LENGTH = struct.Struct("!I")
_NUMBER = {kind: number for number, kind in enumerate(KINDS)}
_REPORT_FIELDS = UploadReport.__struct_fields__
_ATTEMPTS = _REPORT_FIELDS.index("attempt_reports")
_SOURCE = _REPORT_FIELDS.index("object")

Item = tuple[str, str, RequestFields | None]
"""A file to upload: its path, its key, and what is said of it alone."""


class Frame(msgspec.Struct, frozen=True):
    """What goes at once."""


class Begin(Frame, frozen=True):
    """How to upload. `recipe`: the arguments of the `S3Client`; `wanted`: the kinds of events, by number;
    `epoch_s`: when the clock of all stood at 0; `keeps`: whether uploads in parts that are left unfinished
    are known to the next run, and `asks_store` where unknown ones are looked for; `paced`: there is, or may
    be, a bound on the bandwidth.  `place`: from 0 to 1, another for each worker; `rates`: what is known
    of the rate that the store accepts.  `speaks`: what there is to say of the store is to be told.
    `directory`: where relative paths begin (`Here.told`); "" where the worker is."""

    recipe: Mapping[str, Any]
    bucket: str
    config: UploadConfig
    default_request: Callable[..., Any] | None
    wanted: tuple[int, ...]
    epoch_s: float
    keeps: bool
    asks_store: bool
    paced: bool
    place: float = 0.0
    rates: tuple[RateTold, ...] = ()
    speaks: bool = False
    directory: str = ""


class Work(Frame, frozen=True):
    """More to upload. `lost`: keys of those that a process had which has ended: it may have sent them."""

    items: list[Item]
    lost: tuple[str, ...] = ()


class GiveBack(Frame, frozen=True):
    """Up to so many that it has not begun are for others now."""

    count: int


class GivenBack(Frame, frozen=True):
    """It does not do these: the keys."""

    keys: list[str]


class Lease(Frame, frozen=True):
    """From now on no more than so many bytes each second; 0.0 for no bound."""

    bytes_per_s: float


class Hold(Frame, frozen=True):
    """What is known now of the rate that the store accepts, and this one's share of it."""

    rates: list[RateTold]


class Answer(Frame, frozen=True):
    """To the question of that number."""

    number: int
    answer: Any


class Finish(Frame, frozen=True):
    """There will be no more work."""


class Stop(Frame, frozen=True):
    """Begin nothing new, and end when what is under way has; or `at_once`."""

    at_once: bool = False


class Ready(Frame, frozen=True):
    """It has begun, and may be given work."""


class Hello(Frame, frozen=True):
    """It is the task of that number, and may be told what is left of its work."""

    number: int


class Told(Frame, frozen=True):
    """Events, each packed."""

    events: list[tuple[Any, ...]]


class Question(Frame, frozen=True):
    """What `name` of `UploadsBefore` says to `argument`, a key or the ID of an upload."""

    number: int
    name: str
    argument: str


class Rates(Frame, frozen=True):
    """What it has seen of the rate that the store accepts."""

    seen: list[Seen]


class Noticed(Frame, frozen=True):
    """What there is to say of the store: a line of plain English."""

    line: str


class Ended(Frame, frozen=True):
    """The run is over: what there is to say of it, and what has stopped it, if anything has."""

    notes: tuple[str, ...] = ()
    budget_wait_s: float = 0.0
    error: BaseException | None = None
    resumed: Resumed = msgspec.field(default_factory=Resumed)


def framed(frame: Frame) -> bytes:
    """As it goes over the socket. Raises what pickle raises where something in it cannot travel."""
    body = pickle.dumps(frame, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class _Finder(pickle.Pickler):
    """Refuses what another process would not find: what the script itself defines that runs here."""

    def reducer_override(self, found: Any) -> Any:
        if getattr(found, "__module__", "") == "__main__" and hasattr(found, "__qualname__"):
            raise pickle.PicklingError(f"{found.__qualname__} is defined in the script itself")
        return NotImplemented


def check_travels(name: str, value: object) -> None:
    """Raises `ConfigError` where `value`, called `name`, cannot be sent to a process of ours."""
    try:
        _Finder(io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:
        raise ConfigError(cannot_travel(name, error)) from error


def cannot_travel(name: str, error: Exception) -> str:
    """Why `name` cannot be sent to another process, and what to do."""
    return (
        f"processes: {name} cannot be sent to another process ({error}): make it a function of a module, or "
        "take processes=1"
    )


class Frames:
    """Takes bytes as they come, and gives whole frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def fed(self, data: bytes) -> list[Frame]:
        self._bytes += data
        frames, at, size = list[Frame](), 0, _LENGTH.size
        while len(self._bytes) - at >= size:
            end = at + size + _LENGTH.unpack_from(self._bytes, at)[0]
            if len(self._bytes) < end:
                break
            frames.append(pickle.loads(memoryview(self._bytes)[at + size : end]))  # noqa: S301 - see the rules
            at = end
        del self._bytes[:at]
        return frames


def packed(event: Event) -> tuple[Any, ...]:
    """The number of its kind, and its fields."""
    number = _NUMBER[type(event)]
    if type(event) is ObjectEnded:
        return (number, event.at_s, _packed_report(event.report))
    if type(event) is AttemptEnded:
        return (number, event.at_s, event.seq, event.key, msgspec.structs.astuple(event.report))
    return (number, *msgspec.structs.astuple(event))


def _packed_report(report: UploadReport) -> list[Any]:
    fields = list(msgspec.structs.astuple(report))
    fields[_ATTEMPTS] = tuple(map(msgspec.structs.astuple, report.attempt_reports))
    fields[_SOURCE] = None
    return fields


def unpacked(values: tuple[Any, ...]) -> Event:
    """The event that was packed."""
    number, *fields = values
    kind = KINDS[number]
    if kind is ObjectEnded:
        return ObjectEnded(at_s=fields[0], report=_report(fields[1]))
    if kind is AttemptEnded:
        fields[-1] = _made(AttemptReport, fields[-1])
    made: Event = _made(kind, fields)
    return made


def _report(fields: list[Any]) -> UploadReport:
    attempts = tuple(_made(AttemptReport, one) for one in fields[_ATTEMPTS])
    report: UploadReport = _made(UploadReport, fields)
    return msgspec.structs.replace(report, attempt_reports=attempts)


def _made(kind: Any, fields: Sequence[Any]) -> Any:
    return kind(**dict(zip(kind.__struct_fields__, fields, strict=True)))


def numbers_of(kinds: frozenset[type]) -> tuple[int, ...]:
    """Of kinds of events."""
    return tuple(sorted(_NUMBER[kind] for kind in kinds))


def kinds_of(numbers: tuple[int, ...]) -> frozenset[type]:
    return frozenset(KINDS[number] for number in numbers)
