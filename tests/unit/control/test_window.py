"""How many requests at once: the climb, steps 1 to 5 of the module's theory."""

from __future__ import annotations

import pytest

from s3_upload.control.concurrency.window import Goodput
from tests.unit.control.reports import RESET
from tests.unit.control.window_rig import START_ROUND_S, Run, adaptive_window, probing, run_model

# --- 1: epochs -------------------------------------------------------------------------------------


def test_an_epoch_lasts_a_tenth_of_a_second_at_least() -> None:
    run = probing(40)
    assert run.succeed(1000, within_s=0.0999) == 40
    assert run.succeed(1, within_s=0.0002) == 45  # it has ended: a probe begins


def test_an_epoch_lasts_three_median_requests() -> None:
    run = probing(40)
    run.succeed(1000, age_s=0.5)  # the next epoch takes 1.5 s
    assert run.window.limit == 45
    assert run.succeed(1000, within_s=1.499, age_s=0.5) == 45
    assert run.succeed(1, within_s=0.002, age_s=0.5) == 40  # no rise: the probe is over


def test_a_handshake_is_no_part_of_a_request() -> None:
    run = probing(40)
    assert run.succeed(1000, handshake_s=0.5) == 45
    assert run.succeed(1000, handshake_s=0.5) == 40  # 0.1 s later, not 1.5


def test_an_epoch_sees_as_many_successes_as_the_window_is_wide() -> None:
    run = probing(40)
    assert run.succeed(39, within_s=5.0) == 40
    assert run.succeed(1, within_s=0.01) == 45


def test_the_longest_epoch_judges_what_there_is() -> None:
    run = probing(40)
    assert run.succeed(10, within_s=29.9) == 40
    assert run.succeed(1, within_s=0.2) == 45


# --- 2: goodput ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("objects", "limit"), [(1040, 40), (1049, 40), (1051, 45), (2000, 45)])
def test_five_percent_more_objects_is_a_rise(objects: int, limit: int) -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(objects) == limit


@pytest.mark.parametrize(("body_bytes", "limit"), [(1040, 40), (1049, 40), (1051, 45), (2000, 45)])
def test_five_percent_more_bytes_is_a_rise(body_bytes: int, limit: int) -> None:
    run = probing(40)
    assert run.succeed(500, body_bytes=1000) == 45
    assert run.succeed(500, body_bytes=body_bytes) == limit


def test_what_failed_is_no_goodput() -> None:
    run = probing(40)
    assert run.succeed(1000, body_bytes=1000) == 45
    for _ in range(1000):
        run.end(RESET, body_bytes=1000)
    assert run.succeed(1000, body_bytes=1000) == 40


def test_anything_is_a_rise_from_nothing() -> None:
    nothing, something = Goodput(0.0, 0.0), Goodput(0.0, 10.0)
    assert something.at_least(1.05, nothing)
    assert not nothing.at_least(1.05, nothing)
    assert not nothing.at_least(1.05, something)


# --- 3: start --------------------------------------------------------------------------------------


def test_the_start_doubles_the_window_in_each_round_while_goodput_rises() -> None:
    run = Run(adaptive_window(10_000, start=16))
    assert [run.round(objects) for objects in (100, 200, 400, 800)] == [32, 64, 128, 256]


def test_a_round_lets_the_window_double_at_most() -> None:
    run = Run(adaptive_window(10_000, start=16))
    assert run.succeed(1000, within_s=START_ROUND_S - 0.0001) == 32


def test_the_window_grows_with_every_success_of_the_start_that_it_was_filled_for() -> None:
    run = Run(adaptive_window(10_000, start=16))
    assert run.succeed(5, within_s=0.001) == 21
    assert run.succeed(5, within_s=0.001, filled=False) == 21


def test_a_round_is_over_when_what_was_sent_in_it_is_answered() -> None:
    """Requests of the round before say how fast that was."""
    run = Run(adaptive_window(10_000, start=16))
    run.round(100)
    assert run.succeed(4000, within_s=0.4, age_s=0.5) == 64
    assert run.succeed(1000, within_s=0.1, age_s=0.15) == 128


def test_one_round_without_a_rise_is_noise() -> None:
    run = Run(adaptive_window(10_000, start=16))
    assert [run.round(objects) for objects in (100, 200, 190, 800, 1600)] == [32, 64, 128, 128, 256]


def test_after_three_rounds_without_a_rise_the_start_is_over_at_the_best_window() -> None:
    """The store does 8,000 a second, however many are asked for at once."""
    run = Run(adaptive_window(10_000, start=16))
    assert [run.round(objects) for objects in (100, 200, 400, 400, 400, 400)] == [32, 64, 128, 256, 256, 64]
    assert run.succeed(1000) == 72  # measured at 64: a probe


@pytest.mark.parametrize(("objects", "limit"), [(1290, 64), (1310, 128)])
def test_a_doubled_window_is_to_bring_30_percent(objects: int, limit: int) -> None:
    run = Run(adaptive_window(10_000, start=16))
    run.round(1000)
    run.round(objects)
    assert run.round(objects) == limit


def test_at_the_maximum_the_start_stays_there() -> None:
    run = Run(adaptive_window(20, start=16))
    assert [run.round(objects) for objects in (1000, 1250, 1250, 1250)] == [20, 20, 20, 20]


