"""The records of a run as `--json` wrote them, read back: one JSON object a line.

Rules: what an `UploadReport` or an `UploadSummary` has and a page needs has the same name here, so one fold
takes both; an event is read back as itself, so a field that it gets later needs a default.  What is new in a
later version is passed over; so is a last line that was cut short with the run.  Any other line that cannot
be read is a `BadRecord`, which names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from s3_upload.observe.changes import Kept
from s3_upload.observe.events import LimitsChanged, StoreAway, StoreBack
from s3_upload.report import AttemptReport, PaceReport

MAX_BYTES = 2**63 - 1
"""An object has no more: what does would be no figure either."""


class BadRecord(ValueError):  # noqa: N818 - the record is bad
    """A line that no run has written: its message says which and why."""


class ErrorRecord(msgspec.Struct, frozen=True):
    """What is known of an exception."""

    message: str = ""


class UploadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An `UploadReport`."""

    seq: int
    source: str
    bytes: Annotated[int, msgspec.Meta(le=MAX_BYTES)]
    outcome: str
    resumed_bytes: int = 0
    dropped_bytes: int = 0
    total_time_s: float = 0.0
    success_time_s: float = 0.0
    attempts: int = 0
    attempt_reports: tuple[AttemptReport, ...] = ()
    error: ErrorRecord | None = None
    reason: str = ""


class SummaryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An `UploadSummary`. `error`: what ended the run before it was through."""

    wall_time_s: float
    notes: tuple[str, ...] = ()
    pace: tuple[PaceReport, ...] = ()
    limits: dict[str, float] = {}
    error: ErrorRecord | None = None


class _Kind(msgspec.Struct):
    type: str


Record = UploadRecord | SummaryRecord | Kept
_KIND = msgspec.json.Decoder(_Kind)
_DECODERS: dict[str, msgspec.json.Decoder[Record]] = {
    "upload": msgspec.json.Decoder(UploadRecord),
    "summary": msgspec.json.Decoder(SummaryRecord),
    "limits_changed": msgspec.json.Decoder(LimitsChanged),
    "store_away": msgspec.json.Decoder(StoreAway),
    "store_back": msgspec.json.Decoder(StoreBack),
}


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of these lines. Raises `BadRecord`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            decoder = _DECODERS.get(_KIND.decode(line).type)
            if decoder is not None:
                yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if not line.endswith(b"\n") and number > 1:
                return
            raise BadRecord(f"line {number} is no record of a run: {error}") from error
