"""What is asked of a share: the rate that it allows, and how that is to be served. Pure."""

from __future__ import annotations

from typing import Protocol

from s3_upload.control.share.background import Scavenger
from s3_upload.control.share.background import Tuning as BackgroundTuning
from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.fair import FairFlow
from s3_upload.control.share.fair import Tuning as FairTuning
from s3_upload.control.share.link import Look


class Share(Protocol):
    """An algorithm that decides how much of the link a run may have."""

    def decide(self, look: Look, *, now: float) -> float:
        """Bytes per second for all connections from now on; UNBOUNDED for no bound. `now` only grows."""
        ...

    @property
    def state(self) -> str:
        """For `PaceReport.state`."""
        ...

    @property
    def yields(self) -> bool:
        """The link is left to others: whatever is seen of it meanwhile is theirs."""
        ...

    @property
    def reclaims(self) -> float:
        """The rate that is soon wanted after a yield; 0.0 if there was none, or it is reached."""
        ...

    @property
    def due(self) -> float:
        """The rate up to which a part is due even while others' queue stands; 0.0 for none."""
        ...

    @property
    def heedless(self) -> bool:
        """Whether the connections' TCP need not slow down for losses."""
        ...


class Full:
    """Everything: no bound at all."""

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
    return Scavenger(background) if name == "background" else FairFlow(fair)
