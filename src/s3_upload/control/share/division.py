"""How a rate is divided among the connections. Pure.

Theory of operation.

1. *Level*: those that send (the kernel has bytes of theirs that wait) have the same, but none more than
   WINDOW_GAIN times what its congestion window lets through; what that leaves goes to the others.  (With
   more, a window that was not in use would fill in a burst.  But where all windows together let less than
   the rate through, those below FRESH_BYTES may have up to SMALL_WINDOW_GAIN of it: slow start is then as
   fast as without pacing.)  Weights make their paces differ by up to STAGGER, so that equal bodies do not
   all end at once.
2. *Waiting for an answer* takes nothing of the rate: whoever ticks divides anew when a body begins.  But the
   kernel heeds a lower pace at once, and a higher one only with the next acknowledgement (Linux:
   SO_MAX_PACING_RATE in net/core/sock.c, tcp_update_pacing_rate in net/ipv4/tcp_input.c): such a connection
   has the equal share of all that have a request under way, and sends at that for its first round trip.
3. *Boost*: all get more by a factor of 1 to MAX_BOOST, raised by BOOST_GAIN of what is missing while the rate
   is steady, there is no queue and no window stands in the way, and at once cut by what is too much.
   Above LONG_TRIP_S there is none: what is missing there is told too late.

Nobody has less than FLOOR_CONNECTION_BYTES_PER_S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from s3_upload.control.share.background import FLOOR_CONNECTION_BYTES_PER_S, LONG_TRIP_S, TRIGGER_S
from s3_upload.control.share.link import FRESH_BYTES, Look
from s3_upload.report import ConnectionSample

EXPECTED = 4
"""Connections to reckon with before there is one."""
WINDOW_GAIN, SMALL_WINDOW_GAIN = 1.05, 2.0
STAGGER = 0.25
MAX_BOOST, BOOST_GAIN = 1.25, 0.02


def level(rate: float, senders: Sequence[tuple[float, float]]) -> float:
    """The level of step 1, in bytes per second.  Each sender, a weight and what its window lets through, has
    weight * level or its window, whichever is less, and all together the rate.  math.inf where the windows
    let less through than the rate."""
    left = rate
    weights = sum(weight for weight, _ in senders)
    for weight, window in sorted(senders, key=lambda sender: sender[1] / sender[0]):
        if window * weights >= left * weight:
            return left / weights
        left -= window
        weights -= weight
    return math.inf


class Division:
    """The algorithm of the module's theory."""

    def __init__(self) -> None:
        self._boost = 1.0
        self._windows_suffice = False

    def divide(self, rate: float, samples: Sequence[ConnectionSample]) -> tuple[float, dict[int, float]]:
        """For a connection that is not among the samples, and for those that have a request under way, by
        number."""
        busy = sum(sample.busy for sample in samples)
        equal = max(self._boost * rate / (busy or EXPECTED), FLOOR_CONNECTION_BYTES_PER_S)
        paces = {sample.number: equal for sample in samples if sample.busy}
        senders = sorted((sample for sample in samples if sample.waiting), key=_number)
        lowest, tilt = 1.0, 0.0
        if len(senders) > 1:
            lowest, tilt = 1.0 - STAGGER, 2.0 * STAGGER / (len(senders) - 1)
        weights = [lowest + tilt * rank for rank in range(len(senders))]
        windows = [sample.window_bytes_per_s for sample in senders]
        each = level(rate, list(zip(weights, windows, strict=True)))
        self._windows_suffice = each < math.inf
        small_gain = WINDOW_GAIN if self._windows_suffice else _small_gain(rate, senders)
        for sample, weight, window in zip(senders, weights, windows, strict=True):
            gain = small_gain if _small(sample) else WINDOW_GAIN
            share = min(self._boost * min(each, rate) * weight, gain * window)
            paces[sample.number] = max(share, FLOOR_CONNECTION_BYTES_PER_S)
        return equal, paces

    def adapt(self, rate: float, look: Look, *, steady: bool) -> None:
        """Step 3. `steady`: the rate has been the same for as long as its effect takes to be seen, and
        nothing else makes up for what is missing."""
        if not steady or look.queue_s > TRIGGER_S / 2.0 or look.base_s > LONG_TRIP_S:
            self._boost = 1.0
        elif look.bytes_per_s > rate:
            self._boost = max(1.0, self._boost * rate / look.bytes_per_s)
        elif look.waiting and self._windows_suffice:
            missing = 1.0 - look.bytes_per_s / rate
            self._boost = min(MAX_BOOST, self._boost + BOOST_GAIN * missing)


def _small_gain(rate: float, senders: Sequence[ConnectionSample]) -> float:
    """How far above their windows small ones are paced: no further than what all leave of the rate."""
    left = rate - sum(sender.window_bytes_per_s for sender in senders)
    small = sum(sender.window_bytes_per_s for sender in senders if _small(sender))
    return min(SMALL_WINDOW_GAIN, max(WINDOW_GAIN, 1.0 + left / small)) if small else WINDOW_GAIN


def _small(sample: ConnectionSample) -> bool:
    return sample.window_bytes_per_s * sample.min_rtt_s < FRESH_BYTES


def _number(sample: ConnectionSample) -> int:
    return sample.number
