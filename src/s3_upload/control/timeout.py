"""How long to wait for one attempt: the origin's estimator, put right.

Rules: no clock, no I/O; what is learned comes from `AttemptReport`s alone.

Theory of operation.  With `speed` the running estimate in MB/s (10^6 bytes per second) of one
request's transfer:

    timeout = backoff ** retries * (min_timeout + timeout_fraction * megabytes / speed)

1. `speed` starts as `expected_upload_speed`.
2. A success of at least `avg_min_bytes` moves it: speed = avg_power * new + (1 - avg_power) * speed,
   so a larger `avg_power` gives the newest measurement more weight.
3. A timeout of at least `avg_min_bytes` is a *censored* sample: the transfer would have taken longer
   than it was given, so its speed is below megabytes / timeout.  Where that bound is below `speed`,
   it moves `speed` as in 2; else it says nothing.  (Learning from successes alone, a link slower than
   assumed would time out for ever.)
4. Each retry of a request multiplies its timeout by `backoff`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """What one attempt is allowed, in seconds: a handshake, and everything together."""

    connect_s: float
    total_s: float


class Timeout(Protocol):
    """What the engine needs of a timeout algorithm; pass any object that has it."""

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        """The speed of one request that it reckons with, in MB/s."""
        ...

    def timeouts(self, *, body_bytes: int, retries: int) -> Timeouts:
        """For an attempt with a body of `body_bytes` >= 0 after `retries` >= 0 failed ones."""
        ...

    def observe(self, report: AttemptReport) -> None:
        """Learns from an attempt that has ended."""
        ...


class OriginTimeout:
    """The origin's algorithm (see the module's theory)."""

    def __init__(self, config: UploadConfig) -> None:
        self._config = config
        self._speed = config.expected_upload_speed

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._speed

    def timeouts(self, *, body_bytes: int, retries: int) -> Timeouts:
        config = self._config
        expected_s = config.min_timeout + config.timeout_fraction * body_bytes / 1e6 / self._speed
        return Timeouts(config.connect_timeout_s, config.backoff**retries * expected_s)

    def observe(self, report: AttemptReport) -> None:
        if report.body_bytes < self._config.avg_min_bytes:
            return
        speed = report.body_bytes / 1e6 / max(report.duration_s, 1e-6)
        censored = report.outcome == FailureKind.TIMEOUT.value and speed < self._speed
        if report.succeeded or censored:
            power = self._config.avg_power
            self._speed = power * speed + (1.0 - power) * self._speed
