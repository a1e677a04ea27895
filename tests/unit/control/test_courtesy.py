"""What joins the shares: requests at a time, the paces of single connections, and the timeouts."""

from __future__ import annotations

import pytest

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.share.background import FLOOR_CONNECTION_BYTES_PER_S
from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.courtesy import (
    MAX_WAITING,
    START_REQUESTS,
    CappedWindow,
    Courtesy,
    PacedTimeout,
    Requests,
)
from s3_upload.control.share.link import Look
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.control.waiting.timeouts import OriginTimeout
from s3_upload.report import Paces
from s3_upload.units import Bandwidth
from tests.unit.control.test_link import sample

MB = 1e6
ONE_MBPS = Bandwidth(bytes_per_s=MB)


def look(
    *,
    at_s: float,
    rate: float = 0.0,
    busy: int = 4,
    waiting: int = 0,
    queue_s: float = 0.0,
    window: float = 2 * MB,
) -> Look:
    return Look(
        at_s=at_s,
        base_s=0.05,
        bytes_per_s=rate,
        busy=busy,
        waiting=waiting,
        queue_s=queue_s,
        connections=busy,
        window_bytes_per_s=window,
    )


def bounds(
    requests: Requests, ticks: int, *, first: int = 0, limit: int = 100, due: float = 0.0, **about: float
) -> list[int | None]:
    """What it decides at every tick of 50 ms for a rate of 1 MB/s; with this base a step is 0.1 s."""
    return [
        requests.decide(look(at_s=n * 0.05, **about), MB, limit, now=n * 0.05, due=due)  # type: ignore[arg-type]
        for n in range(first, first + ticks)
    ]


# --- 2: requests -----------------------------------------------------------------------------------


def test_step_2_an_unbounded_rate_bounds_no_requests() -> None:
    assert Requests().decide(look(at_s=1.0), UNBOUNDED, 100, now=1.0) is None


def test_step_2_where_all_wait_for_answers_there_are_soon_more() -> None:
    requests = Requests()
    assert bounds(requests, 4)[-1] == 6
    assert bounds(requests, 4, first=4, busy=6)[-1] == 9


def test_step_2_where_bytes_wait_there_are_more_only_later() -> None:
    requests = Requests()
    assert bounds(requests, 6, waiting=1)[-1] == START_REQUESTS
    assert bounds(requests, 2, first=6, waiting=1)[-1] == 6


@pytest.mark.parametrize("about", [{"rate": 0.9 * MB}, {"busy": 3}, {"queue_s": 0.006}])
def test_step_2_where_they_are_enough_there_are_no_more(about: dict[str, float]) -> None:
    assert bounds(Requests(), 40, **about)[-1] == START_REQUESTS  # type: ignore[arg-type]


def test_step_2_too_many_that_wait_become_fewer() -> None:
    requests = Requests()
    requests.bound = 12
    assert bounds(requests, 6, busy=12, waiting=MAX_WAITING + 1, rate=MB)[-1] == 11
    assert bounds(requests, 6, first=6, busy=12, waiting=MAX_WAITING + 1, rate=MB)[-1] == 11, "none has ended"
    assert bounds(requests, 6, first=12, busy=11, waiting=MAX_WAITING + 1, rate=MB)[-1] == 10
    assert bounds(requests, 6, first=18, busy=10, waiting=MAX_WAITING, rate=MB)[-1] == 10


def test_step_2_but_not_where_it_is_tcp_that_has_them_wait() -> None:
    requests = Requests()
    requests.bound = 12
    for first, window, bound in ((0, 1.2 * MB, 12), (6, 1.3 * MB, 11)):
        found = bounds(requests, 6, first=first, busy=12, waiting=MAX_WAITING + 1, rate=MB, window=window)
        assert found[-1] == bound


