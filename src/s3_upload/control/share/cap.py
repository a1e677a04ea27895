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

A later measurement that finds less may tell of the run and not of the link: files were read slowly, or the
store took little.  It counts where the link had work: in `standing` of its looks that share of the requests
under way had bytes that waited to be sent, and nothing else bounded the rate.  If not, the capacity stays.
Without samples nobody can tell; then it is the higher one of the last two measurements.
"""

from __future__ import annotations

import msgspec

from s3_upload.control.share.link import Look
from s3_upload.units import Bandwidth

UNBOUNDED = float("inf")


class Tuning(msgspec.Struct, frozen=True):
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
    standing: float = 0.5
    """The link has work while this share of the requests has bytes to send, in this share of the looks."""


DEFAULT = Tuning()


class Measurement:
    """One that ends at `until_s`. `highest`: the rate, 0.0 while nothing was sent."""

    def __init__(self, until_s: float, standing: float) -> None:
        self.until_s = until_s
        self.highest = 0.0
        self._standing = standing
        self._looks = self._working = 0

    def add(self, look: Look, *, held: bool) -> None:
        self.highest = max(self.highest, look.bytes_per_s)
        self._looks += 1
        self._working += not held and look.busy > 0 and look.waiting >= self._standing * look.busy

    @property
    def of_link(self) -> bool:
        """Whether the link could not have carried more."""
        return self._working >= self._standing * self._looks


class Cap:
    """The bound of the module's theory; `bandwidth` may change at any time."""

    def __init__(self, *, blind: bool = False, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._blind = blind
        self._bandwidth: Bandwidth | None = None
        self._last_s = 0.0
        self._ahead = 0.0  # allowed - A
        self._acked_bytes = 0
        self._measurement = Measurement(0.0, tuning.standing)
        self._capacity = 0.0
        self._found = 0.0  # by the last measurement

    def rate(self, bandwidth: Bandwidth | None, look: Look, *, now: float, held: bool = False) -> float:
        """The bytes per second allowed from now on; UNBOUNDED without a bound and during a measurement.
        `held`: something else bounds the rate, too."""
        if bandwidth != self._bandwidth:
            self._bandwidth = bandwidth
            self._ahead = 0.0
            self._measure(now, 0.0 if self._capacity else self._tuning.measure_s)
        elapsed_s, self._last_s = now - self._last_s, now
        acked, self._acked_bytes = look.acked_bytes - self._acked_bytes, look.acked_bytes
        cap = self._bytes_per_s(bandwidth, look, now, held=held)
        # Without samples, bytes are acknowledged a request at a time: the correction would swing. The gate
        # keeps the sum exact anyway.
        if cap == UNBOUNDED or self._blind:
            return cap
        bound = cap * self._tuning.credit_s
        self._ahead = min(bound, max(-bound, self._ahead + cap * elapsed_s - acked))
        return max(self._tuning.least * cap, cap + self._ahead / self._tuning.settle_s)

    def _bytes_per_s(self, bandwidth: Bandwidth | None, look: Look, now: float, *, held: bool) -> float:
        if bandwidth is None:
            return UNBOUNDED
        if not bandwidth.share:
            return bandwidth.bytes_per_s
        if now >= self._measurement.until_s + self._tuning.measure_every_s:
            self._measure(now, self._tuning.measure_s)
        measurement = self._measurement
        if now < measurement.until_s:
            measurement.add(look, held=held)
            return UNBOUNDED
        # Nothing was sent yet: the first measurement begins with what is.
        if not (measurement.highest or self._capacity):
            self._measure(now, self._tuning.measure_s)
            return UNBOUNDED
        # The measurement sent more than the cap; that is not made up for.
        if measurement.highest:
            self._learn(measurement)
            measurement.highest = self._ahead = 0.0
        return bandwidth.share * self._capacity

    def _measure(self, now: float, for_s: float) -> None:
        self._measurement = Measurement(now + for_s, self._tuning.standing)

    def _learn(self, measurement: Measurement) -> None:
        """A measurement has ended, in which something was sent."""
        before, self._found = self._found, measurement.highest
        if self._blind:
            self._capacity = max(before, self._found)
        elif self._found > self._capacity or measurement.of_link:
            self._capacity = self._found
