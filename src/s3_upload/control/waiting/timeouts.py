"""How long to wait for one attempt: what an algorithm has to give, and the classic timeout.

Rules: no clock, no I/O; what is learned comes from `AttemptReport`s alone.  The algorithm in use by
default is `adaptive.AdaptiveTimeout`.  The classic timeout is that of the *origin*, the Rust crate that this
project began as, with its defects put right: docs/algorithm.md ("The origin's estimator") has its formulas.

A timeout of at least `avg_min_bytes` is a *censored* sample (unless all of its body had been taken in, and
only the answer was missing): the transfer would have taken longer than it was given, so its speed is below
megabytes / timeout.  Where that is below the estimate, it moves it as a success does.  (Learning from
successes alone, a link slower than assumed would time out for ever.)
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport

NEVER_S = float("inf")


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """What one attempt is allowed, in seconds.

    `connect_s`: a handshake.  `total_s`: everything from the request's begin.  `stall_s`: no byte of
    the body acknowledged.  `response_s`: from the last byte acknowledged to the first of the answer.
    `hedge_s`: the same, after which a second copy may be sent beside the first.  `look_s`: how often to look
    whether the last byte is acknowledged, which nothing tells.
    """

    connect_s: float
    total_s: float
    stall_s: float = NEVER_S
    response_s: float = NEVER_S
    hedge_s: float = NEVER_S
    look_s: float = NEVER_S


class Timeout(Protocol):
    """What `transfer/` needs of a timeout algorithm; pass any object that has it."""

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        """The speed of one request that it assumes, in MB/s."""

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        """For an attempt with a body of `body_bytes` >= 0 after `retries` >= 0 failed ones.

        `operation` is a name of `s3.operations`, as in `AttemptReport.operation`.
        """

    def observe(self, report: AttemptReport) -> None:
        """Learns from an attempt that has ended."""


class SpeedEstimate:
    """The running estimate of one request's transfer, in MB/s (10^6 bytes per second)."""

    def __init__(self, config: UploadConfig) -> None:
        self._power = config.avg_power
        self._min_bytes = config.avg_min_bytes
        self.MBps = config.expected_upload_speed

    def observe(self, report: AttemptReport) -> None:
        if report.body_bytes < self._min_bytes or report.request_s == 0.0:
            return
        speed = report.body_bytes / 1e6 / max(report.ended_s - report.request_s, 1e-6)
        # If the whole body was acknowledged, the time went into the answer and says nothing about the speed.
        unsent = report.outcome == FailureKind.TIMEOUT and report.acked_s == 0.0
        censored = unsent and speed < self.MBps
        if report.succeeded or censored:
            self.MBps = self._power * speed + (1.0 - self._power) * self.MBps


class OriginTimeout:
    """The classic timeout."""

    def __init__(self, config: UploadConfig) -> None:
        self._config = config
        self._speed = SpeedEstimate(config)

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._speed.MBps

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        config = self._config
        expected_s = config.min_timeout + config.timeout_fraction * body_bytes / 1e6 / self._speed.MBps
        return Timeouts(config.connect_timeout_s, config.backoff**retries * expected_s)

    def observe(self, report: AttemptReport) -> None:
        self._speed.observe(report)
