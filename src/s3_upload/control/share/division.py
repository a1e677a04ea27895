"""How a rate is divided among the connections. Pure.

Theory of operation (`window_gain` and the like are fields of `Tuning`).

1. *Level*: the connections that send (the kernel has bytes of theirs that wait) get the same pace.  None
   gets more than `window_gain` times what its congestion window lets through: a window that was not in use
   would otherwise fill in a burst.  What that leaves goes to the others.  If all windows together let less
   than the rate through, windows below FRESH_BYTES may get up to `small_window_gain` of theirs: slow start
   is then as fast as without pacing.  Weights make paces differ by up to `stagger`, so that equal bodies do
   not all end at once.
2. *Waiting for an answer* takes nothing of the rate, since the rate is divided again when a body begins.
   But the kernel applies a lower pace at once, and a higher one only with the next acknowledgement (Linux:
   SO_MAX_PACING_RATE in net/core/sock.c, tcp_update_pacing_rate in net/ipv4/tcp_input.c).  So such a
   connection sends at what it has now for its first round trip: an equal share of all that have a request
   under way.  Where bodies are small (`small`), that round trip is most of what one takes.  So there it is
   what the connection is to get when it begins: an equal share among those that send and itself, or among as
   many as usually send (mean of `sending_looks`), if these are more, since several may begin at once.
3. *Boost*: all paces are raised by a factor of 1 to `max_boost`.  While the rate is steady, there is no queue
   and no window stands in the way, the factor grows by `boost_gain` of what is missing.  An excess cuts it at
   once.  Above LONG_TRIP_S there is no boost: there a missing rate shows too late.

Nobody has less than FLOOR_CONNECTION_BYTES_PER_S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from s3_upload.control.share.link import (
    FLOOR_CONNECTION_BYTES_PER_S,
    FRESH_BYTES,
    LONG_TRIP_S,
    TRIGGER_S,
    Look,
)
from s3_upload.report import ConnectionSample


class Tuning(msgspec.Struct, frozen=True):
    expected: int = 4
    """The number of connections assumed before there is one."""
    window_gain: float = 1.05
    """A pace is at most this many times what the congestion window lets through (step 1)."""
    small_window_gain: float = 2.0
    """The same for small windows, where all windows together let less than the rate through (step 1)."""
    sending_looks: float = 16.0
    """How many usually send is a mean over this many looks (step 2)."""
    stagger: float = 0.25
    """Paces differ from the level by at most this share (step 1)."""
    max_boost: float = 1.25
    """The upper bound of the boost (step 3)."""
    boost_gain: float = 0.02
    """Each look adds this share of the missing rate to the boost (step 3)."""


DEFAULT = Tuning()


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
    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._boost = 1.0
        self._windows_suffice = False
        self._sending = 0.0  # how many usually send
        self.small = False
        """Most bodies are small."""

    def divide(self, rate: float, samples: Sequence[ConnectionSample]) -> tuple[float, dict[int, float]]:
        """The pace of a connection that is not among the samples, and the paces of those with a request, by
        number."""
        tuning = self._tuning
        senders = sorted((sample for sample in samples if sample.waiting), key=lambda sample: sample.number)
        # The kernel applies a higher pace only with the next acknowledgement (step 2). So a connection that
        # waits for an answer gets now what it is to have when it begins.
        busy = sum(sample.busy for sample in samples)
        among = float(busy or tuning.expected)
        if self.small:
            among = min(among, max(len(senders) + 1, self._sending))
        equal = max(self._boost * rate / among, FLOOR_CONNECTION_BYTES_PER_S)
        paces = {sample.number: equal for sample in samples if sample.busy}
        # Ranks follow the connections' numbers, so a connection keeps its weight from look to look.
        lowest, tilt = 1.0, 0.0
        if len(senders) > 1:
            lowest, tilt = 1.0 - tuning.stagger, 2.0 * tuning.stagger / (len(senders) - 1)
        weights = [lowest + tilt * rank for rank in range(len(senders))]
        windows = [sample.window_bytes_per_s for sample in senders]
        each = level(rate, list(zip(weights, windows, strict=True)))
        self._windows_suffice = each < math.inf
        small_gain = tuning.window_gain if self._windows_suffice else self._small_gain(rate, senders)
        for sample, weight, window in zip(senders, weights, windows, strict=True):
            gain = small_gain if _small(sample) else tuning.window_gain
            share = min(self._boost * min(each, rate) * weight, gain * window)
            paces[sample.number] = max(share, FLOOR_CONNECTION_BYTES_PER_S)
        return equal, paces

    def adapt(self, rate: float, look: Look, *, steady: bool) -> None:
        """Step 3. `steady`: the rate has been the same for as long as its effect takes to be seen, and
        nothing else makes up for what is missing."""
        self._sending += (look.waiting - self._sending) / self._tuning.sending_looks
        if not steady or look.queue_s > TRIGGER_S / 2.0 or look.base_s > LONG_TRIP_S:
            self._boost = 1.0
        elif look.bytes_per_s > rate:
            self._boost = max(1.0, self._boost * rate / look.bytes_per_s)
        # A higher pace helps only if bytes wait and the congestion windows let them through.
        elif look.waiting and self._windows_suffice:
            missing = 1.0 - look.bytes_per_s / rate
            self._boost = min(self._tuning.max_boost, self._boost + self._tuning.boost_gain * missing)

    def _small_gain(self, rate: float, senders: Sequence[ConnectionSample]) -> float:
        """The gain for connections with small windows: together they take no more than the others leave."""
        tuning = self._tuning
        left = rate - sum(sender.window_bytes_per_s for sender in senders)
        small = sum(sender.window_bytes_per_s for sender in senders if _small(sender))
        return (
            min(tuning.small_window_gain, max(tuning.window_gain, 1.0 + left / small))
            if small
            else tuning.window_gain
        )


def _small(sample: ConnectionSample) -> bool:
    return sample.window_bytes_per_s * sample.min_rtt_s < FRESH_BYTES
