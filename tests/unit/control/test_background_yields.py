"""The background share, steps 5 and 6 of the module's theory: when it yields, and what it learns by that."""

from __future__ import annotations

import pytest

from s3_upload.control.share.link import FLOOR_CONNECTION_BYTES_PER_S, TRIGGER_S
from tests.unit.control.background_rig import MB, settled
from tests.unit.control.constants import BACKGROUND

# --- 5: yielding ---------------------------------------------------------------------------------------


def test_step_5_two_looks_with_a_queue_and_it_is_gone() -> None:
    rig = settled()
    rig.look(queue_ms=TRIGGER_S * 1e3 + 1.0)
    assert rig.state == "cruising"
    assert rig.look(queue_ms=TRIGGER_S * 1e3 + 1.0) == pytest.approx(0.01 * 9.7 * MB, rel=0.05)
    assert rig.state == "yielding"


def test_step_5_one_look_with_a_long_queue_is_enough() -> None:
    rig = settled()
    rig.look(queue_ms=16.0)
    assert rig.state == "yielding"


def test_step_5_a_single_late_look_is_not() -> None:
    rig = settled()
    for _ in range(20):
        rig.look(queue_ms=6.0)
        rig.look(queue_ms=1.0)
    assert rig.state == "cruising"


def test_step_5_losses_without_a_queue() -> None:
    rig = settled()
    rig.looks(1.0)
    rig.look(loss=0.02)
    assert rig.state == "cruising"
    rig.look(loss=0.021)
    assert rig.state == "yielding"


@pytest.mark.parametrize(
    ("base_s", "hold_s"), [(0.02, BACKGROUND.hold_s), (0.336, BACKGROUND.hold_trips * 0.336)]
)
def test_step_5_it_holds_for_as_long_as_a_slow_start_takes(base_s: float, hold_s: float) -> None:
    rig = settled(base_s)
    rig.look(queue_ms=20.0)
    rig.looks(0.5, queue_ms=20.0)
    for _ in range(round((hold_s - 0.1) / 0.1)):
        rig.look(queue_ms=1.2)  # somebody is about
        rig.look()
    assert rig.state == "yielding"
    rig.looks(0.15)
    assert rig.state == "growing"


def test_step_5_at_long_round_trips_a_quiet_while_is_enough() -> None:
    rig = settled(0.4)
    rig.look(queue_ms=20.0)
    rig.looks(0.5, queue_ms=20.0)
    rig.looks(0.9, queue_ms=0.5)
    assert rig.state == "yielding"
    rig.looks(0.15, queue_ms=0.5)
    assert rig.state == "growing"


def test_step_5_a_yield_soon_after_the_last_holds_longer_but_not_for_ever() -> None:
    rig = settled(0.02)
    rig.look(queue_ms=20.0)
    for hold_s in (1.0, 1.5, 1.96, 1.96, 1.96):
        rig.looks(hold_s - 0.06)
        assert rig.state == "yielding"
        rig.looks(0.15)
        assert rig.state == "growing"
        rig.looks(0.1, queue_ms=60.0)
        assert rig.state == "yielding"
        rig.look()


@pytest.mark.parametrize(("base_s", "state"), [(0.002, "growing"), (0.02, "yielding")])
def test_step_5_a_delayed_acknowledgement_is_no_queue_but_a_burst_is(base_s: float, state: str) -> None:
    rig = settled(base_s)
    rig.look(queue_ms=20.0)
    for _ in range(7):  # 1.05 s
        rig.looks(0.1)
        rig.look(queue_ms=40.0)
    assert rig.state == state


def test_the_floor_is_a_share_and_something_for_each_connection() -> None:
    rig = settled()
    rig.look(queue_ms=20.0)
    assert rig.look(busy=4) == pytest.approx(0.01 * rig.share.capacity)
    assert rig.look(busy=256) == 256 * FLOOR_CONNECTION_BYTES_PER_S
    rig.share.capacity = 1 * MB
    assert rig.look() == BACKGROUND.floor_bytes_per_s


def test_a_floor_beside_which_the_queue_never_goes_is_too_high() -> None:
    rig = settled()
    rig.looks(BACKGROUND.doubted_floor_s, queue_ms=500.0, acked=50e3)
    assert rig.share.rate == pytest.approx(0.01 * rig.share.capacity)
    rig.looks(0.2, queue_ms=500.0, acked=50e3)
    assert rig.share.rate == BACKGROUND.floor_bytes_per_s
    rig.looks(2.0)
    assert rig.state == "growing"
    rig.looks(0.1, queue_ms=500.0)
    assert rig.share.rate == BACKGROUND.floor_bytes_per_s, "at once: it is known by now"


# --- 6: what the capacity was wrong by -----------------------------------------------------------------


@pytest.mark.parametrize(("acked", "capacity"), [(9.9, 9.9), (9.0, 9.7), (11.0, 10.0)])
def test_step_6_a_yield_while_cruising_lowers_it_a_little(acked: float, capacity: float) -> None:
    rig = settled()
    rig.look(queue_ms=20.0, acked=acked * MB)
    assert rig.share.capacity == pytest.approx(capacity * MB)


@pytest.mark.parametrize(("rate", "yields", "capacity"), [(3.8, 2, 9.7), (3.9, 2, 8.73), (3.9, 1, 9.7)])
def test_step_6_one_while_growing_only_near_it(rate: float, yields: int, capacity: float) -> None:
    rig = settled()
    rig.look(queue_ms=20.0, acked=9 * MB)
    rig.looks(BACKGROUND.hold_s + 0.1)
    assert rig.state == "growing"
    rig.share._yields.in_a_row = yields
    rig.share.rate = rate * MB
    rig.look(queue_ms=20.0, acked=1 * MB)
    assert rig.share.capacity == pytest.approx(capacity * MB)


@pytest.mark.parametrize("base_s", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("link", [2 * MB, 1 * MB, 0.3 * MB, 0.06 * MB])
def test_step_6_a_link_that_became_much_slower_is_found_out(link: float, base_s: float) -> None:
    """10 MB/s before, and nobody else on it: what is sent above its rate is a queue, of at most 200 ms."""
    rig = settled(base_s)
    queue_s, acked = 0.0, list[float]()
    for _ in range(round(600.0 / 0.05)):
        rate = rig.share.rate
        acked.append(link if queue_s > 0.0 else min(rate, link))
        rig.look(queue_ms=queue_s * 1e3, acked=acked[-1])
        queue_s = min(max(queue_s + 0.05 * (rate / link - 1.0), 0.0), 0.2)
    last = acked[-round(100.0 / 0.05) :]
    assert sum(last) / len(last) > 0.85 * link
    assert rig.share.capacity < 1.1 * link
