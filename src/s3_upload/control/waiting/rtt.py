"""Round-trip estimation by RFC 6298. No clock, no I/O: samples in, a timeout out.

Numbered as in RFC 6298, section 2 (and 5.5 to 5.7 for what a timeout does):

    2.1  before any sample: RTO = initial_s
    2.2  first sample R:    SRTT = R,  RTTVAR = R / 2
    2.3  further samples R: RTTVAR = (1 - beta) * RTTVAR + beta * |SRTT - R|
                            SRTT   = (1 - alpha) * SRTT + alpha * R
    2.2, 2.3  then          RTO = SRTT + max(G, K * RTTVAR)
    2.4, 2.5  bounds:       min_s <= RTO <= max_s
    5.5  a timeout doubles the RTO; 5.7 the next sample ends that (Karn's rule: a try that timed
         out gives no sample, so what ends it is a measurement of the present)
"""

from __future__ import annotations

import msgspec


class Tuning(msgspec.Struct, frozen=True):
    """The constants of RFC 6298, which are its recommendations unless given otherwise."""

    alpha: float = 1 / 8
    """The weight of a new sample in SRTT (2.3). With many samples per round trip RFC 7323, appendix G, asks
    for less, or the estimate forgets faster than the network changes; so it does for beta."""
    beta: float = 1 / 4
    """The weight of a new deviation in RTTVAR (2.3)."""
    k: float = 4.0
    """K: how many RTTVAR lie between SRTT and the RTO (2.2, 2.3)."""
    g_s: float = 0.001
    """G: the granularity of the clock, in seconds (2.3)."""
    max_doublings: int = 10
    """How often timeouts in a row double the RTO at the most (5.5)."""


DEFAULT = Tuning()


def rttvar(rttvar_s: float, srtt_s: float, sample_s: float, beta: float) -> float:
    """RFC 6298, 2.3: the new RTTVAR, from the old SRTT."""
    return rttvar_s + beta * (abs(srtt_s - sample_s) - rttvar_s)


def srtt(srtt_s: float, sample_s: float, alpha: float) -> float:
    """RFC 6298, 2.3: the new SRTT."""
    return srtt_s + alpha * (sample_s - srtt_s)


class RttEstimator:
    """SRTT, RTTVAR and RTO, all in seconds."""

    def __init__(self, *, initial_s: float, min_s: float, max_s: float, tuning: Tuning = DEFAULT) -> None:
        self._initial_s = initial_s
        self._min_s = min_s
        self._max_s = max_s
        self._tuning = tuning
        self._doublings = 0
        self.srtt_s = 0.0
        self.rttvar_s = 0.0
        self.samples = 0

    @property
    def rto_s(self) -> float:
        """The timeout for the next try."""
        tuning = self._tuning
        spread_s = max(tuning.g_s, tuning.k * self.rttvar_s)  # 2.2 and 2.3
        measured_s = self.srtt_s + spread_s if self.samples else self._initial_s
        # RFC 6298 rounds the RTO up to the minimum (2.4) before it backs off (5.5).
        rto_s = max(measured_s, self._min_s)
        return min(rto_s * 2.0**self._doublings, self._max_s)

    def sample(self, rtt_s: float) -> None:
        """A try took `rtt_s` >= 0 seconds."""
        if self.samples:
            # RTTVAR first: 2.3 computes it with the SRTT from before this sample.
            self.rttvar_s = rttvar(self.rttvar_s, self.srtt_s, rtt_s, self._tuning.beta)
            self.srtt_s = srtt(self.srtt_s, rtt_s, self._tuning.alpha)
        else:
            self.srtt_s = rtt_s
            self.rttvar_s = rtt_s / 2
        self.samples += 1
        self._doublings = 0

    def timed_out(self) -> None:
        """A try took longer than the RTO it ran under."""
        self._doublings = min(self._doublings + 1, self._tuning.max_doublings)
