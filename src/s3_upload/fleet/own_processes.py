"""A staff of processes of our own, on this machine.

Rules:

* One that ends before its time is replaced, and what it had is done by others (`Dispenser.lost`).  Where
  MAX_LOSSES in a row have ended without having done anything, or MAX_LOSSES_IN_SEARCH while it is being found
  out which source ends them, there are no more.  With "auto" there are no more either where one ends by an
  error before it has done anything: what it lacks (credentials that somebody has to type, say) the first one
  has, or finds out by itself.  What cannot be sent to another process, which "auto" finds out when it would
  begin one, leaves all to the first.
* At the end who has much gives some of it to who has little (`Dispenser.too_many`).
* "auto" begins with none, and adds one where that pays (`growth.py`).
"""

from __future__ import annotations

from s3_upload.errors import ConfigError, S3UploadError
from s3_upload.fleet.child import Child, check_order
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.growth import Growth
from s3_upload.fleet.wire import Ended, Finish, Frame, GiveBack, GivenBack, Ready, Stop, Told
from s3_upload.fleet.worker import Worker
from s3_upload.observe.limits import LISTING
from s3_upload.processor import Lately, busy_s, idle_s

MAX_LOSSES = 3
MAX_LOSSES_IN_SEARCH = 24
ITEMS = 1_024
"""So many sources go in one frame."""
END_S = 10.0
"""A process that is through says so by then."""
STOPPED_S = 8.0
"""One that is stopped may take so long beyond the grace: to abort what is in parts, that is."""


class OwnProcesses:
    """See the module's rules, and `crew.Staff`. `grows`: "auto"."""

    held_per_s = 0.0

    def __init__(self, crew: Crew, *, grows: bool) -> None:
        self._crew = crew
        self._growth = Growth(crew.count) if grows else None
        self._can_be_alone = grows
        self._begins = True
        self._children: list[Child] = []
        self._feeding: set[Child] = set()
        self._asked: set[Child] = set()
        """To give back what they have not begun, or who had nothing of that kind."""
        self._begun = self._losses = 0
        self._looks: tuple[Lately, Lately] | None = None
        """Of the loop's thread, and of the processors that are free."""

    @property
    def workers(self) -> list[Worker]:
        return list(self._children)

    def start(self) -> None:
        if self._growth is None:
            check_order(self._crew.order(0))
            for _ in range(self._crew.count - 1):
                self._crew.begin(self._add())

    def refill(self) -> None:
        for child in self._children:
            self._refill(child)

    def tick(self) -> None:
        crew, home = self._crew, self._crew.desk.limits.get(0)
        # What is before the first tick is the start, in which there is much to load.
        if self._looks is None:
            self._looks = Lately(busy_s, crew.now), Lately(idle_s, crew.now)
            return
        busy, free = (lately.look() for lately in self._looks)
        if self._growth is None or home is None or crew.stopping:
            return
        # What has only the one at home to do it limits nobody else.
        limited_by = home.limited_by if crew.dispenser.has_for_others else LISTING
        count = 1 + len(self._children)
        if self._growth.grows(limited_by, busy, free, count, now=crew.now()):
            crew.begin(self._add())

    def stop(self, *, at_once: bool) -> None:
        for child in self._children:
            child.send(Stop(at_once))

    async def end(self, *, stopped: bool) -> None:
        crew = self._crew
        for child in self._children:
            if not child.ready:
                child.kill()
            elif not stopped:
                child.send(Finish())
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
        child = Child(self._begun, self._heard, self._gone, self._crew.fail)
        self._children.append(child)
        self._crew.dispenser.join(child.hand)
        try:
            await child.begin(self._crew.order(child.number))
        except Exception as error:
            # Nobody is to wait for one that was not begun.
            child.kill()
            self._children.remove(child)
            self._crew.dispenser.lost(child.hand, by_source=False)
            if not isinstance(error, S3UploadError):
                raise
            self._growth, self._losses = None, MAX_LOSSES_IN_SEARCH
            if isinstance(error, ConfigError):
                why = str(error).removeprefix("processes: ")
                self._crew.desk.notes.append(f"one process uploaded all: {why}")
            else:
                self._no_more(str(error))
            return
        self._crew.cut()

    def _heard(self, child: Child, frame: Frame) -> None:
        if isinstance(frame, Ready):
            child.ready = True
            self._refill(child)
        elif isinstance(frame, Ended):
            self._crew.desk.ended(child, frame)
            if frame.error is not None and not self._is_its_own(child):
                self._crew.fail(frame.error)
            child.close()
        elif isinstance(frame, GivenBack):
            if frame.keys:
                self._asked.discard(child)
            self._crew.dispenser.give_back(child.hand, frame.keys)
            self.refill()
        else:
            self._crew.hear(child, frame)
            if isinstance(frame, Told):
                self._refill(child)
                self._even_out()

    def _even_out(self) -> None:
        """At the end of the stream: for whoever has least."""
        for child in self._children:
            # One that is being fed has not got yet what it would give back.
            waits = child in self._asked or child in self._feeding
            if not waits and (count := self._crew.dispenser.too_many(child.hand)):
                self._asked.add(child)
                child.send(GiveBack(count))

    def _gone(self, child: Child, code: int) -> None:
        """It is no more."""
        crew = self._crew
        self._children.remove(child)
        self._asked.discard(child)
        crew.gone(child)
        ended = child.ended
        could_not_begin = ended is not None and ended.error is not None and self._is_its_own(child)
        culprits = crew.dispenser.lost(child.hand, by_source=not could_not_begin)
        if could_not_begin and ended is not None and not crew.stopping:
            self._no_more(f"a process ended before it had uploaded anything ({ended.error})")
            self.refill()
        if crew.stopping or ended is not None:
            return
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        for source in culprits:
            crew.desk.give_up(source, f"each process that uploads it ends (the last: {how})", crew.now())
        self._losses = 0 if child.done or culprits else self._losses + 1
        if not crew.dispenser.left:
            return
        # Whoever ends with suspects has halved them.
        if self._begins and self._losses < (MAX_LOSSES_IN_SEARCH if crew.dispenser.searches else MAX_LOSSES):
            crew.begin(self._add())
        else:
            self._no_more(f"processes have ended ({how})")
        self.refill()

    def _is_its_own(self, child: Child) -> bool:
        """Whether an error is that of a process, and not of the job."""
        return self._can_be_alone and not child.done

    def _no_more(self, why: str) -> None:
        """No process is begun any more. Where there is none left, the one at home goes on alone."""
        crew, begins = self._crew, self._begins
        self._growth, self._begins = None, False
        if self._children:
            if begins:
                crew.desk.notes.append(f"{why}, and no other was begun")
            return
        crew.desk.notes.append(f"{why}, and the first one went on alone")
        crew.desk.go_on_at_home()
        for source in crew.dispenser.take_home():
            crew.desk.give_up(source, f"each process that uploads it ends: {why}", crew.now())

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
            # Before it begins: what it may take now, others have to give.
            self._crew.cut()
            child.send(self._crew.work(sources[at : at + ITEMS]))
        if sources:
            self._refill(child)
