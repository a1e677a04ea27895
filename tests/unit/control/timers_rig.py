"""The adaptive timers, with the tuning of `constants.py`, and attempts for them."""

from __future__ import annotations

from typing import Any

from s3_upload.config import UploadConfig
from s3_upload.control.waiting import adaptive as timers
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.report import AttemptReport
from s3_upload.s3.operations import PUT_OBJECT
from tests.unit.control.constants import ADAPTIVE
from tests.unit.control.reports import TIMEOUT, attempt

MIB = 1 << 20


def adaptive(tuning: timers.Tuning = ADAPTIVE, **settings: Any) -> AdaptiveTimeout:
    return AdaptiveTimeout(UploadConfig(**settings), tuning)


def allowed(
    timeout: AdaptiveTimeout, *, operation: str = PUT_OBJECT, body_bytes: int = 1000, retries: int = 0
) -> Timeouts:
    return timeout.timeouts(operation=operation, body_bytes=body_bytes, retries=retries)


def answered(response_s: float, **rest: Any) -> AttemptReport:
    """A success of a small request whose answer began `response_s` after its last byte had left, at 2.0."""
    first_byte_s = 2.0 + response_s
    times = {"request_s": 1.0, "sent_s": 2.0, "acked_s": 2.04, "first_byte_s": first_byte_s}
    return attempt(ended_s=first_byte_s, **(times | rest))


def cut(timer: str, **rest: Any) -> AttemptReport:
    return attempt(outcome=TIMEOUT, timer=timer, **rest)


def one_after_the_other(timer: str, count: int) -> list[AttemptReport]:
    """Attempts cut by `timer`, each begun after the one before was cut."""
    return [cut(timer, started_s=10.0 * n, ended_s=10.0 * n + 9.0) for n in range(1, count + 1)]


def warmed_up(
    response_s: float, samples: int = 20, tuning: timers.Tuning = ADAPTIVE, **settings: Any
) -> AdaptiveTimeout:
    timeout = adaptive(tuning, **settings)
    for _ in range(samples):
        timeout.observe(answered(response_s))
    return timeout
