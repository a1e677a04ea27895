"""The interface of the shares: each says which rate it allows, and what that rate needs. Pure."""

from __future__ import annotations

from typing import Protocol

from s3_upload.control.share.background import BackgroundShare
from s3_upload.control.share.background import Tuning as BackgroundTuning
from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.fair import FairShare
from s3_upload.control.share.fair import Tuning as FairTuning
from s3_upload.control.share.link import Look


class Share(Protocol):
    """An algorithm that decides how much of the link a run may have."""

    def decide(self, look: Look, *, now: float) -> float:
        """The bytes per second of all connections from now on; UNBOUNDED for no bound. `now` only grows."""
        ...

    @property
    def state(self) -> str:
        """The value of `PaceReport.state`."""
        ...

    @property
    def yields(self) -> bool:
        """Whether the link is left to other traffic, so that no measurement is about this run."""
        ...

    @property
    def reclaims(self) -> float:
        """The rate wanted soon, after a yield; 0.0 if there was none or the rate is reached."""
        ...

    @property
    def due(self) -> float:
        """The rate wanted even while other traffic keeps a queue; 0.0 for none."""
        ...

    @property
    def heedless(self) -> bool:
        """Whether the connections' TCP should ignore losses."""
        ...


class Full:
    """Share "full": no bound."""

    state = "full"
    yields = False
    reclaims = 0.0
    due = 0.0
    heedless = False

    def decide(self, look: Look, *, now: float) -> float:
        """See `Share`."""
        return UNBOUNDED


def share_of(name: str, background: BackgroundTuning, fair: FairTuning) -> Share:
    """The share of that name: "background", "fair" or "full"."""
    if name == "full":
        return Full()
    return BackgroundShare(background) if name == "background" else FairShare(fair)
