"""Some of the schedules of `python -m tests.sim.watchdog`, and that they can tell a watchdog that dies."""

from __future__ import annotations

import pytest

from tests.sim.watchdog import Seen, run_schedules

SCHEDULES = 400
CHUNK = 50


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_no_loss_of_a_connection_leaves_the_watchdog_unarmed(first: int) -> None:
    tally = run_schedules(first, CHUNK)
    assert not tally.broken, (
        f"python -m tests.sim.watchdog --first {first} --schedules {CHUNK}\n{tally.broken}"
    )
    assert tally.counts["of an attempt just lost"] > 0


def test_a_watchdog_that_is_not_armed_again_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    judge_all = Seen._judge_all

    def dies(watchdog: Seen) -> None:
        judge_all(watchdog)
        if watchdog._timer is not None:
            watchdog._timer.cancel()
            watchdog._timer = None

    monkeypatch.setattr(Seen, "_judge_all", dies)
    tally = run_schedules(0, 10)
    assert len(tally.broken) > 5
    assert f"left unarmed {len(tally.broken)}" in str(tally)
