"""A small fleet in virtual time: what it makes of a store's limit, and of workers that are slow or lost."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import pytest

from tests.sim.fleet import REPORT_S, SETTLED_S, SLOW, Keys, Sim, World
from tests.sim.fleet_table import MAX_REFUSED, MIN_ACCEPTED, PREFIXES, TARGET, rows

SMALL = World(workers=4, prefixes=2, per_s=500.0, objects=12_000, speed=1_000.0, shards=10)


@pytest.mark.parametrize("keys", ["spread", "apart"])
def test_a_fleet_gets_what_the_store_allows_and_little_is_refused(keys: Keys) -> None:
    outcomes = [Sim(replace(SMALL, keys=keys, seed=seed)).run() for seed in (1, 2, 3)]
    assert mean(outcome.accepted_share(SETTLED_S) for outcome in outcomes) >= MIN_ACCEPTED
    # So few requests: in one of them it is chance.
    assert mean(outcome.refused_share(SETTLED_S) for outcome in outcomes) <= MAX_REFUSED + 0.01
    assert mean(outcome.efficiency for outcome in outcomes) >= 0.93


def test_one_world_is_always_the_same_and_another_seed_is_another() -> None:
    small = replace(SMALL, objects=2_000)
    once, twice, other = (Sim(replace(small, seed=seed)).run() for seed in (1, 1, 2))
    assert once.seconds == twice.seconds != other.seconds


def test_every_object_is_accepted_once_where_no_worker_is_lost() -> None:
    outcome = Sim(replace(SMALL, objects=3_000)).run()
    assert sum(accepted for accepted, _ in outcome.seconds) == 3_000
    assert outcome.again == 0


def test_of_a_worker_that_is_lost_no_more_than_it_had_not_told_is_done_again() -> None:
    world = replace(SMALL, lost_s=(2.0, 4.1))
    outcome = Sim(world).run()
    accepted = sum(accepted for accepted, _ in outcome.seconds)
    under_way = 2 * world.window
    assert world.objects <= accepted <= world.objects + outcome.again + under_way
    assert 0 < outcome.again <= len(world.lost_s) * REPORT_S * world.allowed_per_s
    assert outcome.efficiency >= 0.9


def test_one_straggler_does_not_hold_the_others_up() -> None:
    outcome = Sim(replace(SMALL, slow=1)).run()
    assert outcome.accepted_share(SETTLED_S) >= MIN_ACCEPTED
    one_shard_s = SMALL.objects / (SMALL.workers * SMALL.shards) / (SLOW * SMALL.speed)
    assert outcome.took_s <= outcome.worked_s + one_shard_s


def test_what_the_speeds_allow_is_the_ideal_where_the_store_allows_more() -> None:
    world = replace(SMALL, per_s=10_000.0, shards=4)
    assert world.ideal_s == 3.0
    assert Sim(world).run().efficiency >= 0.93


def test_the_table_has_the_worlds_that_are_asked_for() -> None:
    worlds = rows()
    assert {one.workers for one in worlds.values()} >= {1, 4, 16, 64, 256}
    assert (TARGET.workers, PREFIXES, TARGET.per_s) == (64, 16, 3_500.0)
