"""How many requests at once. Rules: no clock, no I/O; fed with `AttemptReport`s alone."""

from __future__ import annotations

from typing import Protocol

from s3_upload.report import AttemptReport


class Window(Protocol):
    """What the engine needs of a window algorithm."""

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        ...

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """Learns from an attempt that has ended; `in_flight` still counts it."""
        ...


class FixedWindow:
    """Always the same number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """A fixed window learns nothing."""
