"""How much of the link to take: joins what the shares, the cap and the requests in flight decide. Pure.

Theory of operation.  Every tick the connections' samples become a `Look` (`link`).

1. *Rate*: what the share allows ("full": everything), and at most what the cap does (`cap`).
2. *Requests*: as few as keep that rate busy (`in_flight`), and none the fewer while the share yields.
3. *Pace of one connection*: `division`.
4. *Timeouts*: what is held back here is not to be cut for it.  A small body counts as taken in when the
   kernel has it, but then leaves at the pace; the slowest of the last `slowest_s`, for safety.  A request as
   a whole may take the time of its bytes at the floor.
5. *Blind*: without TCP_INFO nothing is known of the queue.  Then a share other than "full" is one request
   at a time, which is one flow: fair beside one other, and no less than that in the background.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from s3_upload.control.concurrency.window import Window
from s3_upload.control.share import background, cap, division, fair, in_flight, link
from s3_upload.control.share.cap import UNBOUNDED, Cap
from s3_upload.control.share.division import Division
from s3_upload.control.share.in_flight import Requests
from s3_upload.control.share.link import FLOOR_CONNECTION_BYTES_PER_S, LinkView, Look, Recent
from s3_upload.control.waiting.adaptive import SMALL_BYTES
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.report import AttemptReport, ConnectionSample, PaceReport, Paces
from s3_upload.units import Bandwidth

SMALL_BODY_BYTES = 128 << 10
"""A body of so many bytes at most is small where the rate is divided (step 2 of `division`)."""
SMALL_BODIES = 8.0
"""Whether bodies are small (step 2 of `division`) is a mean over so many."""


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory, and of the algorithms that it joins."""

    slowest_s: float = 60.0
    """The slowest pace of this many seconds counts (step 4)."""
    blind_rate_s: float = 3.0
    """Where only finished requests are known, rates are averages over this many seconds (step 5)."""
    link: link.Tuning = link.DEFAULT
    background: background.Tuning = background.DEFAULT
    fair: fair.Tuning = fair.DEFAULT
    cap: cap.Tuning = cap.DEFAULT
    in_flight: in_flight.Tuning = in_flight.DEFAULT
    division: division.Tuning = division.DEFAULT


DEFAULT = Tuning()


class Share(Protocol):
    """An algorithm that decides how much of the link a run may have.

    `state`: the value of `PaceReport.state`.  `yields`: the link is left to other traffic, so that no
    measurement is about this run.  `reclaims`: the rate wanted soon, after a yield; 0.0 if there was none or
    the rate is reached.  `due`: the rate wanted even while other traffic keeps a queue; 0.0 for none.
    `heedless`: the connections' TCP should ignore losses.
    """

    @property
    def state(self) -> str: ...
    @property
    def yields(self) -> bool: ...
    @property
    def reclaims(self) -> float: ...
    @property
    def due(self) -> float: ...
    @property
    def heedless(self) -> bool: ...
    def decide(self, look: Look, *, now: float) -> float:
        """The bytes per second of all connections from now on; UNBOUNDED for no bound. `now` only grows."""


class Full:
    """Share "full": no bound."""

    state = "full"
    yields = heedless = False
    reclaims = due = 0.0

    def decide(self, look: Look, *, now: float) -> float:
        return UNBOUNDED


