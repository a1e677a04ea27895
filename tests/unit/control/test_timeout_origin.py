"""The classic timeout, step by step of its module's theory."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.config import UploadConfig
from s3_upload.control.waiting.timeouts import OriginTimeout
from s3_upload.report import AttemptReport
from s3_upload.s3.operations import PUT_OBJECT
from tests.unit.control.reports import RESET, TIMEOUT, any_attempt, attempt


def origin(**settings: Any) -> OriginTimeout:
    """At 10 MB/s, 0.5 s of grace, 1.5 times what the model says, 1.5 for each retry."""
    return OriginTimeout(UploadConfig(**({"expected_upload_speed": 10.0} | settings)))


def total_s(timeout: OriginTimeout, megabytes: int = 10, retries: int = 0) -> float:
    body_bytes = megabytes * 1_000_000
    return timeout.timeouts(operation=PUT_OBJECT, body_bytes=body_bytes, retries=retries).total_s


def sent(seconds: float, *, body_bytes: int = 10_000_000, **rest: Any) -> AttemptReport:
    return attempt(request_s=1.0, ended_s=1.0 + seconds, body_bytes=body_bytes, **rest)


def test_step_1_the_speed_starts_as_expected() -> None:
    assert origin().est_MBps == 10.0
    assert total_s(origin()) == 2.0  # 0.5 + 1.5 * 10 / 10
    assert total_s(origin(), megabytes=0) == 0.5


def test_only_the_whole_and_the_handshake_are_timed() -> None:
    timeouts = origin(connect_timeout_s=7.0).timeouts(operation=PUT_OBJECT, body_bytes=1, retries=0)
    assert (timeouts.connect_s, timeouts.stall_s, timeouts.response_s, timeouts.hedge_s) == (
        7.0,
        inf,
        inf,
        inf,
    )


def test_step_2_a_success_moves_the_speed_by_avg_power() -> None:
    timeout = origin()
    timeout.observe(sent(0.5))  # 20 MB/s
    assert timeout.est_MBps == pytest.approx(17.0)  # 0.7 * 20 + 0.3 * 10
    timeout.observe(sent(2.0))  # 5 MB/s
    assert timeout.est_MBps == pytest.approx(8.6)  # 0.7 * 5 + 0.3 * 17
    assert total_s(timeout) == pytest.approx(0.5 + 15 / 8.6)


@pytest.mark.parametrize(("avg_power", "speed"), [(0.1, 11.0), (0.5, 15.0), (0.9, 19.0), (1.0, 20.0)])
def test_step_2_a_larger_avg_power_gives_the_newest_more_weight(avg_power: float, speed: float) -> None:
    timeout = origin(avg_power=avg_power)
    timeout.observe(sent(0.5))  # 20 MB/s; before: 10
    assert timeout.est_MBps == pytest.approx(speed)


@pytest.mark.parametrize(("body_bytes", "moved"), [(999_999, False), (1_000_000, True)])
def test_step_2_small_uploads_leave_the_speed_alone(body_bytes: int, moved: bool) -> None:
    timeout = origin(avg_min_bytes=1_000_000)
    timeout.observe(sent(0.5, body_bytes=body_bytes))
    assert (timeout.est_MBps != 10.0) is moved


def test_step_2_the_handshake_does_not_count() -> None:
    timeout = origin()
    timeout.observe(attempt(started_s=1.0, request_s=3.0, ended_s=3.5, body_bytes=10_000_000))
    assert timeout.est_MBps == pytest.approx(17.0)


def test_step_2_other_failures_teach_nothing() -> None:
    timeout = origin()
    timeout.observe(sent(5.0, outcome=RESET))
    timeout.observe(attempt(ended_s=5.0, outcome=TIMEOUT, timer="connect", body_bytes=10_000_000))
    assert timeout.est_MBps == 10.0


def test_step_3_a_timeout_below_the_estimate_moves_it() -> None:
    timeout = origin()
    timeout.observe(sent(2.0, outcome=TIMEOUT, timer="total"))  # less than 5 MB/s
    assert timeout.est_MBps == pytest.approx(6.5)  # 0.7 * 5 + 0.3 * 10


def test_step_3_a_timeout_above_the_estimate_says_nothing() -> None:
    timeout = origin()
    timeout.observe(sent(0.5, outcome=TIMEOUT, timer="total"))  # less than 20 MB/s: known
    timeout.observe(sent(1.0, outcome=TIMEOUT, timer="total"))  # less than 10 MB/s: just as well
    assert timeout.est_MBps == 10.0


def test_step_3_a_small_timeout_says_nothing() -> None:
    timeout = origin()
    timeout.observe(sent(60.0, body_bytes=999_999, outcome=TIMEOUT, timer="total"))
    assert timeout.est_MBps == 10.0


def test_step_3_a_link_slower_than_assumed_is_learned_from_timeouts_alone() -> None:
    timeout = origin(expected_upload_speed=34.0)
    needed_s = 10.0  # 10 MB at 1 MB/s
    tries = 0
    while (allowed_s := total_s(timeout)) < needed_s:
        timeout.observe(sent(allowed_s, outcome=TIMEOUT, timer="total"))
        tries += 1
        assert tries < 20
    assert timeout.est_MBps < 1.58  # where 0.5 + 15 / speed passes 10 s


def test_step_4_each_retry_multiplies_the_timeout_by_backoff() -> None:
    assert [total_s(origin(), retries=retries) for retries in range(4)] == [2.0, 3.0, 4.5, 6.75]
    assert [total_s(origin(backoff=1.0), retries=retries) for retries in range(4)] == [2.0] * 4


@given(st.lists(any_attempt(), max_size=30), st.integers(0, 5 << 30), st.integers(0, 100))
def test_timeouts_are_positive_and_replay(story: list[AttemptReport], body_bytes: int, retries: int) -> None:
    first, second = origin(), origin()
    for timeout in (first, second):
        for report in story:
            timeout.observe(report)
    allowed = first.timeouts(operation=PUT_OBJECT, body_bytes=body_bytes, retries=retries)
    assert allowed.total_s >= 0.5
    assert isfinite(allowed.total_s)
    assert first.est_MBps > 0.0
    assert allowed == second.timeouts(operation=PUT_OBJECT, body_bytes=body_bytes, retries=retries)
