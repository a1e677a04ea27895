"""One rate for all, or for each prefix that is refused while others are not."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import cast

import pytest

from s3_upload.control.concurrency.prefixes import AcceptedRates, prefix_of
from s3_upload.control.concurrency.rate import AcceptedRate
from tests.unit.control.constants import PREFIXES
from tests.unit.control.limiter_rig import FixedWindows, SlidingWindow, TokenBucket, upload


def run(rates: AcceptedRates, keys: list[str], refused: set[str], *, from_s: float, until_s: float) -> None:
    """Of each pass over `keys`, those in `refused` are refused every second time."""
    passes = 1000
    for number in range(passes):
        now = from_s + (until_s - from_s) * number / passes
        for key in keys:
            if key in refused and number % 2:
                rates.refused(key, sent_s=now, now=now)
            else:
                rates.accepted(key, sent_s=now, now=now)


@pytest.mark.parametrize(("key", "prefix"), [("a/b/c", "a/b/"), ("c", ""), ("a/", "a/")])
def test_a_prefix_is_what_comes_before_the_last_slash(key: str, prefix: str) -> None:
    assert prefix_of(key) == prefix


def test_at_first_there_is_one_rate_for_all_and_nothing_is_limited() -> None:
    rates = AcceptedRates(PREFIXES)
    assert rates.of("a/1") is rates.of("b/1")
    assert not rates.limited


def test_a_prefix_that_is_refused_while_others_are_not_is_held_back_alone() -> None:
    rates = AcceptedRates(PREFIXES)
    run(rates, ["a/1", "b/1"], {"a/1"}, from_s=0.0, until_s=4.0)
    assert rates.of("a/2").limited
    assert not rates.of("b/2").limited
    assert rates.limited


def test_where_all_are_refused_one_rate_holds_for_all() -> None:
    rates = AcceptedRates(PREFIXES)
    run(rates, ["a/1", "b/1"], {"a/1", "b/1"}, from_s=0.0, until_s=2.5)
    assert rates.of("a/1") is rates.of("b/1")
    assert rates.of("a/1").limited


def test_too_many_prefixes_are_not_told_apart() -> None:
    rates = AcceptedRates(PREFIXES)
    keys = [f"{number}/x" for number in range(PREFIXES.max_prefixes + 10)]
    run(rates, keys, set(keys[:10]), from_s=0.0, until_s=4.0)
    assert len({id(rates.of(key)) for key in keys}) == 1


def test_a_folder_that_is_done_is_forgotten() -> None:
    """A walk through hundreds of hot folders would else leave as many rates behind, and judge no more."""
    rates = AcceptedRates(PREFIXES)
    run(rates, ["a/1", "b/1"], {"a/1"}, from_s=0.0, until_s=4.0)
    assert rates.of("a/1").limited
    run(rates, ["b/1", "c/1"], {"c/1"}, from_s=4.0, until_s=8.0)
    assert rates.of("c/1").limited
    assert rates.of("a/1").limited, "it may come again"
    run(
        rates, ["b/1", "c/1"], {"c/1"}, from_s=8.0, until_s=8.0 + PREFIXES.forget_s + PREFIXES.rate.remember_s
    )
    assert not rates.of("a/1").limited
    assert rates.of("c/1").limited


def test_when_a_prefix_is_free_again_it_falls_under_the_rate_of_all() -> None:
    rates = AcceptedRates(PREFIXES)
    run(rates, ["a/1", "b/1"], {"a/1"}, from_s=0.0, until_s=4.0)
    run(rates, ["a/1", "b/1"], set(), from_s=4.0, until_s=30.0)
    assert rates.of("a/1") is rates.of("b/1")
    assert not rates.limited


class Folders:
    """The rates as one, for the rig: requests go to `at_once` folders at a time, `size` to each."""

    limited = True

    def __init__(self, size: int, at_once: int) -> None:
        self.rates = AcceptedRates(PREFIXES)
        self.seen: set[str] = set()
        self._keys = self._walk(size, at_once)
        self._next = next(self._keys)
        self._sent: dict[float, deque[str]] = defaultdict(deque)

    @staticmethod
    def _walk(size: int, at_once: int) -> Iterator[str]:
        for number in itertools.count():
            folder = number // (size * at_once) * at_once + number % at_once
            yield f"{folder}/{number}"

    def take(self, *, now: float) -> bool:
        rate = self.rates.of(self._next)
        if rate.limited and not rate.take(now=now):
            return False
        self._sent[now].append(self._next)
        self.seen.add(self._next)
        self._next = next(self._keys)
        return True

    def due_s(self) -> float:
        return self.rates.of(self._next).due_s()

    def accepted(self, *, sent_s: float, now: float) -> None:
        self.rates.accepted(self._sent[sent_s].popleft(), sent_s=sent_s, now=now)

    def refused(self, *, sent_s: float, now: float) -> None:
        self.rates.refused(self._sent[sent_s].popleft(), sent_s=sent_s, now=now)


@pytest.mark.parametrize("limiter", [FixedWindows, TokenBucket, SlidingWindow])
@pytest.mark.parametrize("delay_s", [0.002, 0.04])
@pytest.mark.parametrize(("size", "at_once"), [(30, 1), (100, 1), (1000, 1), (100, 2), (1000, 3), (20, 50)])
def test_a_limit_on_the_whole_bucket_stays_one_whatever_folder_comes_next(
    limiter: type[FixedWindows] | type[TokenBucket] | type[SlidingWindow],
    delay_s: float,
    size: int,
    at_once: int,
) -> None:
    steps, folders = ((0.0, 800.0),), Folders(size, at_once)
    store = limiter(steps, 0.3)
    result = upload(store, cast("AcceptedRate", folders), until_s=12.0, delay_s=delay_s)
    assert len({id(folders.rates.of(key)) for key in folders.seen}) == 1
    assert result.accepted >= 0.95 * 12.0 * 800.0
    assert result.refused_share <= 0.035
