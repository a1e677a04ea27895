"""`max_bandwidth`: a hard bound on the payload's rate. Pure.

Theory of operation.  The kernel keeps each connection to its pace, but connections begin and end between
two looks, and headers count, so that the sum comes out a little lower.  With A the bytes acknowledged:

    allowed(now) = allowed(before) + cap * elapsed        rate = cap + (allowed - A) / SETTLE_S

where allowed - A is kept within [-cap, cap] * CREDIT_S: what was not used is not made up for later, and
what was sent too much is, within SETTLE_S.

Where nothing is known of the connections, what was acknowledged comes in lumps, a request at a time; then
the rate is the cap, and the gate alone keeps it.

A percentage is of the capacity: the highest rate of RATE_S seen in a measurement of MEASURE_S without a
bound, at the beginning and after every MEASURE_EVERY_S.
"""

from __future__ import annotations

from s3_upload.control.share.link import Look
from s3_upload.units import Bandwidth

SETTLE_S = 1.0
CREDIT_S = 0.25
MEASURE_S = 3.0
MEASURE_EVERY_S = 120.0
UNBOUNDED = float("inf")


class Cap:
    """The bound of the module's theory; `bandwidth` may change at any time."""

    def __init__(self, *, blind: bool = False) -> None:
        self._blind = blind
        self._bandwidth: Bandwidth | None = None
        self._last_s = 0.0
        self._ahead = 0.0  # allowed - A
        self._acked_bytes = 0
        self._measure_until_s = 0.0
        self._measured = 0.0
        self._capacity = 0.0

    def rate(self, bandwidth: Bandwidth | None, look: Look, *, now: float) -> float:
        """Bytes per second that may be sent from now on; UNBOUNDED without a bound, and while measuring."""
        if bandwidth != self._bandwidth:
            self._bandwidth = bandwidth
            self._ahead = 0.0
            self._measure_until_s = now + MEASURE_S if not self._capacity else now
        elapsed_s, self._last_s = now - self._last_s, now
        acked, self._acked_bytes = look.acked_bytes - self._acked_bytes, look.acked_bytes
        cap = self._bytes_per_s(bandwidth, look, now)
        if cap == UNBOUNDED or self._blind:
            return cap
        bound = cap * CREDIT_S
        self._ahead = min(bound, max(-bound, self._ahead + cap * elapsed_s - acked))
        return max(0.1 * cap, cap + self._ahead / SETTLE_S)

    def _bytes_per_s(self, bandwidth: Bandwidth | None, look: Look, now: float) -> float:
        if bandwidth is None:
            return UNBOUNDED
        if not bandwidth.share:
            return bandwidth.bytes_per_s
        if now >= self._measure_until_s + MEASURE_EVERY_S:
            self._measure_until_s = now + MEASURE_S
        if now < self._measure_until_s:
            self._measured = max(self._measured, look.bytes_per_s)
            return UNBOUNDED
        if self._measured:
            self._capacity, self._measured = self._measured, 0.0
            self._ahead = 0.0
        return bandwidth.share * self._capacity if self._capacity else UNBOUNDED
