"""What the connections say of the link, step by step of the module's theory."""

from __future__ import annotations

import math

import pytest

from s3_upload.control.share.link import LinkView, Look, Recent
from s3_upload.report import ConnectionSample
from tests.unit.control.constants import LINK


def sample(
    number: int = 0,
    *,
    rtt_s: float = 0.020,
    min_rtt_s: float = 0.001,
    acks: int = 10,
    acked: int = 1000,
    sent: int = 0,
    lost: int = 0,
    window: float = math.inf,
    busy: bool = True,
    waiting: bool = False,
) -> ConnectionSample:
    return ConnectionSample(
        number=number,
        rtt_s=rtt_s,
        min_rtt_s=min_rtt_s,
        acks=acks,
        acked_bytes=acked,
        sent_segments=sent,
        retransmits=lost,
        window_bytes_per_s=window,
        busy=busy,
        waiting=waiting,
    )


def test_step_1_the_smoothing_is_undone() -> None:
    view = LinkView(LINK)
    view.look([sample(rtt_s=0.020)], now=0.0)
    # One acknowledgement with a round trip of 60 ms moves 20 ms to 25 ms; two of 32 ms 25 ms to 26.640625 ms.
    look = view.look([sample(rtt_s=0.025, acks=11, acked=2000)], now=0.05)
    assert look.queue_s == pytest.approx(0.040)
    look = view.look([sample(rtt_s=0.026640625, acks=13, acked=4000)], now=0.1)
    assert look.queue_s == pytest.approx(0.012)


def test_step_1_a_connection_without_a_new_acknowledgement_says_nothing() -> None:
    view = LinkView(LINK)
    view.look([sample(rtt_s=0.020)], now=0.0)
    view.look([sample(rtt_s=0.025, acks=11, acked=2000)], now=0.05)
    look = view.look([sample(rtt_s=0.025, acks=11, acked=2000)], now=0.1)
    assert not look.fresh
    assert look.queue_s == pytest.approx(0.040)
    assert not view.look([sample(rtt_s=0.025, acks=12, acked=2000)], now=0.15).fresh, "an answer's segment"


def test_step_1_what_is_undone_is_no_less_than_the_kernels_least() -> None:
    view = LinkView(LINK)
    view.look([sample(rtt_s=0.008)], now=0.0)
    view.look([sample(rtt_s=0.020, min_rtt_s=0.008, acks=11, acked=2000)], now=0.05)
    look = view.look([sample(rtt_s=0.010, min_rtt_s=0.009, acks=12, acked=3000)], now=0.10)
    assert look.queue_s == pytest.approx(0.001)  # 8 * 10 - 7 * 20 is below 0


def test_step_2_the_round_trip_is_the_lower_quartile() -> None:
    view = LinkView(LINK)
    trips = [0.060, 0.020, 0.021, 0.050, 0.040]
    view.look([sample(9, rtt_s=0.020)], now=0.0)
    look = view.look([sample(n, rtt_s=trip_s) for n, trip_s in enumerate(trips)], now=0.05)
    assert look.base_s == 0.020
    assert look.queue_s == pytest.approx(0.001)


def test_step_3_odd_measurements_are_no_base() -> None:
    view = LinkView(LINK)
    trips = [0.30, 0.24, 0.24, 0.30, 0.30, 0.24, 0.30, 0.24, 0.30, 0.25, 0.24]
    found = [
        view.look([sample(number, rtt_s=trip_s)], now=0.05 * number)  # each of a new connection
        for number, trip_s in enumerate(trips)
    ]
    assert [look.base_s for look in found[:2]] == [0.30, 0.30]
    assert found[-1].base_s == 0.24, "five of nine are believed"
    view = LinkView(LINK)
    for number in range(20):
        trips = [0.30, 0.30, 0.24] if number % 2 else [0.30, 0.24, 0.30, 0.24]
        look = view.look([sample(4 * number + n, rtt_s=trip_s) for n, trip_s in enumerate(trips)], now=number)
    assert look.base_s == 0.30, "fewer than half of the connections"


