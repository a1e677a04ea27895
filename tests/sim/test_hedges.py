"""What second copies cost a link that is free of faults, and what they save where answers are lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.hedges import COUNT, SPEEDS_MBPS, forgetful, link, ran


@pytest.mark.parametrize(
    ("kind", "speed", "rtt_s"),
    [  # each speed with each kind and each round trip
        (kind, speed, (0.001, 0.1)[(number + index) % 2])
        for index, kind in enumerate(kind for kind in COUNT if kind != "photos")
        for number, speed in enumerate(SPEEDS_MBPS)
    ],
)
def test_on_a_link_free_of_faults_at_most_one_percent_of_the_bytes_go_twice(
    kind: str, speed: float, rtt_s: float
) -> None:
    world = link(kind, speed, rtt_s)
    _, copies = ran(world)
    assert sum(copies) <= 0.01 * world.total_bytes


@pytest.mark.parametrize("speed", SPEEDS_MBPS)
def test_photos_on_such_a_link_neither(speed: float) -> None:
    world = link("photos", speed, 0.03)
    _, copies = ran(world)
    assert sum(copies) <= 0.01 * world.total_bytes


@pytest.mark.parametrize(("speed", "rtt_s"), [(20.0, 0.001), (100.0, 0.03)])
def test_photos_of_which_the_store_forgets_to_answer_some_cost_a_moment(speed: float, rtt_s: float) -> None:
    """They used to cost ten seconds: no answer's time was known when the first was missing."""
    world = link("photos", speed, rtt_s, seed=2)
    undisturbed_s, _ = ran(world)
    taken_s, copies = ran(forgetful(world))
    assert copies, "it forgot none: this proves nothing"
    assert taken_s <= 1.2 * undisturbed_s + 1.0


def test_what_hedges_save_pays_for_more_of_them() -> None:
    """A store that loses the answers to one request in twenty, and has taken in their bodies."""
    world = forgetful(link("64 KiB", 100.0, 0.03))
    world = replace(world, faults=replace(world.faults, unanswered=0.05))
    _, copies = ran(world)
    assert sum(copies) > 0.03 * world.total_bytes
