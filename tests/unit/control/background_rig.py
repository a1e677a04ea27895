"""A background share and its clock. Looks come every 50 ms, as in a run."""

from __future__ import annotations

from s3_upload.control.share.background import BackgroundShare
from s3_upload.control.share.link import Look
from tests.unit.control.constants import BACKGROUND

MB = 1e6
TICK_S = 0.05


class Rig:
    """A background share and its clock. `base_s` 0.1: a step is 0.15 s while there is no queue."""

    def __init__(self, base_s: float = 0.1) -> None:
        self.share = BackgroundShare(BACKGROUND)
        self.base_s = base_s
        self.now = 0.0

    def look(
        self, *, queue_ms: float = 0.0, acked: float | None = None, loss: float = 0.0, busy: int = 4
    ) -> float:
        """A tick later; `acked`: the rate acknowledged, that of the pace unless given."""
        self.now += TICK_S
        look = Look(
            at_s=self.now,
            queue_s=queue_ms / 1e3,
            base_s=self.base_s,
            bytes_per_s=self.share.rate if acked is None else acked,
            loss=loss,
            fresh=True,
            busy=busy,
        )
        return self.share.decide(look, now=self.now)

    def looks(self, seconds: float, **about: float) -> float:
        for _ in range(round(seconds / TICK_S)):
            self.look(**about)  # type: ignore[arg-type]
        return self.share.rate

    @property
    def state(self) -> str:
        return str(self.share.state)


def cruising(capacity: float = 10 * MB, base_s: float = 0.1) -> Rig:
    rig = Rig(base_s)
    for _ in range(3):
        rig.look(queue_ms=10.0, acked=capacity)
    assert rig.state == "draining"
    rig.look(acked=capacity)
    assert rig.state == "cruising"
    return rig


def settled(base_s: float = 0.1) -> Rig:
    """Cruising, and a queue is not its own any more."""
    rig = cruising(base_s=base_s)
    rig.share._probe_after_s = 1e9
    rig.looks(3.0 * (base_s + 0.05) + 0.1)
    return rig
