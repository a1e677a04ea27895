"""How many requests at a time while the rate is bounded."""

from __future__ import annotations

import pytest

from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.in_flight import Requests
from s3_upload.control.share.link import Look
from tests.unit.control.constants import IN_FLIGHT

MB = 1e6


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


def test_an_unbounded_rate_bounds_no_requests() -> None:
    assert Requests(IN_FLIGHT).decide(look(at_s=1.0), UNBOUNDED, 100, now=1.0) is None


def test_where_all_wait_for_answers_there_are_soon_more() -> None:
    requests = Requests(IN_FLIGHT)
    assert bounds(requests, 4)[-1] == 6
    assert bounds(requests, 4, first=4, busy=6)[-1] == 9


def test_where_bytes_wait_there_are_more_only_later() -> None:
    requests = Requests(IN_FLIGHT)
    assert bounds(requests, 6, waiting=1)[-1] == IN_FLIGHT.start
    assert bounds(requests, 2, first=6, waiting=1)[-1] == 6


@pytest.mark.parametrize("about", [{"rate": 0.9 * MB}, {"busy": 3}, {"queue_s": 0.006}])
def test_where_they_are_enough_there_are_no_more(about: dict[str, float]) -> None:
    assert bounds(Requests(IN_FLIGHT), 40, **about)[-1] == IN_FLIGHT.start  # type: ignore[arg-type]


def test_too_many_that_wait_become_fewer() -> None:
    requests = Requests(IN_FLIGHT)
    requests.bound = 12
    assert bounds(requests, 6, busy=12, waiting=IN_FLIGHT.max_waiting + 1, rate=MB)[-1] == 11
    assert bounds(requests, 6, first=6, busy=12, waiting=IN_FLIGHT.max_waiting + 1, rate=MB)[-1] == 11, (
        "none has ended"
    )
    assert bounds(requests, 6, first=12, busy=11, waiting=IN_FLIGHT.max_waiting + 1, rate=MB)[-1] == 10
    assert bounds(requests, 6, first=18, busy=10, waiting=IN_FLIGHT.max_waiting, rate=MB)[-1] == 10


def test_but_not_where_it_is_tcp_that_has_them_wait() -> None:
    requests = Requests(IN_FLIGHT)
    requests.bound = 12
    for first, window, bound in ((0, 1.2 * MB, 12), (6, 1.3 * MB, 11)):
        found = bounds(
            requests, 6, first=first, busy=12, waiting=IN_FLIGHT.max_waiting + 1, rate=MB, window=window
        )
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
def test_what_is_due_is_due_though_a_queue_stands(about: dict[str, float], grows: bool) -> None:
    assert (bounds(Requests(IN_FLIGHT), 40, queue_s=0.05, **about)[-1] != IN_FLIGHT.start) is grows  # type: ignore[arg-type]


@pytest.mark.parametrize("due", [0.0, MB])
@pytest.mark.parametrize(("rate", "kept"), [(0.89, True), (0.9, False)])
def test_while_less_than_the_rate_is_used_there_are_no_fewer(rate: float, kept: bool, due: float) -> None:
    requests = Requests(IN_FLIGHT)
    requests.bound = 20
    found = bounds(requests, 5, busy=20, waiting=20, rate=rate * MB, queue_s=0.05, due=due)
    assert (found[-1] == 20) is kept


@pytest.mark.parametrize(("windows", "bound"), [(1.25, 4), (1.15, 5), (0.0, 15)])
def test_for_small_windows_there_are_more_at_once_after_a_yield(windows: float, bound: int) -> None:
    # A fresh one carries 14,480 * 2 ** 3 bytes in 1 s after 3 round trips: 0.116 MB/s
    requests = Requests(IN_FLIGHT)
    about = Look(base_s=1.0, busy=4, waiting=4, window_bytes_per_s=windows * MB)
    assert requests.decide(about, MB, 100, now=1.0) == 4
    assert requests.decide(about, 0.24 * MB, 100, now=1.0, reclaims=MB) == 4, "this may be a try that fails"
    first = requests.decide(about, 0.25 * MB, 100, now=1.05, reclaims=MB)
    assert first == min(bound, 5), "each begins with ten segments at once: one after the other"
    half = requests.decide(about, 0.5 * MB, 100, now=1.55, reclaims=MB)
    assert half == min(bound, 4 + 1 + (bound - 4) * 50 // 105)
    assert requests.decide(about, 0.9 * MB, 100, now=2.1, reclaims=MB) == bound
    assert requests.decide(about, 0.9 * MB, 100, now=2.6, reclaims=MB) == bound, "only once"


def test_while_it_is_taken_back_slow_acknowledgements_ask_for_no_more() -> None:
    requests = Requests(IN_FLIGHT)
    for n in range(40):
        about = look(at_s=n * 0.05, rate=0.1 * MB, waiting=4)
        requests.decide(about, MB, 100, now=n * 0.05, reclaims=1.0)
    assert requests.bound == IN_FLIGHT.start


def test_but_where_all_wait_for_answers_there_are_soon_more_also_then() -> None:
    """Small files came while others had the link: neither the rate nor the requests would grow for ever."""
    requests = Requests(IN_FLIGHT)
    for n in range(7):
        about = look(at_s=n * 0.05, rate=0.5 * MB, waiting=0)
        requests.decide(about, MB, 100, now=n * 0.05, reclaims=10 * MB)
    assert requests.bound > IN_FLIGHT.start


def test_nor_at_the_floor() -> None:
    requests = Requests(IN_FLIGHT)
    assert bounds(requests, 2)[-1] == IN_FLIGHT.start
    assert {requests.rest(0.1 + n * 0.05) for n in range(40)} == {IN_FLIGHT.start}
    assert bounds(requests, 2, first=42)[-1] == IN_FLIGHT.start
