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

alpha = 1/8, beta = 1/4, K = 4 unless given otherwise: with many samples per round trip RFC 7323,
appendix G, asks for smaller gains, or the estimate forgets faster than the network changes.
"""

from __future__ import annotations

ALPHA = 1 / 8
BETA = 1 / 4
K = 4
MAX_DOUBLINGS = 10


class RttEstimator:
    """SRTT, RTTVAR and RTO, all in seconds. `g_s` is the clock granularity G."""

    def __init__(
        self,
        *,
        initial_s: float,
        min_s: float,
        max_s: float,
        alpha: float = ALPHA,
        beta: float = BETA,
        g_s: float = 0.001,
    ) -> None:
        self._initial_s = initial_s
        self._min_s = min_s
        self._max_s = max_s
        self._alpha = alpha
        self._beta = beta
        self._g_s = g_s
        self._doublings = 0
        self.srtt_s = 0.0
        self.rttvar_s = 0.0
        self.samples = 0

    @property
    def rto_s(self) -> float:
        """The timeout for the next try."""
        measured_s = self.srtt_s + max(self._g_s, K * self.rttvar_s)
        rto_s = max(measured_s if self.samples else self._initial_s, self._min_s)
        return min(rto_s * 2.0**self._doublings, self._max_s)

    def sample(self, rtt_s: float) -> None:
        """A try took `rtt_s` >= 0 seconds."""
        if self.samples == 0:
            self.srtt_s = rtt_s
            self.rttvar_s = rtt_s / 2
        else:
            self.rttvar_s += self._beta * (abs(self.srtt_s - rtt_s) - self.rttvar_s)
            self.srtt_s += self._alpha * (rtt_s - self.srtt_s)
        self.samples += 1
        self._doublings = 0

    def timed_out(self) -> None:
        """A try took longer than the RTO it ran under."""
        self._doublings = min(self._doublings + 1, MAX_DOUBLINGS)