def share_of(name: str, tuning: Tuning) -> Share:
    """The share of that name: "background", "fair" or "full"."""
    if name == "full":
        return Full()
    if name == "background":
        return background.BackgroundShare(tuning.background)
    return fair.FairShare(tuning.fair)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`bytes_per_s` for all connections together (or UNBOUNDED), and the pace of each; how many `requests`
    may be in flight (math.inf: as many as the window says)."""

    bytes_per_s: float
    paces: Paces
    requests: float
    report: PaceReport


class Finished:
    """Looks made of finished requests alone (step 5). `acked_bytes`: of bodies that succeeded."""

    def __init__(self, over_s: float) -> None:
        self.acked_bytes = 0
        self._over_s = over_s
        self._acked: deque[tuple[float, int]] = deque()

    def look(self, *, now: float) -> Look:
        acked_bytes = self.acked_bytes
        self._acked.append((now, acked_bytes))
        while self._acked[0][0] < now - self._over_s:
            self._acked.popleft()
        # Bytes are acknowledged a request at a time; a shorter average would jump.
        since_s, before = self._acked[0]
        rate = (acked_bytes - before) / (now - since_s) if now > since_s else 0.0
        return Look(at_s=now, acked_bytes=acked_bytes, bytes_per_s=rate)


class Divided:
    """The `rate` that was decided at `at_s`, among the connections (steps 3 and 4)."""

    def __init__(self, tuning: Tuning) -> None:
        self.division = Division(tuning.division)
        self.rate, self.at_s = UNBOUNDED, 0.0
        self.slowest = Recent()
        self._over_s = tuning.slowest_s

    def paces(self, samples: Sequence[ConnectionSample], *, heedless: bool) -> Paces:
        if self.rate == UNBOUNDED:
            self.slowest.add(UNBOUNDED, now=self.at_s, over_s=self._over_s)
            return Paces()
        each, apart = self.division.divide(self.rate, samples)
        # Those that wait for an answer may all soon send.
        least = max(self.rate / max(1, len(apart)), FLOOR_CONNECTION_BYTES_PER_S)
        self.slowest.add(min(each, least, *apart.values()), now=self.at_s, over_s=self._over_s)
        return Paces(each_bytes_per_s=each, apart=apart, heedless=heedless)


class Courtesy:
    """The decisions of one run. `share`: "background", "fair" or "full"; `window`: what bounds the requests
    besides; `blind`: there are no samples."""

    def __init__(self, share: str, window: Window, *, blind: bool = False, tuning: Tuning = DEFAULT) -> None:
        self.share = share
        self._window = window
        self._view = LinkView(tuning.link)
        # Without samples no share can be computed. One request at a time replaces it (step 5).
        self._share = Full() if blind else share_of(share, tuning)
        self._blind = blind
        self._finished = Finished(tuning.blind_rate_s)
        self._small = 0.0  # the share of small bodies of late
        self._cap = Cap(blind=blind, tuning=tuning.cap)
        self._requests = Requests(tuning.in_flight)
        self._divided = Divided(tuning)

    def decide(
        self, samples: Sequence[ConnectionSample], bandwidth: Bandwidth | None, *, now: float
    ) -> Decision:
        """Decides for the time until the next tick."""
        look = self._finished.look(now=now) if self._blind else self._view.look(samples, now=now)
        share_rate = self._share.decide(look, now=now)
        cap_rate = self._cap.rate(bandwidth, look, now=now, held=share_rate < UNBOUNDED)
        rate = min(share_rate, cap_rate)
        if self._blind:
            bound = 1 if self.share != "full" else None
        else:
            bound = self._bound(look, rate, cap_rate, now)
        self._divided.rate, self._divided.at_s = rate, now
        # The cap corrects a missing rate itself, so the boost must not add to it.
        if rate < UNBOUNDED:
            steady = self._requests.steady and cap_rate >= share_rate
            self._divided.division.adapt(rate, look, steady=steady)
        report = PaceReport(
            at_s=now,
            share=self.share,
            state="capped" if cap_rate < share_rate else str(self._share.state),
            queue_s=look.queue_s,
            base_s=look.base_s,
            pace_bytes_per_s=0.0 if rate == UNBOUNDED else rate,
            acked_bytes_per_s=look.bytes_per_s,
            connections=look.connections,
            requests=bound or 0,
        )
        return Decision(rate, self.divide(samples), math.inf if bound is None else bound, report)

    def _bound(self, look: Look, rate: float, cap_rate: float, now: float) -> int | None:
        """Step 2."""
        share = self._share
        # At the floor any number of requests suffices, and the acknowledged rate says nothing about it.
        if share.yields:
            return self._requests.rest(now)
        reclaims, due = min(share.reclaims, cap_rate), min(rate, share.due)
        return self._requests.decide(look, rate, self._window.limit, now=now, reclaims=reclaims, due=due)

    def divide(self, samples: Sequence[ConnectionSample]) -> Paces:
        """Divides the current rate again (step 3)."""
        return self._divided.paces(samples, heedless=self._share.heedless)

    def observe(self, report: AttemptReport) -> None:
        """An attempt has ended."""
        self._finished.acked_bytes += report.body_bytes if report.succeeded else 0
        if report.body_bytes and self.share != "full":
            small = report.body_bytes <= SMALL_BODY_BYTES
            self._small += (small - self._small) / SMALL_BODIES
            self._divided.division.small = self._small > 0.5

    def allow(self, limits: Timeouts, body_bytes: int) -> Timeouts:
        """`limits`, and what the pace takes (step 4)."""
        # The timers of a larger body start when it is acknowledged, after the pace has let it through.
        slowed_s = self.slowed_s(body_bytes) if body_bytes <= SMALL_BYTES else 0.0
        return Timeouts(
            limits.connect_s,
            limits.total_s + body_bytes / FLOOR_CONNECTION_BYTES_PER_S,
            limits.stall_s,
            limits.response_s + slowed_s,
            limits.hedge_s + slowed_s,
            limits.look_s,
        )

    def slowed_s(self, body_bytes: int) -> float:
        """How long the pace alone may delay the bytes of a body, in seconds (step 4)."""
        return body_bytes / self._divided.slowest.least