@pytest.mark.parametrize(
    ("about", "grows"),
    [
        ({"due": MB, "rate": 0.5 * MB, "waiting": 2}, True),
        ({"due": MB, "rate": 0.5 * MB, "waiting": 4}, False),  # the pace or TCP holds them back
        ({"due": MB, "rate": 0.95 * MB, "waiting": 2}, False),
        ({"due": 0.5 * MB, "rate": 0.5 * MB, "waiting": 2}, False),
        ({"rate": 0.5 * MB, "waiting": 2}, False),
    ],
    ids=repr,
)
def test_step_2_what_is_due_is_due_though_a_queue_stands(about: dict[str, float], grows: bool) -> None:
    assert (bounds(Requests(), 40, queue_s=0.05, **about)[-1] != START_REQUESTS) is grows  # type: ignore[arg-type]


def test_step_2_while_less_than_is_due_comes_there_are_no_fewer() -> None:
    requests = Requests()
    requests.bound = 20
    for first, due, kept in ((0, MB, True), (20, 0.0, False)):
        found = bounds(requests, 20, first=first, due=due, busy=20, waiting=20, rate=0.5 * MB, queue_s=0.05)
        assert (found[-1] == 20) is kept


def test_a_capped_window_is_the_smaller_of_two() -> None:
    window = CappedWindow(FixedWindow(10))
    assert window.limit == 10
    window.bound = 4
    assert window.limit == 4
    window.bound = 40
    assert window.limit == 10


