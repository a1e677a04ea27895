"""The background share, steps 1 to 4 of the module's theory: what it takes while nobody else is there."""

from __future__ import annotations

import pytest

from tests.unit.control.background_rig import MB, Rig, cruising, settled
from tests.unit.control.constants import BACKGROUND

# --- 1: growing ------------------------------------------------------------------------------------


def test_step_1_it_grows_by_a_half_each_step_while_the_capacity_is_not_known() -> None:
    rig = Rig()
    assert rig.looks(0.15) == pytest.approx(BACKGROUND.start_bytes_per_s * 1.5)
    assert rig.looks(0.15) == pytest.approx(BACKGROUND.start_bytes_per_s * 1.5**2)


def test_step_1_not_before_there_is_a_connection() -> None:
    rig = Rig(base_s=0.0)
    assert rig.looks(1.0) == BACKGROUND.start_bytes_per_s


def test_step_1_a_rate_that_is_not_used_does_not_grow() -> None:
    rig = Rig()
    rig.looks(0.45)
    before = rig.share.rate
    assert rig.looks(5.0, acked=0.49 * before) < 3.0 * before
    assert rig.state == "growing"


def test_step_1_three_looks_with_a_queue_show_the_capacity() -> None:
    rig = Rig()
    rig.looks(0.1, queue_ms=6.0, acked=7 * MB)
    assert rig.state == "growing"
    rig.look(queue_ms=6.0, acked=7 * MB)
    assert rig.state == "draining"
    assert rig.share.capacity == 7 * MB


def test_step_1_with_a_known_capacity_it_grows_faster_far_from_it() -> None:
    rig = settled()
    rig.looks(0.1, queue_ms=8.0)
    assert rig.state == "yielding"
    rig.looks(BACKGROUND.hold_s + 0.1)
    assert rig.state == "growing"
    before = rig.share.rate
    assert rig.looks(0.15) == pytest.approx(before * 2.0)
    rig.base_s = 0.35
    rig.share._queue.noise_s = 0.0
    assert rig.looks(0.10) == pytest.approx(before * 2.0 * 4.0 ** (0.1 / 0.4))
    rig.base_s = 0.1
    rig.share.rate = 6 * MB
    assert rig.looks(0.10) == pytest.approx(6 * MB * 1.5 ** (2 / 3))
    rig.looks(0.15)
    assert rig.state == "cruising"
    assert rig.share.rate == pytest.approx(0.98 * rig.share.capacity)


@pytest.mark.parametrize(("queue_ms", "growth"), [(0.9, 4.0), (1.1, 1.25)])
def test_step_1_at_long_round_trips_others_make_it_shy(queue_ms: float, growth: float) -> None:
    rig = cruising(base_s=0.35)
    rig.looks(0.5)
    rig.look(queue_ms=20.0)
    rig.looks(1.4)
    rig.look(queue_ms=queue_ms)
    rig.looks(0.1)
    assert rig.state == "growing"
    before = rig.share.rate
    assert rig.looks(0.2) == pytest.approx(before * growth**0.5)


def reclaiming(base_s: float, *, left: float) -> Rig:
    """It takes the link back after two yields; at the second, soon after the first, `left` came through."""
    rig = settled(base_s)
    for acked in (9.8 * MB, left):
        rig.looks(0.1, queue_ms=20.0, acked=acked)
        assert rig.state == "yielding"
        while rig.state == "yielding":
            rig.look()
    return rig


@pytest.mark.parametrize(
    ("base_s", "rate", "growth"),
    [(0.1, 1.9, 2.0), (0.1, 2.1, 1.125), (0.1, 5.7, 1.125), (0.1, 6.1, 1.5), (0.04, 2.1, 2.0)],
)
def test_step_1_it_grows_gently_near_what_others_had_left_of_the_link(
    base_s: float, rate: float, growth: float
) -> None:
    rig = reclaiming(base_s, left=4 * MB)
    rig.share.rate = rate * MB
    assert rig.look() == pytest.approx(rate * MB * growth ** (1 / 3))


def test_step_1_what_they_had_left_is_forgotten() -> None:
    rig = reclaiming(0.1, left=4 * MB)
    rig.now += BACKGROUND.found_s
    rig.share.rate = 4 * MB
    assert rig.look() > 4.4 * MB


@pytest.mark.parametrize("pause_s", [0.5, 2.5, 3600.0])
def test_step_1_a_pause_without_looks_is_one_step(pause_s: float) -> None:
    rig = Rig()
    before = rig.looks(0.3)
    rig.now += pause_s
    assert rig.look() == pytest.approx(before * BACKGROUND.growth)


