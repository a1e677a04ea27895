"""How a rate is divided, step by step of the module's theory."""

from __future__ import annotations

import math

import pytest

from s3_upload.control.share.division import Division, level
from s3_upload.control.share.link import FLOOR_CONNECTION_BYTES_PER_S, Look
from tests.unit.control.constants import DIVISION
from tests.unit.control.test_link import sample

MB = 1e6


# --- 1: the level ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([9.0, 9.0, 9.0], 4.0),
        ([3.0, 9.0, 9.0], 4.5),
        ([9.0, 1.0, 5.0], 6.0),
        ([4.0, 4.0, 4.0], 4.0),
        ([3.9, 4.0, 4.0], math.inf),
        ([], math.inf),
    ],
)
def test_step_1_what_a_window_does_not_let_through_goes_to_the_others(
    windows: list[float], expected: float
) -> None:
    assert level(12.0, [(1.0, window) for window in windows]) == pytest.approx(expected)


def test_step_1_weights_and_windows_together_give_the_rate() -> None:
    senders = [(0.75, 3.5), (1.0, 4.5), (1.25, 5.2)]  # 3, 4 and 5 of 12: all have room
    assert level(12.0, senders) == pytest.approx(4.0)
    senders = [(0.75, 3.5), (1.0, 3.0), (1.25, 6.5)]  # the second's 3 leave 9 to weights of 2
    assert level(12.0, senders) == pytest.approx(4.5)


def test_step_1_shares_differ_and_add_up() -> None:
    samples = [sample(n, busy=n != 2, waiting=n != 2) for n in (7, 3, 2, 5, 4, 6)]
    _, paces = Division(DIVISION).divide(MB, samples)
    assert [paces[n] / MB * 5 for n in (3, 4, 5, 6, 7)] == pytest.approx([0.75, 0.875, 1.0, 1.125, 1.25])
    assert 2 not in paces


def test_step_1_nobody_is_paced_far_above_its_window() -> None:
    samples = [sample(1, waiting=True, window=0.4 * MB), sample(2, waiting=True, window=9 * MB)]
    _, paces = Division(DIVISION).divide(MB, samples)
    assert paces == {1: pytest.approx(0.375 * MB), 2: pytest.approx(0.625 * MB)}
    samples = [sample(1, waiting=True, window=0.3 * MB), sample(2, waiting=True, window=9 * MB)]
    _, paces = Division(DIVISION).divide(MB, samples)
    assert paces == {1: pytest.approx(0.315 * MB), 2: pytest.approx(0.7 * MB)}


def test_step_1_small_windows_open_into_what_all_leave() -> None:
    def paces(small: float, trip_s: float = 1.0) -> list[float]:
        fresh = [sample(n, waiting=True, window=small * MB, min_rtt_s=trip_s) for n in (1, 2)]
        old = sample(3, waiting=True, window=0.5 * MB, min_rtt_s=1.0)
        return [pace / MB for pace in Division(DIVISION).divide(MB, [*fresh, old])[1].values()]

    assert paces(0.1) == pytest.approx([0.2, 0.2, 0.525])
    assert paces(0.1, trip_s=1.2) == pytest.approx([0.105, 0.105, 0.525]), "120,000 bytes are not small"
    assert paces(0.115, trip_s=1.0) == pytest.approx([0.23, 0.23, 0.525])
    assert paces(0.2, trip_s=0.5) == pytest.approx([0.25, 0.25, 0.525]), "0.1 of 1 MB/s is left"


# --- 2: who waits for an answer ------------------------------------------------------------------------


def test_step_2_who_waits_for_an_answer_takes_nothing() -> None:
    _, paces = Division(DIVISION).divide(MB, [sample(1, waiting=True), *(sample(n) for n in (2, 3, 4))])
    assert paces[1] == MB


@pytest.mark.parametrize(
    ("small", "usual", "among"), [(True, 0, 2), (True, 1, 2), (True, 3, 3), (True, 9, 4), (False, 0, 4)]
)
def test_step_2_for_small_bodies_it_has_what_it_is_to_get(small: bool, usual: int, among: int) -> None:
    """It could not be raised before its first acknowledgement, which comes too late for a small body."""
    division = Division(DIVISION)
    division.small = small
    for _ in range(400):
        division.adapt(MB, Look(base_s=0.02, bytes_per_s=MB, waiting=usual), steady=True)
    each, paces = division.divide(MB, [sample(1, waiting=True), *(sample(n) for n in (2, 3, 4))])
    assert [each, *(paces[n] for n in (2, 3, 4))] == pytest.approx([MB / among] * 4)


def test_step_2_before_there_is_one_it_reckons_with_a_few() -> None:
    each, paces = Division(DIVISION).divide(MB, [])
    assert (each, paces) == (MB / DIVISION.expected, {})


def test_nobody_gets_less_than_the_floor() -> None:
    each, paces = Division(DIVISION).divide(16_000.0, [sample(n, waiting=n % 2 == 0) for n in range(500)])
    assert {each, *paces.values()} == {FLOOR_CONNECTION_BYTES_PER_S}


# --- 3: the boost --------------------------------------------------------------------------------------


class Rig:
    def __init__(self, window: float = math.inf) -> None:
        self.division = Division(DIVISION)
        self.samples = [sample(1, waiting=True, window=window, min_rtt_s=1.0)]

    def pace(self, ticks: int, acked: float, *, steady: bool = True, **about: float) -> float:
        look = Look(**{"base_s": 0.02, "bytes_per_s": acked, "waiting": 1} | about)  # type: ignore[arg-type]
        for _ in range(ticks):
            self.division.divide(MB, self.samples)
            self.division.adapt(MB, look, steady=steady)
        return self.division.divide(MB, self.samples)[1][1] / MB


def test_step_3_it_makes_up_for_what_is_missing() -> None:
    assert Rig().pace(10, 0.9 * MB) == pytest.approx(1.0 + 10 * 0.02 * 0.1)
    assert Rig().pace(10_000, 0.9 * MB) == DIVISION.max_boost


def test_step_3_what_is_too_much_is_cut_at_once() -> None:
    rig = Rig()
    rig.pace(100, 0.9 * MB)
    assert rig.pace(1, 1.1 * MB) == pytest.approx(1.2 / 1.1)
    assert rig.pace(20, 1.1 * MB) == 1.0


@pytest.mark.parametrize("about", [{"steady": False}, {"queue_s": 0.003}, {"base_s": 0.3}, {"waiting": 0}])
def test_step_3_not_where_it_would_mislead(about: dict[str, float]) -> None:
    assert Rig().pace(10, 0.9 * MB, **about) == 1.0  # type: ignore[arg-type]


def test_step_3_not_where_windows_stand_in_the_way() -> None:
    assert Rig(window=0.9 * MB).pace(10, 0.9 * MB) == pytest.approx(0.945)
