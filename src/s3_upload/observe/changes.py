"""The few events of a run that are kept: what limited it, and when the store was away.

Rules:

* Nothing is kept for each request.  Of the limits changes are kept, and of an outage its begin and its end.
* Changes of the limits are at least APART_S apart, or SHARE of the run's time so far, if that is longer: a
  day has a few thousand.  One that comes sooner, and lasts, is kept later, with the time at which it came.

What is kept goes to all that keep it alike (a page, JSON lines), so that they hold the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from s3_upload.observe.events import LimitsChanged, Listening, StoreAway, StoreBack

if TYPE_CHECKING:
    from collections.abc import Callable

APART_S = 0.5
SHARE = 1 / 500

Kept = LimitsChanged | StoreAway | StoreBack


class Changes:
    """See the module's rules. `keep` takes what is kept."""

    def __init__(self, *keep: Callable[[Kept], object]) -> None:
        self._keep = keep
        self._latest: LimitsChanged | None = None  # that was kept
        self._waits: LimitsChanged | None = None
        self._next_s = self._heard_s = 0.0
        self._away_since_s: float | None = None

    @property
    def listening(self) -> Listening | None:
        """For the `events` of a run, or of several one after the other; None where nobody keeps any."""
        kinds = frozenset[type]({LimitsChanged, StoreAway, StoreBack})
        return Listening(self._hear, kinds) if self._keep else None

    def flush(self) -> None:
        """The run has ended: what waits is kept now."""
        if self._waits is not None:
            self._limits(self._waits)

    def _hear(self, event: object) -> None:
        assert isinstance(event, LimitsChanged | StoreAway | StoreBack)
        if event.at_s < self._heard_s:  # of another run, whose clock begins at 0
            self.flush()
            self._latest, self._next_s, self._away_since_s = None, 0.0, None
        self._heard_s = event.at_s
        if isinstance(event, LimitsChanged):
            self._changed(event)
            return
        since_s = event.since_s if isinstance(event, StoreAway) else None
        if isinstance(event, StoreAway) and since_s == self._away_since_s:
            return  # it is told for each try
        self._away_since_s = since_s
        self.flush()
        self._tell(event)

    def _changed(self, event: LimitsChanged) -> None:
        if self._latest is not None and _same(event, self._latest):
            self._waits = None  # it was as short as that
        elif self._waits is None or not _same(event, self._waits):
            self._waits = event
        if self._waits is not None and event.at_s >= self._next_s:
            self._limits(self._waits)
            self._next_s = event.at_s + max(APART_S, SHARE * event.at_s)

    def _limits(self, event: LimitsChanged) -> None:
        self._latest, self._waits = event, None
        self._tell(event)

    def _tell(self, event: Kept) -> None:
        for keep in self._keep:
            keep(event)


def _same(one: LimitsChanged, other: LimitsChanged) -> bool:
    """But for how many requests are under way, which is another at any moment."""
    return msgspec.structs.replace(one, at_s=other.at_s, requests=other.requests) == other