def test_step_3_the_base_is_the_least_of_ten_minutes() -> None:
    view = LinkView(LINK)
    assert view.look([sample(rtt_s=0.020)], now=0.0).base_s == 0.020
    acks = 10
    for minute in range(1, 10):
        acks += 1000
        look = view.look([sample(rtt_s=0.050, acks=acks, acked=acks * 100)], now=60.0 * minute)
        assert look.base_s == 0.020
        assert look.queue_s == pytest.approx(0.030)
    look = view.look([sample(rtt_s=0.050, acks=acks + 1000, acked=acks * 200)], now=600.0)
    assert look.base_s == pytest.approx(0.050), "the first minute is forgotten"


@pytest.mark.parametrize("looks", [1, 9])
def test_step_3_ten_minutes_are_ten_minutes_also_where_nothing_was_sent(looks: int) -> None:
    view = LinkView(LINK)
    for number in range(looks):
        assert view.look([sample(number, rtt_s=0.020)], now=0.05 * number).base_s == 0.020
    look = view.look([sample(99, rtt_s=0.050)], now=7_200.0)
    assert (look.base_s, look.queue_s) == (0.050, 0.0)


def test_step_4_the_rate_is_that_of_a_quarter_of_a_second() -> None:
    view = LinkView(LINK)
    acked = 0
    for tick in range(11):
        look = view.look([sample(acked=acked, acks=tick)], now=tick * 0.05)
        acked += 5000 if tick < 5 else 10_000
    assert look.bytes_per_s == pytest.approx(200_000)
    assert look.acked_bytes == 75_000


def test_step_4_with_a_longer_round_trip_that_of_one() -> None:
    view = LinkView(LINK)
    for tick in range(11):
        look = view.look([sample(acked=5000 * tick, acks=tick, rtt_s=0.4)], now=tick * 0.05)
    assert look.bytes_per_s == pytest.approx(100_000)
    assert view.rate(0.4, now=0.5) == pytest.approx(100_000)


def test_step_4_what_was_sent_before_the_first_look_does_not_count() -> None:
    view = LinkView(LINK)
    assert view.look([sample(acked=10**9)], now=0.0).acked_bytes == 0
    assert view.look([sample(acked=10**9 + 7), sample(1, acked=500)], now=0.05).acked_bytes == 507


def test_step_5_the_share_of_what_is_lost() -> None:
    view = LinkView(LINK)
    view.look([sample()], now=0.0)
    assert view.look([sample(sent=49, lost=9)], now=0.05) == Look(
        at_s=0.05, base_s=0.020, retransmits=9, connections=1, busy=1, window_bytes_per_s=math.inf
    ), "too few to tell"
    assert view.look([sample(sent=100, lost=9)], now=0.5).loss == pytest.approx(0.09)
    assert view.look([sample(sent=200, lost=10)], now=1.05).loss == pytest.approx(1 / 151)


def test_it_counts_what_connections_do() -> None:
    looks = LinkView(LINK).look([sample(0), sample(1, busy=False), sample(2, waiting=True)], now=0.0)
    assert (looks.connections, looks.busy, looks.waiting) == (3, 2, 1)


def test_without_connections_nothing_is_known() -> None:
    assert LinkView(LINK).look([], now=1.0) == Look(at_s=1.0)


def test_the_extremes_of_a_while() -> None:
    recent = Recent()
    for at_s, value in ((0.0, 9.0), (1.0, 1.0), (2.0, 5.0), (3.0, 4.0)):
        recent.add(value, now=at_s, over_s=2.0)
    assert (recent.least, recent.most) == (1.0, 5.0)
    recent.add(4.5, now=3.5, over_s=2.0)
    assert (recent.least, recent.most) == (4.0, 5.0)


def test_what_windows_let_through_is_summed_over_who_is_busy() -> None:
    samples = [sample(1, window=2e6), sample(2, window=3e6), sample(3, window=9e6, busy=False)]
    assert LinkView(LINK).look(samples, now=0.0).window_bytes_per_s == 5e6
