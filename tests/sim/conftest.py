"""What the tests of the simulator share."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """A world is few objects, in circles, and up to gigabytes of bodies: too few for the collector to come
    by itself before the machine's memory is full."""
    yield
    gc.collect()