# --- 2 and 3: cruising, probing -----------------------------------------------------------------------


def test_step_2_it_sends_a_little_less_than_the_link_carries() -> None:
    assert cruising().share.rate == pytest.approx(9.8 * MB)


@pytest.mark.parametrize(
    ("base_s", "seconds", "state"),
    [(0.1, 0.3, "draining"), (0.1, 0.4, "yielding"), (0.4, 0.35, "draining"), (0.4, 0.45, "wary")],
)
def test_step_2_a_small_queue_in_the_first_steps_is_its_own(
    base_s: float, seconds: float, state: str
) -> None:
    rig = cruising(base_s=base_s)
    rig.looks(seconds, queue_ms=1.0)
    rig.share._queue._recent_s.extend([6.0] * 5)  # no burst
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == state


def test_step_2_a_queue_that_comes_again_right_after_its_drain_is_somebody_elses() -> None:
    rig = cruising()
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == "draining"
    rig.look()
    assert rig.state == "cruising"
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == "yielding"


def test_step_2_one_that_comes_after_a_while_is_again_its_own_once_the_link_is_taken_back() -> None:
    rig = cruising()
    rig.looks(0.1, queue_ms=6.0)
    rig.look()
    rig.look(queue_ms=20.0)
    while rig.state != "cruising":
        rig.look()
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == "draining"


def test_step_2_at_short_round_trips_it_makes_sure_first() -> None:
    rig = cruising(base_s=0.02)
    rig.share._probe_after_s = 1e9
    rig.looks(1.0)
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == "draining"
    rig.looks(0.4, queue_ms=8.0)
    assert rig.state == "yielding"


def wary(first_ms: float = 2.5) -> Rig:
    """At a round trip of 0.4 s; a queue of `first_ms` has just come by."""
    rig = settled(0.4)
    rig.look(queue_ms=first_ms)
    return rig


@pytest.mark.parametrize(("queue_ms", "state"), [(1.9, "cruising"), (2.1, "wary")])
def test_step_2_at_long_round_trips_a_burst_makes_it_wary(queue_ms: float, state: str) -> None:
    rig = wary(queue_ms)
    assert rig.state == state
    assert rig.share.rate == pytest.approx((8.0 if state == "wary" else 9.8) * MB)


def test_step_2_a_queue_that_only_stands_is_no_burst() -> None:
    rig = settled(0.4)
    for queue_ms in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
        rig.look(queue_ms=queue_ms)
    assert rig.state == "cruising"


def test_step_2_where_it_usually_changes_much_it_takes_more() -> None:
    rig = settled(0.4)
    for _ in range(60):
        rig.look(queue_ms=1.5)
        rig.look()
    rig.look(queue_ms=4.0)
    assert rig.state == "cruising"


def test_step_2_with_no_burst_a_round_trip_later_it_goes_on() -> None:
    rig = wary()
    rig.looks(0.35, queue_ms=3.0)  # its own queue stands until its slowing down tells
    rig.looks(0.5)
    assert rig.state == "wary"
    rig.looks(0.1)
    assert rig.state == "cruising"
    assert rig.share.capacity == pytest.approx(10 * MB)


def test_step_2_with_another_burst_it_yields() -> None:
    rig = wary()
    rig.looks(0.25)
    rig.look(queue_ms=1.5)
    assert rig.state == "wary", "too early: a slow start's bursts are a round trip apart"
    rig.looks(0.1)
    rig.look(queue_ms=0.9)
    assert rig.state == "wary"
    rig.look(queue_ms=1.9)
    assert rig.state == "yielding"


def standing(queue_ms: float) -> Rig:
    """At a round trip of 0.4 s; a queue that is no burst has stood for two looks."""
    rig = settled(0.4)
    rig.share._queue._recent_s.extend([queue_ms / 1e3] * 5)
    rig.looks(0.1, queue_ms=queue_ms)
    return rig


@pytest.mark.parametrize(("queue_ms", "state"), [(4.9, "cruising"), (5.1, "wary"), (15.1, "yielding")])
def test_step_2_so_does_a_small_queue_that_stands(queue_ms: float, state: str) -> None:
    assert standing(queue_ms).state == state


@pytest.mark.parametrize(("later_ms", "state"), [(0.4, "wary"), (6.0, "yielding")])
def test_step_2_it_yields_if_that_stays_without_its_own(later_ms: float, state: str) -> None:
    rig = standing(6.0)
    rig.looks(0.4, queue_ms=6.0)
    assert rig.state == "wary"
    rig.looks(0.1, queue_ms=later_ms)
    assert rig.state == state


