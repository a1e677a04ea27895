"""The summary names what limits, in worlds that are limited by it."""

from __future__ import annotations

import pytest

from tests.sim.limits import EXPECTED, find, worlds

TOLD = {one.name: one for one in worlds()}
MIXED = "LAN, 1 ms, 1 Gbit/s"
"""The link is full, and most requests wait for their answers: the window is the smallest that fills it."""
LONG = "503 above 3,500 PUT/s"
"""A tenth of it is over before the limit is reached; `python -m tests.sim.limits` has all of it."""


def test_every_world_has_an_expected_limit() -> None:
    assert list(TOLD) == list(EXPECTED)


@pytest.mark.parametrize("name", [name for name in TOLD if name not in {MIXED, LONG}])
def test_a_world_names_its_limit(name: str) -> None:
    found = find(TOLD[name], share=10)
    assert found.right, found.shares
