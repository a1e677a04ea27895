"""`max_bandwidth`: a hard bound on the payload's rate, unless it is a percentage. Pure.

Theory of operation (`settle_s` and the like are fields of `Tuning`).  The kernel keeps each connection to
its pace.  But connections begin and end between two looks, and headers count, so the sum is a little lower
than the cap.  The rate corrects that.  With A the bytes acknowledged:

    allowed(now) = allowed(before) + cap * elapsed        rate = cap + (allowed - A) / settle_s

allowed - A is kept within [-cap, cap] * `credit_s`.  So bandwidth that was not used is not made up for later,
and an excess is, within `settle_s`.

Without samples bytes are acknowledged in lumps, a request at a time.  Then the rate is the cap, and the gate
alone keeps it.

A percentage is one of the capacity.  The capacity is the highest rate of RATE_S seen in a measurement of
`measure_s` without a bound, at the beginning and every `measure_every_s`.  So it is exceeded meanwhile.
"""

from __future__ import annotations

import msgspec

from s3_upload.control.share.link import Look
from s3_upload.units import Bandwidth

UNBOUNDED = float("inf")


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory."""

    settle_s: float = 1.0
    """An excess is made up for within this many seconds."""
    credit_s: float = 0.25
    """The largest excess or shortfall that is made up for, in seconds at the cap."""
    least: float = 0.1
    """The rate never falls below this share of the cap."""
    measure_s: float = 3.0
    """A measurement of the capacity takes this many seconds."""
    measure_every_s: float = 120.0
    """The next measurement begins this many seconds after the last one ended."""


DEFAULT = Tuning()


class Cap:
    """The bound of the module's theory; `bandwidth` may change at any time."""

    def __init__(self, *, blind: bool = False, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._blind = blind
        self._bandwidth: Bandwidth | None = None
        self._last_s = 0.0
        self._ahead = 0.0  # allowed - A
        self._acked_bytes = 0
        self._measure_until_s = 0.0
        self._measured = 0.0
        self._capacity = 0.0

    def rate(self, bandwidth: Bandwidth | None, look: Look, *, now: float) -> float:
        """The bytes per second allowed from now on; UNBOUNDED without a bound and during a measurement."""
        if bandwidth != self._bandwidth:
            self._bandwidth = bandwidth
            self._ahead = 0.0
            self._measure_until_s = now + self._tuning.measure_s if not self._capacity else now
        elapsed_s, self._last_s = now - self._last_s, now
        acked, self._acked_bytes = look.acked_bytes - self._acked_bytes, look.acked_bytes
        cap = self._bytes_per_s(bandwidth, look, now)
        # Without samples, bytes are acknowledged a request at a time: the correction would swing. The gate
        # keeps the sum exact anyway.
        if cap == UNBOUNDED or self._blind:
            return cap
        bound = cap * self._tuning.credit_s
        self._ahead = min(bound, max(-bound, self._ahead + cap * elapsed_s - acked))
        return max(self._tuning.least * cap, cap + self._ahead / self._tuning.settle_s)

    def _bytes_per_s(self, bandwidth: Bandwidth | None, look: Look, now: float) -> float:
        if bandwidth is None:
            return UNBOUNDED
        if not bandwidth.share:
            return bandwidth.bytes_per_s
        if now >= self._measure_until_s + self._tuning.measure_every_s:
            self._measure_until_s = now + self._tuning.measure_s
        if now < self._measure_until_s:
            self._measured = max(self._measured, look.bytes_per_s)
            return UNBOUNDED
        # Nothing was sent yet: the first measurement begins with what is.
        if not (self._measured or self._capacity):
            self._measure_until_s = now + self._tuning.measure_s
            return UNBOUNDED
        # The measurement sent more than the cap; that is not made up for.
        if self._measured:
            self._capacity, self._measured = self._measured, 0.0
            self._ahead = 0.0
        return bandwidth.share * self._capacity
