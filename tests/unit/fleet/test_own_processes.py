"""When "auto" begins another process: what is looked at, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from s3_upload.fleet import own_processes
from s3_upload.fleet.own_processes import OwnProcesses
from s3_upload.observe.limits import CPU, LISTING, READING

EVERY_S = 0.25


class Look:
    """One look after the other, the last one for ever."""

    def __init__(self, *seen: float) -> None:
        self._seen: Iterator[float] = iter(seen)
        self._last = 0.0

    def look(self) -> float:
        self._last = next(self._seen, self._last)
        return self._last


class StubCrew:
    """A job whose run at home says what limits it."""

    def __init__(self) -> None:
        self.count, self.stopping, self.begun = 8, False, 0
        self.dispenser = SimpleNamespace(has_for_others=True)
        self.desk = SimpleNamespace(limits={0: SimpleNamespace(limited_by=CPU)})
        self._now_s = 0.0

    def now(self) -> float:
        return self._now_s

    def begin(self, work: Any) -> None:
        work.close()
        self.begun += 1

    def passes(self, staff: OwnProcesses, limits: str, *, for_s: float) -> None:
        self.desk.limits[0].limited_by = limits
        for _ in range(round(for_s / EVERY_S)):
            self._now_s += EVERY_S
            staff.tick()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Look]:
    """How busy the loop is, and how many processors are free, from the second tick on."""
    given = {"busy": Look(1.0), "free": Look(1.0)}
    monkeypatch.setattr(own_processes, "Busy", lambda: given["busy"])
    monkeypatch.setattr(own_processes, "Idle", lambda: given["free"])
    return given


def auto() -> tuple[StubCrew, OwnProcesses]:
    crew = StubCrew()
    return crew, OwnProcesses(crew, grows=True)  # type: ignore[arg-type]


@pytest.mark.usefixtures("looks")
def test_one_is_begun_after_half_a_second_of_being_busy() -> None:
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=0.75)
    assert crew.begun == 0
    crew.passes(staff, CPU, for_s=0.25)
    assert crew.begun == 1


@pytest.mark.usefixtures("looks")
def test_none_is_begun_for_what_only_the_first_one_can_send() -> None:
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=0.5)
    crew.dispenser.has_for_others = False
    crew.passes(staff, CPU, for_s=60.0)
    crew.dispenser.has_for_others = True
    crew.passes(staff, CPU, for_s=0.25)
    assert crew.begun == 0, "what was before is no half second of this"


@pytest.mark.usefixtures("looks")
def test_none_is_begun_for_moments_of_being_busy() -> None:
    crew, staff = auto()
    for _ in range(20):
        crew.passes(staff, CPU, for_s=0.25)
        crew.passes(staff, LISTING, for_s=2.0)
    assert crew.begun == 0


def test_a_moment_in_which_a_processor_is_free_is_not_enough(looks: dict[str, Look]) -> None:
    looks["free"] = Look(*[0.0] * 20, 0.5, 0.0)
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=20.0)
    assert crew.begun == 0


@pytest.mark.usefixtures("looks")
def test_how_busy_the_start_is_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is much to load: who looks from the very beginning sees a loop that is busy all the time."""
    crew = StubCrew()
    monkeypatch.setattr(own_processes, "Busy", lambda: Look(0.64) if crew.now() else Look(1.0, 0.64))
    staff = OwnProcesses(crew, grows=True)  # type: ignore[arg-type]
    crew.passes(staff, READING, for_s=20.0)
    assert crew.begun == 0
