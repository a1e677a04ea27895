"""One rate for all, or for each prefix that is refused while others are not."""

from __future__ import annotations

import pytest

from s3_upload.control.prefixes import MAX_PREFIXES, AcceptedRates, prefix_of


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
    rates = AcceptedRates()
    assert rates.of("a/1") is rates.of("b/1")
    assert not rates.limited


def test_a_prefix_that_is_refused_while_others_are_not_is_held_back_alone() -> None:
    rates = AcceptedRates()
    run(rates, ["a/1", "b/1"], {"a/1"}, from_s=0.0, until_s=4.0)
    assert rates.of("a/2").limited
    assert not rates.of("b/2").limited
    assert rates.limited


def test_where_all_are_refused_one_rate_holds_for_all() -> None:
    rates = AcceptedRates()
    run(rates, ["a/1", "b/1"], {"a/1", "b/1"}, from_s=0.0, until_s=2.5)
    assert rates.of("a/1") is rates.of("b/1")
    assert rates.of("a/1").limited


def test_too_many_prefixes_are_not_told_apart() -> None:
    rates = AcceptedRates()
    keys = [f"{number}/x" for number in range(MAX_PREFIXES + 10)]
    run(rates, keys, set(keys[:10]), from_s=0.0, until_s=4.0)
    assert len({id(rates.of(key)) for key in keys}) == 1


def test_when_a_prefix_is_free_again_it_falls_under_the_rate_of_all() -> None:
    rates = AcceptedRates()
    run(rates, ["a/1", "b/1"], {"a/1"}, from_s=0.0, until_s=4.0)
    run(rates, ["a/1", "b/1"], set(), from_s=4.0, until_s=30.0)
    assert rates.of("a/1") is rates.of("b/1")
    assert not rates.limited
