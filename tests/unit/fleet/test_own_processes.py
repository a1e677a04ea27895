"""When "auto" begins another process: what is looked at, tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from s3_upload.fleet import own_processes
from s3_upload.fleet.own_processes import OwnProcesses
from s3_upload.observe.limits import CPU, LISTING, READING
from s3_upload.processor import Lately, busy_s

EVERY_S = 0.25


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


Share = Callable[[float], float]
"""Of a second, at a time."""


class Machine:
    """What the two counters of the machine say: seconds, as their shares of the time add up."""

    def __init__(self) -> None:
        self.busy: Share = lambda _: 1.0
        self.free: Share = lambda _: 1.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    given = Machine()

    def counted(counter: Callable[[], float], clock: Callable[[], float]) -> Lately:
        def count_s() -> float:
            share = given.busy if counter is busy_s else given.free
            return sum(EVERY_S * share(EVERY_S * (tick + 1)) for tick in range(round(clock() / EVERY_S)))

        return Lately(count_s, clock)

    monkeypatch.setattr(own_processes, "Lately", counted)
    return given


def auto() -> tuple[StubCrew, OwnProcesses]:
    crew = StubCrew()
    return crew, OwnProcesses(crew, grows=True)  # type: ignore[arg-type]


@pytest.mark.usefixtures("machine")
def test_one_is_begun_after_half_a_second_of_being_busy() -> None:
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=0.75)
    assert crew.begun == 0
    crew.passes(staff, CPU, for_s=0.25)
    assert crew.begun == 1


@pytest.mark.usefixtures("machine")
def test_none_is_begun_for_what_only_the_first_one_can_send() -> None:
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=0.5)
    crew.dispenser.has_for_others = False
    crew.passes(staff, CPU, for_s=60.0)
    crew.dispenser.has_for_others = True
    crew.passes(staff, CPU, for_s=0.25)
    assert crew.begun == 0, "what was before is no half second of this"


@pytest.mark.usefixtures("machine")
def test_none_is_begun_for_moments_of_being_busy() -> None:
    crew, staff = auto()
    for _ in range(20):
        crew.passes(staff, CPU, for_s=0.25)
        crew.passes(staff, LISTING, for_s=2.0)
    assert crew.begun == 0


def test_a_moment_in_which_a_processor_is_free_is_not_enough(machine: Machine) -> None:
    machine.free = lambda at_s: 0.5 if at_s == 10.0 else 0.0
    crew, staff = auto()
    crew.passes(staff, CPU, for_s=20.0)
    assert crew.begun == 0


def test_how_busy_the_start_is_counts_for_nothing(machine: Machine) -> None:
    """There is much to load: who looks from the very beginning sees a loop that is busy all the time."""
    machine.busy = lambda at_s: 1.0 if at_s == EVERY_S else 0.64
    crew, staff = auto()
    crew.passes(staff, READING, for_s=20.0)
    assert crew.begun == 0