def test_step_2_losses_do_not_pass() -> None:
    rig = settled(0.4)
    rig.looks(2.0)
    rig.look(loss=0.03)
    assert rig.state == "yielding"


def test_step_3_at_long_round_trips_it_probes_for_less() -> None:
    rig = cruising(base_s=0.4)
    rig.looks(0.5)
    assert rig.state == "probing"
    assert rig.share.rate == pytest.approx(10.3 * MB)


def test_step_3_a_probe_that_brings_nothing_ends_after_two_steps_and_a_while() -> None:
    rig = cruising()
    rig.looks(0.5)
    assert rig.state == "probing"
    assert rig.share.rate == pytest.approx(10.5 * MB)
    rig.looks(0.35, acked=10 * MB)
    assert rig.state == "probing"
    rig.looks(0.1, acked=10 * MB)
    assert rig.state == "cruising"
    assert rig.share.rate == pytest.approx(9.8 * MB)
    rig.looks(2.4)
    assert rig.state == "cruising", "the next probe comes later"
    rig.looks(0.15)
    assert rig.state == "probing"


def test_step_3_a_probe_that_brings_more_goes_on() -> None:
    rig = cruising()
    rig.looks(0.5)
    rig.looks(0.4)
    assert rig.state == "probing"
    assert rig.share.capacity == pytest.approx(10.5 * MB)
    assert rig.share.rate == pytest.approx(1.25 * 10.5 * MB)


def test_step_3_the_queue_of_a_probe_is_drained() -> None:
    rig = cruising()
    rig.looks(0.5)
    rig.looks(0.1, queue_ms=6.0, acked=10 * MB)
    assert rig.state == "draining"


def test_step_3_a_queue_that_no_probe_makes_is_somebody_elses() -> None:
    rig = cruising()
    rig.looks(0.5)
    rig.look(queue_ms=40.0, acked=10 * MB)
    assert rig.state == "yielding"


# --- 4: draining ---------------------------------------------------------------------------------------


def test_step_4_the_highest_rate_is_the_capacity() -> None:
    rig = Rig()
    for _ in range(3):
        rig.look(queue_ms=20.0, acked=8 * MB)
    for acked in (9 * MB, 10 * MB, 9.9 * MB):
        rig.look(queue_ms=20.0, acked=acked)
    assert rig.share.rate == pytest.approx(0.8 * 9.9 * MB)
    rig.look(queue_ms=2.0, acked=9 * MB)
    assert rig.state == "cruising"
    assert rig.share.capacity == 10 * MB


def test_step_4_a_slower_while_does_not_lower_it_much() -> None:
    rig = cruising()
    rig.looks(0.1, queue_ms=6.0, acked=7 * MB)
    assert rig.state == "draining"
    rig.look(acked=7 * MB)
    assert rig.share.capacity == pytest.approx(9.7 * MB)


@pytest.mark.parametrize(("acked", "state"), [(8.4, "draining"), (8.2, "yielding")])
def test_step_4_what_does_not_come_through_was_kept_out_by_somebody(acked: float, state: str) -> None:
    rig = cruising()
    rig.looks(0.35)
    rig.looks(0.1, queue_ms=6.0)
    assert rig.state == "draining"
    rig.look(queue_ms=6.0, acked=acked * MB)  # of 9.8 MB/s sent
    assert rig.state == state


def test_step_4_a_queue_that_does_not_go_is_somebody_elses() -> None:
    rig = Rig()
    for _ in range(3):
        rig.look(queue_ms=20.0, acked=10 * MB)
    # 2 * (0.1 + 0.02 + 0.05) + 0.02 / (1 - 0.8) = 0.44 s
    rig.looks(0.35, queue_ms=20.0, acked=10 * MB)
    assert rig.state == "draining"
    rig.looks(0.15, queue_ms=20.0, acked=10 * MB)
    assert rig.state == "yielding"


def test_a_gap_before_anything_is_known_is_waited_for_and_ends_nothing() -> None:
    """A link that is gone for a third of a second, and comes back: nothing is divided by what it carried."""
    rig = Rig()
    rig.looks(1.0)
    rig.looks(0.5, acked=0.0, loss=0.5)
    for _ in range(10):
        rig.looks(1.0, acked=0.0)
    before = rig.looks(1.0)
    assert rig.looks(5.0) > before
    assert rig.state == "growing"