@pytest.mark.parametrize(("windows", "bound"), [(1.25, 4), (1.15, 5), (0.0, 15)])
def test_step_2_for_small_windows_there_are_more_at_once_after_a_yield(windows: float, bound: int) -> None:
    # A fresh one carries 14,480 * 2 ** 3 bytes in 1 s after 3 round trips: 0.116 MB/s
    requests = Requests()
    about = Look(base_s=1.0, busy=4, waiting=4, window_bytes_per_s=windows * MB)
    assert requests.decide(about, MB, 100, now=1.0) == 4
    assert requests.decide(about, 0.24 * MB, 100, now=1.0, reclaims=MB) == 4, "this may be a try that fails"
    first = requests.decide(about, 0.25 * MB, 100, now=1.05, reclaims=MB)
    assert first == min(bound, 5), "each begins with ten segments at once: one after the other"
    half = requests.decide(about, 0.5 * MB, 100, now=1.55, reclaims=MB)
    assert half == min(bound, 4 + 1 + (bound - 4) * 50 // 105)
    assert requests.decide(about, 0.9 * MB, 100, now=2.1, reclaims=MB) == bound
    assert requests.decide(about, 0.9 * MB, 100, now=2.6, reclaims=MB) == bound, "only once"


def test_step_2_while_it_is_taken_back_slow_acknowledgements_ask_for_no_more() -> None:
    requests = Requests()
    for n in range(40):
        about = look(at_s=n * 0.05, rate=0.1 * MB, waiting=4)
        requests.decide(about, MB, 100, now=n * 0.05, reclaims=1.0)
    assert requests.bound == START_REQUESTS


def test_step_2_nor_at_the_floor() -> None:
    requests = Requests()
    assert bounds(requests, 2)[-1] == START_REQUESTS
    assert {requests.rest(0.1 + n * 0.05) for n in range(40)} == {START_REQUESTS}
    assert bounds(requests, 2, first=42)[-1] == START_REQUESTS


# --- the window ----------------------------------------------------------------------------------------


def test_who_waits_hears_of_a_bound_that_rises() -> None:
    window = CappedWindow(FixedWindow(10))
    heard: list[int] = []
    window.on_growth = lambda: heard.append(window.limit)
    for bound in (4, 4, 6, 5, None, 12):
        window.bound = bound
    assert heard == [6, 10]


# --- 3: the pace of one connection -------------------------------------------------------------------


def test_step_3_it_is_divided_anew_between_the_looks() -> None:
    courtesy = Courtesy("full", CappedWindow(FixedWindow(10)))
    assert courtesy.decide([sample(1, waiting=True)], ONE_MBPS, now=0.0).paces.apart == {1: pytest.approx(MB)}
    paces = courtesy.divide([sample(1, waiting=True), sample(2, waiting=True)])
    assert paces.apart == {1: pytest.approx(0.375 * MB), 2: pytest.approx(0.625 * MB)}


def test_a_run_that_nothing_bounds_is_not_paced() -> None:
    window = CappedWindow(FixedWindow(10))
    decision = Courtesy("full", window).decide([sample(1)], None, now=0.0)
    assert (decision.bytes_per_s, decision.paces) == (UNBOUNDED, Paces())
    assert window.bound is None
    assert (decision.report.state, decision.report.pace_bytes_per_s) == ("full", 0.0)


@pytest.mark.parametrize(
    ("share", "state"), [("background", "growing"), ("fair", "growing"), ("full", "full")]
)
def test_the_report_says_what_bounds_the_run(share: str, state: str) -> None:
    assert Courtesy(share, CappedWindow(FixedWindow(10))).decide([], None, now=0.0).report.state == state
    capped = Courtesy(share, CappedWindow(FixedWindow(10))).decide([], Bandwidth(bytes_per_s=1e4), now=0.0)
    assert capped.report.state == "capped"


# --- 4: timeouts -------------------------------------------------------------------------------------


def test_step_4_the_slowest_is_remembered_for_a_minute() -> None:
    courtesy = Courtesy("full", CappedWindow(FixedWindow(10)))
    assert courtesy.slowed_s(1000) == 0.0
    for at_s, rate in ((0.0, 5e5), (10.0, 1e5), (59.0, 5e5)):
        courtesy.decide([sample(1, waiting=True)], Bandwidth(bytes_per_s=rate), now=at_s)
    slowest = courtesy.slowed_s(1000)
    assert slowest > 1000 / 2e5
    courtesy.decide([sample(1, waiting=True)], Bandwidth(bytes_per_s=5e5), now=70.5)
    assert courtesy.slowed_s(1000) < slowest / 2.0


def test_step_4_a_small_body_may_take_its_pace_longer_to_be_answered() -> None:
    courtesy = Courtesy("full", CappedWindow(FixedWindow(1000)))
    courtesy.decide([sample(n) for n in range(500)], Bandwidth(bytes_per_s=16_000.0), now=0.0)
    plain, paced = AdaptiveTimeout(UploadConfig()), PacedTimeout(AdaptiveTimeout(UploadConfig()), courtesy)
    about = {"operation": "PutObject", "retries": 0}
    before = plain.timeouts(body_bytes=51_200, **about)  # type: ignore[arg-type]
    after = paced.timeouts(body_bytes=51_200, **about)  # type: ignore[arg-type]
    slowed_s = 51_200 / FLOOR_CONNECTION_BYTES_PER_S
    assert after.response_s == pytest.approx(before.response_s + slowed_s)
    assert after.total_s == pytest.approx(before.total_s + 50.0)
    assert after.stall_s == before.stall_s
    big = paced.timeouts(body_bytes=1 << 20, **about)  # type: ignore[arg-type]
    assert big.response_s == before.response_s


def test_step_4_the_origins_timeout_leaves_time_for_the_floor() -> None:
    courtesy = Courtesy("background", CappedWindow(FixedWindow(4)))
    paced = PacedTimeout(OriginTimeout(UploadConfig()), courtesy)
    assert paced.timeouts(operation="UploadPart", body_bytes=8 << 20, retries=0).total_s > 8192.0


# --- 5: blind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "bound"), [("background", 1), ("fair", 1), ("full", None)])
def test_step_5_blind_a_share_is_one_request_at_a_time(share: str, bound: int | None) -> None:
    window = CappedWindow(FixedWindow(10))
    decision = Courtesy(share, window, blind=True).decide([], None, now=1.0)
    assert decision.bytes_per_s == UNBOUNDED
    assert window.bound == bound


def test_step_5_blind_the_rate_is_the_bound_itself() -> None:
    courtesy = Courtesy("full", CappedWindow(FixedWindow(10)), blind=True)
    assert [courtesy.decide([], ONE_MBPS, now=n * 1.0).bytes_per_s for n in range(3)] == [MB] * 3
