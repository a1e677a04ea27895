"""An upload that is killed ten times, at random moments, and run again each time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from s3_upload.config import MIB
from tests.stores.crash import crash_until_done, make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store import Store

KILLS = 10


def test_ten_kills_lose_nothing_and_leave_nothing(store: Store, tmp_path: Path) -> None:
    rng, root = random.Random(7), tmp_path / "src"
    make_tree(root, rng, small=300, big=2, big_bytes=20 * MIB)
    kills = 0
    while kills < KILLS:
        job = crash_until_done(store, tmp_path, root, rng, kills_left=KILLS - kills, longest_s=1.5)
        assert (job.wrong, job.left_over) == ([], 0)
        kills += job.kills
