"""A staff of processes of our own, on this machine.

Rules:

* One that ends before its time is replaced, and what it had is done by others (`Dispenser.lost`).  Where
  MAX_LOSSES in a row have ended without having done anything, there are no more.
* "auto" begins with none, and adds one where that pays (`growth.py`).
"""

from __future__ import annotations

from s3_upload.errors import S3UploadError
from s3_upload.fleet.child import Child
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.growth import Growth
from s3_upload.fleet.wire import Ended, Finish, Frame, Ready, Stop, Told, Work
from s3_upload.fleet.worker import Worker
from s3_upload.processor import Idle

MAX_LOSSES = 3
ITEMS = 1_024
"""So many sources go in one frame."""
END_S = 10.0
"""A process that is through says so by then."""
STOPPED_S = 8.0
"""One that is stopped may take so long beyond the grace: to abort what is in parts, that is."""


class OwnProcesses:
    """See the module's rules, and `crew.Staff`. `grows`: "auto"."""

    def __init__(self, crew: Crew, *, grows: bool) -> None:
        self._crew = crew
        self._growth = Growth(crew.count) if grows else None
        self._children: list[Child] = []
        self._feeding: set[Child] = set()
        self._begun = self._losses = 0
        self._idle = Idle()
        self._free = 0.0

    @property
    def workers(self) -> list[Worker]:
        return list(self._children)

    def start(self) -> None:
        if self._growth is None:
            for _ in range(self._crew.count - 1):
                self._crew.begin(self._add())

    def refill(self) -> None:
        for child in self._children:
            self._refill(child)

    def tick(self) -> None:
        free = self._idle.look()
        self._free = free if self._free == 0.0 else 0.5 * (self._free + free)
        crew, home = self._crew, self._crew.desk.limits.get(0)
        if self._growth is None or home is None or crew.stopping or crew.dispenser.exhausted:
            return
        if self._growth.grows(home.limited_by, self._free, 1 + len(self._children), now=crew.now()):
            crew.begin(self._add())

    def stop(self) -> None:
        for child in self._children:
            child.send(Stop())

    async def end(self, *, stopped: bool) -> None:
        crew = self._crew
        for child in self._children:
            if child.ready:
                child.send(Stop() if stopped else Finish())
            else:
                child.kill()
        until_s = crew.now() + (STOPPED_S + crew.config.grace_s if stopped else END_S)
        try:
            for child in tuple(self._children):
                if not await child.over(max(until_s - crew.now(), 0.0)):
                    child.kill()
                    await child.over()
        finally:
            for child in tuple(self._children):
                child.kill()

    async def _add(self) -> None:
        if self._crew.stopping:
            return
        self._begun += 1
        child = Child(self._begun, self._heard, self._gone)
        self._children.append(child)
        self._crew.dispenser.join(child.hand)
        try:
            await child.begin(self._crew.order(child.number))
        except S3UploadError:
            self._children.remove(child)
            self._crew.dispenser.lost(child.hand)
            raise
        self._crew.cut()

    def _heard(self, child: Child, frame: Frame) -> None:
        if isinstance(frame, Ready):
            child.ready = True
            self._refill(child)
        elif isinstance(frame, Ended):
            self._crew.desk.ended(child, frame)
            if frame.error is not None:
                self._crew.fail(frame.error)
            child.close()
        else:
            self._crew.hear(child, frame)
            if isinstance(frame, Told):
                self._refill(child)

    def _gone(self, child: Child, code: int) -> None:
        """It is no more."""
        crew = self._crew
        self._children.remove(child)
        crew.gone(child)
        culprits = crew.dispenser.lost(child.hand)
        if crew.stopping or child.ended is not None:
            return
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        for source in culprits:
            crew.desk.give_up(source, f"each process that uploads it ends (the last: {how})", crew.now())
        self._losses = 1 if child.done or culprits else self._losses + 1
        if not crew.dispenser.left:
            return
        if self._losses < MAX_LOSSES:
            crew.begin(self._add())
        elif not self._children:
            crew.desk.notes.append(f"processes have ended ({how}), and the first one went on alone")
            for source in crew.dispenser.take_home():
                crew.desk.give_up(source, f"processes that uploaded it have ended ({how})", crew.now())
        self.refill()

    def _refill(self, child: Child) -> None:
        """Gives it more where it has room. Taking from the stream may block, so a thread does it."""
        crew = self._crew
        busy = child in self._feeding or not child.ready or child.ended is not None
        if busy or crew.full or not (crew.dispenser.left and child.hand.hungry):
            return
        self._feeding.add(child)
        crew.begin(self._feed(child))

    async def _feed(self, child: Child) -> None:
        try:
            sources = await self._crew.threads.call(lambda: self._crew.dispenser.next_for(child.hand))
        finally:
            self._feeding.discard(child)
        for at in range(0, len(sources), ITEMS):
            child.send(Work([(one.path, one.key, one.fields) for one in sources[at : at + ITEMS]]))
        if sources:
            self._refill(child)
