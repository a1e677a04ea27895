"""What a refusal means for the run that no other object may survive either. No clock, no I/O.

Rules:

* Before anything has succeeded, a refusal that nothing can put right (`FailureKind.stops_run`) stops the run
  at once.  Any other final refusal fails its object.  When MAX_IN_A_ROW objects were refused alike (same
  status and code), no other is likely to fare better, and the run stops.
* After a success the cause may be one bad front end, or a node that has just been started.  Such a request is
  tried again at another address, STRAY_RETRIES times; then its object fails.  The run stops only when
  MAX_IN_A_ROW objects were refused for good, for whatever reason, with no success between them.
* If such retries were in vain for `max_in_vain` objects and never helped, while others succeeded, the
  refusals are the objects' own (a policy that denies some keys, say).  Then they are not tried again any
  more.

An object counts once, however many of its parts are refused.
"""

from __future__ import annotations

MAX_IN_A_ROW = 20
"""This many objects refused one after the other stop the run."""
STRAY_RETRIES = 2
"""A request that was refused among successes is tried again this many times."""


class Refusals:
    """See the module's rules; `max_in_vain` is a field of `retry.Tuning`."""

    def __init__(self, max_in_vain: int) -> None:
        self._max_in_vain = max_in_vain
        self.any_success = False
        self._objects: set[int] = set()  # refused since the last success, at most MAX_IN_A_ROW
        self._alike = ""
        self._in_vain = 0

    def __repr__(self) -> str:
        return f"<Refusals any_success={self.any_success} in_a_row={len(self._objects)}>"

    @property
    def in_vain(self) -> bool:
        """Whether to try again what was refused has proven useless."""
        return self._in_vain >= self._max_in_vain

    def succeeded(self, *, was_refused: bool) -> None:
        """A request has succeeded; `was_refused`: one that had been refused before."""
        self.any_success = True
        if self._objects:
            self._objects.clear()
        # The retry helped, so the cause was one bad front end and not a policy.
        if was_refused:
            self._in_vain = 0

    def refused(self, object_seq: int, alike: str) -> int:
        """An object was refused for good; returns how many were in a row, before a success those alone
        that were refused alike."""
        # Before any success only refusals of one cause count: several causes may be the objects' own.
        if not self.any_success and alike != self._alike:
            self._alike = alike
            self._objects.clear()
        self._objects.add(object_seq)
        return len(self._objects)

    def retried_in_vain(self) -> None:
        """An object was refused on all its tries."""
        self._in_vain += 1