def test_only_successes_make_the_start_grow() -> None:
    run = Run(adaptive_window(10_000, start=16))
    run.now = 1.0
    for _ in range(100):
        run.end(RESET)
    assert run.window.limit == 16


def test_a_start_that_is_not_filled_goes_on_when_it_is() -> None:
    run = Run(adaptive_window(10_000, start=16))
    run.round(100)
    for _ in range(10):
        run.round(100, filled=False)
    assert [run.round(objects) for objects in (200, 400)] == [64, 128]


def test_it_starts_within_the_maximum() -> None:
    assert adaptive_window(10_000).limit == 32
    assert adaptive_window(5).limit == 5


@pytest.mark.parametrize("response_s", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_the_hundreds_of_requests_that_latency_needs_are_found_within_two_seconds(
    response_s: float, seed: int
) -> None:
    """Whatever the noise: the machine stands still for 50 ms, three times a second."""
    adaptive = adaptive_window(2_048)
    run_model(adaptive, until_s=2.0, response_s=response_s, per_s=10_000.0, seed=seed)
    assert adaptive.limit >= 0.7 * 10_000 * response_s


# --- 4: probes -------------------------------------------------------------------------------------


def test_a_probe_up_that_pays_stays_and_the_next_goes_up_by_twice_as_much() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45  # 40 measured at 10,000/s: try 40 // 8 = 5 more
    assert run.succeed(1100) == 45  # 11,000/s: stays
    assert run.succeed(1100) == 56  # 45 measured: try 45 // 4 = 11 more
    assert run.succeed(1200) == 56
    assert run.succeed(1200) == 84  # 56 // 2 = 28 more
    assert run.succeed(1200) == 56  # it does not pay
    assert run.succeed(1200) == 49  # and the next goes down, by 56 // 8


def test_a_probe_up_that_does_not_pay_goes_back_and_the_next_goes_down() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(1000) == 40
    assert run.succeed(1000) == 35  # 40 measured: try 5 fewer


@pytest.mark.parametrize(("objects", "limit"), [(1000, 35), (981, 35), (979, 40), (900, 40)])
def test_a_probe_down_stays_if_goodput_does_not_fall_by_2_percent(objects: int, limit: int) -> None:
    run = probing(40)
    for _ in range(3):
        run.succeed(1000)
    assert run.window.limit == 35
    assert run.succeed(objects) == limit


@pytest.mark.parametrize(
    ("objects", "body_bytes", "limit"),
    [(1000, 1000, 35), (1000, 970, 40), (970, 1031, 40), (970, 970, 40), (985, 1000, 35)],
)
def test_a_probe_down_stays_if_neither_bytes_nor_objects_fall(
    objects: int, body_bytes: int, limit: int
) -> None:
    run = probing(40)
    for _ in range(3):
        run.succeed(1000, body_bytes=1000)
    assert run.window.limit == 35
    assert run.succeed(objects, body_bytes=body_bytes) == limit


def test_up_and_down_take_turns() -> None:
    run = probing(40)
    limits = [run.succeed(1000 if run.window.limit >= 40 else 900) for _ in range(8)]
    assert limits == [45, 40, 35, 40, 45, 40, 35, 40]


def test_a_small_window_is_probed_by_one() -> None:
    run = probing(4)
    assert run.succeed(1000) == 5
    assert run.succeed(1000) == 4
    assert run.succeed(1000) == 3


def test_a_window_of_one_cannot_go_down() -> None:
    run = probing(1)
    assert [run.succeed(1000) for _ in range(6)] == [2, 1, 1, 2, 1, 1]


def test_with_flat_goodput_the_window_shrinks() -> None:
    run = probing(40)
    for _ in range(200):
        run.succeed(1000)
    assert run.window.limit <= 10


def test_a_window_that_pays_grows_to_its_maximum() -> None:
    """Goodput follows the window, 100/s for each request in flight."""
    run = probing(40, max_limit=300)
    limits = [run.succeed(10 * run.window.limit) for _ in range(100)]
    assert max(limits) == 300
    assert min(limits[50:]) >= 262  # a probe down by an eighth at most


# --- 5: app-limited --------------------------------------------------------------------------------


def test_a_window_that_is_not_filled_does_not_start() -> None:
    run = Run(adaptive_window(10_000, start=16))
    assert run.succeed(1000, within_s=1.0, filled=False) == 16


def test_a_window_that_is_not_filled_is_not_probed() -> None:
    run = probing(40)
    assert {run.succeed(1000, filled=False) for _ in range(10)} == {40}


@pytest.mark.parametrize(("filled", "limit"), [(490, 40), (510, 45)])
def test_filled_means_half_of_the_observations(filled: int, limit: int) -> None:
    run = probing(40)
    run.succeed(filled, within_s=0.05)
    assert run.succeed(1000 - filled, within_s=0.0501, filled=False) == limit


def test_a_probe_is_given_up_and_what_was_measured_is_forgotten() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(2000, filled=False) == 40  # twice the goodput, and yet no reason
    assert run.succeed(100) == 35  # measured anew; the next in turn is the probe down
    assert run.succeed(100) == 35  # 1,000/s were kept: the 10,000 from before are forgotten
