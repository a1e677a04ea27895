"""`observe.limits`: what limits, from how a run stands."""

from __future__ import annotations

import msgspec
import pytest

from s3_upload.observe.limits import (
    ANSWERS,
    AWAY,
    CAP,
    CPU,
    ERRORS,
    LINK,
    LISTING,
    OTHERS,
    READING,
    THROTTLED,
    Shares,
    Standing,
    limited_by,
)

FULL = Standing(requests=8, max_requests=8, ready=True)
IDLE = Standing(requests=3, max_requests=8)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (FULL, ANSWERS),
        (msgspec.structs.replace(FULL, sending_share=0.5), LINK),
        (msgspec.structs.replace(FULL, sending_share=0.4), ANSWERS),
        (msgspec.structs.replace(FULL, sending_share=1.0, busy_share=0.9), CPU),
        (msgspec.structs.replace(FULL, reading=True, listing=True), ANSWERS),
        (msgspec.structs.replace(IDLE, reading=True, sending_share=1.0), READING),
        (msgspec.structs.replace(IDLE, reading=True, listing=True), READING),
        (msgspec.structs.replace(IDLE, reading=True, all_busy_share=0.8), READING),
        (msgspec.structs.replace(IDLE, reading=True, all_busy_share=0.9), CPU),
        (msgspec.structs.replace(IDLE, listing=True), LISTING),
        (IDLE, ANSWERS),
        (msgspec.structs.replace(FULL, throttled=True, busy_share=0.9), THROTTLED),
        (msgspec.structs.replace(FULL, paced="capped", pace_used=0.9), CAP),
        (msgspec.structs.replace(FULL, paced="capped", pace_used=0.2, sending_share=1.0), LINK),
        (msgspec.structs.replace(FULL, paced="yielding"), OTHERS),
        (msgspec.structs.replace(FULL, paced="cruising", sending_share=1.0), LINK),
        (Standing(max_requests=8, retries=3), ERRORS),
        (Standing(requests=1, max_requests=8, retries=3), ANSWERS),
        (msgspec.structs.replace(FULL, away=True, throttled=True), AWAY),
        (msgspec.structs.replace(FULL, silent_s=3.0, sending_share=1.0, throttled=True), AWAY),
        (msgspec.structs.replace(FULL, silent_s=2.9, sending_share=1.0), LINK),
        (msgspec.structs.replace(FULL, silent_s=9.0, sending_share=0.2), ANSWERS),
        (msgspec.structs.replace(FULL, silent_s=9.0, sending_share=1.0, paced="yielding"), OTHERS),
    ],
)
def test_the_first_thing_that_holds_a_run_back_is_named(standing: Standing, expected: str) -> None:
    assert limited_by(standing) == expected


def test_shares_are_of_the_whole_time_and_the_largest_comes_first() -> None:
    shares = Shares()
    shares.add(ANSWERS, now=1.0)
    shares.add(LINK, now=4.0)
    shares.add(ANSWERS, now=4.5)
    assert list(shares.of(5.0).items()) == [(LINK, 0.6), (ANSWERS, 0.3)]


def test_no_time_has_no_shares() -> None:
    assert Shares().of(0.0) == {}


def test_what_is_below_a_thousandth_is_left_out() -> None:
    shares = Shares()
    shares.add(CPU, now=0.0004)
    shares.add(LINK, now=1.0)
    assert shares.of(1.0) == {LINK: 1.0}


def test_what_shows_late_counts_since_it_began() -> None:
    shares = Shares()
    shares.add(ANSWERS, now=2.0)
    shares.add(LINK, now=5.0)
    shares.add(CPU, now=6.0)
    shares.add(AWAY, now=7.0, since_s=3.0)
    shares.add(AWAY, now=8.0, since_s=3.0)
    shares.add(LINK, now=10.0)
    assert shares.of(10.0) == {AWAY: 0.5, LINK: 0.3, ANSWERS: 0.2}


def test_what_shows_late_takes_nothing_from_what_was_before_it_began() -> None:
    shares = Shares()
    shares.add(LINK, now=2.0)
    shares.add(AWAY, now=4.0, since_s=3.0)
    assert shares.of(4.0) == {LINK: 0.5, AWAY: 0.5}
